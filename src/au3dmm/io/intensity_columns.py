"""The columns of action unit intensities: vectors of which single values may be missing, and their names."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.errors import SchemaError
from au3dmm.io.table_schemas import vector
from au3dmm.io.tables import METADATA_KEY


def sparse_vector_array(values: NDArray[Any], valid: NDArray[np.bool_], known: NDArray[np.bool_]) -> pa.Array:
    """Turn (N, n) numbers into a column of vectors, of which only the elements `known` (n,) have values.

    Examples
    --------
    >>> sparse_vector_array(np.arange(4.0).reshape(2, 2), np.array([True, False]), np.array([True, False])).to_pylist()
    [[0.0, None], None]
    """
    there = valid[:, None] & known
    flat = np.where(there, values, 0).astype(np.float32)
    elements = pa.array(flat.ravel(), pa.float32(), mask=~there.ravel())
    mask = None if valid.all() else pa.array(~valid)
    return pa.FixedSizeListArray.from_arrays(elements, type=vector(flat.shape[1], nullable=True), mask=mask)


def names_intensity(table: pa.Table) -> list[str]:
    """Return the name of each intensity of ``au_intensity`` in a table of labels or coefficients; none without any.

    Raises
    ------
    SchemaError
        If the table does not say.
    """
    if "au_intensity" not in table.column_names:
        return []
    text = (table.schema.metadata or {}).get(METADATA_KEY)
    names = json.loads(text).get("basis", {}).get("names_intensity") if text else None
    if not names:
        raise SchemaError("this table does not name its intensities; read it with au3dmm.read_labels(path)")
    return [str(name) for name in names]
