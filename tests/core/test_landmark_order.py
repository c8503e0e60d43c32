import numpy as np
import pytest

from au3dmm.core.landmark_order import check_landmarks68
from au3dmm.core.landmarks import MIRROR, landmark_positions
from au3dmm.errors import SchemaError
from au3dmm.io.assets import read_default_head
from au3dmm.io.mesh import read_mesh
from au3dmm.io.pickles import read_pickle


@pytest.fixture(scope="module")
def points():
    head = read_default_head()
    return landmark_positions(head.vertices, head.faces, head.embedding)


def test_the_landmarks_of_a_head_pass_in_any_unit_and_place(points):
    check_landmarks68(points)
    check_landmarks68(1000 * points + [5, 1500, -3])


@pytest.mark.shared
def test_heads_of_other_makers_pass(shared_data):
    mesh = read_mesh(shared_data / "flame_format" / "template.ply")
    data = read_pickle(shared_data / "flame_format" / "flame_static_embedding_68.pkl")
    corners = mesh.vertices[mesh.faces[data["lmk_face_idx"]]]
    check_landmarks68(np.einsum("ncd,nc->nd", corners, data["lmk_b_coords"]))
    with np.load(shared_data / "ict_facekit.npz") as ict:
        chosen = ict["lmk68"]
        neutral, modes = ict["neutral"][chosen], ict["identity"][:, chosen]
    rng = np.random.default_rng(0)
    for _ in range(100):  # people differ, and none is symmetric
        check_landmarks68(neutral + np.tensordot(1.5 * rng.normal(size=len(modes)), modes, axes=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p * [-1, 1, 1], "left and right are exchanged"),
        (lambda p: p[MIRROR], "left and right are exchanged"),
        (lambda p: p * [-1, 1, -1], r"nose tip \(30\) lies .* does not look along z"),
        (lambda p: p * [1, -1, -1], "a head without y up"),
        (lambda p: p[:, [0, 2, 1]] * [1, -1, 1], "does not look along z|without y up"),
        (lambda p: np.roll(p, 1, axis=0), "order of points|iBUG order"),
        (lambda p: np.concatenate([p[17:], p[:17]]), "another order of points"),
        (lambda p: p[[*range(36), *range(42, 48), *range(36, 42), *range(48, 68)]], "another order|mirror partner"),
        (lambda p: p[[*range(37), 41, 40, 39, 38, 37, 42, 47, 46, 45, 44, 43, *range(48, 68)]], "iBUG order|order of"),
        (lambda p: p + 0.02 * np.eye(3)[0] * (np.arange(68) == 50)[:, None], "point (50|52) "),
        (lambda p: p * 0, "one point"),
        (lambda p: p * np.nan, "expected"),
        (lambda p: p[:51], r"landmarks \(51, 3\), expected \(68, 3\)"),
    ],
)
def test_what_is_wrong_with_other_points_is_said(points, change, message):
    with pytest.raises(SchemaError, match=message):
        check_landmarks68(change(points))


def test_two_points_exchanged_are_nearly_always_noticed(points):
    """Two neighbours on the midline, or inside one lip, are as near as two annotations of the same point may be."""
    rng = np.random.default_rng(0)
    noticed = 0
    for _ in range(200):
        a, b = rng.choice(68, 2, replace=False)
        swapped = points.copy()
        swapped[[a, b]] = swapped[[b, a]]
        try:
            check_landmarks68(swapped)
        except SchemaError:
            noticed += 1
    assert noticed > 180
