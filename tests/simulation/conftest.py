"""A small family of faces, recordings of two of its members, and a basis: made once."""

import pytest

from au3dmm.config import BasesParams
from au3dmm.simulation.conditions import Condition
from au3dmm.simulation.faces import demo_family
from au3dmm.simulation.recordings import simulate
from au3dmm.simulation.training import learn_basis


@pytest.fixture(scope="session")
def family():
    return demo_family()


@pytest.fixture(scope="session")
def recordings(family):
    return simulate(family, Condition(starts_active=0.2), seed=3, subjects=2, frames=40)


@pytest.fixture(scope="session")
def basis(family):
    return learn_basis(family, params=BasesParams(k_au=(12,), epochs=3, rank=40), frames=800)
