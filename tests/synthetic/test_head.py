"""The procedural head: a whole, symmetric mesh with everything where a face has it."""

from collections import Counter

import numpy as np
import pytest

from au3dmm.core.landmarks import GROUPS, MIRROR, landmark_positions
from au3dmm.synthetic.head import Head, build_head
from au3dmm.synthetic.head_identity import make_proportions
from au3dmm.synthetic.head_motion import make_action_units
from au3dmm.synthetic.head_patches import MARGIN_RING
from au3dmm.synthetic.head_shape import EYE_CENTRE, EYE_RADIUS


@pytest.fixture(scope="module")
def head() -> Head:
    return build_head()


@pytest.fixture(scope="module")
def landmarks(head):
    return landmark_positions(head.vertices, head.faces, head.embedding)


@pytest.fixture(scope="module")
def units(head):
    return make_action_units(head.mesh)


def edges(faces):
    return Counter(map(tuple, np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()))


def lid_distance(head, field, alpha):
    """Distance of the left lids' margins and skin from the eyeball, mm; negative is inside."""
    mesh = head.mesh
    lids = (mesh.part == "eye") & (mesh.points[:, 0] > 0) & (mesh.ring >= MARGIN_RING - 1)
    return np.linalg.norm((mesh.points + alpha * field)[lids] - EYE_CENTRE, axis=1) - EYE_RADIUS


def test_head_has_exactly_5023_vertices_and_every_one_is_used(head):
    assert head.vertices.shape == (5023, 3)
    assert set(head.faces.ravel().tolist()) == set(range(5023))


def test_triangles_are_not_degenerate(head):
    a, b, c = (head.vertices[head.faces[:, k]] * 1e3 for k in range(3))
    assert (np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2).min() > 1e-3  # mm^2


def test_every_edge_is_used_at_most_once_in_each_direction(head):
    assert max(edges(head.faces).values()) == 1


def test_skin_is_open_only_at_eyes_and_chest(head):
    found = edges(head.faces)
    open_at = {head.mesh.part[a] for a, b in found if (b, a) not in found}
    assert open_at == {"eye", "shirt", "ear", "teeth_upper", "teeth_lower"}


def test_triangles_face_outwards(head):
    a, b, c = (head.vertices[head.faces[:, k]] for k in range(3))
    normal, centre = np.cross(b - a, c - a), (a + b + c) / 3
    scalp = np.isin(head.mesh.part[head.faces], ["scalp"]).all(1)
    assert (np.einsum("fd,fd->f", normal[scalp], centre[scalp] - [0, 0.02, -0.02]) > 0).all()
    ball = (head.mesh.part[head.faces] == "eyeball").all(1) & (centre[:, 0] > 0)
    assert (np.einsum("fd,fd->f", normal[ball], centre[ball] - EYE_CENTRE * 1e-3) > 0).all()
    lips = np.isin(head.faces, head.regions["lips"]).all(1)
    assert (normal[lips, 2] > 0).mean() > 0.9


def test_mirror_is_an_exact_involution_of_points_and_triangles(head):
    assert np.array_equal(head.mirror[head.mirror], np.arange(5023))
    assert np.array_equal(head.vertices[head.mirror] * [-1, 1, 1], head.vertices)
    turned = {tuple(np.roll(t, -int(np.argmin(t)))) for t in head.mirror[head.faces][:, ::-1].tolist()}
    assert turned == {tuple(np.roll(t, -int(np.argmin(t)))) for t in head.faces.tolist()}
    assert np.array_equal(head.albedo[head.mirror], head.albedo)


def test_proportions_are_those_of_an_adult(landmarks):
    mm = landmarks * 1e3
    assert np.linalg.norm(mm[45] - mm[36]) == pytest.approx(90, abs=2)
    assert np.linalg.norm(mm[8] - mm[27]) == pytest.approx(118, abs=4)
    assert np.ptp(mm[:17, 0]) == pytest.approx(142, abs=5)
    assert 2 * EYE_CENTRE[0] == 63


def test_landmarks_are_mirror_symmetric(landmarks):
    np.testing.assert_allclose(landmarks[MIRROR] * [-1, 1, 1], landmarks, atol=1e-8)


def test_landmarks_run_from_the_subjects_right_to_the_left(landmarks):
    x, y, z = landmarks.T
    assert (np.diff(x[:17]) > 0).all()
    assert (np.diff(x[17:27]) > 0).all()
    assert (x[list(GROUPS["right_eye"])] < 0).all()
    assert (x[list(GROUPS["left_eye"])] > 0).all()
    assert x[36] < x[37] < x[38] < x[39] < x[42] < x[43] < x[44] < x[45]
    assert (np.diff(y[27:31]) < 0).all()
    assert np.argmax(z) == 30  # the tip of the nose
    assert y[[37, 38, 43, 44]].min() > y[[40, 41, 46, 47]].max()
    assert y[8] == y.min()


def test_lid_landmarks_lie_on_the_lid_margins_and_lip_landmarks_on_the_lip_edges(head):
    corners = head.faces[head.embedding.face_index]
    on = corners[np.arange(68), head.embedding.barycentric.argmax(1)]
    assert (head.mesh.part[on[36:48]] == "eye").all()
    assert (head.mesh.ring[on[36:48]] == MARGIN_RING).all()
    assert np.isin(on[48:68], head.regions["lips"]).all()
    assert (head.embedding.barycentric[36:48].max(1) == 1).all()
    assert (head.embedding.barycentric[48:68].max(1) == 1).sum() >= 16


def test_colours_set_eyes_lips_brows_and_mouth_apart(head):
    def mean(region):
        return head.albedo[head.regions[region]].astype(float).mean(0)

    skin, lips, brows, mouth = mean("face"), mean("lips"), mean("brows"), mean("inner_mouth")
    assert brows.mean() < 0.6 * skin.mean()
    assert mouth.mean() < 0.5 * skin.mean()
    assert lips[0] - lips[1] > 1.3 * (skin[0] - skin[1])
    eye = head.albedo[head.regions["left_eyeball"]].astype(int).sum(1)
    assert eye.min() < 60  # pupil
    assert np.median(eye) > 500  # white


def test_regions_are_what_they_say(head):
    x = head.vertices[:, 0]
    assert (x[head.regions["left_eyeball"]] > 0).all()
    assert np.array_equal(np.sort(head.mirror[head.regions["left_eyeball"]]), head.regions["right_eyeball"])
    assert head.vertices[head.regions["upper_lip"], 1].mean() > head.vertices[head.regions["lower_lip"], 1].mean()
    assert head.vertices[head.regions["neck"], 1].max() < head.vertices[head.regions["lips"], 1].min()


def test_one_sided_action_units_are_exact_mirror_images(head, units):
    left = [name for name in units if name.endswith("_left")]
    assert len(left) == 10
    for name in left:
        right = units[name.replace("_left", "_right")]
        assert np.array_equal(units[name][head.mirror] * [-1, 1, 1], right)


def test_two_sided_action_units_are_symmetric(head, units):
    for name, field in units.items():
        if not name.endswith(("_left", "_right")):
            np.testing.assert_allclose(field[head.mirror] * [-1, 1, 1], field, atol=1e-12)


def test_left_units_move_the_left_side(head, units):
    left = head.mesh.points[:, 0] > 0
    for name in ("AU2_left", "AU12_left", "AU43_left"):
        size = np.linalg.norm(units[name], axis=1)
        assert size[left].sum() > 20 * size[head.mesh.points[:, 0] < 0].sum()


def test_action_units_leave_eyeballs_skull_and_clothes_alone(head, units):
    still = np.isin(head.mesh.part, ["eyeball", "shirt", "ear"]) | (
        (head.mesh.part == "scalp") & (head.mesh.points[:, 2] < -15)
    )
    for name, field in units.items():
        limit = 0.5 if name in ("AU26", "AU27", "AU30_left", "AU30_right") else 0.1  # the jaw's skin ends softly, mm
        assert np.abs(field[still]).max() < limit, name
    assert not any(np.any(f[head.mesh.part == "eyeball"]) for f in units.values())


@pytest.mark.parametrize("name", ["AU43_left", "AU5_left", "AU7", "AU6_left"])
def test_lids_slide_over_the_eyeball_and_not_through_it(head, units, name):
    worst = min(lid_distance(head, units[name], alpha).min() for alpha in np.linspace(0, 3, 13))
    assert worst > -0.3  # mm


def test_three_standard_deviations_of_au43_close_the_eye(head, units):
    closed = landmark_positions(head.mesh.points + 3 * units["AU43_left"], head.faces, head.embedding)
    opened = landmark_positions(head.mesh.points, head.faces, head.embedding)
    gap = [np.abs(p[[43, 44], 1] - p[[47, 46], 1]).mean() for p in (closed, opened)]
    assert gap[0] < 0.1 * gap[1]
    np.testing.assert_allclose(closed[36:42], opened[36:42], atol=1e-9)


def test_jaw_drop_opens_the_mouth_and_takes_the_chin_along(head, units):
    rest = landmark_positions(head.mesh.points, head.faces, head.embedding)
    moved = landmark_positions(head.mesh.points + 3 * units["AU26"], head.faces, head.embedding)
    assert moved[62, 1] - moved[66, 1] > 15
    assert rest[8, 1] - moved[8, 1] > 15
    np.testing.assert_allclose(moved[17:36], rest[17:36], atol=0.6)
    teeth = head.mesh.part == "teeth_lower"
    assert units["AU26"][teeth, 1].max() < 0
    assert not units["AU26"][head.mesh.part == "teeth_upper"].any()


@pytest.mark.parametrize(
    ("name", "landmark", "axis", "sign"),
    [
        ("AU1", 22, 1, 1),
        ("AU2_left", 25, 1, 1),
        ("AU2_right", 18, 1, 1),
        ("AU4", 22, 0, -1),
        ("AU4", 21, 0, 1),
        ("AU5_left", 43, 1, 1),
        ("AU9", 35, 1, 1),
        ("AU12_left", 54, 0, 1),
        ("AU12_right", 48, 0, -1),
        ("AU12_right", 48, 1, 1),
        ("AU15_left", 54, 1, -1),
        ("AU17", 57, 1, 1),
        ("AU18", 54, 0, -1),
        ("AU20_left", 54, 0, 1),
        ("AU24", 57, 1, 1),
        ("AU25", 66, 1, -1),
        ("AU28", 57, 1, 1),
        ("AU30_left", 8, 0, 1),
        ("AU30_right", 8, 0, -1),
    ],
)
def test_action_units_pull_the_way_the_muscle_does(head, units, name, landmark, axis, sign):
    motion = landmark_positions(units[name], head.faces, head.embedding)[landmark, axis]
    assert sign * motion > 0.15  # mm at alpha = 1


def test_proportions_keep_eyeballs_round_and_lips_closed(head):
    left = (head.mesh.part == "eyeball") & (head.mesh.points[:, 0] > 0)
    radius = np.linalg.norm(head.mesh.points[left] - EYE_CENTRE, axis=1)
    rest = landmark_positions(head.mesh.points, head.faces, head.embedding)
    for name, field in make_proportions(head.mesh).items():
        ball = (head.mesh.points + 3 * field)[left]
        poles = 0.5 * (ball[0] + ball[-1]) - 0.5 * (head.mesh.points[left][0] + head.mesh.points[left][-1])
        grown = np.linalg.norm(ball - EYE_CENTRE - poles, axis=1) / radius
        assert np.ptp(grown) < 0.05, name
        moved = landmark_positions(head.mesh.points + 3 * field, head.faces, head.embedding)
        assert np.abs((moved - rest)[62] - (moved - rest)[66])[1] < 0.3, name
