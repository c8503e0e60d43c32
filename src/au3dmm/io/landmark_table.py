"""`landmarks.parquet` as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError
from au3dmm.io.tables import read_footer, read_metadata, read_table, vectors


@dataclass(frozen=True)
class LandmarkTrack:
    """Landmarks of T RGB frames.

    Attributes
    ----------
    frame_index : (T,) int32 array
        Frame numbers.
    t_rgb_us : (T,) int64 array
        Exposure midpoints on the RGB clock, us.
    status : tuple of str
        Status of each frame.
    flags : tuple of tuple of str
        Flags of each frame.
    score : (T,) float32 array
        Landmark score, NaN where there is none.
    landmarks_px : (T, 68, 3) float64 array
        Image px with y down, z in px towards the camera; NaN where there are none.
    width, height : int
        Image size, px.
    metadata : mapping
        The table's own.
    dense_px : (T, N, 3) float32 array, optional
        All points of a dense detector, likewise, as stored; None if they were not asked for, or there are none.
    """

    frame_index: NDArray[np.int32]
    t_rgb_us: NDArray[np.int64]
    status: tuple[str, ...]
    flags: tuple[tuple[str, ...], ...]
    score: NDArray[np.float32]
    landmarks_px: NDArray[np.float64]
    width: int
    height: int
    metadata: Mapping[str, Any]
    dense_px: NDArray[np.float32] | None = None

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Frames whose landmarks may be fitted: status ok."""
        return np.array([word == "ok" for word in self.status], dtype=bool)


def read_landmark_track(path: Path, *, dense: bool = False) -> LandmarkTrack:
    """Read `landmarks.parquet`; with its dense points, if there are any, only if `dense`: they are six times as many.

    Raises
    ------
    SchemaError
        If the file is not a landmarks table, or a frame of status ok has no finite landmarks.
    """
    metadata = read_metadata(path)
    columns = ["frame_index", "t_rgb_us", "status", "flags", "landmark_score", "landmarks_px"]
    if dense and "dense_px" in read_footer(path)[0].schema.to_arrow_schema().names:
        columns.append("dense_px")
    table = read_table(path, "landmarks", columns)
    values, _ = vectors(table, "landmarks_px")
    points = vectors(table, "dense_px")[0] if "dense_px" in columns else None
    image = metadata.get("image", {})
    track = LandmarkTrack(
        frame_index=table["frame_index"].to_numpy(),
        t_rgb_us=table["t_rgb_us"].to_numpy(),
        status=tuple(table["status"].to_pylist()),
        flags=tuple(tuple(f) for f in table["flags"].to_pylist()),
        score=np.array(table["landmark_score"].to_numpy(zero_copy_only=False), np.float32),
        landmarks_px=values.reshape(-1, 68, 3).astype(np.float64),
        width=int(image.get("width", 0)),
        height=int(image.get("height", 0)),
        metadata=metadata,
        dense_px=None if points is None else points.reshape(len(points), -1, 3),
    )
    if track.width <= 0 or track.height <= 0:
        raise SchemaError(f"{path}: its metadata gives no image size")
    bad = track.usable & ~np.isfinite(track.landmarks_px[..., :2]).all((1, 2))
    if bad.any():
        frame = track.frame_index[np.argmax(bad)]
        raise SchemaError(f"{path}: frame {frame} has status ok but no finite landmarks")
    return track
