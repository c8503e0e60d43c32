"""Folds of a cross-validation as one set of answers."""

import dataclasses

import numpy as np
import pytest

from au3dmm.evaluation.occurrence import Occurrence
from au3dmm.evaluation.pooling import pool
from au3dmm.evaluation.regression import stack_sums, sum_frames
from au3dmm.evaluation.summary import Outcome, summarise

NAMES = ("a.pt", "b.pt", "c.pt")


def whole(n=60, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), n)
    sums = stack_sums([sum_frames(y := rng.normal(size=(5, 2)), y + 0.1, np.ones(5, bool)) for _ in range(n)])
    units = Occurrence(
        ("AU1", "AU2"),
        np.repeat(np.arange(n), 5),
        rng.integers(-1, 2, (5 * n, 2)).astype(np.int8),
        rng.uniform(size=(5 * n, 2)),
    )
    subjects = tuple(f"S{i // 10}" for i in range(n))
    return Outcome(tuple(map(str, range(n))), subjects, ("x", "y", "z"), rng.integers(3, size=n), p, sums, units)


def cut(outcome, first, last):
    rows, said = np.arange(first, last), outcome.occurrence
    mine = (said.video >= first) & (said.video < last)
    units = Occurrence(said.names, said.video[mine] - first, said.truth[mine], said.probability[mine])
    return Outcome(
        outcome.sessions[first:last], outcome.subjects[first:last], outcome.classes, outcome.labels[rows],
        outcome.probabilities[rows], outcome.alpha[rows], units,
    )  # fmt: skip


def test_folds_together_are_what_one_model_would_have_said():
    one = whole()
    folds = [cut(one, 0, 20), cut(one, 20, 30), cut(one, 30, 60)]
    assert summarise(pool(folds, NAMES), resamples=30) == summarise(one, resamples=30)


def test_one_fold_is_itself_and_missing_heads_stay_missing():
    one = dataclasses.replace(whole(), probabilities=None, alpha=None)
    found = pool([cut_units(one, 0, 30), cut_units(one, 30, 60)], NAMES[:2])
    assert found.probabilities is None
    assert found.alpha is None
    assert summarise(found, resamples=5) == summarise(one, resamples=5)


def cut_units(outcome, first, last):
    full = cut(whole(), first, last)
    return dataclasses.replace(full, probabilities=None, alpha=None)


def test_folds_that_share_a_person_are_refused():
    one = whole()
    with pytest.raises(ValueError, match=r"b\.pt and a\.pt were both asked about S1; expected folds without a person"):
        pool([cut(one, 0, 20), cut(one, 15, 30)], NAMES[:2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ("x", "y", "w")}, "classes: x, y, w; a.pt: x, y, z"),
        ({"alpha": None}, "a head for coefficients: 0; a.pt: 2"),
        ({"occurrence": None}, "units: none; a.pt: AU1, AU2"),
        ({"probabilities": None}, "a head for classes: no; a.pt: yes"),
    ],
)
def test_models_that_tell_different_things_are_refused(change, words):
    one = whole()
    with pytest.raises(ValueError, match=words):
        pool([cut(one, 0, 20), dataclasses.replace(cut(one, 20, 40), **change)], NAMES[:2])
