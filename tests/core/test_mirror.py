import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.core.basis import deform
from au3dmm.core.expression import fit_expression
from au3dmm.core.fit_terms import CameraSettings
from au3dmm.core.landmarks import MIRROR, landmark_positions
from au3dmm.core.mirror import mirror_matrix, mirror_offsets, mirror_partners, symmetric_head
from au3dmm.core.neutral import find_neutral
from au3dmm.core.regions import mirror_vertices
from au3dmm.io.assets import DEMO_BASES, asset_path, read_default_head
from au3dmm.io.bases import read_bases
from faces import see_pinhole


@pytest.fixture(scope="module")
def head():
    return read_default_head()


@pytest.fixture(scope="module")
def demo():
    return read_bases(asset_path(DEMO_BASES))


def found(head, vertices):
    return mirror_partners(vertices, head.faces, landmark_positions(vertices, head.faces, head.embedding))


def test_partners_of_a_symmetric_head_are_those_it_was_made_with(head):
    np.testing.assert_array_equal(found(head, head.vertices), head.mirror)


def test_partners_are_found_on_a_lopsided_head_by_its_neighbours(head, demo):
    aside = head.vertices + np.tensordot([2.0, -2.0, 3.0], demo.components_id[5:8], 1)
    assert (mirror_vertices(aside, landmark_positions(aside, head.faces, head.embedding)) != head.mirror).mean() > 0.02
    partner = found(head, aside)
    assert (partner[partner] == np.arange(len(partner))).all()
    assert (partner == head.mirror).mean() > 0.995


def test_a_head_of_one_half_has_no_partners(head):
    squeezed = head.vertices.copy()
    left = squeezed[:, 0] > 0
    squeezed[left, 0] *= 0.4
    assert found(head, squeezed) is None


def test_the_symmetric_head_of_a_turned_and_lopsided_one_is_symmetric_and_near_it(head):
    angle = np.deg2rad(3)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    bump = np.exp(-((head.vertices - head.vertices[100]) ** 2).sum(1) / 2e-4)[:, None] * [0.002, 0, 0]
    made = symmetric_head((head.vertices + bump) @ turn.T, head.mirror)
    middle = made - [made[:, 0].mean(), 0, 0]
    np.testing.assert_allclose(mirror_offsets(middle, head.mirror), middle, atol=1e-12)
    np.testing.assert_allclose(
        np.linalg.norm(middle, axis=1).std(), np.linalg.norm(head.vertices, axis=1).std(), rtol=0.02
    )


def test_pairs_make_a_permutation_and_swap_left_and_right(demo, head):
    matrix, error = mirror_matrix(demo.components_au, head.mirror)
    assert error < 1e-10
    np.testing.assert_array_equal(np.sort(matrix, axis=1)[:, -2:], np.tile([0.0, 1.0], (demo.k_au, 1)))
    for j, name in enumerate(demo.names_au):
        other = name.replace("_left", "_RIGHT").replace("_right", "_left").replace("_RIGHT", "_right")
        assert matrix[j, demo.names_au.index(other)] == 1


def test_what_lopsided_components_leave_is_told(head):
    rng = np.random.default_rng(0)
    both = rng.standard_normal((3, len(head.vertices), 3)) * 1e-3
    matrix, error = mirror_matrix(both, head.mirror)
    image = mirror_offsets(both, head.mirror)
    left = image - np.tensordot(matrix, both, 1)
    assert (matrix >= 0).all()
    assert error == pytest.approx((left**2).sum() / (image**2).sum(), rel=1e-6)
    assert error > 0.9  # random motion has no mirror image among others


def test_signed_components_may_be_their_own_negative(head):
    x = head.vertices
    aside = np.zeros((1, *x.shape))
    aside[0, :, 0] = 1e-3 * np.exp(-(((x - x[200]) ** 2).sum(1)) / 1e-3)
    aside = aside + 0 * aside
    aside[0] = aside[0] - mirror_offsets(aside[0], head.mirror)
    assert mirror_matrix(aside, head.mirror, nonnegative=False)[0][0, 0] == pytest.approx(-1)
    matrix, error = mirror_matrix(aside, head.mirror)
    assert matrix[0, 0] == 0
    assert error == 1


@pytest.mark.parametrize("noise_px", [0.0, 1.0])
def test_flipped_landmarks_get_the_mirrored_alpha(demo, head, noise_px):
    matrix, _ = mirror_matrix(demo.components_au, head.mirror)
    template, identity, units = demo.landmarks()
    # as `fit-bases` learns it: each component symmetric or antisymmetric; the demo's are not quite
    image = (identity * [-1, 1, 1])[:, MIRROR]
    identity = np.concatenate([identity[:8] + image[:8], identity[:8] - image[:8]]) / 2
    rng = np.random.default_rng(0)
    neutral = deform(template, identity, rng.normal(size=len(identity)))
    n = 60
    alpha = np.zeros((n, demo.k_au))
    for name, course in (("AU12_left", np.sin(np.arange(n) / 6)), ("AU43_right", np.cos(np.arange(n) / 4))):
        alpha[10:, demo.names_au.index(name)] = 3 * np.maximum(course, 0)[10:]
    turn = Rotation.from_rotvec(np.radians(10) * np.sin(np.arange(n)[:, None] / 25 + [0.0, 1.0, 2.5])).as_matrix()
    seen = see_pinhole(deform(neutral, units, alpha), turn, np.tile([0.03, -0.01, 0.55], (n, 1)), 700.0)
    seen = seen + rng.normal(size=seen.shape) * noise_px
    found = [fitted(x, template, identity, units) for x in (seen, (seen * [-1, 1])[:, MIRROR])]
    moved = deform(np.zeros_like(template), units, found[0])
    assert np.linalg.norm(moved, axis=2).max() > 5e-3
    apart = deform(np.zeros_like(template), units, found[1] - found[0] @ matrix)
    assert np.linalg.norm(apart, axis=2).max() < 1e-6  # m: solvers stop early, and not at the same bits
    np.testing.assert_allclose(found[1], found[0] @ matrix, atol=1e-3)


def fitted(landmarks, template, identity, units):
    """Alpha (n, K): identity and motion, with the parameters of the stages."""
    settings = CameraSettings("scaled_orthographic", 2, 700.0)
    weights = np.ones(68)
    prior = {"sigma_px": 1.0, "l1": 3.0, "ridge": 0.1}
    search = find_neutral(
        landmarks,
        np.array([0]),
        template,
        identity,
        units,
        weights,
        settings,
        sigma_id_px=1.0,
        sigma_offset_m=2e-3,
        alternations=3,
        share=0.3,
        frames_max=500,
        passes=2,
        **prior,
    )
    options = {"joint_pose": True, "nonnegative": True, "reweight": 3.0, **prior}
    found = fit_expression(landmarks, search.neutral.shape, units, weights, settings, **options)
    return found.alpha
