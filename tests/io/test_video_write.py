"""Videos come back with their times and pictures, and the same bytes every time."""

from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import OutputError, SchemaError
from au3dmm.io.video import read_frames
from au3dmm.io.video_write import write_video


def frames(n=12, height=48, width=64):
    y, x = np.mgrid[:height, :width]
    for i in range(n):
        image = np.stack([4 * x % 256, 5 * y % 256, np.full_like(x, 10 * i)], -1)
        yield image.astype(np.uint8)


def times(path: Path):
    return [pts for pts, _ in read_frames(path)]


def test_presentation_times_come_back_exactly_with_their_start_offset(tmp_path):
    pts = [123_457 + round(i * 1e6 / 30) for i in range(12)]
    assert write_video(tmp_path / "a.mp4", frames(), pts) == 12
    assert times(tmp_path / "a.mp4") == pts


def test_uneven_times_come_back_exactly(tmp_path):
    pts = np.cumsum(np.random.default_rng(0).integers(1_000, 90_000, 12)).tolist()
    write_video(tmp_path / "a.mp4", frames(), pts)
    assert times(tmp_path / "a.mp4") == pts


def test_a_rate_counts_from_zero(tmp_path):
    write_video(tmp_path / "a.mp4", frames(4), fps=30)
    assert times(tmp_path / "a.mp4") == [0, 33_333, 66_667, 100_000]


def test_pictures_come_back_close_and_in_rgb_order(tmp_path):
    flat = [np.full((48, 64, 3), (200, 60, 30), np.uint8)] * 5
    write_video(tmp_path / "a.mp4", flat, fps=25)
    for _, image in read_frames(tmp_path / "a.mp4"):
        np.testing.assert_allclose(image, flat[0], atol=6)


def test_writing_twice_gives_the_same_bytes_with_the_index_first(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, frames(), fps=30)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data == (tmp_path / "b.mp4").read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")


def test_textured_pictures_give_the_same_bytes_whatever_lay_in_memory_before(tmp_path):
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (256, 320, 3), dtype=np.uint8)
    images = [texture[i : i + 240] for i in range(15)]
    found = set()
    for i in range(4):
        junk = [rng.integers(0, 255, int(n), dtype=np.uint8) for n in rng.integers(100, 200_000, 100)]
        del junk
        write_video(tmp_path / f"{i}.mp4", images, fps=30)
        found.add((tmp_path / f"{i}.mp4").read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize(
    ("pictures", "pts", "message"),
    [
        ([], [], "no frame to write"),
        (frames(3), [0, 1], "frame 2 is no time"),
        (frames(2), [0, 1, 2], "more times than the 2 frames"),
        (frames(3), [5, 9, 9], "frame 2 is at 9 us after 9 us"),
        (frames(3), [-5, 9, 10], "frame 0 is at -5 us"),
        ([*frames(1), *frames(1, 32, 32)], [0, 1], r"frame 1 is uint8 \(32, 32, 3\), expected uint8 \(48, 64, 3\)"),
        (frames(1, 33, 32), [0], "even sides"),
    ],
)
def test_frames_and_times_that_do_not_fit_leave_no_file(tmp_path, pictures, pts, message):
    with pytest.raises(SchemaError, match=message):
        write_video(tmp_path / "a.mp4", pictures, pts)
    assert list(tmp_path.iterdir()) == []


def test_either_times_or_a_rate_are_needed(tmp_path):
    with pytest.raises(SchemaError, match="either the times of the frames"):
        write_video(tmp_path / "a.mp4", frames())


def test_a_path_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        write_video(tmp_path / "file" / "a.mp4", frames(), fps=30)


def test_a_colon_in_a_relative_path_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("2024-05-01T10:30:00")
    folder.mkdir()
    assert write_video(folder / "a.mp4", frames(3), fps=30) == 3
    assert len(times(folder / "a.mp4")) == 3
