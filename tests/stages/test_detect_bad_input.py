"""Pictures and videos that are not as one expects them, and people who do not behave."""

import logging

import av
import cv2
import numpy as np
import pytest

import recordings as rec
from au3dmm.config import DetectParams
from au3dmm.detectors.base import DetectedFace
from au3dmm.io.tables import read_metadata, read_table, vectors
from au3dmm.io.video import packet_times
from au3dmm.stages import detect

SIZE = (64, 48)


class Camera:
    """Finds the faces that a script gives, and keeps the images it was shown."""

    name, n_dense = "camera", 0

    def __init__(self, script=lambda i: [(5, 30)]):
        self.script, self.images = script, []

    def describe(self):
        return {"name": self.name}

    def detect(self, image, frame_index):
        self.images.append(image)
        return [self._face(x, side) for x, side in sorted(self.script(frame_index))]

    def _face(self, x, side):
        points = np.zeros((68, 3), np.float32)
        points[:, 0], points[:, 1] = np.linspace(x, x + side, 68), side / 2
        return DetectedFace(np.float32([x, 0, x + side, side]), 0.9, points, 0.9)


@pytest.fixture
def run(tmp_path, monkeypatch):
    def call(camera=None, params=None, **rgb):
        camera = camera or Camera()
        session = rec.write_manifest(tmp_path, rgb)
        monkeypatch.setattr(detect, "make_detector", lambda params, **_: camera)
        out = tmp_path / "out" / "landmarks.parquet"
        counts = detect.run(session=session, landmarks=out, params=params or DetectParams(small_px=0))
        return camera, counts, read_table(out, "landmarks"), read_metadata(out)

    return call


# pictures


def gradient():
    return np.linspace(0, 255, SIZE[0]).round()[None].repeat(SIZE[1], 0)


PICTURES = {
    "grey": gradient().astype(np.uint8),
    "grey of 16 bits": (gradient() * 257).astype(np.uint16),
    "colour of 16 bits": np.repeat((gradient() * 257).astype(np.uint16)[..., None], 3, 2),
    "transparent": np.dstack([*[gradient().astype(np.uint8)] * 3, np.zeros(SIZE[::-1], np.uint8)]),
    "transparent of 16 bits": np.dstack([*[(gradient() * 257).astype(np.uint16)] * 3, np.zeros(SIZE[::-1], np.uint16)]),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_of_every_depth_and_with_transparency_are_seen_as_rgb(tmp_path, run, kind):
    (tmp_path / "frames").mkdir()
    for i in range(3):
        assert cv2.imwrite(str(tmp_path / "frames" / f"{i}.png"), PICTURES[kind])
    rec.write_csv(tmp_path / "rgb.csv", [0, 1000, 2000])
    camera, counts, _, _ = run(folder="frames", timestamps="rgb.csv")
    assert counts["ok"] == 3
    assert all(image.dtype == np.uint8 and image.shape == (48, 64, 3) for image in camera.images)
    assert np.abs(camera.images[0].astype(float) - gradient()[..., None]).max() <= 1


# videos


def encoded(path, images, codec, pix_fmt, options=None, **stream_values):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for name, value in stream_values.items():
            setattr(stream.codec_context, name, value)
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def moving(n=6, size=SIZE):
    image = np.repeat(np.linspace(0, 255, size[0] + n).astype(np.uint8)[None, :, None], size[1], 0).repeat(3, 2)
    return [np.ascontiguousarray(image[:, i : i + size[0]]) for i in range(n)]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "size"),
    [
        ("libx264", "yuv420p10le", SIZE),
        ("libx265", "yuv420p10le", SIZE),
        ("ffv1", "yuv420p10le", SIZE),
        ("ffv1", "gray", SIZE),
        ("ffv1", "gray16le", SIZE),
        ("ffv1", "bgra", SIZE),
        ("libx264", "yuv444p", (63, 47)),
        ("ffv1", "yuv420p", (63, 47)),
        ("mjpeg", "yuvj420p", (61, 33)),
    ],
)
def test_videos_of_every_depth_and_of_odd_sizes_are_seen_as_rgb(tmp_path, run, codec, pix_fmt, size):
    images = moving(size=size)
    try:
        encoded(tmp_path / "rgb.mkv", images, codec, pix_fmt)
    except av.error.FFmpegError as err:
        pytest.skip(f"this FFmpeg does not encode {codec} {pix_fmt}: {err}")
    camera, counts, _, metadata = run(file="rgb.mkv")
    assert counts["ok"] == len(images)
    assert metadata["image"] == {"width": size[0], "height": size[1]}
    for seen, image in zip(camera.images, images, strict=True):
        assert seen.shape == image.shape
        assert np.abs(seen.astype(float) - image).mean() < 6


def test_a_phone_held_upright_gives_upright_frames_and_their_size(tmp_path, run):
    rec.turn(rec.write_video(tmp_path / "rgb.mp4", moving()), ((0, 1), (-1, 0)))
    camera, _, _, metadata = run(file="rgb.mp4")
    assert metadata["image"] == {"width": SIZE[1], "height": SIZE[0]}
    # what was brightest at the right of the sensor is now at the bottom
    assert camera.images[0][-8:].mean() > camera.images[0][:8].mean() + 150


def test_an_interlaced_video_is_labelled_with_a_warning(tmp_path, run, caplog):
    options = {"x264-params": "interlaced=1:tff=1"}
    encoded(tmp_path / "rgb.mkv", moving(), "libx264", "yuv420p", options)
    with caplog.at_level(logging.WARNING):
        _, counts, _, _ = run(file="rgb.mkv")
    assert counts["ok"] == 6
    assert "rgb.mkv is interlaced: each frame holds two moments" in caplog.text
    assert caplog.text.count("interlaced") == 1


def test_a_progressive_video_is_not_called_interlaced(tmp_path, run, caplog):
    rec.write_video(tmp_path / "rgb.mp4", moving())
    with caplog.at_level(logging.WARNING):
        run(file="rgb.mp4")
    assert caplog.text == ""


def test_frames_of_a_variable_rate_keep_their_own_times(tmp_path, run):
    pts = [rec.START, rec.START + 3000, rec.START + 3900, rec.START + 60_000, rec.START + 61_000, rec.START + 90_000]
    path = rec.write_video(tmp_path / "rgb.mp4", moving(), pts)
    _, _, table, _ = run(file="rgb.mp4")
    assert table["t_rgb_us"].to_pylist() == packet_times(path).tolist()


# people


def play(tmp_path, run, script, n=40, **params):
    rec.write_video(tmp_path / "rgb.mp4", rec.noise_images(n))
    _, _, table, _ = run(Camera(script), DetectParams(small_px=0, **params), file="rgb.mp4")
    switched = [i for i, flags in enumerate(table["flags"].to_pylist()) if "face_switched" in flags]
    return table, switched, vectors(table, "box_px")[0][:, 0]


def test_a_face_that_leaves_and_comes_back_to_its_place_is_the_same(tmp_path, run):
    table, switched, _ = play(tmp_path, run, lambda i: [] if 10 <= i < 30 else [(20, 30)])
    assert table["status"].to_pylist()[10:30] == ["no_face"] * 20
    assert switched == []


def test_a_face_that_comes_back_elsewhere_may_be_another(tmp_path, run):
    _, switched, _ = play(tmp_path, run, lambda i: [(0, 20)] if i < 10 else [] if i < 30 else [(40, 20)])
    assert switched == [30]


def two_who_cross(i):
    # from left to right, and from right to left; who is nearer, and larger, is so from frame 12 on
    return [(i, 20), (40 - i, 17 + 0.25 * i)]


def test_two_who_cross_are_flagged_where_the_larger_changes(tmp_path, run):
    _, switched, x = play(tmp_path, run, two_who_cross)
    assert switched == [13]
    assert (x[12], x[13]) == (12, 27)


def test_track_stays_with_the_one_it_began_with_until_they_hide_each_other(tmp_path, run):
    _, switched, x = play(tmp_path, run, two_who_cross, face="track")
    assert switched == []
    assert x[:20].tolist() == list(range(20))


def test_a_photo_on_the_wall_is_never_taken_while_the_subject_is_there(tmp_path, run):
    def wall(i):
        return [(45, 15)] if 15 <= i < 25 else [(45, 15), (5, 30)]

    _, switched, x = play(tmp_path, run, wall)
    assert x[:15].tolist() == [5] * 15
    assert switched == [15, 25], "the wall is taken for the subject, and told"
