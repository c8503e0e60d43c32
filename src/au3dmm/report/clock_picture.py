"""A session's clock to look at: the evidence that it was found by, drawn from `clock.json` alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError
from au3dmm.io.atomic import write_bytes
from au3dmm.io.clock import Clock, read_clock, read_evidence
from au3dmm.io.session import read_session
from au3dmm.report.plots_style import figure_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = ("session:session", "clock")
WRITES = ("clock_picture",)
VERSION = 2

# Okabe and Ito's colours, told apart by everybody
_BLUE, _ORANGE, _RED, _GREEN = "#0072B2", "#E69F00", "#D55E00", "#009E73"
_INK, _FAINT = "#222222", "#767676"
_DPI = 110
_SIZE = (10.0, 6.2)  # inches
_LEAST = 0.76  # of the usual size of text
_CHARACTERS = 10.5  # of a headline, per inch
_STATED = {
    "start": "Nothing was measured: both cameras are taken to have started together.\n"
    "That is a guess, which may be hundreds of ms off.",
    "shared": "Nothing was measured: RGB times are taken to be on the event camera's clock,\n"
    "but for the offset that session.toml states.",
}


def run(
    *,
    session: Path,
    clock: Path,
    clock_picture: Path,
    params: Any = None,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Draw why a session's clock is what it is (PNG).

    Triggers: the time of each edge about the clock, with exposures that found no edge and edges that belong to none.
    Motion: the correlation at all offsets and near the one found, and what was correlated. Other methods: that nothing
    was measured. Has the form of a stage; `params`, `stamp` and `progress` are not used.

    Returns
    -------
    dict
        ``kind``: of the evidence.

    Raises
    ------
    SchemaError
        If the clock is not what it should be, or an old one without evidence.
    OutputError
        If the picture cannot be written.
    """
    found, evidence = read_clock(clock), read_evidence(clock)
    write_bytes(clock_picture, draw_clock(found, evidence, read_session(session).session_id, str(clock)))
    return {"kind": evidence["kind"]}


def draw_clock(
    clock: Clock,
    evidence: Mapping[str, Any],
    session_id: str,
    source: str = "clock.json",
    *,
    suffix: str = ".png",
    dpi: int = _DPI,
    width: float = _SIZE[0],
) -> bytes:
    """Return the picture of a clock as the bytes of a PNG, SVG or PDF; equal clocks give equal bytes.

    Parameters
    ----------
    clock : Clock
    evidence : mapping
        See `au3dmm.io.clock.read_evidence`.
    session_id : str
        For the title.
    source : str
        For messages: where the evidence is from.
    suffix : str
        ``.png``, ``.svg`` or ``.pdf``.
    dpi : int
        Of a PNG.
    width : float
        inches, 6 at least; text shrinks a little in a narrow picture.

    Raises
    ------
    SchemaError
        If the evidence is incomplete.
    """
    # here: every worker and every command that runs a pipeline imports this module, few draw
    import matplotlib
    from matplotlib.figure import Figure

    small = min(1.0, max(width / _SIZE[0], _LEAST))
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams.update(
            {
                "font.size": 8.5 * small,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "svg.hashsalt": "au3dmm",
                "pdf.fonttype": 42,
            }
        )
        figure = Figure(figsize=(width, _SIZE[1] * width / _SIZE[0]), dpi=dpi)
        try:
            title = {"trigger": _draw_triggers, "motion": _draw_motion}.get(evidence["kind"], _draw_stated)(
                figure, clock, evidence
            )
        except (KeyError, TypeError, ValueError, IndexError) as err:
            raise SchemaError(f"{source}: evidence is incomplete ({err!r}); run the sync stage again") from err
        height = figure.get_figheight()
        style: dict[str, Any] = {"color": _INK, "parse_math": False}
        headline = f"{session_id}: {title}"
        fits = min(1.0, width * _CHARACTERS / small / len(headline))
        figure.text(0.06, 1 - 0.22 / height, headline, fontsize=11 * small * fits, weight="bold", **style)
        figure.text(0.06, 1 - (0.22 + 0.18 * small) / height, _numbers(clock), **style)
        for i, warning in enumerate(clock.warnings):
            figure.text(
                0.06, (0.08 + 0.13 * i) / height, f"Warning: {warning}", color=_RED, fontsize=7, parse_math=False
            )
        return figure_bytes(figure, suffix, dpi)


def _numbers(clock: Clock) -> str:
    def known(value: float | None, unit: str) -> str:
        return "" if value is None else f" ± {_short(value)} {unit}"

    parts = [
        f"offset {clock.offset_us:.1f} us",
        f"drift {clock.drift_ppm:+.2f}{known(clock.drift_std_ppm, 'ppm') or ' ppm'}",
    ]
    if clock.residual_us is not None:
        parts.append(f"residual {_short(clock.residual_us)} us rms")
    doubt = "not known" if clock.uncertainty_us is None else f"{_short(clock.uncertainty_us)} us"
    parts.append(f"standard error at the worse end {doubt}")
    if clock.tie_broken_by is not None:
        parts.append(f"tie between shifts broken by {clock.tie_broken_by}")
    return ", ".join(parts)


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _draw_triggers(figure: Figure, clock: Clock, evidence: Mapping[str, Any]) -> str:
    t_us = np.array(evidence["t_rgb_us"], np.int64)
    residual = np.array(evidence["residual_us"], np.float64)
    edge = np.array(evidence["edge"])
    missing = np.array(evidence["missing_t_rgb_us"], np.int64)
    spurious = clock.model.to_rgb_us(np.array(evidence["spurious_t_us"], np.int64))
    first = int(t_us.min())
    # edges far outside the video say nothing of its clock
    length = int(t_us.max()) - first
    beside = spurious[(spurious > first - 0.05 * length) & (spurious < first + 1.05 * length)]
    grid = figure.add_gridspec(1, 2, width_ratios=(4, 1), wspace=0.04, left=0.08, right=0.97, bottom=0.11, top=0.87)
    over_time = figure.add_subplot(grid[0])
    histogram = figure.add_subplot(grid[1], sharey=over_time)
    reach = max(1.0, 1.25 * float(np.abs(residual).max()))
    bins = np.linspace(-reach, reach, 61).tolist()
    for kind, colour, marker in (("exposure_start", _BLUE, "o"), ("exposure_end", _ORANGE, "s")):
        mine = edge == kind
        if mine.any():
            label = f"{kind.replace('_', ' ')} ({mine.sum()} drawn)"
            style: dict[str, Any] = {"ls": "", "marker": marker, "ms": 2.6, "mew": 0, "color": colour, "label": label}
            over_time.plot((t_us[mine] - first) / 1e6, residual[mine], **style)
            histogram.hist(residual[mine], bins=bins, orientation="horizontal", color=colour, alpha=0.65)
    for times, height, n, colour, marker, label in (
        (missing, -0.95, evidence["n_missing"], _RED, "v", "exposures without an edge"),
        (beside, 0.95, evidence["n_spurious"], _GREEN, "x", "edges of no exposure"),
    ):
        words = f"{label} ({n}{f', {len(times)} drawn' if len(times) != n else ''})"
        style = {"ls": "", "marker": marker, "ms": 5, "color": colour, "label": words}
        over_time.plot((times - first) / 1e6, np.full(len(times), height * reach), **style)
    over_time.axhline(0, color=_FAINT, lw=0.8)
    over_time.set_ylim(-1.05 * reach, 1.05 * reach)
    over_time.set_xlabel("time since the first exposure, s")
    over_time.set_ylabel("edge minus clock, us")
    _legend_above(over_time, 4)
    histogram.tick_params(labelleft=False)
    histogram.set_xlabel("edges")
    return (
        f"{clock.n_matched} of {clock.n_expected} exposure instants have their trigger edge (N = {clock.n_edges} edges)"
    )


def _draw_motion(figure: Figure, clock: Clock, evidence: Mapping[str, Any]) -> str:
    doubt = float(clock.uncertainty_us or 0.0)
    narrow = figure.get_figwidth() < _SIZE[0]
    left, top, apart = (0.085, 0.855, 0.55) if narrow else (0.07, 0.88, 0.45)
    grid = figure.add_gridspec(
        2, 2, width_ratios=(1.7, 1), hspace=apart, wspace=0.2, left=left, right=0.975, bottom=0.1, top=top
    )
    overall, close, seen = (figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :]))
    offset, r = _curve(evidence["curve"])
    overall.plot(offset / 1e6, r, color=_BLUE, lw=0.8, label="all offsets, coarsely")
    # the coarse curve steps over the tops of peaks, and counts frames at the ends that cannot be compared exactly
    near = [_curve(part) for part in (evidence["zoom"], evidence.get("rival_zoom")) if part is not None]
    for k, (beside, exact) in enumerate(near):
        overall.plot(beside / 1e6, exact, color=_ORANGE, lw=1.2, label=None if k else "exactly")
    overall.plot(0, evidence["correlation"], "o", color=_RED, ms=6, label=f"found: {evidence['correlation']:.2f}")
    if evidence["rival_us"] is not None:
        rival = evidence["rival_correlation"]
        at = evidence["rival_us"] / 1e6
        overall.plot(at, rival, "^", mfc="none", color=_INK, ms=7, label=f"runner-up: {rival:.2f} at {at:+.2f} s")
    overall.set_xlabel("offset minus the one found, s")
    overall.set_ylabel("correlation")
    _legend_above(overall, 4)
    offset, r = _curve(evidence["zoom"])
    close.axvspan(-2e-3 * doubt, 2e-3 * doubt, color=_ORANGE, alpha=0.35, lw=0, label="± 2 standard errors")
    close.plot(offset / 1e3, r, color=_BLUE, lw=1.2)
    close.plot(0, evidence["correlation"], "o", color=_RED, ms=5)
    close.set_xlabel("offset minus the one found, ms")
    _legend_above(close, 1)
    _low_and_high(overall, close)
    t_us = np.array(evidence["seen"]["t_rgb_us"], np.int64)
    for name, colour, label in (("rgb", _BLUE, "motion in RGB frames"), ("events", _RED, "event rate")):
        seen.plot(t_us / 1e6, np.array(evidence["seen"][name], np.float64), color=colour, lw=1.0, label=label)
    seen.set_xlabel("RGB time, s")
    seen.set_ylabel("contrast against 0.35 s\naround, standardised")
    seen.margins(x=0.01)
    _legend_above(seen, 2)
    where = "the whole frame" if evidence["region"] == "frame" else "the face"
    drift = "" if evidence["drift_measured"] else ", drift taken to be 0"
    return (
        f"clock from motion in {where} (N = {evidence['n_used']} of {evidence['n_intervals']} frame intervals{drift})"
    )


def _curve(curve: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r = np.array(curve["correlation"], np.float64)
    return curve["first_us"] + curve["step_us"] * np.arange(len(r)), r


def _legend_above(axes: Axes, columns: int) -> None:
    import matplotlib

    style: dict[str, Any] = {"borderpad": 0.1, "frameon": False, "fontsize": matplotlib.rcParams["font.size"] - 1}
    axes.legend(loc="lower left", ncols=columns, bbox_to_anchor=(0.0, 0.99), **style)


def _low_and_high(*axes: Axes) -> None:
    """Give axes one scale, so that the runner-up can be compared with the peak."""
    low = min(ax.get_ylim()[0] for ax in axes)
    for ax in axes:
        ax.set_ylim(low, 1.08)
        ax.axhline(0, color=_FAINT, lw=0.6)


def _draw_stated(figure: Figure, clock: Clock, evidence: Mapping[str, Any]) -> str:
    figure.set_size_inches(figure.get_figwidth(), 1.6)
    words = _STATED.get(str(evidence["kind"]), "Nothing was measured.")
    figure.text(0.06, 0.3, words, fontsize=11, color=_RED if clock.method == "start" else _INK)
    return f"clock by method {clock.method!r}"
