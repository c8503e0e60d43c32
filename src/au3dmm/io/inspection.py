"""What is in one of our files, as plain values."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from au3dmm.core.basis_summary import summarise_basis
from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.bases import bases_fingerprint, read_bases, read_npz
from au3dmm.io.table_info import TableInfo, read_table_info, type_name
from au3dmm.io.tables import read_table

_UNITS = {
    "rotation_vector": "rad",
    "scale_px_per_m": "px/m",
    "camera": "px/m, px",
    "alpha_id": "standard deviations",
    "alpha_id_std": "standard deviations",
    "alpha_au": "standard deviations",
    "alpha_au_std": "standard deviations",
    "au_intensity": "5 = full",
    "au_intensity_std": "5 = full",
    "rmse_iod": "outer eye distances",
    "disagreement_iod": "outer eye distances",
    "aperture_left": "eye widths",
    "aperture_right": "eye widths",
    "mouth_open": "outer eye distances",
    "detection_score": "0..1",
    "landmark_score": "0..1",
    "confidence": "0..1",
}


def inspect_file(path: Path, rows: int = 3) -> dict[str, Any]:
    """Say what is in a table, `clock.json`, `stage.json` or a basis.

    Parameters
    ----------
    path : Path
        The file.
    rows : int
        How many rows of a table to return.

    Returns
    -------
    dict
        Always ``file, kind, bytes, metadata``. A table also ``schema_version, rows, columns`` (``name, type, unit,
        nullable, nulls`` each), ``status`` and ``flags`` (rows by word) and ``first_rows``; pictures are left out of
        those. A basis also ``arrays`` and ``basis``: what `core.basis_summary.summarise_basis` says, and ``file_hash``.

    Raises
    ------
    SchemaError
        If the file is missing, damaged or not one of ours.
    """
    if path.is_dir():
        raise SchemaError(f"{path}: a folder; expected a file of au3dmm; `au3dmm validate {path}` checks a run")
    try:
        size = path.stat().st_size
        with path.open("rb") as f:
            head = f.read(64)
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}; expected a file of au3dmm") from err
    start = {"file": str(path), "bytes": size}
    if head.startswith(b"PAR1"):
        return {**start, **_table(read_table_info(path), rows)}
    if head.startswith(b"PK"):
        return {**start, **_basis(path)}
    if head.lstrip().startswith(b"{"):
        return {**start, **_json(path)}
    found = f"starts with {head[:8].hex(' ')}" if head else "is empty"
    raise SchemaError(
        f"{path}: not a file of au3dmm: it {found}; expected a table (Parquet), a basis (npz), clock.json or stage.json"
    )


def unit_of(column: str) -> str | None:
    """Return the unit of a column, None if it has none.

    Examples
    --------
    >>> unit_of("t_label_us"), unit_of("landmarks_px"), unit_of("alpha_au"), unit_of("status")
    ('us', 'px', 'standard deviations', None)
    """
    if column in _UNITS:
        return _UNITS[column]
    suffix = column.rpartition("_")[2]
    return suffix if suffix in ("us", "px", "m", "ppm") else None


def _table(info: TableInfo, rows: int) -> dict[str, Any]:
    table = read_table(info.path, info.kind, info.small_columns)
    kept = set(info.small_columns)
    columns = [
        {
            "name": field.name,
            "type": type_name(field.type),
            "unit": unit_of(field.name),
            "nullable": field.nullable,
            "nulls": table[field.name].null_count if field.name in kept else 0,
        }
        for field in info.schema
    ]
    report: dict[str, Any] = {
        "kind": info.kind,
        "schema_version": info.version,
        "rows": info.n_rows,
        "columns": columns,
        "metadata": {k: v for k, v in info.metadata.items() if k not in ("table", "schema_version")},
        "first_rows": table.slice(0, rows).to_pylist(),
    }
    for name in ("status", "flags"):
        if name in kept:
            words = table[name].to_pylist()
            flat = [w for ws in words for w in ws or ()] if name == "flags" else [str(w) for w in words]
            report[name] = dict(Counter(flat).most_common())
    return report


def _basis(path: Path) -> dict[str, Any]:
    bases = read_bases(path)
    arrays = [
        {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)}
        for name, array in read_npz(path).items()
        if name != "info"
    ]
    return {
        "kind": "basis",
        "arrays": arrays,
        "basis": {**summarise_basis(bases), "file_hash": bases_fingerprint(path)},
        "metadata": {**_finite(dict(bases.info)), "names_au": list(bases.names_au)},
    }


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which Python reads in a JSON text but no JSON may hold, by None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as err:
        raise SchemaError(f"{path}: cannot be read as JSON: {err}; expected clock.json or stage.json") from err
    if "offset_us" in data:
        return {"kind": "clock", "metadata": data}
    if "stages" in data:
        return {"kind": "stages", "metadata": data}
    names = ", ".join(list(data)[:6]) or "nothing"
    raise SchemaError(f"{path}: JSON, but not of au3dmm: it holds {names}; expected clock.json or stage.json")
