"""Changes of a training clip that keep its meaning: the same for all of its frames, drawn for (seed, epoch, clip)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError
from au3dmm.training_config import AugmentParams

_OTHER_SIDE = {"AU51": "AU52", "AU55": "AU56", "AU61": "AU62", "M55": "M56", "M61": "M62"}
"""Units that are to one side by themselves: head turned and tilted, eyes turned (left, right)."""
_PAIRS = {**_OTHER_SIDE, **{right: left for left, right in _OTHER_SIDE.items()}}


@dataclass(frozen=True)
class Change:
    """What is done to a clip.

    Attributes
    ----------
    box : (float, float, float, float)
        The square that is seen: top, left, height, width, as shares of the frame.
    flip : bool
        Whether it is mirrored left to right, after the crop.
    gain, bias : float
        Values become ``gain * value + bias``.
    dropout : float
        Share of pixels that lose their events.
    seed : int
        Of the pixels that do.
    """

    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    flip: bool = False
    gain: float = 1.0
    bias: float = 0.0
    dropout: float = 0.0
    seed: int = 0


def draw_change(params: AugmentParams, seed: int, epoch: int, clip: int) -> Change:
    """Draw what is done to a clip in an epoch: a function of its arguments and nothing else.

    Crops have an area of ``crop_min`` to 1 and sides of 3/4 to 4/3 to each other, as in the published training.

    Examples
    --------
    >>> draw_change(AugmentParams(), 0, 1, 7) == draw_change(AugmentParams(), 0, 1, 7)
    True
    >>> draw_change(AugmentParams(crop_min=1.0), 0, 1, 7)
    Change(box=(0.0, 0.0, 1.0, 1.0), flip=False, gain=1.0, bias=0.0, dropout=0.0, seed=...)
    """
    rng = np.random.default_rng([1, seed, epoch, clip])  # 1: of changes; the order of clips has numbers of its own
    u = rng.random(8)  # all at once: one value more or less to draw would change all others
    area = params.crop_min + (1 - params.crop_min) * u[0]
    most = min(math.log(4 / 3), -math.log(area))  # beyond it the crop is longer than the frame
    side = math.exp((2 * u[1] - 1) * most / 2)
    height, width = math.sqrt(area) * side, math.sqrt(area) / side
    return Change(
        box=(float((1 - height) * u[2]), float((1 - width) * u[3]), float(height), float(width)),
        flip=bool(u[4] < params.flip),
        gain=float(1 + params.contrast * (2 * u[5] - 1)),
        bias=float(params.brightness * (2 * u[6] - 1)) + 0.0,  # not -0.0
        dropout=float(params.event_dropout * u[7]),
        seed=int(rng.integers(1 << 62)),
    )


def other_side(name: str) -> str:
    """Return what an action unit is in a mirrored picture.

    Examples
    --------
    >>> [other_side(name) for name in ("AU51", "AU12", "AU12_left", "AU56", "AU10_right")]
    ['AU52', 'AU12', 'AU12_right', 'AU55', 'AU10_left']
    """
    for end, other in (("_left", "_right"), ("_right", "_left")):
        if name.endswith(end):
            return name.removesuffix(end) + other
    return _PAIRS.get(name, name)


def mirrored_places(names: Sequence[str], what: str) -> NDArray[np.int64]:
    """Return, for each name, the place of what it is in a mirrored picture.

    Raises
    ------
    ConfigError
        If that is not among the names.

    Examples
    --------
    >>> mirrored_places(["AU12", "AU51", "AU52"], "class")
    array([0, 2, 1])
    """
    place = {name: i for i, name in enumerate(names)}
    for name in names:
        if other_side(name) not in place:
            raise ConfigError(
                f"augment.flip: {what} {name} is {other_side(name)} in a mirrored picture, which is none of"
                f" {', '.join(names)}; set augment.flip = 0"
            )
    return np.array([place[other_side(name)] for name in names], np.int64)
