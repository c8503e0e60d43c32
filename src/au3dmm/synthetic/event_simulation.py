"""Simulate an event camera: events wherever the brightness a pixel sees drifts by a threshold in the logarithm.

The model of ESIM (Rebecq et al. 2018, sec. 3): between two pictures the logarithm of the brightness of a pixel
is linear in time, and it sends an event each time this line crosses the pixel's last reference level by its
contrast threshold. Added to that: thresholds that differ from pixel to pixel, a refractory time, and background
noise. Left out: limited bandwidth, latency, read-out order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import FitError
from au3dmm.io.events import EVENT_DTYPE

_BUFFER = 1 << 20
_BLOCK = 32  # pixels that are looked at together


@dataclass(frozen=True)
class Sensor:
    """An event camera's pixels.

    Attributes
    ----------
    width, height : int
        px, at most 2048 each.
    threshold : float
        Contrast threshold, natural logarithm of brightness.
    mismatch : float
        Standard deviation of the threshold from pixel to pixel, relative to it.
    refractory_us : float
        A pixel is blind for this long after an event.
    noise_hz : float
        Background events per second and pixel.
    """

    width: int = 1280
    height: int = 720
    threshold: float = 0.2
    mismatch: float = 0.03
    refractory_us: float = 200.0
    noise_hz: float = 0.05


class EventPixels:
    """The pixels of an event camera between two pictures: their thresholds, and the level each spoke at last.

    Parameters
    ----------
    sensor : Sensor
        Whose.
    rng : Generator
        For thresholds and initial levels, and the noise of `collect`.

    Attributes
    ----------
    n_pictures : int
        Shown so far.
    """

    def __init__(self, sensor: Sensor, rng: np.random.Generator) -> None:
        self.n_pictures = 0
        self._sensor, self._rng = sensor, rng
        shape = (sensor.height, sensor.width)
        spread = 1 + sensor.mismatch * rng.standard_normal((2, *shape), np.float32)
        self._steps = (sensor.threshold * np.maximum(spread, 0.5)).astype(np.float32)
        self._level = (rng.random(shape, np.float32) - np.float32(0.5)) * np.float32(sensor.threshold)
        self._last = np.full(shape, -np.inf)
        self._before: NDArray[np.float32] | None = None
        self._start = self._end = 0.0
        self._keys: list[NDArray[np.int64]] = []
        self._room = np.empty(_BUFFER, np.int64)

    def show(self, t_us: float, picture: NDArray[np.float32], window: tuple[slice, slice] | None = None) -> None:
        """Show the next picture.

        Parameters
        ----------
        t_us : float
            When, us, not negative, later than the one before.
        picture : (H, W) or (H / 2, W / 2) float32 array
            Logarithm of the brightness. A picture of half the size is enlarged by linear interpolation on the fly,
            which stands for the blur of a lens as wide as a pixel; it may be changed once this has returned.
        window : (slice, slice), optional
            Rows and columns of the picture outside of which nothing has changed since the one before.

        Raises
        ------
        FitError
            If the picture has another size than the sensor or the one before, or its time does not come later.
        """
        shape = (self._sensor.height, self._sensor.width)
        scale = 1 if picture.shape == shape else 2
        if (picture.shape[0] * scale, picture.shape[1] * scale) != shape:
            raise FitError(f"event simulation: picture {self.n_pictures} is {picture.shape}, the sensor {shape}")
        before = self._before
        if before is None:
            self._start = t_us
            self._before = picture.copy()
            _add_picture(self._before, scale, self._level)
        else:
            if not t_us > self._end:
                found = f"picture {self.n_pictures} at {t_us} us follows one at {self._end} us"
                raise FitError(f"event simulation: {found}")
            if before.shape != picture.shape:
                found = f"picture {self.n_pictures} is {picture.shape}, the one before {before.shape}"
                raise FitError(f"event simulation: {found}")
            rows, columns = window or (slice(0, picture.shape[0]), slice(0, picture.shape[1]))
            self._keys.append(self._interval(before, picture, t_us, scale, rows, columns))
            before[rows, columns] = picture[rows, columns]
        self._end = t_us
        self.n_pictures += 1

    def collect(self) -> NDArray[np.void]:
        """Return all events so far with background noise among them, as `simulate_events` does.

        Raises
        ------
        FitError
            If there were fewer than two pictures.
        """
        if self.n_pictures < 2:
            raise FitError(f"event simulation: {self.n_pictures} pictures; motion needs two or more")
        key = np.sort(np.concatenate([*self._keys, _noise(self._start, self._end, self._sensor, self._rng)]))
        # noise may fall on a pixel's signal event: a pixel speaks once per microsecond
        key = key[np.diff(key >> 1, prepend=-1) > 0]
        events = np.empty(len(key), EVENT_DTYPE)
        events["t"], events["y"] = key >> 23, (key >> 12) & 0x7FF
        events["x"], events["p"] = (key >> 1) & 0x7FF, key & 1
        return events

    def _interval(
        self,
        before: NDArray[np.float32],
        picture: NDArray[np.float32],
        t_us: float,
        scale: int,
        rows: slice,
        columns: slice,
    ) -> NDArray[np.int64]:
        """Return the keys of the events between two pictures; move levels on."""
        # a changed pixel of a small picture is seen one pixel further by the linear interpolation
        spread = 0 if scale == 1 else 1
        x0, x1 = max(0, columns.start * scale - spread), min(self._sensor.width, columns.stop * scale + spread)
        row, end = max(0, rows.start * scale - spread), min(self._sensor.height, rows.stop * scale + spread)
        n = 0
        while row < end:
            # the kernel stops before a row that might not fit, and goes on from there in a longer buffer
            n, row = _rows(
                *(before, picture, scale, self._end, t_us, self._level, self._last, self._steps[0], self._steps[1]),
                *(self._sensor.refractory_us, row, end, x0, x1, n, self._room),
            )
            if row < end:
                self._room = np.concatenate([self._room, np.empty(len(self._room), np.int64)])
        return self._room[:n].copy()


def simulate_events(
    pictures: Iterable[tuple[float, NDArray[np.float32]]], sensor: Sensor, rng: np.random.Generator
) -> NDArray[np.void]:
    """Turn a film of log brightness into events.

    Parameters
    ----------
    pictures : iterable of (float, (H, W) float32 array)
        Time (us, not negative, increasing) and logarithm of the brightness at that time.
    sensor : Sensor
        Its size is that of the pictures, or twice that.
    rng : Generator
        For thresholds, initial levels and noise.

    Returns
    -------
    (N,) structured array of `EVENT_DTYPE`
        t (us), x, y (px), p (1 brighter, 0 darker), sorted by t, then y, then x; one event per pixel and us at most.

    Raises
    ------
    FitError
        If a picture has another size than the sensor, times do not increase, or there are fewer than two pictures.
    """
    pixels = EventPixels(sensor, rng)
    for t_us, picture in pictures:
        pixels.show(t_us, picture)
    return pixels.collect()


def _noise(start: float, end: float, sensor: Sensor, rng: np.random.Generator) -> NDArray[np.int64]:
    """Background events as keys: the same expected rate everywhere, either polarity."""
    n = rng.poisson(sensor.noise_hz * (end - start) * 1e-6 * sensor.width * sensor.height)
    t = rng.integers(int(np.ceil(start)), int(np.floor(end)) + 1, n)
    x, y, p = (rng.integers(0, top, n) for top in (sensor.width, sensor.height, 2))
    return np.asarray(t << 23 | y << 12 | x << 1 | p, np.int64)


@njit(cache=True, nogil=True)
def _line(picture, scale, y, x0, x1, mixed, out):  # type: ignore[no-untyped-def]
    """Fill columns x0 to x1 of row y of a picture that is enlarged by `scale`, 1 or 2; `mixed` is room for a row."""
    if scale == 1:
        for x in range(x0, x1):
            out[x] = picture[y, x]
        return
    # the centre of a pixel lies a quarter of a small pixel from that of its own, and three quarters from the next
    most, rest = np.float32(0.75), np.float32(0.25)
    width = picture.shape[1]
    near = y >> 1
    other = min(max(near + (1 if y & 1 else -1), 0), picture.shape[0] - 1)
    first, end = x0 >> 1, (x1 + 1) >> 1
    for column in range(max(first - 1, 0), min(end + 1, width)):
        mixed[column + 1] = most * picture[near, column] + rest * picture[other, column]
    if first == 0:
        mixed[0] = mixed[1]
    if end == width:
        mixed[width + 1] = mixed[width]
    for column in range(first, end):
        out[2 * column] = rest * mixed[column] + most * mixed[column + 1]
        out[2 * column + 1] = most * mixed[column + 1] + rest * mixed[column + 2]


@njit(cache=True, nogil=True)
def _pixel(picture, scale, y, x):  # type: ignore[no-untyped-def]
    """Return what `_line` fills in for one pixel, to the last bit."""
    if scale == 1:
        return picture[y, x]
    most, rest = np.float32(0.75), np.float32(0.25)
    near, column = y >> 1, x >> 1
    other = min(max(near + (1 if y & 1 else -1), 0), picture.shape[0] - 1)
    side = min(max(column + (1 if x & 1 else -1), 0), picture.shape[1] - 1)
    here = most * picture[near, column] + rest * picture[other, column]
    beside = most * picture[near, side] + rest * picture[other, side]
    if x & 1:
        return most * here + rest * beside
    return rest * beside + most * here


@njit(cache=True, nogil=True)
def _add_picture(picture, scale, level):  # type: ignore[no-untyped-def]
    height, width = level.shape
    line, mixed = np.empty(width + 2, np.float32), np.empty(width + 2, np.float32)
    for y in range(height):
        _line(picture, scale, y, 0, width, mixed, line)
        for x in range(width):
            level[y, x] += line[x]


@njit(cache=True, nogil=True)
def _rows(  # type: ignore[no-untyped-def]
    before, after, scale, t0, t1, level, last, step_up, step_down, refractory_us, row, end, x0, x1, n, out
):
    # the refractory time bounds how often a pixel can speak in one interval
    most_per_pixel = int((t1 - t0) / max(refractory_us, 1.0)) + 1
    width = level.shape[1]
    line, mixed = np.empty(width + 2, np.float32), np.empty(width + 2, np.float32)
    for y in range(row, end):
        if n + (x1 - x0) * most_per_pixel > out.shape[0]:
            return n, y
        _line(after, scale, y, x0, x1, mixed, line)
        for start in range(x0, x1, _BLOCK):
            if start + _BLOCK <= x1 and not _crossed(line, level, step_up, step_down, np.uint64(y), np.uint64(start)):
                continue  # nearly everywhere nearly all the time
            for x in range(start, min(start + _BLOCK, x1)):
                b, reference = line[x], level[y, x]
                if reference + step_up[y, x] > b and reference - step_down[y, x] < b:
                    continue
                a = _pixel(before, scale, y, x)
                if a == b:
                    continue
                up = b > a
                step = step_up[y, x] if up else -step_down[y, x]
                while True:
                    following = reference + step
                    if (up and following > b) or (not up and following < b):
                        break
                    # a level that was passed already (the direction changed) is crossed at once
                    t = t0 + max(0.0, (following - a) / (b - a)) * (t1 - t0)
                    reference = following
                    if t - last[y, x] < max(refractory_us, 1.0):
                        continue
                    last[y, x] = t
                    out[n] = (np.int64(np.rint(t)) << 23) | (y << 12) | (x << 1) | (1 if up else 0)
                    n += 1
                level[y, x] = reference
    return n, end


@njit(cache=True, nogil=True)
def _crossed(line, level, step_up, step_down, y, start):  # type: ignore[no-untyped-def]
    """Whether any pixel of a whole block may speak.

    A block has a fixed length and its place is unsigned (no index counts from the end): vector units take it at once.
    """
    crossed = 0
    for i in range(np.uint64(_BLOCK)):
        x = start + i
        crossed += (level[y, x] + step_up[y, x] <= line[x]) | (level[y, x] - step_down[y, x] >= line[x])
    return crossed > 0
