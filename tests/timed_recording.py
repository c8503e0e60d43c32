"""A session folder with events and triggers on a planted clock, and the tables of its RGB frames; no video in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from au3dmm.core.clock import ClockModel
from au3dmm.io.events import EVENT_DTYPE, TRIGGER_DTYPE, write_evt3
from au3dmm.io.table_schemas import coefficients_schema, landmarks_schema
from au3dmm.io.tables import scalar_array, vector_array, word_array, write_table

TRUE = ClockModel(15_000_000.4, 35.0)  # the 24-bit clock wraps inside
N_FRAMES, INTERVAL, EXPOSURE = 60, 41_708, 8_000
T_RGB = np.arange(N_FRAMES) * INTERVAL + 500_000


def write_session(
    folder: Path,
    *,
    sync: str = 'method = "trigger"',
    rgb: str = f"exposure_us = {EXPOSURE}",
    events: bool = True,
    triggers: np.ndarray | None = None,
    first_us: int = 15_450_000,
    last_us: int = 18_100_000,
    csv: str | None = None,
) -> Path:
    """Write `session.toml` and `events.raw` of a 64 x 48 sensor; return the folder."""
    folder.mkdir(exist_ok=True)
    timestamps = ""
    if csv is not None:
        (folder / "rgb_timestamps.csv").write_text(csv)
        timestamps = 'timestamps = "rgb_timestamps.csv"\n'
    text = f'[session]\nsession_id = "planted"\nsubject_id = "S1"\n[rgb]\nfile = "rgb.mp4"\n{timestamps}{rgb}\n'
    if events:
        text += '[events]\nfile = "events.raw"\n'
        rng = np.random.default_rng(0)
        array = np.zeros(20_000, EVENT_DTYPE)
        array["t"] = np.sort(rng.integers(first_us, last_us, len(array)))
        array["t"][[0, -1]] = first_us, last_us
        array["x"], array["y"] = rng.integers(0, 64, len(array)), rng.integers(0, 48, len(array))
        array["p"] = rng.integers(0, 2, len(array))
        edges = exposure_edges() if triggers is None else triggers
        write_evt3(folder / "events.raw", array, edges, width=64, height=48)
    (folder / "session.toml").write_text(f"{text}[sync]\n{sync}\n")
    return folder


def exposure_edges(
    drop: tuple[int, ...] = (), spurious: tuple[int, ...] = (), trigger_id: int = 0, length: int = EXPOSURE
) -> np.ndarray:
    """Both edges of every exposure but the edges numbered in `drop`, and rising ones at the times in `spurious`."""
    instants = np.stack([T_RGB - length // 2, T_RGB - length // 2 + length], 1).ravel()
    keep = ~np.isin(np.arange(len(instants)), drop)
    edges = np.zeros(int(keep.sum()) + len(spurious), TRIGGER_DTYPE)
    edges["t"] = np.r_[TRUE.to_event_us(instants)[keep], np.array(spurious, np.int64)]
    edges["p"] = np.r_[np.tile([1, 0], N_FRAMES)[keep], np.ones(len(spurious), int)]
    edges["id"] = trigger_id
    return edges[np.argsort(edges["t"], kind="stable")]


def write_landmarks(path: Path, t_rgb_us: np.ndarray = T_RGB, box: tuple[float, ...] | None = None) -> Path:
    """Write `landmarks.parquet` of frames without a face: only their times matter here, and where the face would be."""
    n = len(t_rgb_us)
    columns = {
        "frame_index": pa.array(np.arange(n), pa.int32()),
        "t_rgb_us": pa.array(t_rgb_us, pa.int64()),
        "status": word_array(["no_face"] * n),
        "flags": pa.array([[]] * n, pa.list_(pa.string())),
        "n_faces": pa.array(np.zeros(n), pa.int16()),
    }
    if box is not None:
        columns["box_px"] = vector_array(np.tile(np.float32(box), (n, 1)), np.ones(n, bool))
    schema = landmarks_schema()
    arrays = [columns[field.name] if field.name in columns else pa.nulls(n, field.type) for field in schema]
    write_table(path, "landmarks", pa.Table.from_arrays(arrays, schema=schema), {"image": {"width": 64, "height": 48}})
    return path


def write_coefficients(
    path: Path, alpha: np.ndarray, status: list[str], flags: list[list[str]], t_rgb_us: np.ndarray = T_RGB
) -> Path:
    """Write `coefficients.parquet` with planted alpha; the other columns follow from the frame number."""
    n = len(alpha)
    ok = np.array([word == "ok" for word in status])
    number = np.arange(n, dtype=float)
    scalar = scalar_array(number, ok, pa.float32())
    columns = [
        pa.array(np.arange(n), pa.int32()),
        pa.array(t_rgb_us, pa.int64()),
        word_array(status),
        pa.array(flags, pa.list_(pa.string())),
        scalar_array(np.full(n, 0.75), ok, pa.float32()),
        vector_array(alpha, ok),
        vector_array(np.full(alpha.shape, 0.5), ok),
        vector_array(np.stack([0 * number, number * 0.01, 0 * number], 1), ok),
        scalar,
        vector_array(np.stack([number, 2 * number], 1), ok),
        *[scalar] * 3,
        vector_array(np.zeros((n, 8)), ok),
        *[scalar] * 4,
        scalar_array(number / n, ok, pa.float32()),
    ]
    table = pa.Table.from_arrays(columns, schema=coefficients_schema(alpha.shape[1]))
    metadata = {
        "basis": {"basis_kind": "demo"},
        "detector": {"name": "fake"},
        "landmark_scheme": "ibug68",
        "units": "u",
    }
    write_table(path, "coefficients", table, metadata)
    return path
