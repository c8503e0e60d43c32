"""Event frames from plain arrays of events, straight from the formulas: what the kernels are compared with.

Shares nothing with `au3dmm.core`: events one at a time, areas as dense matrices of whole numbers, no chunks, no runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shown:
    """What part of the sensor is shown, and how large; parameters of the representations."""

    box: tuple[int, int, int, int]
    shape: tuple[int, int]
    bins: int = 5
    tau_us: float = 10_000.0
    tbr_bits: int = 8


def in_window(t_us: np.ndarray, start: int, end: int) -> np.ndarray:
    """Which events lie in ``[start, end)``: one that is earlier than the one before it counts at that one's time."""
    if not len(t_us):
        return np.zeros(0, bool)
    now = np.maximum.accumulate(t_us)
    return (now >= start) & (now < end)


def frame(name: str, events: np.ndarray, start: int, end: int, shown: Shown) -> tuple[int, np.ndarray, int]:
    """Return (events in the window on the whole sensor, the stored frame (C, H, W), values that were too large)."""
    now = np.maximum.accumulate(events["t"]) if len(events) else np.zeros(0, np.int64)
    mine = in_window(events["t"], start, end)
    y0, y1, x0, x1 = shown.box
    rows = [
        (int(t), int(e["x"]) - x0, int(e["y"]) - y0, int(e["p"]))
        for t, e in zip(now[mine].tolist(), events[mine], strict=True)
        if x0 <= e["x"] < x1 and y0 <= e["y"] < y1
    ]
    cells, saturated = _CELLS[name](rows, start, end, (y1 - y0, x1 - x0), shown)
    return int(mine.sum()), _enlarged(cells, shown.shape), saturated


def _polarity(rows, start, end, size, shown):
    image = np.full((1, *size), 128)
    for _, x, y, p in rows:
        image[0, y, x] = 255 if p else 0
    return _mean(image, shown.shape, 1).astype(np.uint8), 0


def _count(rows, start, end, size, shown):
    image = np.zeros((2, *size), np.int64)
    for _, x, y, p in rows:
        image[p, y, x] += 1
    down, right = (min(a, b) for a, b in zip(size, shown.shape, strict=True))
    quarters = 1 if size[0] % down == 0 and size[1] % right == 0 else 4
    stored = _halves_up(quarters * _summed(image, shown.shape), down * right)
    return np.minimum(stored, 255).astype(np.uint8), int((stored > 255).sum())


def _voxel(rows, start, end, size, shown):
    length = end - start
    image = np.zeros((shown.bins, *size), np.int64)
    for t, x, y, p in rows:
        for b in range(shown.bins):
            image[b, y, x] += (1 if p else -1) * max(0, length - abs(b * length - (shown.bins - 1) * (t - start)))
    down, right = (min(a, b) for a, b in zip(size, shown.shape, strict=True))
    sums = _summed(image, shown.shape)
    return np.array([int(v) / (down * right * length) for v in sums.ravel()], np.float16).reshape(sums.shape), 0


def _time_surface(rows, start, end, size, shown):
    image = np.zeros((2, *size), np.int64)
    for t, x, y, p in rows:
        image[p, y, x] = math.floor(65535 * math.exp(-(end - t) / shown.tau_us) + 0.5)
    return _mean(image, shown.shape, 257).astype(np.uint8), 0


def _last_time(rows, start, end, size, shown):
    image = np.zeros((2, *size), np.int64)
    for t, x, y, p in rows:
        image[p, y, x] = (2 * 65535 * (t - start + 1) + end - start) // (2 * (end - start))
    return _mean(image, shown.shape, 257).astype(np.uint8), 0


def _tbr(rows, start, end, size, shown):
    down, right = (min(a, b) for a, b in zip(size, shown.shape, strict=True))
    cells = np.zeros((1, down, right), np.uint8 if shown.tbr_bits <= 8 else np.uint16)
    for t, x, y, _ in rows:
        bit = (t - start) * shown.tbr_bits // (end - start)
        cells[0, (2 * y + 1) * down // (2 * size[0]), (2 * x + 1) * right // (2 * size[1])] |= 1 << bit
    return cells, 0


_CELLS = {
    "polarity": _polarity,
    "count": _count,
    "voxel": _voxel,
    "time_surface": _time_surface,
    "last_time": _last_time,
    "tbr": _tbr,
}


def overlaps(n_in: int, n_out: int) -> np.ndarray:
    """Length that each cell shares with each pixel, (n_out, n_in), in parts of which a pixel has n_out."""
    cell, pixel = np.arange(n_out)[:, None], np.arange(n_in)
    shared = np.minimum((cell + 1) * n_in, (pixel + 1) * n_out) - np.maximum(cell * n_in, pixel * n_out)
    return np.maximum(shared, 0)


def _summed(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    down, right = (min(a, b) for a, b in zip(image.shape[1:], shape, strict=True))
    return overlaps(image.shape[1], down) @ image @ overlaps(image.shape[2], right).T


def _mean(image: np.ndarray, shape: tuple[int, int], divide: int) -> np.ndarray:
    return _halves_up(_summed(image, shape), image.shape[1] * image.shape[2] * divide)


def _halves_up(number: np.ndarray, by: int) -> np.ndarray:
    return (2 * number + by) // (2 * by)


def _enlarged(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    row = [j * cells.shape[1] // shape[0] for j in range(shape[0])]
    column = [j * cells.shape[2] // shape[1] for j in range(shape[1])]
    return cells[:, row][:, :, column]
