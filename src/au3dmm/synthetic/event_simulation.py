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


def simulate_events(
    pictures: Iterable[tuple[float, NDArray[np.float32]]], sensor: Sensor, rng: np.random.Generator
) -> NDArray[np.void]:
    """Turn a film of log brightness into events.

    Parameters
    ----------
    pictures : iterable of (float, (H, W) float32 array)
        Time (us, not negative, increasing) and logarithm of the brightness at that time.
    sensor : Sensor
        Its size is that of the pictures.
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
    shape = (sensor.height, sensor.width)
    spread = 1 + sensor.mismatch * rng.standard_normal((2, *shape), np.float32)
    steps = (sensor.threshold * np.maximum(spread, 0.5)).astype(np.float32)
    phase = rng.random(shape, np.float32)
    last = np.full(shape, -np.inf)
    keys: list[NDArray[np.int64]] = []
    before: tuple[float, NDArray[np.float32]] | None = None
    start = end = 0.0
    n_pictures = 0
    for t, picture in pictures:
        if picture.shape != shape:
            raise FitError(f"event simulation: picture {n_pictures} is {picture.shape}, the sensor {shape}")
        if before is None:
            start, level = t, picture + (phase - 0.5) * sensor.threshold
        elif not t > before[0]:
            raise FitError(f"event simulation: picture {n_pictures} at {t} us follows one at {before[0]} us")
        else:
            keys.append(_interval(before[1], picture, before[0], t, level, last, steps, sensor.refractory_us))
        before, end, n_pictures = (t, picture), t, n_pictures + 1
    if n_pictures < 2:
        raise FitError(f"event simulation: {n_pictures} pictures; motion needs two or more")
    keys.append(_noise(start, end, sensor, rng))
    key = np.sort(np.concatenate(keys))
    # noise may fall on a pixel's signal event: a pixel speaks once per microsecond
    key = key[np.diff(key >> 1, prepend=-1) > 0]
    events = np.empty(len(key), EVENT_DTYPE)
    events["t"], events["y"] = key >> 23, (key >> 12) & 0x7FF
    events["x"], events["p"] = (key >> 1) & 0x7FF, key & 1
    return events


def _noise(start: float, end: float, sensor: Sensor, rng: np.random.Generator) -> NDArray[np.int64]:
    """Background events as keys: the same expected rate everywhere, either polarity."""
    n = rng.poisson(sensor.noise_hz * (end - start) * 1e-6 * sensor.width * sensor.height)
    t = rng.integers(int(np.ceil(start)), int(np.floor(end)) + 1, n)
    x, y, p = (rng.integers(0, top, n) for top in (sensor.width, sensor.height, 2))
    return np.asarray(t << 23 | y << 12 | x << 1 | p, np.int64)


def _interval(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    t0: float,
    t1: float,
    level: NDArray[np.float32],
    last: NDArray[np.float64],
    steps: NDArray[np.float32],
    refractory_us: float,
) -> NDArray[np.int64]:
    """Return the keys of the events between two pictures; move `level` and `last` on in place."""
    out = np.empty(_BUFFER, np.int64)
    n, row = 0, 0
    while row < len(first):
        # the kernel stops before a row that might not fit, and goes on from there in a longer buffer
        n, row = _rows(first, second, t0, t1, level, last, steps[0], steps[1], refractory_us, row, n, out)
        if row < len(first):
            out = np.concatenate([out, np.empty(len(out), np.int64)])
    return out[:n].copy()


@njit(cache=True, nogil=True)
def _rows(  # type: ignore[no-untyped-def]
    first, second, t0, t1, level, last, step_up, step_down, refractory_us, row, n, out
):
    height, width = first.shape
    # the refractory time bounds how often a pixel can speak in one interval
    most_per_pixel = int((t1 - t0) / max(refractory_us, 1.0)) + 1
    for y in range(row, height):
        if n + width * most_per_pixel > out.shape[0]:
            return n, y
        for x in range(width):
            a, b = first[y, x], second[y, x]
            if a == b:
                continue
            up = b > a
            step = step_up[y, x] if up else -step_down[y, x]
            reference = level[y, x]
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
    return n, height
