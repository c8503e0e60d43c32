"""Detector weights: where they are, whether they are the published ones, and how MediaPipe's get there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from au3dmm.errors import AssetError, OutputError, os_reason
from au3dmm.io.atomic import write_bytes
from au3dmm.io.hashing import sha256_file
from au3dmm.io.mediapipe_task import MOST_BYTES, PUBLISHED_TASKS

MEDIAPIPE_PACKAGE = "mediapipe==0.10.21"  # the last one whose wheel carries the models
MEDIAPIPE_DETECTION = "face_detection_short_range.tflite"
MEDIAPIPE_FAR = "face_detection_full_range_sparse.tflite"
MEDIAPIPE_MESH = "face_landmark.tflite"
MEDIAPIPE_ATTENTION = "face_landmark_with_attention.tflite"
MEDIAPIPE_TASK = "face_landmarker.task"  # a user's own, never fetched


class _Published(NamedTuple):
    member: str
    sha256: str


MEDIAPIPE_FILES: dict[str, _Published] = {
    MEDIAPIPE_DETECTION: _Published(
        f"mediapipe/modules/face_detection/{MEDIAPIPE_DETECTION}",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    MEDIAPIPE_FAR: _Published(
        f"mediapipe/modules/face_detection/{MEDIAPIPE_FAR}",
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
    ),
    MEDIAPIPE_MESH: _Published(
        f"mediapipe/modules/face_landmark/{MEDIAPIPE_MESH}",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    ),
    MEDIAPIPE_ATTENTION: _Published(
        f"mediapipe/modules/face_landmark/{MEDIAPIPE_ATTENTION}",
        "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
    ),
}

_FINDERS = {"short": (MEDIAPIPE_DETECTION,), "full": (MEDIAPIPE_FAR,), "both": (MEDIAPIPE_DETECTION, MEDIAPIPE_FAR)}

# what face-alignment 1.5 loads for 3D landmarks; the name carries the beginning of the published file's sha256
FAN_S3FD = "s3fd-619a316812.pth"
FAN_LANDMARKS = "3DFAN4-7835d9f11d.pth.tar"
FAN_DEPTH = "depth-2a464da4ea.pth.tar"
FACE_ALIGNMENT_FILES = (FAN_S3FD, FAN_LANDMARKS, FAN_DEPTH)

State = Literal["ok", "missing", "not the published file"]


class WeightFile(NamedTuple):
    """One file a detector needs."""

    detector: str
    file: str
    state: State
    path: Path


def weights_folder() -> Path:
    """Return the folder of downloaded weights: ``$AU3DMM_WEIGHTS``, else ``au3dmm/weights`` in the user's data."""
    given = os.environ.get("AU3DMM_WEIGHTS")
    if given:
        return Path(given).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "au3dmm" / "weights"


def torch_hub_folder() -> Path:
    """Return the folder where face-alignment looks for its weights (torch.hub's, found without importing torch)."""
    home = os.environ.get("TORCH_HOME")
    if home:
        return Path(home).expanduser() / "hub" / "checkpoints"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache).expanduser() if cache else Path.home() / ".cache") / "torch" / "hub" / "checkpoints"


def mediapipe_needs(
    mediapipe_range: Literal["short", "full", "both"],
    mediapipe_refine: bool,
    mediapipe_models: Literal["published", "task"] = "published",
) -> tuple[str, ...]:
    """Return the names of the files that three parameters of `DetectParams` ask for."""
    finders = _FINDERS[mediapipe_range]
    if mediapipe_models == "task":  # near faces are found by its own model
        return (MEDIAPIPE_TASK, *(name for name in finders if name == MEDIAPIPE_FAR))
    return (*finders, MEDIAPIPE_ATTENTION if mediapipe_refine else MEDIAPIPE_MESH)


def mediapipe_files(folder: Path, names: Iterable[str] | None = None) -> dict[str, Path]:
    """Return the paths of MediaPipe's models by file name.

    Parameters
    ----------
    folder : Path
        See `weights_folder`.
    names : iterable of str, optional
        Those needed (`mediapipe_needs`); by default all.

    Raises
    ------
    AssetError
        If one is missing or is not the published file; a task may be another one than published.
    """
    needed = set(MEDIAPIPE_FILES if names is None else names)
    task = {MEDIAPIPE_TASK: folder / MEDIAPIPE_TASK} if MEDIAPIPE_TASK in needed else {}
    if task and not task[MEDIAPIPE_TASK].is_file():
        raise AssetError(
            f"{folder}: {MEDIAPIPE_TASK} is not there; run `au3dmm weights add FILE{_folder_option(folder)}` with"
            ' yours, or set detect.mediapipe_models = "published"'
        )
    for path in task.values():
        if path.stat().st_size > MOST_BYTES:
            raise AssetError(f"{path}: {path.stat().st_size} bytes, expected {MOST_BYTES} at most; add it again")
    states = [found for found in _published_states(folder) if found.file in needed]
    wrong = [(name, state) for _, name, state, _ in states if state != "ok"]
    if wrong:
        found = ", ".join(
            f"{name} is {'not there' if state == 'missing' else 'not the published model (its sha256 differs)'}"
            for name, state in wrong
        )
        raise AssetError(f"{folder}: {found}; run `au3dmm weights get mediapipe{_folder_option(folder)}`")
    return {**{name: path for _, name, _, path in states}, **task}


def _folder_option(folder: Path) -> str:
    return "" if folder == weights_folder() else f" --weights-dir {folder}"


def read_mediapipe(folder: Path, names: Iterable[str] | None = None) -> tuple[dict[str, bytes], dict[str, str]]:
    """Read MediaPipe's models, all or those named; return their contents and their sha256, by file name.

    Raises
    ------
    AssetError
        If one is missing or is not the published file.
    """
    contents = {name: path.read_bytes() for name, path in mediapipe_files(folder, names).items()}
    return contents, {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


def fetch_mediapipe(
    folder: Path, wheel: Path | None = None, log: Callable[[str], None] | None = None
) -> dict[str, Path]:
    """Put MediaPipe's four models (Apache-2.0, 4.6 MB) into `folder`, out of the wheel of `MEDIAPIPE_PACKAGE`.

    The wheel (36 MB) is downloaded by pip and not installed: the models do not depend on platform or Python, so one
    fixed wheel serves all. Models that are there already are verified, and nothing is downloaded.

    Parameters
    ----------
    folder : Path
        See `weights_folder`.
    wheel : Path, optional
        A wheel downloaded elsewhere, for a machine without network.
    log : callable, optional
        Told in one line what happens.

    Returns
    -------
    dict
        The paths by file name.

    Raises
    ------
    AssetError
        If the wheel cannot be downloaded or read, or a model in it is not the published one. Nothing is written then.
    OutputError
        If `folder` cannot be written.
    """
    say = log or (lambda line: None)
    if all(state == "ok" for _, _, state, _ in _published_states(folder)):
        say(f"{folder}: MediaPipe's models are there and verified")
        return mediapipe_files(folder)
    if wheel is not None:
        models = _models_of_wheel(wheel)
    else:
        with tempfile.TemporaryDirectory(prefix="au3dmm-") as tmp:
            say(f"downloading {MEDIAPIPE_PACKAGE} (36 MB, not installed) for its four models")
            models = _models_of_wheel(_download(Path(tmp)))
    for name, data in models.items():
        write_bytes(folder / name, data)
        say(f"{folder / name}: written and verified")
    return mediapipe_files(folder)


def face_alignment_files(folder: Path | None = None, names: Iterable[str] | None = None) -> dict[str, Path]:
    """Return the paths of face-alignment's weight files by file name.

    Parameters
    ----------
    folder : Path, optional
        Where they are looked for first (default: `weights_folder`); then in `torch_hub_folder`.
    names : iterable of str, optional
        Those needed; by default all three.

    Raises
    ------
    AssetError
        If any is missing: names them, the folders and the ways out.
    """
    needed = FACE_ALIGNMENT_FILES if names is None else names
    found = {name: _face_alignment_path(name, folder) for name in needed}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        raise AssetError(
            f"face_alignment needs {', '.join(missing)}, which are neither in {folder or weights_folder()} nor in"
            f" {torch_hub_folder()}; run `au3dmm weights get face-alignment`, or `au3dmm weights add` with copies from"
            " a machine where face-alignment has run, or use `--detector mediapipe` or `precomputed`"
        )
    return found


def _face_alignment_path(name: str, folder: Path | None) -> Path:
    """Return where a file is; where it belongs if it is nowhere."""
    own = (folder or weights_folder()) / name
    hub = torch_hub_folder() / name
    return hub if hub.is_file() and not own.is_file() else own


def published_prefix(name: str) -> str:
    """Return the beginning of the sha256 that a file name of torch.hub carries.

    Examples
    --------
    >>> published_prefix("3DFAN4-7835d9f11d.pth.tar")
    '7835d9f11d'
    """
    return name.partition(".")[0].rpartition("-")[2]


def weights_status(folder: Path | None = None) -> list[WeightFile]:
    """Return every weight file of every detector, and in which state it is; a user's task only if there is one.

    Parameters
    ----------
    folder : Path, optional
        Instead of `weights_folder`.

    Raises
    ------
    AssetError
        If a file cannot be read.
    """
    place = folder or weights_folder()
    found = _published_states(place)
    task = place / MEDIAPIPE_TASK
    if task.is_file():
        published = file_sha256(task) in PUBLISHED_TASKS
        found.append(WeightFile("mediapipe", MEDIAPIPE_TASK, "ok" if published else "not the published file", task))
    for name in FACE_ALIGNMENT_FILES:
        path = _face_alignment_path(name, folder)
        state: State = "missing"
        if path.is_file():
            state = "ok" if file_sha256(path).startswith(published_prefix(name)) else "not the published file"
        found.append(WeightFile("face_alignment", name, state, path))
    return found


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file; read again only if its size or time of change differs.

    Raises
    ------
    AssetError
        If it cannot be read.
    """
    try:
        stat = path.stat()
        return _sha256(path, stat.st_size, stat.st_mtime_ns)
    except OSError as err:
        raise AssetError(f"{path}: cannot be read: {os_reason(err)}") from err


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_file(path)


def _published_states(folder: Path) -> list[WeightFile]:
    found = []
    for name, published in MEDIAPIPE_FILES.items():
        path = folder / name
        state: State = "missing"
        if path.is_file():
            state = "ok" if file_sha256(path) == published.sha256 else "not the published file"
        found.append(WeightFile("mediapipe", name, state, path))
    return found


def _models_of_wheel(wheel: Path) -> dict[str, bytes]:
    models = {}
    try:
        with zipfile.ZipFile(wheel) as z:
            for name, published in MEDIAPIPE_FILES.items():
                models[name] = z.read(published.member)
    except OSError as err:
        raise AssetError(f"{wheel}: cannot be read: {os_reason(err)}") from err
    except KeyError as err:
        raise AssetError(f"{wheel}: no {published.member} in it; expected the wheel of {MEDIAPIPE_PACKAGE}") from err
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as err:  # RuntimeError: encrypted, unknown method
        raise AssetError(f"{wheel}: not a wheel, or damaged: {err}; expected {MEDIAPIPE_PACKAGE}") from err
    for name, data in models.items():
        found, expected = hashlib.sha256(data).hexdigest(), MEDIAPIPE_FILES[name].sha256
        if found != expected:
            raise AssetError(
                f"{wheel}: {name} in it has sha256 {found[:12]}..., expected {expected[:12]}... (of"
                f" {MEDIAPIPE_PACKAGE}); nothing was written"
            )
    return models


def _download(folder: Path) -> Path:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"),
        *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"),
        *("--dest", str(folder), MEDIAPIPE_PACKAGE),
    ]
    way_out = (
        f"on a machine with network run `pip download --no-deps {MEDIAPIPE_PACKAGE}` with Python 3.11 or 3.12 on Linux,"
        " then here `au3dmm weights get mediapipe --wheel FILE`"
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as err:
        raise OutputError(f"{sys.executable}: cannot be started: {os_reason(err)}") from err
    wheels = sorted(folder.glob("mediapipe-*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        raise AssetError(f"{MEDIAPIPE_PACKAGE} could not be downloaded: {lines[-1].strip()}; {way_out}")
    return wheels[0]
