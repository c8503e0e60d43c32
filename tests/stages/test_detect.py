import logging

import numpy as np
import pytest

import recordings as rec
from au3dmm.config import DetectParams
from au3dmm.core.landmarks import eye_distance
from au3dmm.detectors.base import DetectedFace
from au3dmm.errors import AssetError, OutputError, SessionError
from au3dmm.io.landmark_table import read_landmark_track
from au3dmm.io.session import read_session
from au3dmm.io.table_schemas import landmarks_schema
from au3dmm.io.tables import read_metadata, read_table, vectors
from au3dmm.io.video import packet_times
from au3dmm.stages import detect
from models import mediapipe_folder

POINTS = np.random.default_rng(0).uniform((10, 8, -5), (50, 40, 5), (68, 3)).astype(np.float32)
POINTS[36], POINTS[45], POINTS[30] = (12, 20, 0), (48, 20, 0), (30, 28, 5)


class FakeDetector:
    """Answers from a script: for each frame a list of (x shift, landmark score)."""

    name = "fake"

    def __init__(self, script, n_dense=0):
        self.script, self.n_dense, self.seen = script, n_dense, []

    def describe(self):
        return {"name": "fake"}

    def detect(self, image, frame_index):
        self.seen.append((frame_index, image.shape))
        return [self._face(shift, score) for shift, score in self.script(frame_index)]

    def _face(self, shift, score):
        dense = np.full((self.n_dense, 3), shift, np.float32) if self.n_dense else None
        points = POINTS + np.float32([shift, 0, 0])
        return DetectedFace(np.float32([10 + shift, 8, 50 + shift, 40]), 0.9, points, score, dense)


@pytest.fixture
def fake(monkeypatch):
    def install(script, n_dense=0):
        detector = FakeDetector(script, n_dense)
        monkeypatch.setattr(detect, "make_detector", lambda params, **_: detector)
        return detector

    return install


def record(folder, n=12, prepare=None, timestamps=False, size=(64, 48), **rgb):
    path = rec.write_video(folder / "rgb.mp4", rec.noise_images(n, size))
    times = packet_times(path)
    if prepare is not None:
        prepare(path)
    if timestamps:
        rec.write_csv(folder / "rgb.csv", times)
        rgb["timestamps"] = "rgb.csv"
    return rec.write_manifest(folder, {"file": "rgb.mp4", **rgb}), times


def run(session, out, params=None, **kwargs):
    counts = detect.run(session=session, landmarks=out, params=params or DetectParams(), **kwargs)
    return counts, read_table(out, "landmarks")


def test_every_frame_has_a_row_with_its_status(tmp_path, fake):
    script = {3: [], 5: [(0, 0.2)], 7: [(0, None)]}
    detector = fake(lambda i: script.get(i, [(0, 0.9)]))
    session, times = record(tmp_path)
    counts, table = run(session, tmp_path / "landmarks.parquet")
    assert table.schema.remove_metadata() == landmarks_schema(0)
    assert table["frame_index"].to_pylist() == list(range(12))
    assert table["t_rgb_us"].to_pylist() == times.tolist()
    expected = ["ok"] * 12
    expected[3], expected[5] = "no_face", "low_confidence"
    assert table["status"].to_pylist() == expected
    values, valid = vectors(table, "landmarks_px")
    assert valid.tolist() == [status != "no_face" for status in expected]
    np.testing.assert_array_equal(values[0].reshape(68, 3), POINTS)
    assert table["landmark_score"].to_pylist()[7] is None
    assert table["landmark_score"].to_pylist()[5] == pytest.approx(0.2)
    assert table["face_index"].to_pylist()[3] is None
    assert table["box_px"].to_pylist()[3] is None
    assert table["n_faces"].to_pylist()[2:4] == [1, 0]
    assert counts == {
        "frames": 12,
        "frames_expected": 12,
        "frames_decoded": 12,
        "packets_lost": 0,
        "ok": 10,
        "low_confidence": 1,
        "no_face": 1,
        "decode_error": 0,
        "jitter_px": None,
        "jitter_iod": None,
        "flags": {"small": 11},
    }
    assert detector.seen == [(i, (48, 64, 3)) for i in range(12)]


def test_metadata_says_what_made_it_and_what_it_is_in(tmp_path, fake):
    fake(lambda i: [(0, 0.9)])
    session, _ = record(tmp_path)
    stamp = {"fingerprint": "abc", "inputs": {"session:rgb": "x"}}
    counts, _ = run(session / "session.toml", tmp_path / "l.parquet", stamp=stamp)
    meta = read_metadata(tmp_path / "l.parquet")
    assert meta["stage"] == "detect"
    assert meta["fingerprint"] == "abc"
    assert meta["image"] == {"width": 64, "height": 48}
    assert meta["detector"] == {"name": "fake"}
    assert meta["counts"] | meta["quality"] == counts
    assert meta["params"]["detector"] == "mediapipe"
    assert meta["landmark_scheme"] == "ibug68"
    assert str(tmp_path) not in str(meta)
    track = read_landmark_track(tmp_path / "l.parquet")
    assert (track.width, track.height) == (64, 48)


def test_dense_points_are_kept(tmp_path, fake):
    fake(lambda i: [(i, 0.9)] if i != 4 else [], n_dense=5)
    session, _ = record(tmp_path)
    _, table = run(session, tmp_path / "l.parquet")
    values, valid = vectors(table, "dense_px")
    assert values.shape == (12, 15)
    assert valid.tolist() == [i != 4 for i in range(12)]
    assert values[3, 0] == 3


def test_a_switch_of_faces_is_flagged_and_the_choice_recorded(tmp_path, fake):
    fake(lambda i: [(0, 0.9), (200, 0.9)] if i < 6 else [(200, 0.9)])
    session, _ = record(tmp_path, size=(320, 48))
    _, table = run(session, tmp_path / "l.parquet", DetectParams(small_px=0))
    flags = table["flags"].to_pylist()
    assert [i for i, f in enumerate(flags) if "face_switched" in f] == [6]
    assert table["n_faces"].to_pylist() == [2] * 6 + [1] * 6
    _, table = run(session, tmp_path / "l.parquet", DetectParams(face="index", face_index=1, small_px=0))
    assert table["face_index"].to_pylist() == [1] * 6 + [None] * 6
    assert table["status"].to_pylist() == ["ok"] * 6 + ["no_face"] * 6


def test_flags_are_sorted_words(tmp_path, fake):
    fake(lambda i: [(-20, 0.9)])
    session, _ = record(tmp_path)
    _, table = run(session, tmp_path / "l.parquet")
    assert table["flags"].to_pylist()[0] == ["border", "small"]


def test_a_cut_video_is_labelled_as_far_as_it_goes_and_the_loss_reported(tmp_path, fake, caplog):
    fake(lambda i: [(0, 0.9)])
    session, times = record(tmp_path, 60, lambda path: rec.cut(path, 0.6), timestamps=True)
    counts, table = run(session, tmp_path / "l.parquet")
    assert table["t_rgb_us"].to_pylist() == times.tolist()
    status = table["status"].to_pylist()
    assert 20 < status.count("ok") < 60
    assert status == ["ok"] * counts["ok"] + ["decode_error"] * counts["decode_error"]
    assert (counts["frames"], counts["frames_expected"]) == (60, 60)
    assert counts["packets_lost"] >= 1
    assert f"rgb.mp4 is damaged or cut short: {counts['ok']} frames decoded, 60 expected" in caplog.text


def test_a_cut_video_without_timestamps_ends_early_and_says_so(tmp_path, fake, caplog):
    fake(lambda i: [(0, 0.9)])
    session, _ = record(tmp_path, 60, lambda path: rec.cut(path, 0.6))
    counts, _ = run(session, tmp_path / "l.parquet")
    assert counts["frames_decoded"] < counts["frames_expected"] == 60
    assert "60 expected" in caplog.text


def test_a_whole_video_is_not_reported_damaged(tmp_path, fake, caplog):
    fake(lambda i: [(0, 0.9)])
    session, _ = record(tmp_path)
    with caplog.at_level(logging.WARNING):
        run(session, tmp_path / "l.parquet")
    assert caplog.text == ""


def test_a_manifest_that_states_another_size_is_reported(tmp_path, fake, caplog):
    fake(lambda i: [(0, 0.9)])
    session, _ = record(tmp_path, width=640, height=48)
    run(session, tmp_path / "l.parquet")
    assert "rgb.width is 640 in session.toml, 64 in the frames" in caplog.text


def test_a_video_of_which_nothing_decodes_is_an_error_and_writes_nothing(tmp_path, fake):
    def ruin(path):
        data = bytearray(path.read_bytes())
        at = data.index(b"mdat") + 4
        path.write_bytes(data[:at] + bytes(len(data) - at))

    fake(lambda i: [(0, 0.9)])
    session, _ = record(tmp_path, prepare=ruin)
    out = tmp_path / "out" / "l.parquet"
    with pytest.raises(SessionError, match=r"rgb\.mp4: not one frame could be decoded; 12 were expected"):
        run(session, out)
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"", "empty"), (b"x" * 999, "cannot be read as a video")]
)
def test_a_video_that_is_none_is_an_error(tmp_path, fake, content, message):
    fake(lambda i: [])
    session = rec.write_manifest(tmp_path, {"file": "rgb.mp4"})
    if content is not None:
        (tmp_path / "rgb.mp4").write_bytes(content)
    with pytest.raises(SessionError, match=rf"rgb\.mp4: .*{message}"):
        run(session, tmp_path / "l.parquet")


def test_missing_models_are_an_asset_error(tmp_path):
    session, _ = record(tmp_path)
    with pytest.raises(AssetError, match="weights get mediapipe"):
        run(session, tmp_path / "l.parquet", weights_folder=tmp_path)


def test_a_table_that_cannot_be_written_is_an_output_error(tmp_path, fake):
    fake(lambda i: [])
    session, _ = record(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        run(session, tmp_path / "file" / "l.parquet")


def test_progress_ends_at_the_number_of_frames(tmp_path, fake):
    fake(lambda i: [])
    session, _ = record(tmp_path, 25)
    calls = []
    run(session, tmp_path / "l.parquet", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(10, 25), (20, 25), (25, 25)]


def test_precomputed_landmarks_become_the_table(tmp_path):
    session, _ = record(tmp_path)
    np.savez(tmp_path / "l.npz", landmarks=np.stack([POINTS, POINTS]), frame_index=[0, 5])
    rec.write_manifest(tmp_path, {"file": "rgb.mp4"}, landmarks={"file": "l.npz"})
    counts, table = run(session, tmp_path / "l.parquet", DetectParams(detector="precomputed"))
    assert (counts["ok"], counts["no_face"]) == (2, 10)
    np.testing.assert_array_equal(vectors(table, "landmarks_px")[0][5].reshape(68, 3), POINTS)
    # and the table feeds the detector again
    rec.write_manifest(tmp_path, {"file": "rgb.mp4"}, landmarks={"file": "l.parquet"})
    _, again = run(session, tmp_path / "again.parquet", DetectParams(detector="precomputed"))
    assert again.equals(table)


@pytest.fixture
def two_fakes(monkeypatch):
    def install(first, second):
        of = {"mediapipe": FakeDetector(first), "precomputed": FakeDetector(second)}
        monkeypatch.setattr(detect, "make_detector", lambda params, **_: of[params.detector])

    return install


def test_a_second_detector_checks_every_nth_frame(tmp_path, two_fakes):
    # 36 px between the eyes: 1.8 px are 5 %, 7.2 px 20 %; frame 6 has nobody for the second, frame 9 for the first
    two_fakes(
        lambda i: [] if i == 9 else [(0, 0.9)],
        lambda i: {3: [(1.8, 0.9), (90, 0.9)], 6: []}.get(i, [(7.2, 0.9)]),
    )
    session, _ = record(tmp_path)
    params = DetectParams(check_with="precomputed", check_every=3, small_px=0)
    counts, table = run(session, tmp_path / "l.parquet", params)
    assert table.schema.remove_metadata() == landmarks_schema(0, checked=True)
    apart = table["disagreement_iod"].to_pylist()
    assert apart[0] == pytest.approx(0.2)
    assert apart[3] == pytest.approx(0.05), "the nearer of two faces"
    assert [i for i, value in enumerate(apart) if value is not None] == [0, 3]
    assert [i for i, f in enumerate(table["flags"].to_pylist()) if f] == [0]
    assert table["flags"].to_pylist()[0] == ["detectors_disagree"]
    assert counts["check"] == {
        "frames": 2,
        "median_iod": pytest.approx(0.125),
        "disagree": 1,
        "missed": 1,
    }
    assert read_metadata(tmp_path / "l.parquet")["quality"]["check"] == counts["check"]


def test_a_check_is_part_of_what_made_the_landmarks(tmp_path, mediapipe_weights):
    session, _ = record(tmp_path)
    np.savez(tmp_path / "l.npz", landmarks=np.stack([POINTS] * 12))
    rec.write_manifest(tmp_path, {"file": "rgb.mp4"}, landmarks={"file": "l.npz"})
    params = DetectParams(detector="precomputed", check_with="mediapipe")
    recording = read_session(session)
    found = detect.detector_identity(params, recording, mediapipe_weights)
    alone = detect.detector_identity(DetectParams(detector="precomputed"), recording)
    assert found == {**alone, "check": detect.detector_identity(DetectParams(), recording, mediapipe_weights)}
    counts, table = run(session, tmp_path / "out.parquet", params, weights_folder=mediapipe_weights)
    assert read_metadata(tmp_path / "out.parquet")["check"]["name"] == "mediapipe"
    assert counts["check"]["missed"] == 2, "there is no face in noise"
    assert table["disagreement_iod"].null_count == 12


def test_a_detector_cannot_check_itself():
    with pytest.raises(ValueError, match="check_with is 'mediapipe', the detector itself; expected another one"):
        DetectParams(check_with="mediapipe")


def test_the_jitter_of_still_spans_is_reported(tmp_path, fake):
    def noisy(i):
        # the face is still for two seconds, and shakes for two
        rng = np.random.default_rng(i)
        points = POINTS + rng.normal(0, 0.4, (68, 3)).astype(np.float32) * (1 if i < 64 else 5)
        return [DetectedFace(np.float32([10, 8, 50, 40]), 0.9, points, 0.9)]

    detector = fake(None)
    detector.detect = lambda image, i: noisy(i)
    session, _ = record(tmp_path, 128)
    counts, _ = run(session, tmp_path / "l.parquet")
    assert counts["jitter_px"] == pytest.approx(0.4, rel=0.05)
    assert counts["jitter_iod"] == pytest.approx(0.4 / 36, rel=0.05)
    assert read_metadata(tmp_path / "l.parquet")["quality"]["jitter_px"] == counts["jitter_px"]


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.parametrize("name", ["single_motion", "pexels_trigger"])
def test_real_sessions_have_a_face_in_every_frame(tmp_path, shared_data, name):
    session = shared_data / "sessions" / name
    folder = mediapipe_folder()
    counts, table = run(session, tmp_path / "l.parquet", weights_folder=folder)
    assert counts["ok"] >= 0.99 * counts["frames"]
    assert counts["frames"] == counts["frames_expected"] == {"single_motion": 72, "pexels_trigger": 472}[name]
    marks = vectors(table, "landmarks_px")[0].reshape(-1, 68, 3)
    jitter = np.nanmedian(np.abs(np.diff(marks[..., :2], 2, axis=0))) * 1.4826 / np.sqrt(6)
    assert jitter / np.nanmedian(eye_distance(marks[..., :2])) < 0.005
    assert not any("face_switched" in flags for flags in table["flags"].to_pylist())


@pytest.mark.weights
@pytest.mark.shared
def test_two_runs_write_the_same_bytes(tmp_path, shared_data):
    session = shared_data / "sessions" / "single_motion"
    folder = mediapipe_folder()
    for name in ("a", "b"):
        run(session, tmp_path / name / "landmarks.parquet", weights_folder=folder)
    a, b = ((tmp_path / name / "landmarks.parquet").read_bytes() for name in ("a", "b"))
    assert a == b
