"""FACEMORPHIC's own landmarks and coefficients: pickled dicts of lists, an entry per frame, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError
from au3dmm.io.object_npz import read_object_npz

_POINTS = 68


def read_landmarks(path: Path, n_frames: int | None) -> dict[str, NDArray[Any]]:
    """Read ``landmarks.npz``: ``{"landmarks": [...]}``, per frame (68, 2 or 3) px, or nothing where no face was found.

    Parameters
    ----------
    path : Path
        The file.
    n_frames : int or None
        Frames of the recording, if they are known: there must be as many entries.

    Returns
    -------
    dict
        ``landmarks`` (N, 68, 2 or 3) float32 and ``frame_index`` (N,) int32 of the N frames with a face: what the
        detector `precomputed` reads. z is px and positive towards the camera, as 3D-FAN gives it.

    Raises
    ------
    SchemaError
        If the file has another form; says what was expected.
    """
    entries = _entries(path, _dict(path), "landmarks", n_frames)
    shapes = {np.shape(entry) for entry in entries if np.size(entry)}
    if not shapes or len(shapes) > 1 or not {(_POINTS, 2), (_POINTS, 3)} & shapes:
        found = " and ".join(map(str, sorted(shapes))) or "no face in any frame"
        raise SchemaError(f"{path}: {found}, expected ({_POINTS}, 2) or ({_POINTS}, 3) landmarks per frame")
    index = [i for i, entry in enumerate(entries) if np.size(entry)]
    points = _numbers(path, [entries[i] for i in index])
    return {"landmarks": points.astype(np.float32), "frame_index": np.array(index, np.int32)}


def read_alphas(path: Path, n_frames: int | None) -> dict[str, NDArray[Any]]:
    """Read ``alphas32.npz``: ``{"alphas": [...], "identity_alphas": ...}``, per frame the coefficients, or nothing.

    Returns
    -------
    dict
        ``alphas`` (T, K) float64 with rows of NaN where there is nothing, ``identity_alphas`` (K_id,) float64; in the
        units of the bases that FACEMORPHIC's authors used.

    Raises
    ------
    SchemaError
        If the file has another form.
    """
    said = _dict(path)
    entries = _entries(path, said, "alphas", n_frames)
    sizes = {int(np.size(entry)) for entry in entries} - {0}
    if len(sizes) != 1:
        raise SchemaError(
            f"{path}: coefficients of {sorted(sizes) or 'no frame'}, expected one number of them per frame"
        )
    alphas = np.full((len(entries), sizes.pop()), np.nan)
    for row, entry in zip(alphas, entries, strict=True):
        if np.size(entry):
            row[:] = _numbers(path, np.ravel(entry))
    identity = _numbers(path, np.ravel(said.get("identity_alphas", [])))
    return {"alphas": alphas, "identity_alphas": identity}


def _entries(path: Path, said: Mapping[str, Any], name: str, n_frames: int | None) -> list[Any]:
    value = said.get(name)
    if not isinstance(value, list | np.ndarray) or np.ndim(np.empty(0) if isinstance(value, list) else value) == 0:
        raise SchemaError(f"{path}: no list {name!r} in it, expected one entry per frame")
    entries = [[] if entry is None else entry for entry in value]
    if n_frames is not None and len(entries) != n_frames:
        raise SchemaError(f"{path}: {name} of {len(entries)} frames, but there are {n_frames} images")
    return entries


def _dict(path: Path) -> Mapping[str, Any]:
    value = read_object_npz(path)
    if not isinstance(value, Mapping):
        raise SchemaError(f"{path}: {type(value).__name__}, expected a dict as FACEMORPHIC's authors wrote it")
    return value


def _numbers(path: Path, values: Any) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError) as err:
        raise SchemaError(f"{path}: not numbers: {' '.join(str(err).split())[:120]}") from err
    if np.isinf(numbers).any():
        raise SchemaError(f"{path}: infinite numbers in it")
    return numbers
