"""Places of a dense detector's points as arrays of an npz file: of a head, or of a basis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import DenseEmbedding, LandmarkEmbedding
from au3dmm.errors import SchemaError

_ARRAYS = {"dense_index": (1, "iu"), "dense_face_index": (1, "iu"), "dense_barycentric": (2, "f")}
_SPREAD = {"dense_spread_m": (1, "f")}


def dense_arrays(dense: DenseEmbedding) -> dict[str, NDArray[Any]]:
    """Return ``dense_index dense_face_index dense_barycentric``, and ``dense_spread_m`` where it is known."""
    arrays: dict[str, NDArray[Any]] = {
        "dense_index": dense.landmark_index.astype(np.int32),
        "dense_face_index": dense.embedding.face_index.astype(np.int32),
        "dense_barycentric": dense.embedding.barycentric.astype(np.float64),
    }
    if dense.spread_m is not None:
        arrays["dense_spread_m"] = dense.spread_m.astype(np.float64)
    return arrays


def dense_info(dense: DenseEmbedding) -> dict[str, Any]:
    """Return what goes into a file's ``info`` under ``dense``."""
    return {**dense.info, "scheme": dense.scheme}


def read_dense(arrays: Mapping[str, NDArray[Any]], info: Any) -> DenseEmbedding | None:
    """Read what `dense_arrays` and `dense_info` made; None if there are no such arrays.

    Raises
    ------
    SchemaError
        If an array is missing, or is not what it should be. The message names no file.
    """
    if "dense_index" not in arrays:
        return None
    for key, (ndim, kinds) in {**_ARRAYS, **(_SPREAD if "dense_spread_m" in arrays else {})}.items():
        array = arrays.get(key)
        if array is None or array.ndim != ndim or array.dtype.kind not in kinds:
            found = "is missing" if array is None else f"is {array.dtype} {array.shape}"
            raise SchemaError(f"{key} {found}; expected places of dense landmarks")
    said = info if isinstance(info, dict) else {}
    spread = arrays.get("dense_spread_m")
    return DenseEmbedding(
        str(said.get("scheme", "mediapipe")),
        arrays["dense_index"].astype(np.int32),
        LandmarkEmbedding(arrays["dense_face_index"].astype(np.int32), arrays["dense_barycentric"].astype(np.float64)),
        None if spread is None else spread.astype(np.float64),
        {key: value for key, value in said.items() if key != "scheme"},
    )
