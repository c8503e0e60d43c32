"""M3ED's HDF5 files: the times of their RGB images, checked against the events, and the images copied out as PNG."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError, os_reason
from au3dmm.io.atomic import write_bytes
from au3dmm.io.hashing import quick_hash
from au3dmm.io.images import write_image

if TYPE_CHECKING:
    import h5py

RGB, TIMES = "ovc/rgb/data", ("ovc/ts", "ovc/rgb/ts")
_NEAR_US = 20_000
"""How far a frame's time may be from that of the event that the file gives it."""
_MARK = ".copied.json"
_DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError)


@dataclass(frozen=True)
class M3edImages:
    """The RGB images of a file.

    Attributes
    ----------
    t_us : (N,) int64 array
        Their times, us, on the clock of the events.
    width, height : int
        px.
    """

    t_us: NDArray[np.int64]
    width: int
    height: int


def is_m3ed(path: Path) -> bool:
    """Whether a file is an HDF5 file with events where M3ED has them."""
    try:
        with _open(path) as file:
            return "prophesee" in file
    except SessionError:
        return False


def read_m3ed(path: Path, camera: str = "left") -> M3edImages:
    """Read when the RGB images were taken.

    ``ovc/ts`` is on the clock of the event cameras; where the file says which event each image belongs to
    (``ovc/ts_map_prophesee_left_t``), that is checked.

    Parameters
    ----------
    path : Path
        The file.
    camera : {"left", "right"}
        Which event camera.

    Raises
    ------
    SessionError
        If the file cannot be read, has no RGB images, or their times are not those of the events.
    """
    with _open(path) as file:
        images, name = _dataset(file, RGB), next((name for name in TIMES if _dataset(file, name) is not None), None)
        if images is None or name is None:
            missing = RGB if images is None else TIMES[0]
            raise SessionError(f"{path}: no {missing} in it; expected M3ED with RGB images and their times")
        t_us = np.asarray(file[name][:])
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or t_us.shape != images.shape[:1]:
            raise SessionError(
                f"{path}: {RGB} is {images.dtype} {images.shape} with {t_us.shape} times; expected uint8 (N, H, W, 3)"
                " and (N,)"
            )
        t_us = np.round(t_us).astype(np.int64)
        _check_clock(path, file, t_us, camera)
        return M3edImages(t_us, int(images.shape[2]), int(images.shape[1]))


def copy_images(path: Path, folder: Path) -> None:
    """Copy the RGB images of a file to ``000000.png``, ... in `folder`; what was copied already is left.

    Raises
    ------
    SessionError
        If an image cannot be read.
    OutputError
        If `folder` cannot be written.
    """
    with _open(path) as file:
        n = int(file[RGB].shape[0])
        mark = json.dumps({"file": path.name, "hash": quick_hash(path), "frames": n}, sort_keys=True) + "\n"
        if _read_or_none(folder / _MARK) == mark and sum(1 for _ in folder.glob("*.png")) == n:
            return
        for old in folder.glob("*.png"):
            old.unlink()
        for i in range(n):
            # the file holds blue first, as the camera's driver gave it
            image = np.ascontiguousarray(file[RGB][i][..., ::-1])
            write_image(folder / f"{i:06}.png", image)
    write_bytes(folder / _MARK, mark.encode())  # last: who finds it finds all images


def _check_clock(path: Path, file: h5py.File, t_us: NDArray[np.int64], camera: str) -> None:
    index, events = _dataset(file, f"ovc/ts_map_prophesee_{camera}_t"), _dataset(file, f"prophesee/{camera}/t")
    if events is None:
        raise SessionError(f"{path}: no prophesee/{camera}/t in it; expected events of the {camera} camera")
    if index is None or index.shape != t_us.shape or not len(events):
        return
    for i in np.unique(np.linspace(0, len(t_us) - 1, 9).astype(int)):
        at = int(index[i])
        if 0 < at < len(events) - 1 and abs(int(events[at]) - int(t_us[i])) > _NEAR_US:
            raise SessionError(
                f"{path}: image {i} is at {t_us[i]} us, the event that the file gives it at {int(events[at])} us;"
                " expected one clock"
            )


def _dataset(file: h5py.File, name: str) -> Any:
    found = file.get(name)
    return found if hasattr(found, "shape") else None


def _read_or_none(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    import h5py

    try:
        with path.open("rb"):  # the system's own words for what is missing or forbidden
            pass
        with h5py.File(path, "r") as file:
            yield file
    except SessionError:
        raise
    except _DAMAGE as err:
        if isinstance(err, OSError) and err.filename is not None and err.errno:
            raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
        raise SessionError(f"{path}: cannot be read as HDF5: {' '.join(str(err).split())[:200]}") from err
