import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.core.neutrals import find_medoid, register_neutrals, suspects
from au3dmm.core.offsets import frame_offsets
from au3dmm.core.registration import register_frames
from au3dmm.errors import FitError
from au3dmm.io.assets import read_default_head


@pytest.fixture(scope="module")
def head():
    return read_default_head().vertices[::7]


def moved(points, seed, degrees=15.0):
    rng = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(np.radians(degrees) * rng.standard_normal(3) / np.sqrt(3)).as_matrix()
    return points @ turn.T + 0.05 * rng.standard_normal(3)


def opened(head, size=0.01):
    """The lower face moves down and back, as an open jaw does."""
    jaw = 1 / (1 + np.exp((head[:, 1] + 0.06) / 0.005)) * (head[:, 2] > 0)
    return head - size * jaw[:, None] * [0, 1, 0.5]


def test_a_moved_head_is_brought_back_exactly(head):
    frames = np.stack([moved(head, seed) for seed in range(5)])
    rotation, translation = register_frames(frames, head)
    back = np.einsum("nij,nvj->nvi", rotation, frames) + translation[:, None]
    np.testing.assert_allclose(back, np.broadcast_to(head, back.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)


def test_an_open_jaw_hardly_moves_the_registration(head):
    frames = np.stack([moved(opened(head), seed) for seed in range(4)])
    still = opened(head) == head
    robust = register_frames(frames, head)
    plain = register_frames(frames, head, iterations=1)

    def error(motion):
        back = np.einsum("nij,nvj->nvi", motion[0], frames) + motion[1][:, None]
        return np.sqrt(((back - head)[:, still.all(1)] ** 2).sum(2).mean())

    assert error(robust) < 5e-5  # m
    assert error(robust) < 0.1 * error(plain)


def test_the_medoid_is_the_head_in_the_middle(head):
    rng = np.random.default_rng(0)
    heads = np.stack([moved(head + 2e-4 * rng.standard_normal(head.shape), seed) for seed in range(6)])
    heads[2] = moved(opened(head, 0.02), 9)
    found = find_medoid(heads)
    assert found.index != 2
    assert suspects(found.distance).tolist() == [False, False, True, False, False, False]
    np.testing.assert_array_equal(found.head, heads[found.index])


def test_of_two_the_far_one_is_no_excuse_for_itself():
    assert suspects(np.array([0.0001, 0.005])).tolist() == [False, True]
    assert suspects(np.array([0.005])).tolist() == [True]
    assert suspects(np.array([0.001, 0.0014])).tolist() == [False, False]
    assert suspects(np.zeros(0)).shape == (0,)


def test_neutrals_are_registered_to_each_other_and_keep_their_size(head):
    rng = np.random.default_rng(1)
    shapes = [head * scale + 1e-3 * rng.standard_normal(head.shape) for scale in (0.95, 1.0, 1.05)]
    heads = np.stack([moved(shape, i, degrees=8) for i, shape in enumerate(shapes)])
    registered, rotation, translation = register_neutrals(heads, head)
    np.testing.assert_allclose(
        np.einsum("nij,nvj->nvi", rotation, heads) + translation[:, None], registered, atol=1e-12
    )
    sizes = np.linalg.norm(registered - registered.mean(1, keepdims=True), axis=(1, 2))
    assert sizes[2] / sizes[0] == pytest.approx(1.05 / 0.95, rel=1e-2)
    assert np.sqrt(((registered.mean(0) - head) ** 2).sum(1).mean()) < 1e-3


def test_offsets_are_frames_minus_their_own_neutral(head):
    rng = np.random.default_rng(2)
    neutrals = np.stack([head, 1.1 * head])
    which = np.array([0, 1, 1])
    frames = neutrals[which] + 1e-3 * rng.standard_normal((3, *head.shape))
    turn = np.stack([Rotation.from_rotvec(v).as_matrix() for v in rng.standard_normal((3, 3))])
    shift = rng.standard_normal((3, 3)) * 0.1
    posed = np.einsum("nji,nvj->nvi", turn, frames - shift[:, None])
    found = frame_offsets(posed, turn, shift, neutrals, which)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.reshape(frames.shape), frames - neutrals[which], atol=1e-7)


def test_what_does_not_fit_together_is_refused(head):
    eye, zero = np.eye(3)[None], np.zeros((1, 3))
    with pytest.raises(FitError, match="names neutral 2, but there are 1"):
        frame_offsets(head[None], eye, zero, head[None], np.array([2]))
    with pytest.raises(FitError, match="disagree"):
        frame_offsets(head[None, :-1], eye, zero, head[None], np.array([0]))
    with pytest.raises(FitError, match="expected \\(n, V, 3\\)"):
        register_frames(head[None, :-1], head)
    with pytest.raises(FitError, match="lie on a line"):
        register_frames(head[None], np.outer(np.arange(len(head)), [1.0, 2, 3]))
    with pytest.raises(FitError, match="not finite"):
        register_frames(np.full((1, *head.shape), np.nan), head)
    with pytest.raises(FitError, match="no candidates"):
        find_medoid(np.zeros((0, 5, 3)))
