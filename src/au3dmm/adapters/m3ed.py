"""M3ED: one HDF5 file per sequence, events and RGB images in it on one clock; the images are copied out as PNG."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from au3dmm.adapters.frame_times import timestamps_file
from au3dmm.adapters.names import below, ids_at
from au3dmm.adapters.proposal import Finding, LeftOut, Made, Options, Proposal
from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.m3ed import copy_images, is_m3ed, read_m3ed

FRAMES = "frames"
_SUFFIXES = (".h5", ".hdf5")


def find(source: Path, options: Options) -> Iterator[Finding]:
    """Yield every M3ED file as a recording; see `proposal.Adapter`.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if source.is_file():
        files = [source]
    else:
        if not source.is_dir():
            raise ConfigError(f"{source}: no such file or folder; expected M3ED's HDF5 files")
        files = [path for _, path, is_folder in below(source) if not is_folder and path.suffix.lower() in _SUFFIXES]
    files = [path for path in files if is_m3ed(path)]
    if not files:
        raise ConfigError(f"{source}: no HDF5 file with prophesee/left in it; expected M3ED's <sequence>_data.h5")
    for path in files:
        place = path.with_name(path.stem.removesuffix("_data"))
        try:
            yield _proposal(path, *ids_at(path.parent if source.is_file() else source, place), options.camera or "left")
        except SessionError as err:
            yield LeftOut(path, " ".join(str(err).removeprefix(f"{path}: ").split()))


def _proposal(path: Path, session_id: str, subject_id: str, notes: tuple[str, ...], camera: str) -> Proposal:
    images = read_m3ed(path, camera)
    times = timestamps_file(images.t_us.tolist())
    rgb: dict[str, Any] = {"folder": FRAMES, "timestamps": times.name, "clock": "event", "frames": len(images.t_us)}
    sections = {
        "session": {"session_id": session_id, "subject_id": subject_id},
        "rgb": {**rgb, "width": images.width, "height": images.height},
        "events": {"file": path, "group": f"prophesee/{camera}"},
        "source": {"layout": "m3ed", "times": "ovc/ts"},
    }
    made = (times, Made(FRAMES, partial(copy_images, path)))
    return Proposal(session_id, subject_id, sections, None, made, notes=notes)
