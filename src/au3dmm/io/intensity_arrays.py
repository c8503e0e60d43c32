"""Action unit intensities among the arrays of a basis file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from au3dmm.core.intensities import Intensities
from au3dmm.errors import SchemaError

_ARRAYS = ("intensity_units", "intensity_gram", "intensity_products", "intensity_residual", "intensity_explained")


def intensity_arrays(found: Intensities) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays that hold it (docs/formats.md)."""
    return {
        "intensity_units": np.array(found.units, dtype=np.str_),
        "intensity_gram": found.gram.astype(np.float64),
        "intensity_products": found.products.astype(np.float64),
        "intensity_residual": found.residual.astype(np.float64),
        "intensity_explained": found.explained.astype(np.float64),
    }


def read_intensities(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Intensities | None:
    """Return the intensities of a basis file; None if it has none, as files of earlier versions.

    Raises
    ------
    SchemaError
        If some arrays are missing, or are not what they should be.
    """
    there = [name for name in _ARRAYS if name in arrays]
    if not there:
        return None
    if len(there) < len(_ARRAYS):
        lacking = ", ".join(name for name in _ARRAYS if name not in arrays)
        raise SchemaError(f"{there[0]} without {lacking}; expected all of them, or none")
    units = arrays["intensity_units"]
    if units.dtype.kind != "U" or units.ndim != 1:
        raise SchemaError(f"intensity_units is {units.dtype} {units.shape}, expected text in 1 dimension")
    numbers = []
    for name in _ARRAYS[1:]:
        if arrays[name].dtype.kind not in "fiu":
            raise SchemaError(f"{name} is {arrays[name].dtype}, expected numbers")
        numbers.append(arrays[name].astype(np.float64))
    return Intensities(tuple(str(unit) for unit in units.tolist()), *numbers)
