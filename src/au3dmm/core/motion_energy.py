"""How much moves between two pictures: the events that an event camera with the same view would have sent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import FitError

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_DARK = np.float32(0.02)  # keeps the logarithm of black finite, and its noise small
_LINEAR = (np.arange(256, dtype=np.float32) / 255) ** np.float32(2.2)


class MotionEnergy:
    """Predict the number of events between pictures.

    Each pixel has a reference level of log brightness; where a picture departs from it by whole contrast thresholds,
    so many events are counted and the reference follows. A sum of differences, which is what is usually taken,
    counts motion that an event camera does not see yet: after each reversal a pixel of it is silent for another
    threshold, so its events come late against the differences, by milliseconds. What changes the brightness of most of
    the picture at once (the camera's own gain, lamps that flicker in step with the frames) is taken away first: the
    median change.

    Parameters
    ----------
    thresholds : sequence of float
        Contrast thresholds, natural logarithm of brightness, one prediction for each.
    box : (y0, y1, x0, x1), optional
        Rows and columns of a region that is counted for itself, too.

    Examples
    --------
    >>> energy = MotionEnergy([0.2], box=(0, 1, 0, 1))
    >>> before = np.full((1, 3, 3), 100, np.uint8)
    >>> after = before.copy()
    >>> after[0, 0] = 150  # 0.86 brighter, in log units
    >>> energy.add(before) is None
    True
    >>> (3 * energy.add(after)).round(1)
    array([[4.],
           [4.]])
    """

    def __init__(self, thresholds: Sequence[float], box: tuple[int, int, int, int] | None = None) -> None:
        self._thresholds = np.array(thresholds, np.float32)
        self._box = np.array(box or (0, 0, 0, 0), np.int64)
        self._regions = 1 if box is None else 2
        self._reference: NDArray[np.float32] | None = None
        self._before: NDArray[np.float32] | None = None
        self._gain = np.float32(0.0)

    def add(self, image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Take the next picture.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
            RGB.

        Returns
        -------
        (R, V) array or None
            Events since the picture before, per pixel of the whole picture: in all of it, and in the box if there is
            one (R), by each threshold (V). None for the first picture.

        Raises
        ------
        FitError
            If the picture has another size than the one before.
        """
        level = np.log(_LINEAR[image] @ _LUMINANCE + _DARK)
        if self._reference is None or self._before is None:
            self._before = level
            self._reference = level + self._thresholds[:, None, None] * (_phases(level.shape) - np.float32(0.5))
            return None
        if level.shape != self._reference.shape[1:]:
            raise FitError(f"motion: a picture of {level.shape} after one of {self._reference.shape[1:]}")
        self._gain += np.median(level - self._before)
        self._before = level
        counts = np.zeros((2, len(self._thresholds)), np.int64)
        _follow(level - self._gain, self._reference, self._thresholds, self._box, counts)
        return np.asarray(counts[: self._regions] / level.size, np.float64)


def _phases(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Spread start levels evenly over 0 to 1, without a generator: Roberts' R2 sequence over the pixels."""
    y, x = np.indices(shape)
    return np.asarray((0.7548776662466927 * x + 0.5698402909980532 * y) % 1.0, np.float32)


@njit(cache=True, nogil=True)
def _follow(level, reference, thresholds, box, counts):  # type: ignore[no-untyped-def]
    for v in range(thresholds.shape[0]):
        step = thresholds[v]
        for y in range(level.shape[0]):
            inside_y = box[0] <= y < box[1]
            for x in range(level.shape[1]):
                change = level[y, x] - reference[v, y, x]
                n = int(abs(change) / step)
                if n > 0:
                    reference[v, y, x] += n * step if change > 0 else -n * step
                    counts[0, v] += n
                    if inside_y and box[2] <= x < box[3]:
                        counts[1, v] += n
