import numpy as np
import pytest

from au3dmm.core.dictionary import learn_dictionary
from au3dmm.core.offset_space import OffsetSpace, eyelid_weights, plain_dictionary, reduce_offsets, unexplained
from au3dmm.errors import FitError

V = 20
PARTNER = np.concatenate([np.arange(8) + 8, np.arange(8), np.arange(16, V)])  # four on the midline


def space(partner=PARTNER, seed=0):
    scale = np.exp(np.random.default_rng(seed).standard_normal(V)).astype(np.float32)
    return OffsetSpace(np.sqrt(scale * scale[PARTNER]), partner)


def motion(n=600, seed=1, noise=1e-3):
    rng = np.random.default_rng(seed)
    shapes = rng.standard_normal((5, V, 3))
    codes = np.abs(rng.standard_normal((n, 5))) * (rng.random((n, 5)) < 0.4)
    rows = codes @ shapes.reshape(5, -1) + noise * rng.standard_normal((n, 3 * V))
    return rows.astype(np.float32)


def reduce(rows, where, rank):
    return reduce_offsets(lambda block, stride: rows[block * 200 : block * 200 + 200 : stride], [200] * 3, where, rank)


@pytest.mark.parametrize("partner", [None, PARTNER])
def test_turning_is_a_rotation_of_weighted_offsets(partner):
    where, rows = space(partner), motion()
    turned = where.turned(rows)
    weighted = (rows.reshape(-1, V, 3) * where.scale[:, None]).reshape(len(rows), -1)
    assert sum(where.parts) == 3 * V
    np.testing.assert_allclose(turned @ turned.T, weighted @ weighted.T, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(where.unturned(turned), weighted, atol=1e-5)


def test_mirroring_turns_the_sign_of_one_part():
    where, rows = space(), motion()
    first = where.parts[0]
    turned, mirrored = where.turned(rows), where.turned(where.mirrored(rows))
    np.testing.assert_allclose(mirrored[:, :first], turned[:, :first], atol=1e-5)
    np.testing.assert_allclose(mirrored[:, first:], -turned[:, first:], atol=1e-5)


def test_the_reduction_is_the_svd_of_rows_and_mirrored_rows():
    where, rows = space(), motion()
    found = reduce(rows, where, 10)
    both = np.concatenate([rows, where.mirrored(rows)]).reshape(-1, V, 3) * where.scale[:, None]
    singular = np.linalg.svd(both.reshape(len(both), -1).astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(np.sqrt(2) * found.singular_values, singular[:10], rtol=1e-4)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(10), atol=1e-5)
    image = where.mirrored(found.directions)
    np.testing.assert_allclose(image, found.directions * found.parity[:, None], atol=1e-6)


@pytest.mark.parametrize("partner", [None, PARTNER])
def test_energies_are_those_of_offsets_without_weights(partner):
    where, rows = space(partner), motion(noise=0.3)
    found = reduce(rows, where, 8)
    assert found.energy == pytest.approx((rows.astype(np.float64) ** 2).sum(), rel=1e-5)
    left = rows - found.coordinates.astype(np.float64) @ found.plain_directions
    assert found.truncated == pytest.approx((left**2).sum(), rel=0.02)


@pytest.mark.parametrize("partner", [None, PARTNER])
def test_atoms_without_weights_say_the_same(partner):
    where, rows = space(partner), motion()
    found = reduce(rows, where, 10)
    learnt = learn_dictionary(
        found.coordinates, 10, 0.01 * found.rms, epochs=5, directions=found.directions, parity=found.parity
    )
    plain = plain_dictionary(learnt, where)
    np.testing.assert_allclose(np.linalg.norm(plain.atoms, axis=1), 1)
    assert (np.diff(plain.energy) <= 1e-6 * plain.energy[0]).all()
    weighted = plain.codes @ (plain.atoms * np.repeat(where.scale, 3))
    np.testing.assert_allclose(np.sort(weighted, 0), np.sort(learnt.codes @ learnt.atoms, 0), atol=1e-3)
    left = rows - plain.codes @ plain.atoms
    assert unexplained(found, plain) == pytest.approx((left**2).sum(), rel=0.05)
    if partner is not None:
        image = where.mirrored(plain.atoms)
        np.testing.assert_allclose(image, plain.atoms[plain.partner], atol=1e-6)


def test_weights_fall_from_the_lids_to_one():
    landmarks = np.random.default_rng(0).standard_normal((68, 3))
    landmarks[36:48] = 0
    landmarks[36:48, 0] = np.r_[np.linspace(0, 0.03, 6), np.linspace(0.06, 0.09, 6)]
    width = float(landmarks[39, 0] - landmarks[36, 0])
    points = np.array([[0, 0.0, 0], [0, 0.25 * width, 0], [0, 0.6 * width, 0]])
    np.testing.assert_allclose(eyelid_weights(points, landmarks, 9.0), [9, 5, 1], atol=1e-9)
    np.testing.assert_array_equal(eyelid_weights(points, landmarks, 1.0), 1)
    landmarks[36:42] = 0
    with pytest.raises(FitError, match="corners of an eye are one place"):
        eyelid_weights(points, landmarks, 9.0)


def test_partners_of_other_weights_are_refused():
    scale = np.ones(V, np.float32)
    scale[0] = 2
    with pytest.raises(FitError, match="different weights"):
        OffsetSpace(scale, PARTNER)
    with pytest.raises(FitError, match="one positive number"):
        OffsetSpace(np.zeros(V, np.float32))
