"""RGB frames beside event frames: the nearest one, the centred square, made once and never below the recording."""

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.event_frame_table import read_clip, read_event_frame_info
from au3dmm.io.table_schemas import landmarks_schema
from au3dmm.io.tables import scalar_array, vector_array, word_array, write_table
from au3dmm.io.training_labels import read_training_labels
from au3dmm.io.video_write import write_video
from au3dmm.training.rgb_frames import cached_rgb_frames, square
from training_run import UNITS, write_training_run


def image(i):
    """A wide picture: level 20 i in the centred square, with a bright corner, black beside it."""
    picture = np.zeros((48, 80, 3), np.uint8)
    picture[:, 16:64] = (20 * i, 128, 255 - 20 * i)
    return picture


@pytest.fixture
def dataset(tmp_path):
    run = write_training_run(tmp_path, people=1, n=6)
    for au in UNITS:
        folder = tmp_path / "rawdata" / f"S0_{au}"
        folder.mkdir(parents=True)
        manifest = f'[session]\nsession_id = "S0_{au}"\nsubject_id = "S0"\nau = "{au}"\n[rgb]\nfile = "rgb.mp4"\n'
        (folder / "session.toml").write_text(manifest)
        write_video(folder / "rgb.mp4", [image(i) for i in range(6)], fps=30, quality=5)
    return tmp_path, run


def test_each_event_frame_gets_the_nearest_rgb_frames_square(dataset):
    folder, run = dataset
    labels = read_training_labels(run)
    labels.rgb_frame_index[labels.sessions[1].rows] = [-1, 0, 0, 2, 5, 5]
    seen = []
    sources = cached_rgb_frames(
        labels, [1, 2], folder / "cache", progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 2), (2, 2)]
    info = read_event_frame_info(sources[1])
    assert (info.shape, info.metadata["representation"]["name"]) == ((3, 256, 256), "rgb")
    frames = read_clip(sources[1], 0, 6)
    for frame, i in zip(frames, (None, 0, 0, 2, 5, 5), strict=True):
        wanted = (0, 0, 0) if i is None else (20 * i, 128, 255 - 20 * i)
        np.testing.assert_allclose(frame[:, 8:-8, 8:-8].mean((1, 2)), wanted, atol=6)  # H.264 is not exact
        assert i is None or frame[1, 8:-8, 1:-1].min() > 100  # the black beside the square is not seen


def test_they_are_made_once_and_anew_for_other_labels(dataset):
    folder, run = dataset
    labels = read_training_labels(run)
    seen = []
    first = cached_rgb_frames(labels, range(4), folder / "cache")
    written = [path.stat().st_mtime_ns for path in first]
    assert cached_rgb_frames(labels, range(4), folder / "cache", progress=lambda *at: seen.append(at)) == first
    assert not seen
    assert [path.stat().st_mtime_ns for path in first] == written
    first[0].write_bytes(first[0].read_bytes()[:1000])
    object.__setattr__(labels.sessions[1], "labels_sha256", "another")
    cached_rgb_frames(labels, range(4), folder / "cache", progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]
    assert not list((folder / "rawdata").rglob("*.parquet"))


def test_a_video_that_is_shorter_than_its_labels_or_not_there_is_refused(dataset, tmp_path):
    folder, run = dataset
    labels = read_training_labels(run)
    labels.rgb_frame_index[labels.sessions[0].rows] = np.arange(4, 10)
    with pytest.raises(SessionError, match=r"session 'S0_AU1': labels speak of RGB frame 6, the video ends before"):
        cached_rgb_frames(labels, [0], folder / "cache")
    assert not (folder / "cache" / "S0_AU1.parquet").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"S0_AU1: its recording is not below the dataset's folder.*--dataset DIR"):
        cached_rgb_frames(labels, [0], folder / "cache", dataset=tmp_path / "empty")


def test_faces_are_cut_out_by_their_landmarks_beside_the_centred_squares(dataset):
    folder, run = dataset
    labels = read_training_labels(run)
    centred = cached_rgb_frames(labels, [0, 1], folder / "cache")
    points = np.tile(np.random.default_rng(0).uniform(-6, 6, (68, 3)), (6, 1, 1))
    points[:, :2, :2] = [[-6, -6], [6, 6]]
    points[..., :2] += 16, 24  # at the left edge of the bright square
    status = ["ok", "no_face", "ok", "ok", "low_confidence", "ok"]
    path = labels.sessions[0].folder / "landmarks.parquet"
    write_landmarks_table(path, points, status)
    write_landmarks_table(labels.sessions[1].folder / "landmarks.parquet", points, ["no_face"] * 6)
    faces = cached_rgb_frames(labels, [0, 1], folder / "cache", crop="face")
    frame = read_clip(faces[0], 0, 6)[:, 1]
    assert frame[:, 20:-20, :100].max() < 40  # black to the left
    assert frame[:, 20:-20, -100:].min() > 100
    np.testing.assert_array_equal(read_clip(faces[1], 0, 6), read_clip(centred[1], 0, 6))  # no face in any frame
    assert read_event_frame_info(faces[0]).metadata["params"]["crop"] == "face"
    assert "centred square" not in read_event_frame_info(faces[0]).metadata["representation"]["formula"]
    assert faces[0] != centred[0]
    assert cached_rgb_frames(labels, [0, 1], folder / "cache", crop="face", progress=pytest.fail) == faces


def write_landmarks_table(path, points, status):
    """Landmarks of a recording, (T, 68, 3); none where there is no face."""
    n = len(points)
    usable = np.array([word in ("ok", "low_confidence") for word in status])
    score = scalar_array(np.ones(n), usable, pa.float32())
    columns = [
        *(pa.array(range(n), pa.int32()), pa.array(33_333 * np.arange(n)), word_array(status)),
        *(
            pa.array([[]] * n, pa.list_(pa.string())),
            pa.array([1] * n, pa.int16()),
            scalar_array([0] * n, usable, pa.int16()),
        ),
        *(vector_array(np.ones((n, 4)), usable), score, score, vector_array(points.reshape(n, -1), usable)),
    ]
    write_table(path, "landmarks", pa.Table.from_arrays(columns, schema=landmarks_schema()), {})


def test_beyond_the_image_a_square_is_black():
    image = np.full((20, 30, 3), 200, np.uint8)
    shown = square(image, (-10, 10, 20, 40), 20)
    assert shown[:, 10:, :10].min() == 200
    assert shown[:, :10].max() == shown[:, :, 10:].max() == 0
    assert square(image, (-50, -30, 0, 20), 8).max() == 0


def test_a_tall_picture_loses_top_and_bottom():
    tall = np.zeros((90, 30, 3), np.uint8)
    tall[30:60] = 200
    assert square(tall, size_px=10).shape == (3, 10, 10)
    assert square(tall, size_px=10).min() > 190
