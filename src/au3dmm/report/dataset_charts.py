"""The drawings of a dataset's page: histograms over recordings, and how often action units are how strong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.io.label_statistics import EDGES, Spread
from au3dmm.io.sessions_index import IndexRow
from au3dmm.io.stage_numbers import StageNumbers
from au3dmm.report.calibration import KINDS, calibration_of
from au3dmm.report.page_parts import count, number, percent
from au3dmm.report.session_charts import nice_step

_LEFT, _TOP, _SQUARE = 46, 10, 260  # of the drawing of the uncertainty
WIDE, HIGH, _FOOT, _HEAD, _SIDE = 300.0, 120.0, 18.0, 16.0, 4.0
_BINS = 12
_FAR = 4.0  # times the median: beyond it values share the last bar
_SIDES = ("_left", "_right")


def histograms(rows: Sequence[IndexRow], numbers: Mapping[str, StageNumbers], frames: str) -> list[dict[str, Any]]:
    """Return the histograms over recordings of what is known of them.

    Parameters
    ----------
    rows : sequence of IndexRow
        Every recording.
    numbers : mapping
        What the stages reported, by recording.
    frames : str
        What labels are of.
    """
    seen = [row for row in rows if row.status != "failed"]
    faces = [row.frames_face / row.frames_rgb for row in seen if row.frames_rgb and row.frames_face is not None]
    iod = [said.rmse_iod for row in seen if (said := numbers.get(row.session_id)) and said.rmse_iod is not None]
    clock = [row.clock_uncertainty_us for row in seen if row.clock_uncertainty_us is not None]
    unit, us = clock_unit(seen)
    found = [
        _histogram("RGB frames with a face", faces, share=True),
        _histogram(f"{frames[0].upper()}{frames[1:]} with values", _known(row.label_rate for row in seen), share=True),
        _histogram("Reprojection error, px", _known(row.rmse_px_median for row in seen)),
        _histogram("Reprojection error, % of the eye distance", [100 * value for value in iod]),
        _histogram(f"Uncertainty of the clock, {unit}", [value / us for value in clock]),
        _histogram("Length, RGB frames", [float(row.frames_rgb) for row in seen if row.frames_rgb]),
    ]
    return [one for one in found if one is not None]


def clock_unit(rows: Sequence[IndexRow]) -> tuple[str, float]:
    """Return the unit that suits the clocks' uncertainties, and how many microseconds it is.

    Examples
    --------
    >>> clock_unit([IndexRow("a", "p", clock_uncertainty_us=0.1)]), clock_unit([])
    (('µs', 1.0), ('ms', 1000.0))
    """
    known = [row.clock_uncertainty_us for row in rows if row.clock_uncertainty_us is not None]
    return ("\u00b5s", 1.0) if known and float(np.median(known)) < 1000 else ("ms", 1000.0)


def _known(values: Any) -> list[float]:
    return [float(value) for value in values if value is not None]


def _histogram(name: str, values: Sequence[float], *, share: bool = False) -> dict[str, Any] | None:
    """Return one histogram in the units of its drawing; None of nothing."""
    if not values:
        return None
    known = np.array(values)
    middle = float(np.median(known))
    write = percent if share else number
    if len(known) > 1 and float(known.min()) == float(known.max()):
        return {"name": name, "n": len(known), "same": write(middle) or "0"}
    if share:
        step, first, bins, beyond = 0.1, 0.0, 10, False
    else:
        low, far = float(known.min()), _FAR * middle
        beyond = 0 < far < float(known.max())
        top = far if beyond else float(known.max())
        first = 0.0 if low >= 0 and low < 0.5 * top else low
        step = nice_step((top - first) / (_BINS - 1)) if top > first else nice_step(abs(top) / _BINS or 1.0)
        first = step * np.floor(first / step + 1e-9)
        bins = min(int(np.floor((top - first) / step + 1e-9)) + 1, 2 * _BINS)
    # what lies on an edge belongs to the bar on its right, whatever the rounding
    at = np.clip(np.floor((known - first) / step + 1e-9).astype(np.int64), 0, bins - 1)
    counts = np.bincount(at, minlength=bins)
    wide = (WIDE - 2 * _SIDE) / bins
    most = int(counts.max())
    room = HIGH - _FOOT - _HEAD
    bars = [
        {
            "x": round(_SIDE + i * wide + 0.75, 1),
            "width": round(wide - 1.5, 1),
            "height": round(max(room * n / most, 1.5), 1) if n else 0.0,
            "n": int(n),
            "range": f"{write(first + i * step) or '0'} to {write(first + (i + 1) * step)}"
            if not (beyond and i == bins - 1)
            else f"{write(first + i * step)} and more",
        }
        for i, n in enumerate(counts)
    ]
    each = max(1, -(-bins // 5))
    ticks = [
        {
            "x": round(_SIDE + i * wide, 1),
            "text": write(first + i * step) if first + i * step else "0",
            "end": i == bins,
        }
        for i in range(0, bins + 1, each)
        if not (beyond and i == bins)
    ]
    told = f"median {write(middle) or '0'}, from {write(float(known.min())) or '0'} to {write(float(known.max()))}"
    return {"name": name, "n": len(known), "same": "", "bars": bars, "ticks": ticks, "told": told, "base": HIGH - _FOOT}


def level_words() -> list[str]:
    """Return what each stretch between `EDGES` is called.

    Examples
    --------
    >>> level_words()
    ['below 0.5', '0.5 to 1', '1 to 2', '2 to 3', '3 to 4', '4 and more']
    """
    middle = [f"{a:g} to {b:g}" for a, b in pairwise(EDGES)]
    return [f"below {EDGES[0]:g}", *middle, f"{EDGES[-1]:g} and more"]


def spread_rows(
    spread: Spread, hardly: Mapping[str, int], units: Mapping[str, str], asked: Mapping[str, Sequence[str]]
) -> dict[str, list[dict[str, Any]]]:
    """Return how often each unit or component is how strong: ``whole`` units, and ``sides`` of them.

    Parameters
    ----------
    spread : Spread
        Of intensities, or of components.
    hardly : mapping
        In how many recordings landmarks hardly show a unit.
    units : mapping
        Action units that a component goes with.
    asked : mapping
        Recordings in which each was asked for.
    """
    all_peaks = np.array(list(spread.peaks.values())).reshape(-1, len(spread.names))
    found: dict[str, list[dict[str, Any]]] = {"whole": [], "sides": []}
    for k, name in enumerate(spread.names):
        n = int(spread.frames[k])
        shares = spread.counts[k] / n if n else np.zeros(len(EDGES) + 1)
        side = name.endswith(_SIDES) and name.rsplit("_", 1)[0] in spread.names
        found["sides" if side else "whole"].append(
            {
                "name": name,
                "units": units.get(name, ""),
                "n": n,
                "bars": [(i, round(100 * float(share), 2)) for i, share in enumerate(shares) if i and share > 0],
                "words": ", ".join(f"{percent(float(s))} {w}" for s, w in zip(shares, level_words(), strict=True) if s),
                "shown": percent(float(spread.share_from(1.0)[k])) if n else "",
                "peak": _largest(all_peaks[:, k]),
                "asked": _asked(spread, k, asked.get(name, ())),
                "hardly": count(hardly[name]) if hardly.get(name) else "",
            }
        )
    return found


def _largest(peaks: NDArray[np.float64]) -> str:
    known = peaks[np.isfinite(peaks)]
    return f"{known.max():.2f}" if len(known) else ""


def _asked(spread: Spread, k: int, sessions: Sequence[str]) -> str:
    """Return the median peak where something was asked for, and in how many recordings that is known."""
    known = [float(spread.peaks[name][k]) for name in sessions if name in spread.peaks]
    known = [value for value in known if np.isfinite(value)]
    return f"{np.median(known):.2f} ({count(len(known))})" if known else ""


def most_shown(rows: Mapping[str, list[dict[str, Any]]]) -> float:
    """Return the widest of all bars, in percent: bars are drawn as shares of it.

    Examples
    --------
    >>> most_shown({"whole": [{"bars": [(1, 2.0), (2, 1.5)]}, {"bars": []}], "sides": []})
    3.5
    """
    widths = [sum(share for _, share in row["bars"]) for part in rows.values() for row in part]
    return max(widths, default=0.0) or 1.0


def calibration_drawing(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the check of the uncertainty with its curves in the units of the drawing; None if there is none.

    Raises
    ------
    SchemaError
        If the check is incomplete.
    """
    found = calibration_of(metadata, "sessions.parquet")
    if found is None:
        return None

    def place(stated: float, share: float) -> tuple[float, float]:
        return round(_LEFT + _SQUARE * stated, 1), round(_TOP + _SQUARE * (1 - share), 1)

    curves = [
        {"kind": kind, "words": KINDS[kind], "shown": found.shown[kind], "points": [place(*point) for point in points]}
        for kind, points in found.curves.items()
    ]
    ticks = [{"at": place(i / 4, i / 4), "percent": 25 * i} for i in range(5)]
    return {"found": found, "curves": curves, "ticks": ticks, "corners": (place(0, 0), place(1, 1))}
