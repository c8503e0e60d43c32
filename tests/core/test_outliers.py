import numpy as np

from au3dmm.core.camera import Pose
from au3dmm.core.fitting import CameraSettings, fit_expression
from au3dmm.core.outliers import draw_outliers
from faces import make_face, random_rotations, see_orthographic

OPTIONS = {"sigma_px": 1.0, "joint_pose": True, "nonnegative": True, "l1": 0.5, "ridge": 0.1}
CAMERA = CameraSettings("scaled_orthographic", 0, 1.0)


def planted(n=24, seed=0, noise=0.3):
    face, rng = make_face(), np.random.default_rng(seed)
    alpha = np.maximum(rng.normal(size=(n, 12)), 0)
    shape = face.template + np.tensordot(alpha, face.components_au, 1)
    seen = see_orthographic(shape, random_rotations(rng, n), 1600.0, np.zeros((n, 2)))
    return face, alpha, seen + rng.normal(size=seen.shape) * noise


def test_landmarks_within_the_limit_stay_and_those_beyond_are_drawn_towards_the_fit():
    fitted = np.zeros((3, 4, 2))
    seen = fitted.copy()
    seen[0, 1] = [3.0, 3.0]  # an rms of 3
    seen[1, 2] = [8.0, 8.0]
    seen[2, 3] = [16.0, 16.0]
    weights = np.array([1.0, 1.0, 1.0, 0.25])
    rows, drawn = draw_outliers(seen, fitted, weights, np.ones(3), 4.0, np.arange(3))
    assert rows.tolist() == [1, 2]
    np.testing.assert_allclose(drawn[0, 2], [2.0, 2.0])  # a quarter of the weight
    np.testing.assert_allclose(drawn[1, 3], [4.0, 4.0])  # of weight 1/4, it is 8 deviations away
    only, _ = draw_outliers(seen, fitted, weights, np.ones(3), 4.0, np.array([2]))
    assert only.tolist() == [2]
    none, empty = draw_outliers(seen, fitted, weights, np.ones(3), 20.0, np.arange(3))
    assert none.shape == (0,)
    assert empty.shape == (0, 4, 2)


def test_landmarks_that_are_far_off_hardly_change_a_robust_fit():
    face, alpha, clean = planted()
    seen = clean.copy()
    rng = np.random.default_rng(1)
    for f in range(len(seen)):
        seen[f, rng.choice(np.setdiff1d(np.arange(68), [36, 45]), 4, replace=False)] += rng.normal(size=(4, 2)) * 30
    w = np.ones(68)
    plain, robust = (
        np.abs(fit_expression(seen, face.template, face.components_au, w, CAMERA, **OPTIONS, robust=r).alpha - alpha)
        for r in (0.0, 4.0)
    )
    assert np.sqrt((robust**2).mean()) < 0.35 * np.sqrt((plain**2).mean())


def test_frames_without_outliers_get_the_bits_of_the_plain_fit_and_the_others_whatever_is_around_them():
    face, _, seen = planted()
    seen[7, 50] += 40.0
    w = np.ones(68)
    plain = fit_expression(seen, face.template, face.components_au, w, CAMERA, **OPTIONS)
    robust = fit_expression(seen, face.template, face.components_au, w, CAMERA, **OPTIONS, robust=4.0)
    same = np.arange(len(seen)) != 7
    np.testing.assert_array_equal(robust.alpha[same], plain.alpha[same])
    np.testing.assert_array_equal(robust.fitted[same], plain.fitted[same])
    assert np.abs(robust.alpha[7] - plain.alpha[7]).max() > 0.05
    np.testing.assert_array_equal(robust.alpha_std, plain.alpha_std)
    alone = fit_expression(seen[7:8], face.template, face.components_au, w, CAMERA, **OPTIONS, robust=4.0)
    np.testing.assert_allclose(alone.alpha[0], robust.alpha[7], atol=1e-9)


def test_alpha_pose_and_fitted_landmarks_of_a_frame_with_outliers_belong_together():
    face, _, seen = planted()
    seen[7, 50] += 40.0
    fit = fit_expression(seen, face.template, face.components_au, np.ones(68), CAMERA, **OPTIONS, robust=4.0)
    shape = face.template + np.tensordot(fit.alpha, face.components_au, 1)
    pose: Pose = fit.pose
    turned = (shape @ pose.rotation.swapaxes(1, 2))[..., :2]
    np.testing.assert_allclose(turned * pose.scale[:, None, None] + pose.translation[:, None], fit.fitted, atol=1e-9)
    np.testing.assert_allclose(
        shape @ fit.camera[:, :, :3].swapaxes(1, 2) + fit.camera[:, None, :, 3], fit.fitted, atol=0.6
    )


def test_the_limit_grows_with_the_face():
    face, _, seen = planted()
    seen[7, 50] += 40.0
    a, b = (
        fit_expression(s, face.template, face.components_au, np.ones(68), CAMERA, **OPTIONS, robust=4.0).alpha
        for s in (seen, 2.5 * seen)
    )
    np.testing.assert_allclose(a, b, atol=1e-7)
