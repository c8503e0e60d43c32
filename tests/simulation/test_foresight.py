from dataclasses import replace

import numpy as np
import pytest

from au3dmm.simulation.estimate import estimate, make_method
from au3dmm.simulation.foresight import foresight
from au3dmm.simulation.measures import target_codes


@pytest.fixture(scope="module")
def found(recordings, basis):
    return estimate(recordings, basis, make_method())


def test_confidence_is_a_share_and_knows_of_every_frame(recordings, found):
    assert found.confidence.shape == recordings.landmarks.shape[:3]
    assert (found.confidence > 0).all()
    assert (found.confidence < 1).all()


def test_confidence_that_knows_the_error_foretells_it_and_its_opposite_the_opposite(recordings, basis, found):
    truth = target_codes(recordings, basis.metric)
    off = np.random.default_rng(0).uniform(0, 1, found.alpha.shape[:3])
    # an error along one component, as large as `off`
    alpha = truth.copy()
    alpha[..., 0] += 1000 * off
    for sign in (1, -1):
        told = foresight(
            recordings, replace(found, alpha=alpha.astype(np.float32), confidence=-sign * off), basis.metric
        )
        for rank in (told.error, told.still, told.given_motion):
            assert sign * rank > 0.95


def test_without_confidence_there_is_no_rank(recordings, basis, found):
    told = foresight(recordings, replace(found, confidence=None), basis.metric)
    assert np.isnan([told.error, told.still, told.given_motion]).all()
