"""A session's uncertainty to look at: how well stated shares hold in its own check, and its confidence over time."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError
from au3dmm.io.atomic import write_bytes
from au3dmm.io.session import read_session
from au3dmm.io.tables import read_metadata, read_table
from au3dmm.report.calibration import KINDS, LIMITS, Calibration, calibration_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

READS = ("session:session", "coefficients")
WRITES = ("calibration_picture",)
VERSION = 1

# Okabe and Ito's colours, told apart by everybody
_COLOURS = {"independent": "#0072B2", "shared": "#D55E00"}
_INK, _FAINT = "#222222", "#767676"
_DPI = 110
_SIZE = (10.0, 5.0)  # inches
_PER_LINE = 160  # characters


def run(
    *,
    session: Path,
    coefficients: Path,
    calibration_picture: Path,
    params: Any = None,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Draw whether a session's stated uncertainty holds in its own check, and its confidence over time (PNG).

    Has the form of a stage; `params`, `stamp` and `progress` are not used.

    Returns
    -------
    dict
        ``within_1``, ``within_wide``: shares found within 1 and 2.5 standard deviations where neighbouring
        landmarks err together; None where too little moved.

    Raises
    ------
    SchemaError
        If the coefficients are not what they should be, or of an older version.
    OutputError
        If the picture cannot be written.
    """
    table = read_table(coefficients, "coefficients")
    found = calibration_of(read_metadata(coefficients), str(coefficients))
    if found is None or "confidence" not in table.column_names:
        raise SchemaError(f"{coefficients}: made before uncertainty was checked; run the fit stage again")
    t_s = table["t_rgb_us"].to_numpy() / 1e6
    confidence = table["confidence"].to_numpy(zero_copy_only=False).astype(np.float64)
    write_bytes(calibration_picture, draw_calibration(found, t_s, confidence, read_session(session).session_id))
    shares = zip(("within_1", "within_wide"), found.within.get("shared", (None, None)), strict=True)
    return {key: None if share is None else round(share, 4) for key, share in shares}


def draw_calibration(
    found: Calibration, t_s: NDArray[np.float64], confidence: NDArray[np.float64], session_id: str
) -> bytes:
    """Return the picture as the bytes of a PNG; equal sessions give equal bytes.

    Parameters
    ----------
    found : Calibration
    t_s : (T,) array
        Times of the frames, s.
    confidence : (T,) array
        NaN where a frame has none.
    session_id : str
        For the title.
    """
    # here: every worker and every command that runs a pipeline imports this module, few draw
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams.update({"font.size": 8.5, "axes.spines.top": False, "axes.spines.right": False})
        figure = Figure(figsize=_SIZE, dpi=_DPI)
        grid = figure.add_gridspec(1, 2, width_ratios=(1, 1.7), wspace=0.2, left=0.06, right=0.98, bottom=0.3, top=0.8)
        _draw_shares(figure.add_subplot(grid[0]), found)
        _draw_confidence(figure.add_subplot(grid[1]), t_s, confidence)
        words: dict[str, Any] = {"color": _INK, "parse_math": False}
        figure.text(0.06, 0.94, f"{session_id}: does the stated uncertainty hold?", fontsize=11, weight="bold", **words)
        lines = [*_wrapped(found.told), *_wrapped(LIMITS)]
        if found.hardly_seen:
            lines += _wrapped(f"Hardly seen by these landmarks: {', '.join(found.hardly_seen)}.")
        for i, line in enumerate(lines[:7]):
            figure.text(0.06, 0.19 - 0.03 * i, line, fontsize=7.5, **words)
        out = io.BytesIO()
        figure.savefig(out, format="png", metadata={"Software": None})
        return out.getvalue()


def _draw_shares(axes: Axes, found: Calibration) -> None:
    axes.plot([0, 1], [0, 1], color=_FAINT, lw=0.8, ls="--", label="exact")
    for kind, points in found.curves.items():
        stated, share = zip(*points, strict=True)
        label = f"{KINDS[kind]} (N = {found.shown[kind]} codes)"
        axes.plot(stated, share, "o-", color=_COLOURS[kind], ms=3.5, lw=1.2, label=label)
    if not found.curves:
        axes.text(0.5, 0.5, "too little moves", ha="center", color=_FAINT)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("share that the stated uncertainty promises")
    axes.set_ylabel("share found")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.05, 1.0), borderpad=0.1, frameon=False, fontsize=7)


def _draw_confidence(axes: Axes, t_s: NDArray[np.float64], confidence: NDArray[np.float64]) -> None:
    known = np.isfinite(confidence)
    if known.any():
        axes.plot(t_s, confidence, ".-", color=_COLOURS["independent"], ms=2.5, lw=0.7)
        middle = float(np.median(confidence[known]))
        axes.set_title(f"median {middle:.2f}, least {confidence[known].min():.2f}", fontsize=8.5, loc="left")
    axes.set_ylim(0, 1)
    axes.set_xlabel("RGB time, s")
    axes.set_ylabel("confidence of each frame")
    axes.margins(x=0.01)


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, _PER_LINE)
