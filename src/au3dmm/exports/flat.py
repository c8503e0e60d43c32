"""Vectors as columns of their own, for forms that have no vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from au3dmm.io.table_schemas import INTENSITIES

_AXES = {
    "rotation_vector": ("x", "y", "z"),
    "translation_px": ("x", "y"),
    "box_px": ("x0", "y0", "x1", "y1"),
    "landmarks_px": tuple(f"{axis}_{i}" for i in range(68) for axis in "xyz"),
}


def element_names(column: str, length: int, names_au: Sequence[str], names_intensity: Sequence[str] = ()) -> list[str]:
    """Name the columns that a vector becomes.

    Examples
    --------
    >>> element_names("alpha_au", 2, ["AU1", "AU2_left"]), element_names("rotation_vector", 3, [])
    (['alpha_au_AU1', 'alpha_au_AU2_left'], ['rotation_vector_x', 'rotation_vector_y', 'rotation_vector_z'])
    """
    if column in ("alpha_au", "alpha_au_std") and len(names_au) == length:
        return [f"{column}_{name}" for name in names_au]
    if column in INTENSITIES and len(names_intensity) == length:
        return [f"{column}_{name}" for name in names_intensity]
    if column == "landmarks_px":
        return list(_AXES[column])
    return [f"{column}_{name}" for name in _AXES.get(column, [str(i) for i in range(length)])]


def flattened(table: pa.Table, names_au: Sequence[str], names_intensity: Sequence[str] = ()) -> pa.Table:
    """Turn every vector into columns, lists of words into one text, and words into text; nulls stay nulls."""
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for field in table.schema:
        values = table[field.name]
        if pa.types.is_fixed_size_list(field.type):
            names = element_names(field.name, field.type.list_size, names_au, names_intensity)
            columns |= {name: pc.list_element(values, i) for i, name in enumerate(names)}
        elif pa.types.is_list(field.type):
            columns[field.name] = pc.binary_join(values, " ")
        elif pa.types.is_dictionary(field.type):
            columns[field.name] = values.cast(pa.string())
        else:
            columns[field.name] = values
    return pa.table(_checked(columns, table))


def _checked(columns: Mapping[str, pa.ChunkedArray], table: pa.Table) -> Mapping[str, pa.ChunkedArray]:
    assert all(len(column) == len(table) for column in columns.values()), "a row per row"
    return columns
