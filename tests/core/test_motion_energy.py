"""Events predicted from RGB pictures."""

from __future__ import annotations

import numpy as np
import pytest

from au3dmm.core.motion_energy import MotionEnergy
from au3dmm.errors import FitError


def grey(level: np.ndarray) -> np.ndarray:
    """A picture of which the logarithm of (brightness + 0.02) is `level`."""
    linear = np.clip(np.exp(level) - 0.02, 0, 1)
    return np.repeat(np.rint(255 * linear ** (1 / 2.2)).astype(np.uint8)[..., None], 3, axis=2)


def moved(levels: list[np.ndarray], thresholds: tuple[float, ...] = (0.2,), **more: tuple[int, ...]) -> np.ndarray:
    energy = MotionEnergy(thresholds, **more)
    found = [energy.add(grey(level)) for level in levels]
    assert found[0] is None
    return np.stack(found[1:], axis=2)


def half(change: float, before: float = -1.2) -> np.ndarray:
    """Two thirds of a picture at rest, one that has changed by `change`."""
    level = np.full((30, 60), before)
    level[:10] += change
    return level


def test_as_many_events_are_predicted_as_thresholds_are_passed() -> None:
    energy = moved([half(0), half(0.8)], (0.1, 0.2, 0.4))
    assert energy.shape == (1, 3, 1)
    # of a third of the pixels; a pixel at rest is half a threshold away from the first event on average
    assert 3 * energy[0, :, 0] == pytest.approx([7.5, 3.5, 1.5], rel=0.04)


def test_a_reversal_is_answered_late_as_a_pixel_does() -> None:
    # back in two steps of two thresholds: of the first, one is lost
    on, more, first, second = moved([half(0), half(0.4), half(0.8), half(0.4), half(0)])[0, 0] * 3
    assert on == pytest.approx(1.5, abs=0.1)
    assert more == pytest.approx(2, abs=0.1)
    assert first == pytest.approx(1, abs=0.1)
    assert second == pytest.approx(2, abs=0.1)


def test_changes_below_the_threshold_are_not_counted_again_and_again() -> None:
    rng = np.random.default_rng(0)
    still = [rng.normal(-1.2, 0.02, (30, 60)) for _ in range(50)]
    energy = moved(still)[0, 0]
    assert energy[:2].sum() < 0.2  # some pixels start next to their threshold
    assert energy[20:].mean() < 0.01


@pytest.mark.parametrize("gain", [0.5, 1.3])
def test_what_changes_all_of_the_picture_is_the_camera_itself(gain: float) -> None:
    moving = moved([half(0), half(0.8)])
    shifted = grey(half(0.8)) / 255.0
    energy = MotionEnergy([0.2])
    energy.add(grey(half(0)))
    with_gain = np.rint(255 * np.clip(shifted * gain ** (1 / 2.2), 0, 1)).astype(np.uint8)
    assert energy.add(with_gain)[0, 0] == pytest.approx(moving[0, 0, 0], rel=0.12)


def test_the_box_counts_its_own_part() -> None:
    energy = moved([half(0), half(0.8)], box=(5, 20, 0, 30))
    assert energy.shape == (2, 1, 1)
    assert energy[1, 0, 0] / energy[0, 0, 0] == pytest.approx(5 * 30 / (10 * 60), rel=0.05)


def test_pictures_of_another_size_are_refused() -> None:
    energy = MotionEnergy([0.2])
    energy.add(grey(half(0)))
    with pytest.raises(FitError, match=r"motion: a picture of \(30, 59\) after one of \(30, 60\)"):
        energy.add(grey(half(0))[:, :59])
