"""Numbers over time as the strings that a page draws them with: SVG paths, runs of a status, ticks, a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

WIDE, HIGH = 1000.0, 100.0
"""Size of every drawing in its own units; it is stretched to the room that there is."""
_BINS = 800  # more cannot be told apart on a screen
_COLUMNS = 1500  # of a heat map
_RUNS = 1500
_NO_VALUE = (128, 128, 128)  # grey is in no part of the map's colours


@dataclass(frozen=True)
class TimeAxis:
    """The stretch of time that all drawings of a page share.

    Attributes
    ----------
    first_us, last_us : int
        Where it begins and ends; the last is after the first.
    """

    first_us: int
    last_us: int

    @classmethod
    def over(cls, *times: NDArray[np.integer]) -> TimeAxis:
        """Return the axis that shows all times; a second, if there are none."""
        there = [t for t in times if len(t)]
        first = min((int(t.min()) for t in there), default=0)
        last = max((int(t.max()) for t in there), default=0)
        return cls(first, last if last > first else first + 1_000_000)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.last_us - self.first_us) / 1e6

    def share(self, t_us: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Return where times lie, 0 (first) to 1 (last)."""
        return np.asarray((np.asarray(t_us, np.float64) - self.first_us) / (self.last_us - self.first_us))

    def ticks(self, most: int = 7) -> list[tuple[float, str]]:
        """Return round times: percent of the way, and what to write there.

        Examples
        --------
        >>> TimeAxis(0, 2_000_000).ticks(5)
        [(0.0, '0'), (25.0, '0.5'), (50.0, '1'), (75.0, '1.5'), (100.0, '2')]
        """
        step = nice_step(self.seconds / max(most - 1, 1))
        n = int(self.seconds / step + 1e-9)
        return [(round(100 * i * step / self.seconds, 3), f"{i * step:.6g}") for i in range(n + 1)]


def nice_step(least: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten.

    Examples
    --------
    >>> nice_step(0.3), nice_step(7), nice_step(20.0)
    (0.5, 10.0, 20.0)
    """
    if not least > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9)))


def pooled(
    x: NDArray[np.floating], y: NDArray[np.floating], bins: int = _BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a line with at most 2 bins points that looks the same: the least and the greatest of each stretch.

    Parameters
    ----------
    x : (N,) array
        Increasing.
    y : (N,) array
        NaN where there is nothing; a stretch without any number stays NaN.

    Examples
    --------
    >>> x, y = pooled(np.arange(6.0), np.array([0, 5, 1, 2, 9, 3.0]), 2)
    >>> x.tolist(), y.tolist()
    ([0.0, 1.0, 3.0, 4.0], [0.0, 5.0, 2.0, 9.0])
    """
    n = len(x)
    if n <= 2 * bins:
        return np.asarray(x, np.float64), np.asarray(y, np.float64)
    places, values = [], []
    for part in np.array_split(np.arange(n), bins):
        known = part[np.isfinite(y[part])]
        if not len(known):
            chosen = [int(part[0])]
        else:
            chosen = sorted({int(known[np.argmin(y[known])]), int(known[np.argmax(y[known])])})
        places += [x[i] for i in chosen]
        values += [y[i] for i in chosen]
    return np.array(places, np.float64), np.array(values, np.float64)


def line_path(x: NDArray[np.floating], y: NDArray[np.floating], *, low: float, high: float, gap: float = np.inf) -> str:
    """Return an SVG path through points; a new stroke begins after what is not a number, and after a gap.

    Parameters
    ----------
    x : (N,) array
        0 to 1: left to right.
    y : (N,) array
        `low` is drawn at the bottom, `high` at the top.
    gap : float
        Points farther apart in x are not joined.

    Examples
    --------
    >>> line_path(np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, np.nan]), low=0, high=1)
    'M0 100L500 0'
    """
    parts: list[str] = []
    down, before = False, -np.inf
    reach = (high - low) or 1.0
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if not np.isfinite(b):
            down = False
            continue
        if a - before > gap:
            down = False
        parts.append(f"{'L' if down else 'M'}{_short(WIDE * a)} {_short(HIGH * (1 - (b - low) / reach))}")
        down, before = True, a
    return "".join(parts)


@dataclass(frozen=True)
class Run:
    """A stretch in which the status stays the same: where, in percent of the axis, and which rows."""

    left: float
    width: float
    status: str
    first: int
    last: int


def status_runs(share: NDArray[np.float64], status: Sequence[str], spell: float | None = None) -> list[Run]:
    """Return stretches of equal status; where there are thousands, short ones beside each other become the worst one.

    Parameters
    ----------
    share : (N,) array
        Where each row's instant lies on the axis, 0 to 1.
    status : sequence of N str
        ``ok`` is the best.
    spell : float, optional
        How far a row reaches, in shares of the axis; default: the median distance between rows.

    Examples
    --------
    >>> for run in status_runs(np.array([0, 0.25, 0.5, 0.75]), ["ok", "ok", "gap", "ok"]):
    ...     print(run.left, run.width, run.status)
    0.0 37.5 ok
    37.5 25.0 gap
    62.5 25.0 ok
    """
    n = len(status)
    if not n:
        return []
    half = (spell if spell is not None else float(np.median(np.diff(share))) if n > 1 else 1.0) / 2
    begins = [0, *(i for i in range(1, n) if status[i] != status[i - 1]), n]
    groups = [(a, b, status[a]) for a, b in pairwise(begins)]
    if len(groups) > _RUNS:
        groups = [
            (int(part[0]), int(part[-1]) + 1, next((status[i] for i in part if status[i] != "ok"), "ok"))
            for part in np.array_split(np.arange(n), _RUNS)
        ]
    runs = []
    for a, b, word in groups:
        left, right = max(float(share[a]) - half, 0.0), min(float(share[b - 1]) + half, 1.0)
        runs.append(Run(round(100 * left, 3), round(100 * max(right - left, 0.0), 3), word, a, b - 1))
    return runs


def heat_map(share: NDArray[np.float64], values: NDArray[np.floating], high: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the picture of values over time: a row of pixels per component, lightest where a component is largest.

    Parameters
    ----------
    share : (N,) array
        Where each row's instant lies on the axis, 0 to 1.
    values : (N, K) array
        NaN where there is nothing, which is drawn grey.
    high : (K,) array or number
        What gets the brightest colour of the map (cividis); 0 or less gets its darkest.

    Returns
    -------
    (K, columns, 3) uint8 array
        RGB. A column shows the largest value of its stretch of time.
    """
    n, k = values.shape
    columns = int(min(max(n, 1), _COLUMNS))
    found = np.full((columns, k), np.nan)
    column = np.clip((share * columns).astype(np.int64), 0, columns - 1)
    for c in np.unique(column):
        part = values[column == c]
        part = part[np.isfinite(part).all(1)]
        if len(part):
            found[c] = part[np.arange(len(part))[np.abs(part).argmax(0)], np.arange(k)]
    if n:
        # a column without an instant of its own shows the one before, if that is not long ago
        own = np.isin(np.arange(columns), column)
        last = np.maximum.accumulate(np.where(own, np.arange(columns), -1))
        near = (last >= 0) & (np.arange(columns) - last <= 2)
        found[near] = found[last[near]]
    level = np.clip(np.nan_to_num(found) / np.where(np.asarray(high) > 0, high, 1.0), 0, 1)
    picture = map_colours(256)[np.rint(255 * level).astype(np.int64)]
    picture[~np.isfinite(found)] = _NO_VALUE
    return np.ascontiguousarray(picture.transpose(1, 0, 2))


def map_colours(n: int) -> NDArray[np.uint8]:
    """Return n colours of the heat map, from nothing to the largest value, (n, 3)."""
    return np.asarray(np.rint(255 * matplotlib.colormaps["cividis"](np.linspace(0, 1, n))[:, :3]), np.uint8)


def gradient(colours: NDArray[np.uint8]) -> str:
    """Return colours (n, 3) as the stops of a CSS gradient.

    Examples
    --------
    >>> gradient(np.array([[0, 0, 0], [255, 128, 1]], np.uint8))
    '#000000, #ff8001'
    """
    return ", ".join("#" + "".join(f"{c:02x}" for c in colour) for colour in colours.tolist())


def png(picture: NDArray[np.uint8]) -> bytes:
    """Encode a picture (H, W, 3) without loss."""
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done, "OpenCV refused a picture that was drawn here"
    return bytes(data.tobytes())


def _short(value: float) -> str:
    return (
        f"{value:.1f}".removesuffix(".0").replace("-0", "0") if abs(value) < 0.05 else f"{value:.1f}".removesuffix(".0")
    )
