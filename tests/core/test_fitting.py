import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import naive_fit
from au3dmm.config import FitParams, IdentityParams
from au3dmm.core.basis import deform
from au3dmm.core.camera import project
from au3dmm.core.fitting import (
    CameraSettings,
    fit_alpha,
    fit_expression,
    fit_neutral,
    implausible,
    landmark_weights,
    noise_px,
)
from au3dmm.core.landmarks import MIRROR
from au3dmm.errors import FitError
from faces import make_face, random_rotations, see_orthographic, see_pinhole

FOCAL = 620.0
PRESETS = ("robust", "paper")


def camera_settings(params):
    return CameraSettings(params.camera, params.perspective_passes, FOCAL)


def fit_options(params):
    return {
        "sigma_px": params.sigma_px,
        "joint_pose": params.joint_pose,
        "nonnegative": params.codes == "nonnegative",
        "l1": params.l1,
        "ridge": params.ridge,
    }


def recording(n=40, noise=0.8, seed=3):
    """Landmarks of a moving, active face seen by a pinhole camera, with noise."""
    face = make_face(1)
    rng = np.random.default_rng(seed)
    alpha_id = rng.normal(size=len(face.components_id))
    neutral = deform(face.template, face.components_id, alpha_id)
    alpha = np.abs(rng.normal(size=(n, len(face.components_au)))) * (rng.random((n, 1)) > 0.3)
    shape = deform(neutral, face.components_au, alpha)
    place = np.array([0.02, -0.03, 0.45]) + rng.normal(size=(n, 3)) * [0.01, 0.01, 0.02]
    seen = see_pinhole(shape, random_rotations(rng, n), place, FOCAL)
    return face, neutral, alpha, seen + rng.normal(size=seen.shape) * noise


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_equals_its_naive_per_frame_oracle(preset):
    face, neutral, _, seen = recording()
    params = FitParams(preset=preset)
    w = landmark_weights(params.jaw_weight)
    fit = fit_expression(seen, neutral, face.components_au, w, camera_settings(params), **fit_options(params))
    for frame, l in enumerate(seen):
        expected = naive_fit.expression(
            l, neutral, face.components_au, w, params.camera, params.perspective_passes, FOCAL,
            sigma=params.sigma_px, joint_pose=params.joint_pose,
            nonnegative=params.codes == "nonnegative", l1=params.l1, ridge=params.ridge,
        )  # fmt: skip
        np.testing.assert_allclose(fit.alpha[frame], expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_neutral_face_of_every_preset_equals_its_naive_oracle(preset):
    face, _, _, seen = recording(7)
    params = IdentityParams(preset=preset)
    w = landmark_weights(params.jaw_weight)
    frames = seen[:1] if params.neutral == "first_frame" else seen
    fit = fit_neutral(
        frames, face.template, face.components_id, w, camera_settings(params),
        sigma_id_px=params.sigma_id_px, sigma_offset_m=params.sigma_offset_m, alternations=params.alternations,
    )  # fmt: skip
    b, offset, shape = naive_fit.neutral(
        frames, face.template, face.components_id, w, params.camera, params.perspective_passes, FOCAL,
        sigma_id=params.sigma_id_px, sigma_offset=params.sigma_offset_m, alternations=params.alternations,
    )  # fmt: skip
    np.testing.assert_allclose(fit.alpha_id, b, atol=1e-10, rtol=0)
    np.testing.assert_allclose(fit.offset, offset, atol=1e-12, rtol=0)
    np.testing.assert_allclose(fit.shape, shape, atol=1e-12, rtol=0)


def test_ridge_recovers_planted_alpha_to_1e_8_with_the_true_camera_and_no_penalty():
    face = make_face(0, k_au=32)
    rng = np.random.default_rng(0)
    alpha = rng.normal(size=(20, 32))
    rotation = random_rotations(rng, 20, 30)
    seen = see_orthographic(
        deform(face.template, face.components_au, alpha), rotation, 1400.0, rng.normal(size=(20, 2)) * 100
    )
    fit = fit_expression(
        seen, face.template, face.components_au, np.ones(68), CameraSettings("affine", 0, FOCAL),
        sigma_px=1e-9, joint_pose=False, nonnegative=False, l1=0.0, camera=1400.0 * rotation[:, :2],
    )  # fmt: skip
    np.testing.assert_allclose(fit.alpha, alpha, atol=1e-8, rtol=0)


def test_nonnegative_codes_recover_planted_nonnegative_alpha_with_the_true_camera():
    face = make_face(0)
    rng = np.random.default_rng(0)
    alpha = np.maximum(rng.normal(size=(20, 12)), 0)
    rotation = random_rotations(rng, 20, 30)
    seen = see_orthographic(deform(face.template, face.components_au, alpha), rotation, 1400.0, np.zeros((20, 2)))
    fit = fit_expression(
        seen, face.template, face.components_au, np.ones(68), CameraSettings("affine", 0, FOCAL),
        sigma_px=1e-9, joint_pose=False, nonnegative=True, l1=0.0, camera=1400.0 * rotation[:, :2],
    )  # fmt: skip
    np.testing.assert_allclose(fit.alpha, alpha, atol=1e-8, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(PRESETS),
    st.floats(0.2, 5),
    st.floats(-500, 500),
    st.floats(-500, 500),
)
def test_alpha_does_not_change_when_the_image_is_scaled_or_moved(preset, factor, dx, dy):
    face, neutral, _, seen = recording(6)
    params = FitParams(preset=preset)
    w = landmark_weights(params.jaw_weight)
    # the image moves with its principal point, so only a camera without perspective may see it move
    moved = seen if params.perspective_passes else seen + [dx, dy]
    a = fit_expression(seen, neutral, face.components_au, w, camera_settings(params), **fit_options(params))
    b = fit_expression(
        moved * factor, neutral, face.components_au, w,
        CameraSettings(params.camera, params.perspective_passes, FOCAL * factor), **fit_options(params),
    )  # fmt: skip
    np.testing.assert_allclose(a.alpha, b.alpha, atol=1e-9, rtol=0)
    np.testing.assert_allclose(a.alpha_std, b.alpha_std, atol=1e-9, rtol=0)


def test_robust_alpha_does_not_change_when_a_face_without_perspective_moves_in_the_image():
    face, neutral, _, seen = recording(6)
    params = FitParams(perspective_passes=0)
    w = landmark_weights(params.jaw_weight)
    a = fit_expression(seen, neutral, face.components_au, w, camera_settings(params), **fit_options(params))
    b = fit_expression(
        seen + [300.0, -80.0], neutral, face.components_au, w, camera_settings(params), **fit_options(params)
    )
    np.testing.assert_allclose(a.alpha, b.alpha, atol=1e-9, rtol=0)
    np.testing.assert_allclose(b.pose.translation - a.pose.translation, [[300.0, -80.0]] * 6, atol=1e-7)


def test_perspective_and_joint_pose_recover_a_planted_face_up_close_better_than_the_paper():
    face, neutral, alpha, seen = recording(60, noise=0.0)
    truth = deform(np.zeros((68, 3)), face.components_au, alpha)

    def error(params):
        w = landmark_weights(params.jaw_weight)
        fit = fit_expression(seen, neutral, face.components_au, w, camera_settings(params), **fit_options(params))
        found = deform(np.zeros((68, 3)), face.components_au, fit.alpha)
        return np.linalg.norm(found - truth, axis=2).mean() / np.linalg.norm(truth, axis=2).mean()

    robust, paper = error(FitParams()), error(FitParams(preset="paper"))
    assert robust < 0.15
    assert robust < 0.25 * paper


def test_fitted_landmarks_and_pose_are_those_of_the_planted_pinhole_camera():
    face = make_face(2)
    rng = np.random.default_rng(5)
    rotation = random_rotations(rng, 10, 25)
    place = np.array([0.05, 0.02, 0.5]) + rng.normal(size=(10, 3)) * 0.02
    seen = see_pinhole(np.broadcast_to(face.template, (10, 68, 3)), rotation, place, FOCAL)
    fit = fit_expression(
        seen, face.template, face.components_au, np.ones(68), CameraSettings("scaled_orthographic", 8, FOCAL),
        sigma_px=0.1, joint_pose=True, nonnegative=True, l1=1.0,
    )  # fmt: skip
    np.testing.assert_allclose(fit.pose.rotation, rotation, atol=1e-3)
    np.testing.assert_allclose(fit.pose.scale, FOCAL / place[:, 2], rtol=1e-3)
    np.testing.assert_allclose(fit.pose.translation, FOCAL * place[:, :2] / place[:, 2:], atol=0.1)
    np.testing.assert_allclose(fit.fitted, seen, atol=0.05)
    np.testing.assert_allclose(project(face.template, fit.pose, FOCAL, 3), seen[3], atol=0.05)


def test_a_mirrored_face_gets_the_mirrored_alpha_and_nothing_else_does():
    face = make_face(4)
    flip = np.array([-1.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    alpha = np.abs(rng.normal(size=(5, 12)))
    rotation = random_rotations(rng, 5)
    seen = see_orthographic(deform(face.template, face.components_au, alpha), rotation, 1500.0, np.zeros((5, 2)))
    mirrored = (seen * [-1.0, 1.0])[:, MIRROR]
    options = fit_options(FitParams(perspective_passes=0))
    cam = CameraSettings("scaled_orthographic", 0, FOCAL)
    a = fit_expression(seen, face.template, face.components_au, np.ones(68), cam, **options)
    b = fit_expression(
        mirrored, (face.template * flip)[MIRROR], (face.components_au * flip)[:, MIRROR], np.ones(68), cam, **options
    )
    np.testing.assert_allclose(a.alpha, b.alpha, atol=1e-9)
    assert (a.pose.rotation[:, 2, 2] > 0.9).all()
    # An orthographic camera explains a flipped image by looking from behind the head: the pose gives it away ...
    for wrong in (seen * [-1.0, 1.0], seen * [1.0, -1.0]):
        c = fit_expression(wrong, face.template, face.components_au, np.ones(68), cam, **options)
        assert (c.pose.rotation[:, 2, 2] < 0).all()
    # ... and swapping left and right without flipping does not fit a lopsided face at all
    c = fit_expression(seen[:, MIRROR], face.template, face.components_au, np.ones(68), cam, **options)
    assert np.abs(c.fitted - seen[:, MIRROR]).mean() > 20 * np.abs(a.fitted - seen).mean()


def test_the_small_pose_change_corrects_a_camera_that_is_a_little_off():
    face = make_face(0)
    rng = np.random.default_rng(0)
    right = random_rotations(rng, 12, 20)
    off = Rotation.from_rotvec(rng.uniform(-0.02, 0.02, (12, 3))).as_matrix()
    seen = see_orthographic(np.broadcast_to(face.template, (12, 68, 3)), right, 1500.0, np.zeros((12, 2)))
    camera = 1490.0 * (off @ right)[:, :2]

    def misfit(joint_pose):
        fit = fit_expression(
            seen, face.template, face.components_au, np.ones(68), CameraSettings("scaled_orthographic", 0, FOCAL),
            sigma_px=0.1, joint_pose=joint_pose, nonnegative=True, l1=1e4, camera=camera,
        )  # fmt: skip
        return np.abs(fit.fitted - seen).max(), np.abs(fit.pose.rotation - right).max(), fit.pose.scale

    image, rotation, scale = misfit(True)
    assert image < 0.03 * misfit(False)[0]
    assert rotation < 1e-3
    np.testing.assert_allclose(scale, 1500.0, rtol=1e-3)


def test_a_face_with_any_number_of_landmarks_is_fitted_and_its_eyes_set_the_noise():
    face, neutral, _, seen = recording(9)
    order = np.random.default_rng(0).permutation(68)
    twice = np.concatenate([order, order])  # every landmark two times, of half the weight, in another order
    eyes = (int(np.flatnonzero(order == 36)[0]), int(np.flatnonzero(order == 45)[0]))
    params = FitParams()
    w = landmark_weights(params.jaw_weight)
    a = fit_expression(seen, neutral, face.components_au, w, camera_settings(params), **fit_options(params))
    b = fit_expression(
        seen[:, twice], neutral[twice], face.components_au[:, twice], w[twice] / 2, camera_settings(params),
        **fit_options(params), eyes=eyes,
    )  # fmt: skip
    np.testing.assert_allclose(a.alpha, b.alpha, atol=1e-9, rtol=0)
    np.testing.assert_allclose(a.alpha_std, b.alpha_std, atol=1e-9, rtol=0)
    np.testing.assert_allclose(a.fitted[:, twice], b.fitted, atol=1e-7, rtol=0)
    known = {"sigma_id_px": 0.3, "sigma_offset_m": 0.0, "alternations": 3}
    c = fit_neutral(seen, face.template, face.components_id, w, camera_settings(params), **known)
    d = fit_neutral(
        seen[:, twice], face.template[twice], face.components_id[:, twice], w[twice] / 2, camera_settings(params),
        **known, eyes=eyes,
    )  # fmt: skip
    np.testing.assert_allclose(c.alpha_id, d.alpha_id, atol=1e-9, rtol=0)
    np.testing.assert_array_equal(
        implausible(seen, neutral, 0.3), implausible(seen[:, twice], neutral[twice], 0.3, eyes=eyes)
    )


def test_alpha_alone_has_the_same_bits_as_in_the_whole_fit():
    face, neutral, _, seen = recording()
    params = FitParams()
    w = landmark_weights(params.jaw_weight)
    whole = fit_expression(seen, neutral, face.components_au, w, camera_settings(params), **fit_options(params))
    alone = fit_alpha(seen, neutral, face.components_au, w, camera_settings(params), **fit_options(params))
    np.testing.assert_array_equal(alone, whole.alpha)


def test_a_larger_penalty_never_lengthens_alpha():
    face, neutral, _, seen = recording(10)
    lengths = []
    for sigma in (0.1, 0.5, 2.0, 8.0, 32.0):
        fit = fit_expression(
            seen, neutral, face.components_au, np.ones(68), CameraSettings("affine", 0, FOCAL),
            sigma_px=sigma, joint_pose=False, nonnegative=False, l1=0.0,
        )  # fmt: skip
        lengths.append(np.linalg.norm(fit.alpha, axis=1))
    assert (np.diff(lengths, axis=0) <= 1e-12).all()


def test_alpha_std_is_the_spread_of_alpha_over_repeated_noise():
    face = make_face(0, k_au=6)
    rng = np.random.default_rng(1)
    rotation = np.broadcast_to(random_rotations(rng, 1), (4000, 3, 3))
    # alpha is drawn from the prior, so the posterior is calibrated when noise and sigma agree
    alpha = rng.normal(size=(4000, 6))
    scale = 144 / np.linalg.norm(face.template[45] - face.template[36])
    seen = see_orthographic(deform(face.template, face.components_au, alpha), rotation, scale, np.zeros((4000, 2)))
    fit = fit_expression(
        seen + rng.normal(size=seen.shape) * 1.2, face.template, face.components_au, np.ones(68),
        CameraSettings("affine", 0, FOCAL), sigma_px=1.2, joint_pose=False, nonnegative=False, l1=0.0,
        camera=scale * rotation[:, :2],
    )  # fmt: skip
    np.testing.assert_allclose((fit.alpha - alpha).std(0) / fit.alpha_std[0], 1, atol=0.05)
    assert (fit.dof > 4).all()
    assert (fit.dof < 6).all()


def test_noise_is_stated_at_144_px_and_grows_with_the_face():
    face = make_face(0)
    scale = 144 / np.linalg.norm(face.template[45] - face.template[36])
    camera = scale * np.stack([np.eye(3)[:2], 2 * np.eye(3)[:2]])
    np.testing.assert_allclose(noise_px(0.7, camera, face.template), [0.7, 1.4])


def test_identity_is_recovered_from_noiseless_landmarks_of_many_views():
    face = make_face(0)
    rng = np.random.default_rng(2)
    alpha_id = rng.normal(size=8)
    shape = deform(face.template, face.components_id, alpha_id)
    rotation = random_rotations(rng, 30, 25)
    seen = see_orthographic(np.broadcast_to(shape, (30, 68, 3)), rotation, 1500.0, rng.normal(size=(30, 2)) * 50)
    fit = fit_neutral(
        seen, face.template, face.components_id, np.ones(68), CameraSettings("scaled_orthographic", 0, FOCAL),
        sigma_id_px=1e-3, sigma_offset_m=0.0, alternations=20,
    )  # fmt: skip
    # one size for all: a larger head nearer looks the same, so compare up to scale
    size = (fit.shape - fit.shape.mean(0)).std() / (shape - shape.mean(0)).std()
    error = (fit.shape - fit.shape.mean(0)) / size - (shape - shape.mean(0))
    assert np.linalg.norm(error, axis=1).mean() < 2e-4


def test_personal_offsets_absorb_what_the_identity_model_lacks():
    face = make_face(0)
    rng = np.random.default_rng(2)
    shape = face.template + rng.normal(size=(68, 3)) * 2e-3
    rotation = random_rotations(rng, 30, 20)
    seen = see_orthographic(np.broadcast_to(shape, (30, 68, 3)), rotation, 1500.0, np.zeros((30, 2)))
    cam = CameraSettings("scaled_orthographic", 0, FOCAL)
    kept = {"sigma_id_px": 0.3, "alternations": 5}
    with_offset = fit_neutral(seen, face.template, face.components_id, np.ones(68), cam, sigma_offset_m=2e-3, **kept)
    without = fit_neutral(seen, face.template, face.components_id, np.ones(68), cam, sigma_offset_m=0.0, **kept)

    def error(found):
        return np.linalg.norm((found.shape - shape)[:, :2], axis=1).mean()

    assert error(with_offset) < 0.5 * error(without)


def test_landmarks_that_are_all_equal_are_refused():
    face = make_face(0)
    with pytest.raises(FitError, match="lie on a line or a point"):
        fit_expression(
            np.zeros((3, 68, 2)), face.template, face.components_au, np.ones(68),
            CameraSettings("scaled_orthographic", 0, FOCAL), sigma_px=1.0, joint_pose=True, nonnegative=True, l1=1.0,
        )  # fmt: skip


def test_a_flat_model_is_refused():
    face = make_face(0)
    flat = face.template * [1.0, 1.0, 0.0]
    with pytest.raises(FitError, match="one plane"):
        fit_expression(
            np.zeros((3, 68, 2)), flat, face.components_au, np.ones(68),
            CameraSettings("scaled_orthographic", 0, FOCAL), sigma_px=1.0, joint_pose=True, nonnegative=True, l1=1.0,
        )  # fmt: skip


def test_no_neutral_frame_is_refused():
    face = make_face(0)
    with pytest.raises(FitError, match="no frame with landmarks"):
        fit_neutral(
            np.zeros((0, 68, 2)), face.template, face.components_id, np.ones(68), CameraSettings("affine", 0, FOCAL),
            sigma_id_px=1.0, sigma_offset_m=0.0, alternations=1,
        )  # fmt: skip


def test_rates_per_mm_give_the_same_displacement_whatever_unit_a_component_is_stored_in():
    # alpha_k C_k is what matters: with p = 1 nothing else does, as long as no Gaussian prior and no second solve count
    face, rng = make_face(), np.random.default_rng(0)
    planted = np.maximum(rng.normal(size=(6, 12)), 0)
    shape = face.template + np.tensordot(planted, face.components_au, 1)
    seen = see_orthographic(shape, random_rotations(rng, 6), 1600.0, np.zeros((6, 2)))
    seen += rng.normal(size=seen.shape)
    options = {
        "sigma_px": 1.0, "joint_pose": True, "nonnegative": True, "l1": 3.0, "ridge": 1e-9, "reweight": 3.0,
    }  # fmt: skip
    settings = CameraSettings("scaled_orthographic", 0, 1.0)
    factor = np.where(np.arange(12) < 6, 1.0, rng.uniform(0.3, 3.0, 12))
    # the median size is the unit: keep it
    size = np.sqrt(((face.components_au - face.components_au.mean(1, keepdims=True)) ** 2).sum((1, 2)))
    factor *= np.median(size) / np.median(size * factor)
    found = [
        fit_expression(
            seen, face.template, face.components_au * f[:, None, None], np.ones(68), settings, **options, l1_by_size=p
        ).alpha
        * f
        for p in (1.0, 0.0)
        for f in (np.ones(12), factor)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert np.abs(found[2] - found[3]).max() > 0.01


def test_units_of_rates_do_not_change_what_is_stated_of_uncertainty():
    face, rng = make_face(), np.random.default_rng(0)
    seen = see_orthographic(
        face.template + np.zeros((3, 1, 1)), random_rotations(rng, 3), 1600.0, np.zeros((3, 2))
    ) + rng.normal(size=(3, 68, 2))
    settings = CameraSettings("scaled_orthographic", 0, 1.0)
    options = {"sigma_px": 1.0, "joint_pose": True, "nonnegative": True, "l1": 3.0, "ridge": 0.1}
    a, b = (
        fit_expression(seen, face.template, face.components_au, np.ones(68), settings, **options, l1_by_size=p)
        for p in (0.0, 0.8)
    )
    np.testing.assert_allclose(a.alpha_std, b.alpha_std, rtol=1e-9)
    np.testing.assert_allclose(a.dof, b.dof, rtol=1e-9)


def test_a_component_that_no_landmark_sees_stays_at_zero_and_disturbs_no_other():
    face, rng = make_face(), np.random.default_rng(0)
    components = face.components_au.copy()
    components[3] = 0.0
    seen = see_orthographic(
        face.template + 1.5 * components[:1], random_rotations(rng, 4), 1600.0, np.zeros((4, 2))
    ) + rng.normal(size=(4, 68, 2))
    settings = CameraSettings("scaled_orthographic", 0, 1.0)
    options = {"sigma_px": 1.0, "joint_pose": True, "nonnegative": True, "l1": 0.1, "ridge": 0.1, "l1_by_size": 0.6}
    alpha = fit_expression(seen, face.template, components, np.ones(68), settings, **options).alpha
    np.testing.assert_array_equal(alpha[:, 3], 0.0)
    np.testing.assert_allclose(alpha[:, 0], 1.5, atol=0.3)


def test_displacements_that_noise_could_make_become_zero_and_large_ones_hardly_change():
    face, rng = make_face(), np.random.default_rng(0)
    strength = np.array([0.0] * 10 + [0.05] * 10 + [4.0] * 10)
    shape = face.template + strength[:, None, None] * face.components_au[2]
    seen = see_orthographic(shape, random_rotations(rng, 30), 1600.0, np.zeros((30, 2)))
    seen += rng.normal(size=seen.shape)
    settings = CameraSettings("scaled_orthographic", 0, 1.0)
    options = {"sigma_px": 1.0, "joint_pose": True, "nonnegative": True, "l1": 0.5, "ridge": 0.1}
    plain, shrunk = (
        fit_expression(seen, face.template, face.components_au, np.ones(68), settings, **options, shrink=s).alpha
        for s in (0.0, 40.0)
    )
    assert (plain[:20] > 0).any()
    np.testing.assert_array_equal(shrunk[:20], 0.0)
    ratio = shrunk[20:] / np.where(plain[20:] > 0, plain[20:], 1.0)
    # what is left is one factor per frame: the mix of components stays as it is
    np.testing.assert_allclose(ratio[plain[20:] > 0], np.repeat(ratio.max(1), (plain[20:] > 0).sum(1)), rtol=1e-12)
    assert ratio.max(1).min() > 0.98
    larger = fit_expression(
        2 * seen, face.template, face.components_au, np.ones(68), settings, **options, shrink=40.0
    ).alpha
    np.testing.assert_allclose(larger, shrunk, atol=1e-9)  # sigma grows with the face, and so does what is shrunk
