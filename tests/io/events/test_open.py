"""Opening recordings: what is no file, half a sensor, and names that promise something else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.events import TRIGGER_DTYPE, open_events, write_evt2, write_evt3
from au3dmm.io.events.open import suffix_warning
from raw_files import HEIGHT, WIDTH, camera_events, dat_bytes

EVENTS = camera_events(500, 10_000)
NO_TRIGGERS = np.zeros(0, TRIGGER_DTYPE)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.raw"
    write_evt3(path, EVENTS, NO_TRIGGERS, width=WIDTH, height=HEIGHT)
    return path


@pytest.mark.parametrize(
    ("size", "match"),
    [
        ({"width": 320}, "width without height: a sensor has both"),
        ({"height": 240}, "height without width: a sensor has both"),
        ({"width": 320.0, "height": 240}, r"width is 320\.0, expected a whole number"),
        ({"width": 320, "height": True}, "height is True, expected a whole number"),
    ],
)
def test_a_sensor_has_a_width_and_a_height(recording: Path, size: dict[str, int], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        open_events(recording, **size)
    assert open_events(recording, np.int64(WIDTH), np.uint16(HEIGHT)).width == WIDTH


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.raw")
    with pytest.raises(SessionError, match=r"pipe\.raw: a pipe or a device, expected a file: .* save it to a file"):
        open_events(tmp_path / "pipe.raw")
    with pytest.raises(SessionError, match="/dev/null: a pipe or a device"):
        open_events("/dev/null")


def test_a_link_to_a_recording_and_a_folder_are_what_they_are(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "link.raw").symlink_to(recording)
    assert open_events(tmp_path / "link.raw").format == "EVT3"
    with pytest.raises(SessionError, match="cannot be read: Is a directory"):
        open_events(tmp_path)


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        ("a.h5", "HDF5"),
        ("a.HDF5", "HDF5"),
        ("a.npz", "NPZ"),
        ("a.dat", "DAT"),
        ("a.aedat4", "AEDAT4"),
        ("a.raw", None),
        ("a.bin", None),
        ("a", None),
    ],
)
def test_a_name_that_promises_another_format_is_told(recording: Path, name: str, promised: str | None) -> None:
    file = open_events(recording.rename(recording.with_name(name)))
    warning = suffix_warning(file)
    if promised is None:
        assert warning is None
    else:
        assert warning == f"it is named {Path(name).suffix}, as {promised} files are, but holds EVT3"


def test_a_raw_name_promises_any_of_the_raw_formats(tmp_path: Path) -> None:
    write_evt2(tmp_path / "a.raw", EVENTS, NO_TRIGGERS, width=WIDTH, height=HEIGHT)
    assert suffix_warning(open_events(tmp_path / "a.raw")) is None
    (tmp_path / "b.raw").write_bytes(dat_bytes(EVENTS))
    assert suffix_warning(open_events(tmp_path / "b.raw")) == (
        "it is named .raw, as EVT3 or EVT2 or EVT2.1 files are, but holds DAT"
    )
