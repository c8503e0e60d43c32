"""Stage align of a recording without events: its labels are the coefficients of its RGB frames, at their own times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.config import AlignParams
from au3dmm.core.alignment import align
from au3dmm.core.frame_windows import frame_windows
from au3dmm.errors import FitError, SchemaError
from au3dmm.io.session import Session, read_session
from au3dmm.io.tables import read_metadata, read_table, write_table
from au3dmm.io.timestamps import read_timestamps
from au3dmm.stages.align import VERSION, label_table, made_with, status_counts

__all__ = ["READS", "VERSION", "WINDOWS", "WRITES", "run"]

READS = ("session:session", "session:rgb", "coefficients")
WRITES = ("labels",)
WINDOWS = "frame"
"""What the metadata calls these windows."""


def run(
    *,
    session: Path,
    coefficients: Path,
    labels: Path,
    params: AlignParams,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Write `labels.parquet`, one row per RGB frame, with times on the RGB clock and no events.

    Nothing is interpolated, so nothing of `params` matters; they are kept, as the labels of one dataset say alike how
    they were aligned.

    Returns
    -------
    dict
        ``frames``, ``ok``, and the number of rows of each other status.

    Raises
    ------
    SchemaError
        If the coefficients are not what they should be, or not those of the timestamps.
    SessionError
        If the timestamps cannot be read.
    """
    recording = read_session(session)
    frames = read_table(coefficients, "coefficients")
    t_us = frames["t_rgb_us"].to_numpy()
    try:
        start, end = frame_windows(t_us, _exposures(recording, len(t_us)))
        alignment = align(t_us, t_us, frames["status"].to_pylist(), "none", 0)
    except FitError as err:
        raise SchemaError(f"{coefficients}: {err}") from err
    n = len(t_us)
    windows = pa.table(
        {
            "event_frame_index": pa.array(np.arange(n), pa.int32()),
            "t_start_us": pa.array(start, pa.int64()),
            "t_end_us": pa.array(end, pa.int64()),
            "n_events": pa.array(np.zeros(n), pa.int64()),
        }
    )
    table = label_table(recording, frames, windows, alignment, t_us, params)
    made = read_metadata(coefficients)
    counts = status_counts(alignment)
    metadata = {
        "stage": "align",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        **made_with(made),
        "clock": None,
        "windows": WINDOWS,
        "units": f"times: us on the RGB clock; {made.get('units', '')}",
        "counts": counts,
    }
    write_table(labels, "labels", table, metadata)
    if progress:
        progress(n, n)
    return {"frames": n, "rgb_frames": n, "ok": 0, **counts}


def _exposures(session: Session, n: int) -> NDArray[np.int64] | None:
    """Return the length of each frame's exposure, us; None where nothing is known of it."""
    rgb = session.manifest.rgb
    if rgb.timestamps is not None:
        stamps = read_timestamps(session.file(rgb.timestamps))
        known = stamps.exposures_us(rgb.timestamp_convention, rgb.exposure_us)
        return None if known is None else known[:, 1] - known[:, 0]
    return None if rgb.exposure_us is None else np.full(n, rgb.exposure_us, np.int64)
