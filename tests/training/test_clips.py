"""Clips: every frame beside its own label, padding on the left, gaps known as gaps, changes the same for any worker."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.training_labels import read_training_labels
from au3dmm.training.clips import Clips, collate, cut_into_clips, make_mirror, sessions_of
from au3dmm.training.order import Batches
from au3dmm.training.pictures import Scaling
from au3dmm.training_config import AugmentParams, DataParams
from training_run import UNITS, K, alpha_of, pixels_of, write_training_run

POLARITY = Scaling("polarity", 1, 1 / 128, 128.0)
STILL = AugmentParams(crop_min=1.0)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return read_training_labels(write_training_run(tmp_path_factory.mktemp("run"), people=2, n=12))


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    return read_training_labels(write_training_run(tmp_path_factory.mktemp("run"), people=4, n=5, folds=4))


def clips(labels, data, **more):
    sources = [session.event_frames("polarity") for session in labels.sessions]
    return Clips(labels, range(len(labels.sessions)), data, UNITS, sources, POLARITY, **more)


def test_frames_and_labels_of_a_clip_are_those_of_its_numbers(labels):
    made = clips(labels, DataParams(n_frames=5, stride=3, image_px=16))
    assert [place for place in made.places if place[0] == 6] == [(6, 0, 5), (6, 3, 5), (6, 6, 5), (6, 7, 5)]
    at = made.places.index((6, 3, 5))
    item = made[0, at]
    assert item["clip"] == ("S1_AU51", 3)
    assert item["label"] == 2
    assert item["known"].tolist() == [False, True, True, True, True]
    assert not item["padding"].any()
    np.testing.assert_array_equal(item["alpha"][1:], alpha_of(2, 12)[4:8])
    np.testing.assert_array_equal(item["alpha"][0], np.zeros(K))
    np.testing.assert_array_equal(item["pixels"], [pixels_of(2, i, 16) for i in range(3, 8)])


def test_every_second_frame_spans_twice_as_long(labels):
    item = clips(labels, DataParams(n_frames=5, every=2, image_px=16))[0, 1]  # the last clip: 3, 5, ..., 11
    assert item["clip"] == ("S0_AU1", 3)
    assert item["pixels"][:, 0, 0, 0].tolist() == [3, 5, 7, 9, 11]
    np.testing.assert_array_equal(item["alpha"][1:], alpha_of(0, 12)[5::2])


def test_short_recordings_are_padded_on_the_left_and_shown_as_nothing(labels):
    item = clips(labels, DataParams(n_frames=15, image_px=16))[0, 0]
    assert item["padding"].tolist() == [True] * 3 + [False] * 12
    assert not item["known"][:3].any()
    batch = collate([item, item])
    frames = POLARITY.apply(batch["pixels"], batch["gain"], batch["bias"], batch["padding"])
    assert (frames[:, :3] == 0).all()
    assert frames[0, 3, 0, 12, 12] == 0.5  # no event
    assert frames[0, 3, 0, 2, 2] == pytest.approx(0.5 + 127 / 256)  # brighter
    assert frames.shape == (2, 15, 1, 16, 16)


def test_models_of_coefficients_get_gaps_filled_by_the_value_before(labels):
    made = Clips(labels, [0], DataParams(n_frames=14), UNITS)
    item = made[0, 0]
    assert "pixels" not in item
    seen, alpha = item["coefficients"], alpha_of(0, 12)
    np.testing.assert_array_equal(seen[2 + 3], alpha[2])  # frame 3 has no label
    np.testing.assert_array_equal(seen[2 + 4], alpha[4])
    np.testing.assert_array_equal(seen[:2], np.stack([alpha[0]] * 2))


def test_clips_without_a_single_label_are_left_out_and_named(tmp_path):
    labels = read_training_labels(write_training_run(tmp_path, people=1, n=8, lost=(0, 1, 2, 3)))
    made = clips(labels, DataParams(n_frames=4, image_px=16))
    assert made.unlabelled == [(f"S0_{au}", 0) for au in UNITS]
    assert [first for _, first, _ in made.places] == [4] * 4


def test_a_mirrored_clip_has_the_mirrored_labels_and_pictures(labels):
    data = DataParams(n_frames=5, image_px=16)
    mirror = make_mirror(labels, UNITS)
    plain, flipped = clips(labels, data), clips(labels, data, augment=AugmentParams(crop_min=1, flip=1), mirror=mirror)
    for number in range(len(plain)):
        a, b = plain[0, number], flipped[0, number]
        assert b["label"] == {0: 0, 1: 1, 2: 3, 3: 2}[a["label"]]
        np.testing.assert_array_equal(b["alpha"], a["alpha"][:, [0, 1, 3, 2]])
        np.testing.assert_array_equal(b["alpha_std"], a["alpha_std"][:, [0, 1, 3, 2]])
        np.testing.assert_array_equal(b["pixels"], a["pixels"].flip(-1))


def test_flipping_without_a_mirror_is_refused_in_one_line(tmp_path, labels):
    with pytest.raises(ConfigError, match=r"class AU51 is AU52 in a mirrored picture, which is none of AU1, AU51; set"):
        make_mirror(labels, ["AU1", "AU51"])
    basis = {"basis": {"file_hash": "x", "k_au": K}}
    bare = read_training_labels(write_training_run(tmp_path, people=1, n=4, metadata=basis))
    with pytest.raises(ConfigError, match=r"does not say what alpha_au of a mirrored face is.*augment\.flip = 0"):
        make_mirror(bare, UNITS)


def test_any_number_of_workers_gives_the_same_clips(labels):
    augment = AugmentParams(crop_min=0.3, contrast=0.5, brightness=0.3, event_dropout=0.5)
    made = clips(labels, DataParams(n_frames=4, image_px=12), augment=augment, seed=3)
    batches = []
    for workers in (0, 2):
        order = Batches(len(made), 5, 3, shuffle=True)
        order.epoch = 7
        loader = DataLoader(made, batch_sampler=order, num_workers=workers, collate_fn=collate)
        batches.append(list(loader))
    for a, b in zip(*batches, strict=True):
        assert a["clip"] == b["clip"]
        assert all(torch.equal(a[name], b[name]) for name in a if name not in ("clip", "occurrence"))
    again = made[8, 0]["pixels"], made[7, 0]["pixels"]
    assert not torch.equal(*again)  # another epoch, another crop


def test_events_are_lost_in_the_same_share_in_all_frames(labels):
    made = clips(labels, DataParams(n_frames=12, image_px=64), augment=AugmentParams(crop_min=1, event_dropout=0.9))
    whole = clips(labels, DataParams(n_frames=12, image_px=64))
    a, b = made[0, 1]["pixels"], whole[0, 1]["pixels"]
    gone = (a == 128) & (b == 255)
    share = gone.sum((1, 2, 3)) / (b == 255).sum((1, 2, 3))
    assert 0.05 < share.mean() < 0.9
    assert share.std() < 0.04
    assert not torch.equal(gone[0], gone[1])  # other pixels in each frame


def test_folds_are_train_val_and_test_without_a_person_in_two(folded):
    data = DataParams(fold=3)
    parts = {
        part: {folded.sessions[i].fold for i in sessions_of(folded, part, data)} for part in ("train", "val", "test")
    }
    assert parts == {"test": {3}, "val": {0}, "train": {1, 2}}
    without = data.model_copy(update={"fold_val": False})
    parts = {
        part: {folded.sessions[i].fold for i in sessions_of(folded, part, without)} for part in ("train", "val", "test")
    }
    assert parts == {"test": {3}, "val": set(), "train": {0, 1, 2}}
    with pytest.raises(ConfigError, match=r"4 folds and no splits; say which to test on: data\.fold=0"):
        sessions_of(folded, "train", DataParams())
    with pytest.raises(ConfigError, match=r"data\.fold = 4, but there are folds 0 to 3"):
        sessions_of(folded, "train", DataParams(fold=4))


def test_frames_that_are_not_there_are_named_by_the_reader(labels):
    made = clips(labels, DataParams(n_frames=5, image_px=16))
    made._sources = [path.with_name("event_frames.voxel.parquet") for path in made._sources]
    with pytest.raises(SchemaError, match=r"voxel\.parquet: no such file"):
        made[0, 0]


@pytest.mark.parametrize("every", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 7, 16, 40])
def test_clips_of_all_frames_show_each_frame_and_are_spaced_as_in_training(n, every):
    data = DataParams(n_frames=4, every=every, stride=every * 3)
    clips = cut_into_clips(n, data, all_frames=True)
    shown = [range(first, first + every * count, every) for first, count in clips]
    assert {i for frames in shown for i in frames} == set(range(n))
    assert len(set(clips)) == len(clips)
    whole = n >= every * 4
    assert all(count == 4 for _, count in clips) if whole else all(count <= 4 for _, count in clips)
    if every == 1:
        assert clips == cut_into_clips(n, data)
