import numpy as np
import pytest

import recordings as rec
from au3dmm.config import DetectParams
from au3dmm.detectors import detector_identity, make_detector
from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.session import read_session
from au3dmm.io.video import VideoFrames

POINTS = np.random.default_rng(0).uniform(10, 200, (3, 68, 3)).astype(np.float32)
PARAMS = DetectParams(detector="precomputed")
IMAGE = np.zeros((8, 8, 3), np.uint8)


def session(folder, **landmarks):
    sections = {"landmarks": landmarks} if landmarks else {}
    return read_session(rec.write_manifest(folder, {"file": "rgb.mp4"}, **sections))


def test_faces_are_looked_up_by_frame(tmp_path):
    np.savez(tmp_path / "l.npz", landmarks=POINTS, frame_index=[4, 9, 4], score=[0.9, 0.8, np.nan])
    detector = make_detector(PARAMS, session=session(tmp_path, file="l.npz"))
    assert detector.detect(IMAGE, 0) == []
    (face,) = detector.detect(IMAGE, 9)
    np.testing.assert_array_equal(face.landmarks_px, POINTS[1])
    assert face.landmark_score == pytest.approx(0.8)
    assert face.detection_score is None
    both = detector.detect(IMAGE, 4)
    assert len(both) == 2
    assert both[0].box_px[0] < both[1].box_px[0]
    assert None in [face.landmark_score for face in both]
    assert detector.n_dense == 0
    assert detector.describe()["has_z"]


def test_identity_follows_the_files_content(tmp_path):
    np.savez(tmp_path / "l.npz", landmarks=POINTS)
    one = detector_identity(PARAMS, session(tmp_path, file="l.npz"))
    assert detector_identity(PARAMS, session(tmp_path, file="l.npz")) == one
    np.savez(tmp_path / "l.npz", landmarks=POINTS + 1)
    assert detector_identity(PARAMS, session(tmp_path, file="l.npz")) != one


def test_a_session_without_landmarks_is_told_what_to_add(tmp_path):
    with pytest.raises(ConfigError, match=r"no \[landmarks\], which the detector 'precomputed' reads; add"):
        make_detector(PARAMS, session=session(tmp_path))


def test_a_landmark_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SessionError, match=r"none\.npz: no such file"):
        make_detector(PARAMS, session=session(tmp_path, file="none.npz"))


N, GONE = 12, (4, 5)
MANY = np.random.default_rng(1).uniform(10, 200, (N, 68, 3)).astype(np.float32)


def recording(folder, landmarks, gone=GONE, timestamps=True, suffix=".mp4"):
    """A session of N frames by its CSV, whose video lacks those that are `gone`."""
    kept = [i for i in range(N) if i not in gone]
    pts = rec.regular_pts(N, start=0)
    rec.write_video(folder / f"rgb{suffix}", [rec.noise_images(N)[i] for i in kept], [pts[i] for i in kept])
    rec.write_csv(folder / "rgb.csv", [round(t / 0.09) for t in pts])
    rgb = {"file": f"rgb{suffix}", **({"timestamps": "rgb.csv"} if timestamps else {})}
    return read_session(rec.write_manifest(folder, rgb, landmarks={"file": landmarks}))


def write_openface(path, n):
    names = ["frame", "confidence", "success", *(f"{axis}_{i}" for axis in "xy" for i in range(68))]
    rows = [[k + 1, 0.9, int(k > 0), *MANY[k, :, 0], *MANY[k, :, 1]] for k in range(n)]
    path.write_text("\n".join(",".join(map(str, row)) for row in [names, *rows]) + "\n")


@pytest.mark.parametrize("kind", ["npz", "openface"])
def test_landmarks_that_count_only_the_frames_that_decode_are_refused(tmp_path, kind):
    if kind == "npz":
        np.savez(tmp_path / "l.npz", landmarks=MANY[: N - len(GONE)])
    else:
        write_openface(tmp_path / "l.csv", N - len(GONE))
    found = recording(tmp_path, "l.npz" if kind == "npz" else "l.csv")
    said = (
        r"landmarks of 10 frames without frame_index, .* of the 12 of .*rgb\.mp4; frame 4 cannot, .*expected 12 frames"
    )
    with pytest.raises(SessionError, match=said) as err:
        make_detector(PARAMS, session=found)
    assert "\n" not in str(err.value)


def test_landmarks_of_every_row_are_looked_up_by_row_where_frames_are_missing(tmp_path):
    np.savez(tmp_path / "l.npz", landmarks=MANY)
    detector = make_detector(PARAMS, session=recording(tmp_path, "l.npz"))
    np.testing.assert_array_equal(detector.detect(IMAGE, 9)[0].landmarks_px, MANY[9])


def test_landmarks_with_a_frame_index_may_leave_out_what_is_missing(tmp_path):
    kept = [i for i in range(N) if i not in GONE]
    np.savez(tmp_path / "l.npz", landmarks=MANY[kept], frame_index=kept)
    detector = make_detector(PARAMS, session=recording(tmp_path, "l.npz"))
    np.testing.assert_array_equal(detector.detect(IMAGE, 9)[0].landmarks_px, MANY[9])


@pytest.mark.parametrize(("gone", "n"), [((10, 11), 10), (GONE, 7), ((), 7)])
def test_landmarks_that_end_early_cannot_shift(tmp_path, gone, n):
    np.savez(tmp_path / "l.npz", landmarks=MANY[:n])
    detector = make_detector(PARAMS, session=recording(tmp_path, "l.npz", gone))
    np.testing.assert_array_equal(detector.detect(IMAGE, 6)[0].landmarks_px, MANY[6])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_damaged_frame_of_a_video_without_a_csv_is_found_too(tmp_path, monkeypatch, suffix):
    session = recording(tmp_path, "l.npz", (), timestamps=False, suffix=suffix)
    whole = VideoFrames._decode

    def damaged(video):
        for i, (pts_us, image) in enumerate(whole(video)):
            yield pts_us, None if i == 3 else image

    monkeypatch.setattr(VideoFrames, "_decode", damaged)
    np.savez(tmp_path / "l.npz", landmarks=MANY[: N - 1])
    with pytest.raises(SessionError, match=r"landmarks of 11 frames .* of the 12 of .*; frame 3 cannot"):
        make_detector(PARAMS, session=session)
    np.savez(tmp_path / "l.npz", landmarks=MANY)
    np.testing.assert_array_equal(make_detector(PARAMS, session=session).detect(IMAGE, 9)[0].landmarks_px, MANY[9])


def test_a_whole_recording_is_not_decoded_for_the_count(tmp_path, monkeypatch):
    np.savez(tmp_path / "l.npz", landmarks=MANY)
    session = recording(tmp_path, "l.npz", (), timestamps=False, suffix=".mkv")
    monkeypatch.setattr(VideoFrames, "_decode", lambda video: pytest.fail("decoded"))
    assert make_detector(PARAMS, session=session).n_dense == 0
