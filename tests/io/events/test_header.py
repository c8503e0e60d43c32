"""Headers of RAW files, and telling formats apart by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.events import open_events
from au3dmm.io.events.header import RawHeader, parse_header, recognise
from au3dmm.io.events.open import split_group
from container_files import read_all
from raw_files import camera_events, camera_triggers, evt2_words, evt21_bytes, evt21_words

DATA = np.array([0x8001, 0x0001, 0x2001, 0x8001, 0x8002], "<u2").tobytes()


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "recording.raw"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "header",
    [
        b"% evt 3.0\n% format EVT3;height=480;width=640\n% end\n",
        b"% evt 3.0\n% geometry 640x480\n% end\n",
        b"% format EVT3;width=640;height=480\n% geometry 640x480\n% evt 3.0\n",  # no end
        b"% geometry 640x480\n% integrator_name somebody\n% end\n",  # does not name its format
    ],
)
def test_header_variants_are_read(tmp_path: Path, header: bytes) -> None:
    opened = open_events(written(tmp_path, header + DATA))
    assert (opened.width, opened.height) == (640, 480)
    events, _, _ = read_all(opened)
    assert events["x"].tolist() == [1]


def test_the_manifest_gives_the_size_where_the_file_does_not(tmp_path: Path) -> None:
    path = written(tmp_path, b"% evt 3.0\n% end\n" + DATA)
    opened = open_events(path, 320, 240)
    assert (opened.width, opened.height) == (320, 240)
    with pytest.raises(SessionError, match=r"gives no sensor size; set events\.width and events\.height"):
        open_events(path)


def test_a_file_without_header_is_recognised_by_its_words(tmp_path: Path) -> None:
    opened = open_events(written(tmp_path, DATA), 640, 480)
    assert opened.t_shift_us == 0
    assert len(opened.triggers()) == 0


def test_the_camera_tells_the_size_in_old_files(tmp_path: Path) -> None:
    opened = open_events(written(tmp_path, b"% evt 3.0\n% system_ID 49\n% end\n" + DATA))
    assert (opened.width, opened.height) == (1280, 720)


def test_sizes_that_disagree_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, b"% format EVT3;height=480;width=640\n% geometry 1280x720\n% end\n" + DATA)
    with pytest.raises(SessionError, match="format says 640x480, geometry says 1280x720"):
        open_events(path)
    path = written(tmp_path, b"% evt 3.0\n% geometry 640x480\n% end\n" + DATA)
    with pytest.raises(ConfigError, match="the file says 640x480, but 1280x720 was given"):
        open_events(path, 1280, 720)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (b"% geometry wide", "geometry 'wide', expected WIDTHxHEIGHT"),
        (b"% geometry 0x5", "sensor size 0x5"),
        (b"% format EVT3;height=x;width=2", "width or height 'x'"),
    ],
)
def test_nonsense_sizes_are_refused(tmp_path: Path, line: bytes, match: str) -> None:
    with pytest.raises(SessionError, match=match):
        open_events(written(tmp_path, b"% evt 3.0\n" + line + b"\n% end\n" + DATA))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"% evt 4.0\n% geometry 640x480\n% end\n", "EVT 4.0"),
        (b"% format HISTO3D;height=320;width=320\n% end\n", "HISTO3D"),
        (b"#!AER-DAT3.1\r\n", "AEDAT"),
        (b"Event Stream", "ES"),
    ],
)
def test_formats_that_are_not_read_are_named(tmp_path: Path, content: bytes, name: str) -> None:
    with pytest.raises(SessionError, match=f"{name} is recognised but cannot be read; expected a RAW file"):
        open_events(written(tmp_path, content + b"\0" * 64))


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"% evt 2.0\n% end\n", "EVT2"),
        (b"% evt 2.1\n% end\n", "EVT2.1"),
        (b"% format EVT21;height=720;width=1280\n% evt 3.0\n", "EVT2.1"),
        (b"% format EVT2 ;height=720;width=1280\n", "EVT2"),
        (b"% Data file containing CD events.\n% Version 2\n", "DAT"),
        (b"% Version 2\n% Date 2018\n\x00\x08", "DAT"),
        (b"\x89HDF\r\n\x1a\n....", "HDF5"),
        (b"a user's block".ljust(512) + b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"#!AER-DAT4.0\r\n", "AEDAT4"),
        (b"PK\x03\x04", "NPZ"),
        (b"% Version 2\n% Date 2018\n\x07\x09", None),
        (b"% evt\n", None),
    ],
)
def test_formats_are_told_apart_by_content(head: bytes, name: str | None) -> None:
    assert recognise(head, parse_header(head)) == name


def test_a_file_without_header_is_evt2_if_all_of_its_words_are() -> None:
    events, triggers = camera_events(800, 10_000), camera_triggers(3, 10_000)
    words = evt2_words(events, triggers)
    none = RawHeader({}, 0)
    assert recognise(words.astype("<u4").tobytes(), none) == "EVT2"
    assert recognise(words[: len(words) // 2].astype("<u4").tobytes() + b"\1", none) == "EVT2"
    assert recognise(words.astype(">u4").tobytes(), none) is None
    words[700] = 0x30000000
    assert recognise(words.astype("<u4").tobytes(), none) is None
    for order in ("little", "legacy", "big"):
        assert recognise(evt21_bytes(evt21_words(events, triggers), order), none) is None
        single = events[::20]
        assert recognise(evt21_bytes(evt21_words(single, triggers), order), none) is None


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_recording(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for data in (
        rng.bytes(20_000),
        bytes(rng.integers(0, 4, 20_000, np.uint8)),
        bytes(rng.integers(0x20, 0x7F, 20_000)),
    ):
        assert recognise(data, parse_header(data)) is None


@pytest.mark.parametrize("content", [b"hello, this is a text file\n" * 40, b"\0" * 4000, bytes(range(256)) * 40])
def test_unknown_content_is_shown(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SessionError, match=r"not a known event format: starts with b'.*expected a RAW file \(EVT3"):
        open_events(written(tmp_path, content))


@pytest.mark.parametrize(("camera", "size"), [(21, (640, 480)), (49, (1280, 720)), (151, (640, 480))])
def test_old_cameras_tell_the_size_by_their_number(tmp_path: Path, camera: int, size: tuple[int, int]) -> None:
    head = f"% evt 2.0\n% system_ID {camera}\n% end\n".encode()
    opened = open_events(written(tmp_path, head + np.full(4, 0x80000001, "<u4").tobytes()))
    assert (opened.width, opened.height) == size


def test_groups_are_named_after_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, b"% evt 3.0\n% geometry 640x480\n% end\n" + DATA)
    assert split_group(Path(f"{path}#/prophesee/right")) == (path, "/prophesee/right")
    assert split_group(path) == (path, None)
    with pytest.raises(SessionError, match="EVT3, which has no groups; leave #left out"):
        open_events(f"{path}#left")
    odd = tmp_path / "take#2"
    path.rename(odd)
    assert open_events(odd).width == 640


def test_missing_empty_and_eventless_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"absent\.raw: cannot be read: No such file"):
        open_events(tmp_path / "absent.raw")
    with pytest.raises(SessionError, match=r"recording\.raw: empty"):
        open_events(written(tmp_path, b""))
    with pytest.raises(SessionError, match="no events: 0 bytes after the header"):
        open_events(written(tmp_path, b"% evt 3.0\n% geometry 640x480\n% end\n"))


def test_data_that_begins_like_a_header_line_is_data() -> None:
    header = parse_header(b"% evt 3.0\n%\x80\x01\x02\n")
    assert header.n_bytes == 10
    assert parse_header(b"% evt 3.0\n% \x01\x02binary\n").n_bytes == 10
    assert parse_header(b"% evt 3.0\n% \xff\xfe\n").n_bytes == 10
    assert parse_header(b"% evt 3.0\n% " + b"a" * 5000).n_bytes == 10
