import random
from collections import Counter

import pytest

from au3dmm.core.splits import (
    Clip,
    Part,
    assign_parts,
    check_no_leak,
    find_leaks,
    split_by_subject,
    split_by_video,
    split_in_folds,
)
from au3dmm.errors import ConfigError

AUS = [f"AU{i}" for i in range(1, 25)]
SUBJECTS = [f"S{i:03d}" for i in range(64)]


def everybody_shows_everything(subjects=SUBJECTS, runs=2):
    return [Clip(f"{s}_{au}_{r}", s, au) for s in subjects for au in AUS for r in range(runs)]


def everybody_shows_some(subjects=SUBJECTS, n=6):
    return [Clip(f"{s}_{au}", s, au) for s in subjects for au in random.Random(s).sample(AUS, n)]


def subjects_with(clips, split_of, name):
    shown = {}
    for clip in clips:
        if split_of[clip.subject_id] == name:
            shown.setdefault(clip.stratum, set()).add(clip.subject_id)
    return {au: len(who) for au, who in shown.items()}


def test_shares_are_met_to_a_subject():
    split = split_by_subject(everybody_shows_everything(), seed=0, val=0.1, test=0.2)
    assert Counter(split.values()) == {"train": 45, "val": 6, "test": 13}


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_recordings_does_not_matter(seed):
    clips = everybody_shows_some()
    shuffled = random.Random(seed).sample(clips, len(clips))
    for method in ("subject", "video", "kfold"):
        how = {"method": method, "seed": 1, "val": 0.1, "test": 0.2, "folds": 4}
        assert assign_parts(clips, **how) == assign_parts(shuffled, **how)


def test_another_seed_gives_another_split():
    clips = everybody_shows_everything()
    splits = {tuple(sorted(split_by_subject(clips, seed=s, val=0.1, test=0.2).items())) for s in range(10)}
    assert len(splits) == 10


@pytest.mark.parametrize("seed", range(8))
def test_a_subject_who_joins_moves_at_most_one_other_per_border(seed):
    before = split_by_subject(everybody_shows_everything(), seed=seed, val=0.1, test=0.2)
    after = split_by_subject(everybody_shows_everything([*SUBJECTS, "new"]), seed=seed, val=0.1, test=0.2)
    assert sum(before[s] != after[s] for s in SUBJECTS) <= 2
    folds = split_in_folds(everybody_shows_everything(), seed=seed, folds=5)
    more = split_in_folds(everybody_shows_everything([*SUBJECTS, "new"]), seed=seed, folds=5)
    assert sum(folds[s] != more[s] for s in SUBJECTS) <= 4


@pytest.mark.parametrize("seed", range(4))
def test_action_units_are_spread_where_subjects_show_different_ones(seed):
    clips = everybody_shows_some()
    split = split_by_subject(clips, seed=seed, val=0.1, test=0.2)
    total = subjects_with(clips, dict.fromkeys(SUBJECTS, "all"), "all")
    for name, size in (("train", 45), ("val", 6), ("test", 13)):
        shown = subjects_with(clips, split, name)
        for au in AUS:
            due = total[au] * size / 64
            assert abs(shown.get(au, 0) - due) <= max(1, 0.1 * due) + 0.25, (name, au)  # subjects
            assert shown.get(au, 0) > 0, f"{name} has nobody with {au}"


def test_exchanges_are_needed_for_that():
    # the same subjects, split by hash alone (one stratum): some part lacks some action unit
    clips = everybody_shows_some()
    plain = split_by_subject([Clip(c.session_id, c.subject_id) for c in clips], seed=0, val=0.1, test=0.2)
    assert any(len(subjects_with(clips, plain, name)) < len(AUS) for name in ("val", "test"))


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, {"train": 1}),
        (2, {"train": 1, "test": 1}),
        (3, {"train": 1, "val": 1, "test": 1}),
        (10, {"train": 7, "val": 1, "test": 2}),
    ],
)
def test_few_subjects_give_train_first_then_test_then_val(n, expected):
    clips = everybody_shows_everything(SUBJECTS[:n])
    assert Counter(split_by_subject(clips, seed=3, val=0.1, test=0.2).values()) == expected


def test_nobody_at_all_is_split_into_nothing():
    assert split_by_subject([], seed=0, val=0.1, test=0.2) == {}
    assert split_by_video([], seed=0, val=0.1, test=0.2) == {}


def test_a_part_without_a_share_gets_nobody():
    split = split_by_subject(everybody_shows_everything(), seed=0, val=0, test=0.25)
    assert Counter(split.values()) == {"train": 48, "test": 16}


def test_folds_are_of_equal_size_and_need_a_subject_each():
    folds = split_in_folds(everybody_shows_everything(), seed=0, folds=5)
    assert sorted(Counter(folds.values()).values()) == [12, 13, 13, 13, 13]
    with pytest.raises(ConfigError, match="2 subjects for 3 folds"):
        split_in_folds(everybody_shows_everything(SUBJECTS[:2]), seed=0, folds=3)


def test_by_video_every_action_unit_is_split_80_20_and_subjects_leak():
    clips = everybody_shows_everything()
    split = split_by_video(clips, seed=0, val=0, test=0.2)
    assert Counter(split.values())["test"] == round(0.2 * len(clips))
    for au in AUS:
        n = sum(split[clip.session_id] == "test" for clip in clips if clip.stratum == au)
        assert abs(n - 0.2 * 128) < 1
    parts = [(clip.session_id, clip.subject_id, Part(split[clip.session_id])) for clip in clips]
    assert len(find_leaks(parts)) == 64


@pytest.mark.parametrize("seed", range(5))
def test_by_video_a_recording_that_joins_moves_three_at_most(seed):
    clips = everybody_shows_everything()
    before = split_by_video(clips, seed=seed, val=0.1, test=0.2)
    after = split_by_video([*clips, Clip("new", "S000", "AU3")], seed=seed, val=0.1, test=0.2)
    assert sum(before[name] != after[name] for name in before) <= 6  # three per border


def test_a_leak_is_refused_with_both_recordings():
    parts = [("a", "S1", Part("train")), ("b", "S2", Part("test")), ("c", "S1", Part("test"))]
    with pytest.raises(ConfigError, match=r"'S1' is in two parts of the split: a in train and c in test"):
        check_no_leak(parts)
    check_no_leak(parts[:2])
    with pytest.raises(ConfigError, match="fold 0"):
        check_no_leak([("a", "S1", Part(None, 0)), ("b", "S1", Part(None, 1))])
