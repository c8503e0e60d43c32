"""Landmarks that were detected elsewhere: our own tables, npz, plain CSV, OpenFace and py-feat."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import N_LANDMARKS
from au3dmm.errors import SchemaError, SessionError, os_reason
from au3dmm.io.bases import read_npz
from au3dmm.io.tables import read_table, vectors

Format = Literal["auto", "au3dmm", "openface", "pyfeat"]


@dataclass(frozen=True)
class LandmarkFile:
    """N faces in some frames of a recording; a frame that is not named has no face.

    Attributes
    ----------
    format : str
        As recognised: ``au3dmm``, ``openface`` or ``pyfeat``.
    frame_index : (N,) int64 array
        Frame of each face, counted from 0 (OpenFace counts from 1).
    landmarks_px : (N, 68, 3) float32 array
        iBUG order; x, y px, z px towards the camera; z is 0 where the file has none.
    landmark_score : (N,) float32 array
        NaN where the file has none.
    box_px : (N, 4) float32 array
        x0, y0, x1, y1; where the file has none, around the landmarks.
    detection_score : (N,) float32 array
        NaN where the file has none.
    dense_px : (N, M, 3) float32 array or None
        Dense landmarks, from our own table only.
    has_z : bool
        Whether z is in the file.
    n_counted : int or None
        Frames that whoever made the file counted as it read them (OpenFace, py-feat, an npz without ``frame_index``);
        None if the file names each ``frame_index``. A frame that could not be decoded was not counted.
    """

    format: str
    frame_index: NDArray[np.int64]
    landmarks_px: NDArray[np.float32]
    landmark_score: NDArray[np.float32]
    box_px: NDArray[np.float32]
    detection_score: NDArray[np.float32]
    dense_px: NDArray[np.float32] | None
    has_z: bool
    n_counted: int | None = None


def read_landmark_file(path: Path, kind: Format = "auto") -> LandmarkFile:
    """Read landmarks in any of the known forms; faces that the file marks as failed, or with NaN in it, are left out.

    Parameters
    ----------
    path : Path
        ``.parquet``: our own `landmarks.parquet`. ``.npz``: ``landmarks`` (T, 68, 2 or 3) px, and if wanted
        ``frame_index`` (T,) and ``score`` (T,); without ``frame_index`` the frames are 0 to T - 1. ``.csv``: a header
        and a row per face:

        - au3dmm: ``frame_index``, ``x_0`` to ``x_67``, ``y_0`` to ``y_67``, if wanted ``z_0`` to ``z_67``, ``score``;
        - openface: ``frame`` from 1, ``confidence``, ``success``, ``x_0``..., ``y_0``... (its ``X_``, ``Y_``, ``Z_``
          in mm are not used);
        - pyfeat: ``frame`` from 0, ``FaceScore``, ``FaceRectX``, ``FaceRectY``, ``FaceRectWidth``,
          ``FaceRectHeight``, ``x_0``..., ``y_0``...
    kind : {"auto", "au3dmm", "openface", "pyfeat"}
        ``auto`` recognises it by the file's ending and a CSV's columns.

    Raises
    ------
    SessionError
        If the file is missing, of another form, or its numbers are not numbers.
    """
    try:
        if path.suffix == ".parquet":
            return _read_own_table(path)
        if path.suffix == ".npz":
            return _read_npz(path)
    except SchemaError as err:
        raise SessionError(str(err)) from err
    if path.suffix.lower() not in (".csv", ".txt"):
        raise SessionError(f"{path}: landmarks in a file {path.suffix!r}; expected .npz, .csv or .parquet")
    names, values = _read_csv(path)
    found = _recognise(names) if kind == "auto" else kind
    if found is None:
        raise SessionError(
            f"{path}: none of the known landmark CSVs; found columns {', '.join(names[:6])}, ...; expected frame_index"
            " (au3dmm), success (openface) or FaceScore (pyfeat), with x_0 to x_67 and y_0 to y_67"
        )
    return _READERS[found](_Columns(path, found, names, values))


class _Columns:
    """A CSV's columns by name; asking for one that is not there is the user's error."""

    def __init__(self, path: Path, kind: str, names: Sequence[str], values: NDArray[np.float64]) -> None:
        self.path, self.kind, self.names = path, kind, list(names)
        self._values = values
        self._place = {name: i for i, name in enumerate(names)}

    def __contains__(self, name: str) -> bool:
        return name in self._place

    def get(self, *names: str) -> NDArray[np.float64]:
        """Return (N, len(names)) values."""
        missing = [name for name in names if name not in self._place]
        if missing:
            raise SessionError(f"{self.path}: no column {missing[0]!r}, which {self.kind} landmarks must have")
        return self._values[:, [self._place[name] for name in names]]

    def points(self, *axes: str) -> NDArray[np.float64]:
        """Return (N, 68, len(axes)) coordinates."""
        return np.stack([self.get(*(f"{axis}_{i}" for i in range(N_LANDMARKS))) for axis in axes], axis=-1)


def _recognise(names: Sequence[str]) -> str | None:
    have = set(names)
    if not {"x_0", "y_0"} <= have:
        return None
    for kind, marks in {"pyfeat": "FaceScore", "openface": "success", "au3dmm": "frame_index"}.items():
        if marks in have:
            return kind
    return None


def _read_plain(columns: _Columns) -> LandmarkFile:
    has_z = "z_0" in columns
    points = columns.points("x", "y", "z") if has_z else columns.points("x", "y")
    score = columns.get("score")[:, 0] if "score" in columns else None
    return _collect(columns.path, "au3dmm", columns.get("frame_index")[:, 0], points, score=score)


def _read_openface(columns: _Columns) -> LandmarkFile:
    frame = columns.get("frame")[:, 0] - 1
    keep = columns.get("success")[:, 0] > 0
    return _collect(
        columns.path,
        "openface",
        frame,
        columns.points("x", "y"),
        score=columns.get("confidence")[:, 0],
        keep=keep,
        counted=True,
    )


def _read_pyfeat(columns: _Columns) -> LandmarkFile:
    rect = columns.get("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight")
    return _collect(
        columns.path,
        "pyfeat",
        columns.get("frame")[:, 0],
        columns.points("x", "y"),
        box=np.concatenate([rect[:, :2], rect[:, :2] + rect[:, 2:]], axis=1),
        detection=columns.get("FaceScore")[:, 0],
        counted=True,
    )


_READERS: dict[str, Callable[[_Columns], LandmarkFile]] = {
    "au3dmm": _read_plain,
    "openface": _read_openface,
    "pyfeat": _read_pyfeat,
}


def _read_npz(path: Path) -> LandmarkFile:
    arrays = read_npz(path)
    if "landmarks" not in arrays:
        raise SessionError(f"{path}: no array 'landmarks'; found {', '.join(sorted(arrays)) or 'nothing'}")
    points = arrays["landmarks"]
    if (
        points.ndim != 3
        or points.shape[1] != N_LANDMARKS
        or points.shape[2] not in (2, 3)
        or points.dtype.kind not in "fiu"
    ):
        raise SessionError(f"{path}: landmarks are {points.dtype} {points.shape}; expected numbers (T, 68, 2 or 3)")
    frame = arrays.get("frame_index", np.arange(len(points)))
    score = arrays.get("score")
    for name, array in (("frame_index", frame), ("score", score)):
        if array is not None and (array.shape != (len(points),) or array.dtype.kind not in "fiu"):
            raise SessionError(f"{path}: {name} is {array.dtype} {array.shape}; expected numbers ({len(points)},)")
    return _collect(path, "au3dmm", frame, points, score=score, counted="frame_index" not in arrays)


def _read_own_table(path: Path) -> LandmarkFile:
    table = read_table(path, "landmarks")
    points, valid = vectors(table, "landmarks_px")
    box, _ = vectors(table, "box_px")
    dense = (
        vectors(table, "dense_px")[0][valid].reshape(valid.sum(), -1, 3) if "dense_px" in table.column_names else None
    )
    scores = [
        np.array(table[name].to_numpy(zero_copy_only=False), np.float32)
        for name in ("landmark_score", "detection_score")
    ]
    return LandmarkFile(
        format="au3dmm",
        frame_index=table["frame_index"].to_numpy()[valid].astype(np.int64),
        landmarks_px=points[valid].reshape(-1, N_LANDMARKS, 3),
        landmark_score=scores[0][valid],
        box_px=box[valid],
        detection_score=scores[1][valid],
        dense_px=dense,
        has_z=bool(points[valid].reshape(-1, N_LANDMARKS, 3)[..., 2].any()),
    )


def _collect(
    path: Path,
    kind: str,
    frame: NDArray[np.generic],
    points: NDArray[np.generic],
    score: NDArray[np.generic] | None = None,
    keep: NDArray[np.bool_] | None = None,
    box: NDArray[np.float64] | None = None,
    detection: NDArray[np.float64] | None = None,
    counted: bool = False,
) -> LandmarkFile:
    """Leave out failed faces and fill in what a file does not have."""
    xyz = np.zeros((len(points), N_LANDMARKS, 3), np.float32)
    with np.errstate(all="ignore"):  # what is not finite in float32 is left out below
        xyz[..., : points.shape[2]] = points
    number = np.asarray(frame, np.float64)
    whole = np.isfinite(number) & (number == np.round(number)) & (number >= 0) & (number < 2**31)
    if not whole.all():
        raise SessionError(
            f"{path}: frame number {number[np.argmin(whole)]:g} in row {int(np.argmin(whole))}; expected whole numbers"
            f" from {1 if kind == 'openface' else 0}, below 2^31"
        )
    good = np.isfinite(xyz).all((1, 2)) & (True if keep is None else keep)
    xyz = xyz[good]
    around = np.concatenate([xyz[..., :2].min(1), xyz[..., :2].max(1)], axis=1)
    unknown = np.full(len(xyz), np.nan, np.float32)
    given = around if box is None else box[good].astype(np.float32)
    return LandmarkFile(
        format=kind,
        frame_index=number[good].astype(np.int64),
        landmarks_px=xyz,
        landmark_score=unknown if score is None else score[good].astype(np.float32),
        box_px=np.where(np.isfinite(given).all(1, keepdims=True), given, around),
        detection_score=unknown if detection is None else detection[good].astype(np.float32),
        dense_px=None,
        has_z=points.shape[2] == 3,
        n_counted=int(number.max(initial=-1)) + 1 if counted else None,
    )


def _read_csv(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Read a CSV's header, names stripped (OpenFace puts blanks before them), and its numbers, NaN if not numbers."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as f:
            rows = csv.reader(f)
            names = [name.strip() for name in next(rows, [])]
            wanted = [i for i, name in enumerate(names) if _is_number_column(name)]
            values = []
            for n, row in enumerate(rows, start=2):
                if not row:
                    continue
                if len(row) != len(names):
                    raise SessionError(f"{path}: line {n} has {len(row)} fields, the header {len(names)}")
                values.append([_number(row[i]) for i in wanted])
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise SessionError(f"{path}: not a CSV: {err}") from err
    if not names:
        raise SessionError(f"{path}: empty, expected a CSV with a header")
    return [names[i] for i in wanted], np.array(values, np.float64).reshape(len(values), len(wanted))


def _is_number_column(name: str) -> bool:
    axis, _, number = name.partition("_")
    known = ("frame", "frame_index", "success", "confidence", "score", "FaceScore")
    return name in known or name.startswith("FaceRect") or (axis in ("x", "y", "z") and number.isdigit())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
