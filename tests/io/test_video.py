from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

import recordings as rec
from au3dmm.errors import SessionError
from au3dmm.io.video import VideoFrames, packet_times, read_frames


def exact_us(pts):
    return [round(Fraction(p) * rec.TIME_BASE * 1_000_000) for p in pts]


@pytest.mark.parametrize(("name", "codec"), [("v.mp4", "libx264"), ("v.ts", "libx264")])
def test_times_are_the_containers_with_its_start_offset(tmp_path, name, codec):
    path = rec.write_video(tmp_path / name, rec.noise_images(12), codec=codec)
    assert [t for t, _ in read_frames(path)] == exact_us(rec.regular_pts(12))
    assert packet_times(path).tolist() == exact_us(rec.regular_pts(12))


def test_times_of_a_variable_frame_rate_are_exact(tmp_path):
    steps = np.random.default_rng(1).integers(1500, 20_000, 30)
    # the start on a whole millisecond: an mp4 states it in the movie's timescale, which PyAV leaves at 1000
    pts = [rec.START, *(rec.START + np.cumsum(steps)).tolist()]
    path = rec.write_video(tmp_path / "v.mp4", rec.noise_images(31), pts)
    assert [t for t, _ in read_frames(path)] == exact_us(pts)


def test_times_of_matroska_are_exact_to_its_millisecond(tmp_path):
    path = rec.write_video(tmp_path / "v.mkv", rec.noise_images(12))
    off = np.array([t for t, _ in read_frames(path)]) - exact_us(rec.regular_pts(12))
    assert np.abs(off).max() <= 500


def test_frames_are_rgb_in_order_of_presentation(tmp_path):
    images = rec.noise_images(12)
    red = np.zeros_like(images[0])
    red[..., 0] = 255
    images[5] = red
    path = rec.write_video(tmp_path / "v.mp4", images)
    read = [image for _, image in read_frames(path)]
    assert len(read) == 12
    assert all(image.dtype == np.uint8 and image.shape == (48, 64, 3) for image in read)
    mean = read[5].reshape(-1, 3).mean(0)
    assert mean[0] > 240
    assert mean[1:].max() < 15
    others = [image.reshape(-1, 3).mean(0) for i, image in enumerate(read) if i != 5]
    assert np.ptp(others, axis=1).max() < 40


def test_two_readings_give_the_same_pixels(tmp_path):
    video = VideoFrames(rec.damage(rec.write_video(tmp_path / "v.mp4", rec.noise_images(40)), 0.5))
    first, second = ([(t, None if i is None else rec.fingerprint(i)) for t, i in video] for _ in range(2))
    assert first == second


def test_a_video_filmed_upright_is_turned_upright(tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:8, :8] = 255  # top left as the sensor has it
    path = rec.write_video(tmp_path / "v.mp4", [image] * 3)
    rec.turn(path, ((0, 1), (-1, 0)))  # shown turned clockwise by 90 degrees
    (_, shown), *_ = read_frames(path)
    assert shown.shape == (64, 48, 3)
    assert shown[:8, -8:].mean() > 200
    assert shown[:8, :8].mean() < 50


def test_a_cut_video_gives_what_decodes_and_counts_what_is_lost(tmp_path):
    whole = [rec.fingerprint(i) for _, i in read_frames(rec.write_video(tmp_path / "a.mp4", rec.noise_images(60)))]
    for movflags in ("faststart", "frag_keyframe+empty_moov"):
        path = rec.cut(rec.write_video(tmp_path / "v.mp4", rec.noise_images(60), movflags=movflags), 0.6)
        video = VideoFrames(path)
        frames = list(video)
        good = [rec.fingerprint(i) for _, i in frames if i is not None]
        assert 20 < len(good) < 60
        assert good == whole[: len(good)]
        assert video.n_lost >= 1
        assert [t for t, _ in frames] == sorted({t for t, _ in frames})


def test_damage_in_the_middle_leaves_a_place_for_every_frame_it_hits(tmp_path):
    path = rec.damage(rec.write_video(tmp_path / "v.mp4", rec.noise_images(60)), 0.5)
    video = VideoFrames(path)
    frames = list(video)
    assert [t for t, _ in frames] == exact_us(rec.regular_pts(60))
    lost = sum(image is None for _, image in frames)
    assert lost == video.n_lost
    assert 1 <= lost <= 20


def test_a_video_of_which_nothing_decodes_gives_no_image(tmp_path):
    path = rec.write_video(tmp_path / "v.mp4", rec.noise_images(10))
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    data[at:] = bytes(len(data) - at)
    path.write_bytes(data)
    assert list(read_frames(path)) == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SessionError, match=r"none\.mp4: cannot be read: No such file"):
        VideoFrames(tmp_path / "none.mp4")


def test_a_folder_is_not_a_video(tmp_path):
    with pytest.raises(
        SessionError, match=r"a folder, expected a video file; name a folder of images with rgb\.folder"
    ):
        VideoFrames(tmp_path)


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    (tmp_path / "v.mp4").touch()
    with pytest.raises(SessionError, match=r"v\.mp4: empty \(0 bytes\), expected a video"):
        VideoFrames(tmp_path / "v.mp4")


def test_a_file_of_another_kind_is_refused_with_its_first_bytes(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"hello world " * 50)
    with pytest.raises(SessionError, match=r"cannot be read as a video: .*first bytes are 68 65 6c 6c 6f") as err:
        VideoFrames(tmp_path / "v.mp4")
    assert "\n" not in str(err.value)


def test_an_mp4_that_lost_its_index_is_told_so(tmp_path):
    path = rec.cut(rec.write_video(tmp_path / "v.mp4", rec.noise_images(20), movflags=None), 0.6)
    with pytest.raises(SessionError, match=r"without its index \(moov\)"):
        VideoFrames(path)


def test_a_file_with_sound_only_has_no_video_stream(tmp_path):
    with pytest.raises(SessionError, match="no video stream in it, only audio"):
        VideoFrames(rec.write_sound(tmp_path / "v.mp4"))


class _Frame:
    rotation, time_base = 0, rec.TIME_BASE

    def __init__(self, pts, shape=(4, 4, 3), is_corrupt=False):
        self.pts, self._shape, self.is_corrupt = pts, shape, is_corrupt

    @property
    def image(self):
        return np.zeros(self._shape, np.uint8)


def _frames_instead(monkeypatch, frames):
    """Let the decoder give `frames`; no muxer would write such times."""

    class Packet:
        def __init__(self, frame):
            self.frame = frame

        def decode(self):
            return [self.frame]

    class Container:
        def demux(self, stream):
            return iter([Packet(frame) for frame in frames])

    @contextmanager
    def opened(path):
        yield Container(), SimpleNamespace(frames=len(frames))

    monkeypatch.setattr("au3dmm.io.video._open", opened)
    monkeypatch.setattr("au3dmm.io.video._rgb", lambda frame: frame.image)


def test_times_that_go_backwards_are_refused_by_frame(monkeypatch, tmp_path):
    _frames_instead(monkeypatch, [_Frame(0), _Frame(3000), _Frame(1500)])
    with pytest.raises(SessionError, match="frame 2 is at 16667 us, the frame before it at 33333 us"):
        list(VideoFrames(tmp_path / "v.mp4"))


def test_a_frame_that_the_decoder_painted_over_is_lost(monkeypatch, tmp_path):
    _frames_instead(monkeypatch, [_Frame(0), _Frame(3000, is_corrupt=True), _Frame(6000)])
    video = VideoFrames(tmp_path / "v.mp4")
    assert [(t, image is None) for t, image in video] == [(0, False), (33333, True), (66667, False)]
    assert video.n_lost == 1


def test_a_frame_without_a_time_is_refused(monkeypatch, tmp_path):
    _frames_instead(monkeypatch, [_Frame(0), _Frame(None)])
    with pytest.raises(SessionError, match="frame 1 has no presentation time"):
        list(VideoFrames(tmp_path / "v.mp4"))


def test_a_picture_that_changes_its_size_is_refused(monkeypatch, tmp_path):
    _frames_instead(monkeypatch, [_Frame(0), _Frame(3000, (8, 4, 3))])
    with pytest.raises(SessionError, match="frame 1 is 4x8, the frames before it 4x4"):
        list(VideoFrames(tmp_path / "v.mp4"))


def test_a_colon_in_a_relative_path_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("2024-05-01T10:30:00")
    folder.mkdir()
    rec.write_video(tmp_path / folder / "rgb.mp4", rec.noise_images(3))
    assert len(list(read_frames(folder / "rgb.mp4"))) == 3
    assert len(packet_times(folder / "rgb.mp4")) == 3


@pytest.mark.parametrize("size", [(64, 48), (70, 50)])
def test_pictures_are_those_of_the_librarys_own_conversion_in_every_thread(tmp_path, size):
    path = rec.write_video(tmp_path / "v.mp4", rec.noise_images(6, size))
    with av.open(str(path)) as container:
        own = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with ThreadPoolExecutor(3) as pool:
        readings = list(pool.map(lambda _: [image for _, image in read_frames(path)], range(3)))
    for images in readings:
        assert len(images) == len(own) == 6
        for image, expected in zip(images, own, strict=True):
            np.testing.assert_array_equal(image, expected)


def test_reading_pictures_starts_no_threads(tmp_path):
    path = rec.write_video(tmp_path / "v.mp4", rec.noise_images(20, (640, 360)))
    started: set[str] = set()
    list(read_frames(path))  # whatever is started once is there
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("threads can be counted on Linux only")
    known = {task.name for task in tasks.iterdir()}
    kept = []
    for _, image in read_frames(path):
        kept.append(image)  # PyAV kept the threads of a picture as long as the picture
        started |= {task.name for task in tasks.iterdir()} - known
    assert started == set()
