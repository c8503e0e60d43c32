"""Landmarks and cameras of fitted frames: faces appear where the fit saw them, with perspective and without."""

import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.seen_landmarks import read_seen_landmarks
from mesh_landmarks_run import FOCAL, seen_points, true_points, write_landmarks

KEPT = [0, 1, 2, 4, 5]


@pytest.mark.parametrize("focal", [None, FOCAL])
def test_a_camera_puts_true_points_onto_their_landmarks(tmp_path, focal):
    """Two routes: the camera that is read, and `core.camera.project` with the pose that was written."""
    run = RunFolder(tmp_path)
    write_landmarks(run.session("s01"), 0, 6, focal=focal)
    seen = read_seen_landmarks(run, "s01", "p01")
    assert seen.frame_index.tolist() == KEPT  # the fourth has no face
    assert seen.t_rgb_us.tolist() == [1000 + 33_333 * i for i in KEPT]
    points, neutral = true_points(0, 6)
    h = np.einsum("tij,tnj->tni", seen.cameras[:, :, :3], points[KEPT]) + seen.cameras[:, None, :, 3]
    np.testing.assert_allclose(h[..., :2] / h[..., 2:], seen.landmarks_px, atol=1e-3)
    np.testing.assert_allclose(seen.landmarks_px, seen_points(0, 6, focal)[KEPT], atol=1e-3)
    np.testing.assert_allclose(seen.neutral_m, neutral, atol=1e-8)
    eyes = np.linalg.norm(seen.landmarks_px[:, 45] - seen.landmarks_px[:, 36], axis=1)
    np.testing.assert_allclose(seen.unit_px, eyes)
    # perspective matters: this test would not pass without
    with_other = seen_points(0, 6, None if focal else FOCAL)[KEPT]
    assert abs(with_other - seen.landmarks_px).max() > 1


def test_a_neutral_face_of_the_person_is_found_in_the_persons_folder(tmp_path):
    run = RunFolder(tmp_path)
    write_landmarks(run.session("s01"), 0, 6)
    run.subject("p01").mkdir(parents=True)
    (run.session("s01") / "identity.parquet").rename(run.subject("p01") / "identity.parquet")
    np.testing.assert_allclose(read_seen_landmarks(run, "s01", "p01").neutral_m, true_points(0, 6)[1], atol=1e-8)


def test_what_is_missing_or_of_other_frames_is_told_in_one_line(tmp_path):
    run = RunFolder(tmp_path)
    write_landmarks(run.session("s01"), 0, 6)
    write_landmarks(run.session("s02"), 0, 7)
    (run.session("s02") / "landmarks.parquet").replace(run.session("s01") / "landmarks.parquet")
    with pytest.raises(SchemaError, match=r"coefficients\.parquet: 6 frames, which are not the 7 of landmarks") as err:
        read_seen_landmarks(run, "s01", "p01")
    assert "\n" not in str(err.value)
    (run.session("s01") / "identity.parquet").unlink()
    with pytest.raises(SchemaError, match=r"identity\.parquet: no such file; loss\.landmarks needs") as err:
        read_seen_landmarks(run, "s01", "p01")
    assert "\n" not in str(err.value)
