"""What a session's page draws over time: status, coefficients, reprojection error, confidence, event rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.report.page_parts import count, data_address
from au3dmm.report.session_charts import TimeAxis, heat_map, line_path, png, pooled, status_runs
from au3dmm.report.session_facts import metric, other_units
from au3dmm.report.session_files import SessionFiles

_MOST_SPELLS = 40  # listed one by one


def status_strips(files: SessionFiles, axis: TimeAxis, t_us: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return the timelines of status: RGB frames, then event frames."""
    strips = []
    for name, times, status in (
        ("RGB frames", t_us, files.fitted.status if files.fitted is not None else None),
        ("event frames", *((files.rows.label_us, files.rows.status) if files.rows is not None else (t_us, None))),
    ):
        if status is None or not len(status):
            continue
        share = axis.share(times)
        runs = status_runs(share, status)
        counts = Counter(status)
        bad = [run for run in spells_of(share, status) if run[0] != "ok"]
        strips.append(
            {
                "name": name,
                "n": len(status),
                "runs": runs,
                "counts": sorted(counts.items(), key=lambda pair: (pair[0] != "ok", -pair[1], pair[0])),
                "spells": [
                    (word, f"{axis.seconds * share[a]:.3f}", f"{axis.seconds * share[b]:.3f}", b - a + 1)
                    for word, a, b in bad[:_MOST_SPELLS]
                ],
                "more": max(len(bad) - _MOST_SPELLS, 0),
            }
        )
    return strips


def spells_of(share: NDArray[np.float64], status: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return every stretch of one status: the word, its first and its last row.

    Examples
    --------
    >>> spells_of(np.arange(3.0), ["ok", "gap", "gap"])
    [('ok', 0, 0), ('gap', 1, 2)]
    """
    begins = [i for i in range(len(share)) if i == 0 or status[i] != status[i - 1]]
    return [(status[a], a, b - 1) for a, b in zip(begins, [*begins[1:], len(share)], strict=True)]


def coefficient_map(files: SessionFiles, axis: TimeAxis, t_us: NDArray[np.int64]) -> dict[str, Any] | None:
    """Return the picture of all coefficients over time, with the names of its rows; None where nothing was fitted."""
    fitted = files.fitted
    if fitted is None or not len(t_us) or not np.isfinite(fitted.alpha).any():
        return None
    high = float(np.nanmax(np.abs(fitted.alpha)))
    picture = heat_map(axis.share(t_us), np.abs(fitted.alpha), np.full(fitted.alpha.shape[1], high))
    rows = [
        {"name": name, "units": ", ".join(other_units(name, units))}
        for name, units in zip(files.names, files.units, strict=True)
    ]
    return {
        "picture": data_address(png(picture), "image/png"),
        "rows": rows,
        "high": f"{high:.2g}",
        "n": int(fitted.status.count("ok")),
    }


def line_charts(files: SessionFiles, axis: TimeAxis, t_us: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return the curves of reprojection error, confidence and event rate, as far as they are known."""
    charts = []
    fitted, rows = files.fitted, files.rows
    if fitted is not None and np.isfinite(fitted.rmse_px).any():
        middle = float(np.nanmedian(fitted.rmse_px))
        charts.append(
            _chart(
                "Reprojection error",
                "px",
                axis,
                t_us,
                fitted.rmse_px,
                f"median {middle:.3g} px over {count(fitted.status.count('ok'))} frames",
            )
        )
    if fitted is not None and np.isfinite(fitted.confidence).any():
        middle = float(np.nanmedian(fitted.confidence))
        charts.append(_chart("Confidence", "", axis, t_us, fitted.confidence, f"median {middle:.2f}, of 1", top=1.0))
    if rows is not None and len(rows.status):
        length = np.maximum(rows.end_us - rows.start_us, 1) / 1e6
        rate = rows.n_events / length
        charts.append(
            _chart(
                "Event rate",
                "/s",
                axis,
                (rows.start_us + rows.end_us) // 2,
                rate,
                f"median {metric(float(np.median(rate)))} events/s in {count(len(rate))} event frames",
            )
        )
    return charts


def _chart(
    name: str,
    unit: str,
    axis: TimeAxis,
    t_us: NDArray[np.int64],
    values: NDArray[np.floating],
    told: str,
    top: float | None = None,
) -> dict[str, Any]:
    values = np.asarray(values, np.float64)
    high = top or float(np.nanmax(values)) or 1.0
    share = axis.share(t_us)
    gap = 5 * float(np.median(np.diff(share))) if len(share) > 1 else np.inf
    x, y = pooled(share, values)
    gap = max(gap, 3 * float(np.median(np.diff(x)))) if len(x) > 1 else gap
    return {
        "name": name,
        "told": told,
        "top": f"{metric(high)}{unit and ' ' + unit}",
        "path": line_path(x, y, low=0.0, high=high, gap=gap),
    }
