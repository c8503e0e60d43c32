import numpy as np

from au3dmm.evaluation.intervals import bootstrap


def test_videos_of_one_person_widen_the_interval():
    rng = np.random.default_rng(0)
    person = rng.normal(size=20)
    values = np.repeat(person, 50) + 0.01 * rng.normal(size=1000)
    mean = lambda rows: {"mean": float(values[rows].mean())}  # noqa: E731
    by_person = bootstrap([f"S{i // 50}" for i in range(1000)], mean)["mean"]
    by_video = bootstrap([f"V{i}" for i in range(1000)], mean)["mean"]
    assert by_person.value == by_video.value
    wide, narrow = by_person.high - by_person.low, by_video.high - by_video.low
    assert wide > 5 * narrow
    assert abs(wide - 2 * 1.96 * person.std() / np.sqrt(20)) < 0.25 * wide


def test_the_interval_covers_what_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(100):
        values = rng.normal(size=60)
        mean = lambda rows, v=values: {"m": float(v[rows].mean())}  # noqa: E731
        found = bootstrap([str(i) for i in range(60)], mean, seed=seed, resamples=300)["m"]
        covered += found.low <= 0 <= found.high
    assert 88 <= covered <= 99


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(2).normal(size=40)
    subjects = [str(i // 2) for i in range(40)]
    mean = lambda rows: {"m": float(values[rows].mean())}  # noqa: E731
    assert bootstrap(subjects, mean, seed=3) == bootstrap(subjects, mean, seed=3)
    assert bootstrap(subjects, mean, seed=3) != bootstrap(subjects, mean, seed=4)


def test_one_person_gives_no_interval():
    found = bootstrap(["S1"] * 4, lambda rows: {"n": float(len(rows))})["n"]
    assert found.value == 4.0
    assert np.isnan([found.low, found.high]).all()


def test_resamples_in_which_a_number_is_missing_are_left_out():
    values = {"a": 1.0, "b": float("nan")}
    subjects = ["a", "b"]

    def mean(rows):
        some = [values[subjects[i]] for i in rows]
        return {"m": float(np.nanmean(some)) if np.isfinite(some).any() else float("nan")}

    found = bootstrap(subjects, mean)["m"]
    assert found.low == found.high == 1.0
