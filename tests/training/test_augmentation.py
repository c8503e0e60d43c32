"""Changes: within their bounds, for (seed, epoch, clip) alone."""

import numpy as np
import pytest

from au3dmm.training.augmentation import draw_change, other_side
from au3dmm.training_config import AugmentParams

PARAMS = AugmentParams(crop_min=0.4, flip=0.25, contrast=0.3, brightness=0.2, event_dropout=0.5)


@pytest.fixture(scope="module")
def drawn():
    return [draw_change(PARAMS, 0, epoch, clip) for epoch in range(4) for clip in range(250)]


def test_crops_lie_within_the_frame_and_have_the_area_and_sides_that_were_asked_for(drawn):
    top, left, height, width = np.array([change.box for change in drawn]).T
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 1 + 1e-12
    area = height * width
    assert 0.4 <= area.min() < 0.42
    assert 0.98 < area.max() <= 1
    assert 1.3 < (height / width).max() <= 4 / 3 + 1e-9
    assert 1.3 < (width / height).max() <= 4 / 3 + 1e-9


def test_other_changes_fill_their_ranges(drawn):
    assert np.mean([c.flip for c in drawn]) == pytest.approx(0.25, abs=0.05)
    for name, low, high in (("gain", 0.7, 1.3), ("bias", -0.2, 0.2), ("dropout", 0.0, 0.5)):
        values = np.array([getattr(change, name) for change in drawn])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high


def test_seed_epoch_and_clip_each_change_what_is_drawn():
    one = draw_change(PARAMS, 1, 2, 3)
    assert one == draw_change(PARAMS, 1, 2, 3)
    assert len({one, draw_change(PARAMS, 2, 2, 3), draw_change(PARAMS, 1, 3, 3), draw_change(PARAMS, 1, 2, 4)}) == 4


def test_asking_for_less_leaves_the_rest_as_it_was():
    changed, plain = draw_change(PARAMS, 1, 2, 3), draw_change(AugmentParams(crop_min=0.4), 1, 2, 3)
    assert changed.box == plain.box
    assert (plain.flip, plain.gain, plain.bias, plain.dropout) == (False, 1.0, 0.0, 0.0)


def test_two_flips_are_none():
    for name in ("AU51", "AU52", "AU55", "AU56", "AU12", "AU12_left", "AU2_right", "smile"):
        assert other_side(other_side(name)) == name
