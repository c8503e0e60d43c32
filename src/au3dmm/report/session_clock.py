"""The evidence for a session's clock as small drawings for a page, and the clock in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.io.clock import Clock
from au3dmm.report.session_charts import HIGH, WIDE, line_path, pooled

_DOTS = 500
_METHODS = {
    "trigger": "measured: the exposure signal of the RGB camera, recorded by the event camera",
    "motion": "measured: what moves in the RGB frames against the event rate",
    "shared": "stated: RGB times are taken to be on the event camera's clock, but for the offset that was stated",
    "start": "a guess: both cameras are taken to have started together, which may be hundreds of ms off",
}


@dataclass(frozen=True)
class Drawing:
    """One drawing, in units of `session_charts.WIDE` by `HIGH`.

    Attributes
    ----------
    title, across, up : str
        What it shows; what its axes are.
    left, right, bottom, top : str
        What stands at the ends of the axes.
    lines : list of (class, path, words)
        Curves.
    dots : list of (class, list of (x, y), words)
        Points.
    marks : list of (class, x)
        Upright lines.
    """

    title: str
    across: str
    up: str
    left: str
    right: str
    bottom: str
    top: str
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    dots: list[tuple[str, list[tuple[float, float]], str]] = field(default_factory=list)
    marks: list[tuple[str, float]] = field(default_factory=list)


def clock_words(clock: Clock) -> list[tuple[str, str]]:
    """Return a clock as names and values."""
    unknown = "not known"
    drift = f"{clock.drift_ppm:+.2f}\u202fppm" if clock.drift_measured else "not measured, taken to be 0"
    facts = [
        ("how", _METHODS.get(clock.method, clock.method)),
        ("offset", f"{clock.offset_us / 1000:.3f}\u202fms"),
        ("drift", drift),
        ("error of a frame\u2019s time", unknown if clock.uncertainty_us is None else f"{_time(clock.uncertainty_us)}"),
    ]
    if clock.residual_us is not None:
        facts.append(("edges about it, rms", _time(clock.residual_us)))
    if clock.n_matched is not None:
        facts.append(("exposures with their edge", f"{clock.n_matched} of {clock.n_expected}"))
    return facts


def clock_drawings(clock: Clock, evidence: Mapping[str, Any]) -> list[Drawing]:
    """Return what a clock was found by; nothing where nothing was measured, or the evidence is incomplete.

    Parameters
    ----------
    clock : Clock
    evidence : mapping
        Of `clock.json`.
    """
    draw = {"trigger": _triggers, "motion": _motion}.get(str(evidence.get("kind")))
    if draw is None:
        return []
    try:
        return draw(clock, evidence)
    except (KeyError, TypeError, ValueError, IndexError):
        return []


def _triggers(clock: Clock, evidence: Mapping[str, Any]) -> list[Drawing]:
    t_us = np.array(evidence["t_rgb_us"], np.float64)
    residual = np.array(evidence["residual_us"], np.float64)
    edge = np.array(evidence["edge"])
    reach = max(1.0, 1.25 * float(np.abs(residual).max()))
    first, last = t_us.min(), max(t_us.max(), t_us.min() + 1)
    dots = []
    for kind, css in (("exposure_start", "one"), ("exposure_end", "two")):
        mine = np.flatnonzero(edge == kind)
        mine = mine[:: max(1, -(-len(mine) // _DOTS))]
        if len(mine):
            x = WIDE * (t_us[mine] - first) / (last - first)
            y = HIGH * (1 - (residual[mine] + reach) / (2 * reach))
            dots.append((css, _points(x, y), kind.replace("_", " ")))
    drawing = Drawing(
        f"Trigger edges about the clock: {clock.n_matched} of {clock.n_expected} exposures have theirs"
        f" (N = {clock.n_edges} edges)",
        "RGB time, s",
        "edge minus clock",
        "0",
        f"{(last - first) / 1e6:.4g} s",
        f"\u2212{_time(reach)}",
        f"+{_time(reach)}",
        dots=dots,
        lines=[("zero", f"M0 {HIGH / 2:g}L{WIDE:g} {HIGH / 2:g}", "")],
    )
    return [drawing]


def _motion(clock: Clock, evidence: Mapping[str, Any]) -> list[Drawing]:
    offset, r = _curve(evidence["curve"])
    low, high = min(0.0, float(r.min())), 1.0
    first, last = float(offset.min()), float(offset.max())
    x, y = pooled((offset - first) / ((last - first) or 1.0), r)
    marks = [("found", _short(WIDE * (0 - first) / ((last - first) or 1.0)))]
    found = float(evidence["correlation"])
    rival = evidence.get("rival_us")
    told = f"found {found:.2f}"
    if rival is not None:
        told += f", runner-up {float(evidence['rival_correlation']):.2f} at {float(rival) / 1e6:+.2f} s"
    n = f"(N = {evidence['n_used']} of {evidence['n_intervals']} frame intervals)"
    drawings = [
        Drawing(
            f"How well motion and events agree at each offset: {told} {n}",
            "offset minus the one found",
            "correlation",
            f"{first / 1e6:.3g} s",
            f"{last / 1e6:+.3g} s",
            f"{low:.2f}",
            "1",
            lines=[("one", line_path(x, y, low=low, high=high), "correlation")],
            marks=marks,
        )
    ]
    seen = evidence["seen"]
    t_us = np.array(seen["t_rgb_us"], np.float64)
    curves = [("one", "rgb", "motion in RGB frames"), ("two", "events", "event rate")]
    values = {name: np.array(seen[name], np.float64) for _, name, _ in curves}
    high = max(float(np.abs(v).max()) for v in values.values()) or 1.0
    span = (t_us.max() - t_us.min()) or 1.0
    drawings.append(
        Drawing(
            "What was compared, where most moves: contrast against the 0.35 s around, standardised",
            "RGB time",
            "contrast",
            f"{t_us.min() / 1e6:.4g} s",
            f"{t_us.max() / 1e6:.4g} s",
            f"\u2212{high:.2g}",
            f"+{high:.2g}",
            lines=[
                (css, line_path(*pooled((t_us - t_us.min()) / span, values[name]), low=-high, high=high), words)
                for css, name, words in curves
            ],
        )
    )
    return drawings


def _curve(curve: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r = np.array(curve["correlation"], np.float64)
    return np.asarray(curve["first_us"] + curve["step_us"] * np.arange(len(r)), np.float64), r


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(_short(a), _short(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]


def _short(value: float) -> float:
    return round(value, 1)


def _time(us: float) -> str:
    return f"{us:.2g}\u202f\u00b5s" if us < 1000 else f"{us / 1000:.3g}\u202fms"
