"""Labels of mirrored pictures: for training code that flips them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.core.mirror import basis_mirror
from au3dmm.errors import SchemaError
from au3dmm.io.intensity_columns import names_intensity, sparse_vector_array
from au3dmm.io.table_schemas import INTENSITIES
from au3dmm.io.tables import METADATA_KEY, vector_array, vectors

_FLIPPED = {"rotation_vector": (1.0, -1.0, -1.0)}  # a rotation's axis is mirrored in the plane, and its sense turned
_SWAPPED = ("aperture_left", "aperture_right")
_CAMERA = np.array([[1, -1, -1, -1], [-1, 1, 1, 1]], np.float32)  # x of the mesh and x of the picture change sign


def mirror_alpha(alpha: NDArray[np.floating], source: Bases | pa.Table) -> NDArray[np.floating]:
    """Return ``alpha_au`` of the mirrored face.

    Parameters
    ----------
    alpha : (..., K) array
        Standard deviations; NaN stays NaN.
    source : Bases or pyarrow.Table
        The basis, or labels made with it.

    Returns
    -------
    (..., K) array
        ``alpha @ M``, of the type of `alpha`. Exact for bases that were learnt with ``mirrored = true``; for
        others, ``au3dmm inspect`` tells how much of mirrored components is left.

    Raises
    ------
    SchemaError
        If `source` has another number of components, or no mirror matrix: its head has no mirror partners, or (labels)
        its basis was an older one.

    Examples
    --------
    >>> import au3dmm
    >>> from au3dmm.io.assets import DEMO_BASES, asset_path
    >>> bases = au3dmm.read_bases(asset_path(DEMO_BASES))
    >>> smile = np.zeros(bases.k_au); smile[bases.names_au.index("AU12_left")] = 1
    >>> bases.names_au[int(np.argmax(au3dmm.mirror_alpha(smile, bases)))]
    'AU12_right'
    """
    matrix = _of_table(source) if isinstance(source, pa.Table) else _of_bases(source)
    alpha = np.asarray(alpha)
    if alpha.ndim < 1 or alpha.shape[-1] != len(matrix):
        raise SchemaError(f"mirror: alpha of shape {alpha.shape}, expected (..., {len(matrix)}) as in the basis")
    kind = alpha.dtype if alpha.dtype.kind == "f" else np.dtype(np.float64)
    return np.asarray((alpha @ matrix).astype(kind))


def mirror_labels(table: pa.Table, width_px: int | None = None) -> pa.Table:
    """Return a table of labels or coefficients as it would be of pictures flipped left to right.

    ``alpha_au``, intensities and their standard deviations, the head's rotation, the openings of the eyes and, if the
    width is given, its place and the camera are mirrored; all else stays. Such tables hold no identity or landmarks.

    Parameters
    ----------
    table : pyarrow.Table
        From `read_labels`.
    width_px : int, optional
        Width of the RGB picture; without it ``translation_px`` and ``camera`` are left out.

    Raises
    ------
    SchemaError
        As `mirror_alpha`.
    """
    matrix = _of_table(table)
    changed: dict[str, Any] = {}
    alpha, valid = vectors(table, "alpha_au")
    changed["alpha_au"] = vector_array(alpha @ matrix.astype(np.float32), valid)
    if "alpha_au_std" in table.column_names:
        std, valid = vectors(table, "alpha_au_std")
        changed["alpha_au_std"] = vector_array(np.sqrt(std.astype(np.float64) ** 2 @ matrix**2), valid)
    for name, signs in _FLIPPED.items():
        if name in table.column_names:
            values, valid = vectors(table, name)
            changed[name] = vector_array(values * np.array(signs, np.float32), valid)
    if "translation_px" in table.column_names and width_px is not None:
        values, valid = vectors(table, "translation_px")
        changed["translation_px"] = vector_array(values * [-1, 1] + [width_px - 1, 0], valid)
    if "camera" in table.column_names and width_px is not None:
        values, valid = vectors(table, "camera")
        camera = values.reshape(-1, 2, 4) * _CAMERA
        camera[:, 0, 3] += width_px - 1
        changed["camera"] = vector_array(camera.reshape(-1, 8), valid)
    changed |= _intensities(table)
    left, right = _SWAPPED
    if left in table.column_names and right in table.column_names:
        changed[left], changed[right] = table[right], table[left]
    for name, column in changed.items():
        number = table.column_names.index(name)
        table = table.set_column(number, table.schema.field(number), column)
    if width_px is not None:
        return _other_sides(table)
    return _other_sides(table.drop([name for name in ("translation_px", "camera") if name in table.column_names]))


def _other_side(name: str) -> str:
    """Return the name of the intensity that it is in a mirrored picture."""
    if name.endswith("_left"):
        return name.removesuffix("_left") + "_right"
    return name.removesuffix("_right") + "_left" if name.endswith("_right") else name


def _places(names: list[str]) -> list[int]:
    """Return where each intensity of a mirrored picture stands among those of the picture."""
    return [names.index(_other_side(name)) if _other_side(name) in names else i for i, name in enumerate(names)]


def _intensities(table: pa.Table) -> dict[str, pa.Array]:
    places = _places(names_intensity(table))
    changed = {}
    for name in INTENSITIES:
        if name in table.column_names:
            values, valid = vectors(table, name)
            known = np.asarray(np.isfinite(values[valid]).any(axis=0), bool)
            changed[name] = sparse_vector_array(values[:, places], valid, known[places])
    return changed


def _other_sides(table: pa.Table) -> pa.Table:
    """Put what the metadata says of each intensity in the mirrored order, too."""
    metadata = json.loads(table.schema.metadata[METADATA_KEY])
    said = metadata.get("intensity")
    if not isinstance(said, dict):
        return table
    places = _places([str(name) for name in said["names"]])
    for key in ("observability", "states"):
        said[key] = [said[key][i] for i in places]
    return table.replace_schema_metadata({METADATA_KEY: json.dumps(metadata)})


def _of_bases(bases: Bases) -> NDArray[np.float64]:
    found = basis_mirror(bases)
    if found is None:
        raise SchemaError(
            "mirror: the vertices of the basis' head have no mirror partners, so alpha of a mirrored face is not known;"
            " use a basis of a symmetric mesh"
        )
    return found[0]


def _of_table(table: pa.Table) -> NDArray[np.float64]:
    metadata = (table.schema.metadata or {}).get(METADATA_KEY)
    basis = json.loads(metadata).get("basis") if metadata is not None else None
    entries, k = (basis.get("mirror_au"), basis.get("k_au")) if isinstance(basis, dict) else (None, None)
    if entries is None or not isinstance(k, int):
        raise SchemaError(
            "mirror: these labels do not hold the mirror matrix of their basis (made with an older one, or with a head"
            " without mirror partners); read the basis and mirror alpha with it: mirror_alpha(alpha, bases)"
        )
    matrix = np.zeros((k, k))
    try:
        for i, j, value in entries:
            matrix[i, j] = value
    except (TypeError, ValueError, IndexError) as err:
        raise SchemaError(f"mirror: mirror_au in the labels' metadata is damaged: {err}; label again") from err
    return matrix
