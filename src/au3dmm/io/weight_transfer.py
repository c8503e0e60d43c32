"""Brings detector weights into the weights folder: copies, or face-alignment's by download, verified on the way."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from au3dmm.errors import AssetError, os_reason
from au3dmm.io.atomic import atomic_path
from au3dmm.io.mediapipe_task import PUBLISHED_TASKS, read_task
from au3dmm.io.weights import (
    FACE_ALIGNMENT_FILES,
    MEDIAPIPE_FILES,
    MEDIAPIPE_PACKAGE,
    MEDIAPIPE_TASK,
    fetch_mediapipe,
    file_sha256,
    published_prefix,
    weights_status,
)

FACE_ALIGNMENT_URL = "https://www.adrianbulat.com/downloads/python-fan/"  # as in face-alignment 1.5.0
_MOST_BYTES = 2**30  # the largest file has 224 MB
_PIECE_BYTES = 2**20
_TIMEOUT_S = 60


def add_weights(
    source: Path, folder: Path, log: Callable[[str], None] | None = None, *, replace: bool = False
) -> list[str]:
    """Copy weights into a folder, each verified.

    Parameters
    ----------
    source : Path
        A weight file, known by its content, whatever its name; the wheel that MediaPipe's models are in; a
        ``face_landmarker.task``, known by its content, too; or a folder of such (``$TORCH_HOME``, or where
        face-alignment has put them), in which files are known by their names.
    folder : Path
        See `weights_folder`.
    replace : bool
        Also where other weights lie under the name: those that a user trained, or another task.
    log : callable, optional
        Told in one line what happens.

    Returns
    -------
    list of str
        Names of the files that are there now.

    Raises
    ------
    AssetError
        If nothing of `source` is a weight file, a file is not what its name says, or other weights lie where it would
        come to lie; nothing is copied then.
    OutputError
        If `folder` cannot be written.
    """
    say = log or (lambda line: None)
    if not source.exists():
        raise AssetError(
            f"{source}: not there; give a weight file, or a folder with {FACE_ALIGNMENT_FILES[0]} and others"
        )
    if source.is_dir():
        places = [source, source / "hub" / "checkpoints", source / "checkpoints"]
        names = (*FACE_ALIGNMENT_FILES, *MEDIAPIPE_FILES, MEDIAPIPE_TASK)
        files = {name: place / name for place in reversed(places) for name in names if (place / name).is_file()}
        wheels = sorted(source.glob(f"{MEDIAPIPE_PACKAGE.replace('==', '-')}-*.whl"))
        if not files and not wheels:
            raise AssetError(f"{source}: no weights in it; expected any of {', '.join(names)}")
        for name, path in files.items():
            _check(name, path)
    elif source.suffix == ".whl":
        files, wheels = {}, [source]
    else:
        files, wheels = {_name_of(source): source}, []
    if not replace:
        for name in files:
            _refuse_to_replace(folder / name, file_sha256(files[name]))
    for name, path in files.items():
        _copy(path, folder / name, say)
    added = set(files)
    for wheel in wheels[-1:]:
        added |= set(fetch_mediapipe(folder, wheel, log))
    return sorted(added)


def fetch_face_alignment(
    folder: Path, log: Callable[[str], None] | None = None, *, replace: bool = False
) -> list[Path]:
    """Download face-alignment's weights (400 MB) into a folder; those that are there and verified are left.

    Parameters
    ----------
    folder : Path
        See `weights_folder`.
    log : callable, optional
        Told in one line what happens.
    replace : bool
        Also where other weights lie under the name: those that a user trained, or a file that was cut short.

    Returns
    -------
    list of Path
        Where the three files are: in `folder`, or in torch.hub's if they were there already.

    Raises
    ------
    AssetError
        If a file cannot be downloaded, or is not the published one; it is not kept then. If other weights lie in
        `folder` under its name; nothing is downloaded then.
    OutputError
        If `folder` cannot be written.
    """
    say = log or (lambda line: None)
    found = []
    files = [w for w in weights_status(folder) if w.detector == "face_alignment"]
    if not replace:
        for _, name, state, _ in files:
            if state != "ok":
                _refuse_to_replace(folder / name)
    for _, name, state, path in files:
        if state == "ok":
            found.append(path)
            continue
        url, target = FACE_ALIGNMENT_URL + name, folder / name
        if path.is_file() and path != target:
            say(f"{path}: other weights, left as they are; from now on {target} is used")
        say(f"downloading {url}")
        _write_verified(_download(url), target, _published(name), url)
        say(f"{target}: written and verified")
        found.append(target)
    return found


def _refuse_to_replace(target: Path, by: str | None = None) -> None:
    """Refuse to write over weights that a detector may take though they are not the published ones.

    `by` is the sha256 of what is to be written. MediaPipe's own models are no such weights: others are never taken.
    """
    if target.name in MEDIAPIPE_FILES or not target.is_file():
        return
    if file_sha256(target).startswith(_published(target.name)) or file_sha256(target) == by:
        return
    raise AssetError(
        f"{target}: other weights than the published ones are there: yours, or damaged; nothing was written. Move them"
        " away, or say --replace"
    )


def _name_of(path: Path) -> str:
    """Return which weight file this is, by its content."""
    sha = file_sha256(path)
    for name in (*FACE_ALIGNMENT_FILES, *MEDIAPIPE_FILES):
        if sha.startswith(_published(name)):
            return name
    if path.name in FACE_ALIGNMENT_FILES or path.name in MEDIAPIPE_FILES:
        _check(path.name, path)
    if path.suffix == ".task" or zipfile.is_zipfile(path):
        _check(MEDIAPIPE_TASK, path)
        return MEDIAPIPE_TASK
    raise AssetError(
        f"{path}: none of the published weight files: its sha256 begins with {sha[:10]}, expected one of"
        f" {', '.join((*FACE_ALIGNMENT_FILES, *MEDIAPIPE_FILES))}, the wheel of {MEDIAPIPE_PACKAGE}, or a"
        f" {MEDIAPIPE_TASK}"
    )


def _check(name: str, path: Path) -> None:
    if name == MEDIAPIPE_TASK:
        read_task(path)
        return
    sha = file_sha256(path)
    if not sha.startswith(_published(name)):
        raise AssetError(
            f"{path}: not the published file: its sha256 begins with {sha[:10]}, expected {_published(name)[0][:10]};"
            " cut short, or another version? Nothing was copied"
        )


def _published(name: str) -> tuple[str, ...]:
    """Return how the sha256 of the published files of a name may begin."""
    if name == MEDIAPIPE_TASK:
        return PUBLISHED_TASKS
    return (MEDIAPIPE_FILES[name].sha256 if name in MEDIAPIPE_FILES else published_prefix(name),)


def _copy(source: Path, target: Path, say: Callable[[str], None]) -> None:
    sha = file_sha256(source)
    if target.is_file() and file_sha256(target) == sha:
        say(f"{target}: there already, and verified")
        return
    _write_verified(_pieces(source), target, (sha,), str(source))
    known = sha.startswith(_published(target.name))
    say(f"{target}: copied and verified" if known else f"{target}: copied; none of the published versions")


def _write_verified(pieces: Iterator[bytes], target: Path, expected: tuple[str, ...], source: str) -> None:
    """Write what comes, and keep it if its sha256 begins as expected."""
    sha = hashlib.sha256()
    with atomic_path(target) as writing, writing.open("wb") as file:
        for piece in pieces:
            sha.update(piece)
            file.write(piece)
        if not sha.hexdigest().startswith(expected):
            raise AssetError(
                f"{source}: not the published file: its sha256 begins with {sha.hexdigest()[:10]}, expected"
                f" {expected[0][:10]}; it was not kept"
            )


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    except OSError as err:
        raise AssetError(f"{path}: cannot be read: {os_reason(err)}") from err


def _download(url: str) -> Iterator[bytes]:
    way_out = (
        "download it elsewhere, or copy it from a machine where face-alignment has run"
        " (~/.cache/torch/hub/checkpoints), then here `au3dmm weights add FILE_OR_DIR`"
    )
    try:
        n_bytes = 0
        with closing(urllib.request.urlopen(url, timeout=_TIMEOUT_S)) as answer:
            while piece := answer.read(_PIECE_BYTES):
                n_bytes += len(piece)
                if n_bytes > _MOST_BYTES:
                    raise AssetError(f"{url}: more than {_MOST_BYTES >> 20} MB, expected about 100; {way_out}")
                yield piece
    except (OSError, http.client.HTTPException) as err:  # URLError and timeouts are OSErrors
        reason = " ".join(str(getattr(err, "reason", "") or err).split()) or type(err).__name__
        raise AssetError(f"{url}: could not be downloaded: {reason}; {way_out}") from err
