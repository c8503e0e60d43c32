import numpy as np

from au3dmm.simulation.conditions import Condition
from au3dmm.simulation.faces import FACIAL_UNITS
from au3dmm.simulation.intensities import agreement, learn_reading, measure_intensities, summary, true_intensities
from au3dmm.simulation.recordings import simulate
from au3dmm.simulation.tagged import record_tagged


def test_tags_say_what_is_shown_and_on_which_side(family):
    corpus = record_tagged(family, actors=2)
    for take, tags in zip(corpus.takes, corpus.tags, strict=True):
        shown = corpus.shown[take].max(0)
        for u, unit in enumerate(FACIAL_UNITS):
            sides = shown[u] > 1e-9
            expected = [unit in tags or f"{unit}_{side}" in tags for side in ("left", "right")]
            if len({*expected}) == 2:
                assert sides.tolist() == expected
            else:
                assert sides.any() == any(expected)


def test_observable_intensities_are_read_better_than_others_and_the_truth_has_no_error(family, basis):
    reading = learn_reading(family, basis, actors=3)
    seen = simulate(family, Condition(noise_px=0.3), seed=3, subjects=1, frames=20)
    truth = true_intensities(reading, seen, family, 3)
    assert truth.shape == (1, 24, 20, len(reading.reader.names))
    assert truth.min() >= 0
    c = FACIAL_UNITS.index("AU12")
    at = reading.reader.names.index("AU12")
    assert 1 < truth[0, c, :, at].max() < 9
    assert truth[0, c].max(0).argmax() in (at, at + 1, at + 2)
    from au3dmm.simulation.estimate import estimate, make_method

    measures = measure_intensities(
        reading, basis, family, estimate(seen, basis, make_method()), truth, jaw_weight=0.5, sigma_px=0.7
    )
    assert set(measures) == set(reading.reader.names)
    assert summary(measures, "observable", "correlation") > summary(measures, "unobservable", "correlation")


def test_agreement_knows_of_scale_where_correlation_does_not():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(1000)
    assert np.isclose(agreement(x, x + 3), 1)
    assert np.isclose(agreement(x, 3 * x), 0.6, atol=0.01)
    assert abs(agreement(x, rng.standard_normal(1000))) < 0.1
