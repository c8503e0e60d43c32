"""Find out which mesh a tree of files holds: what most of a sample of them agree on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.vertex_order import MeshReference, explain_difference, mesh_reference
from au3dmm.errors import SchemaError
from au3dmm.io.corpora.blocks import read_frames, same_triangles

_SAMPLE = 9
_HEAD_M = (0.05, 3.0)  # diagonal of a head's bounding box; a wrong unit is off by 10 or more
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}

_Head = tuple[NDArray[np.float64], NDArray[np.int32] | None]


def choose_mesh(
    files: Sequence[Path],
    root: Path,
    *,
    unit_m: float = 1.0,
    n_vertices: int | None = None,
    faces: NDArray[np.int32] | None = None,
) -> _Head:
    """Return the vertices and triangles that the other files are compared with.

    One odd file, even the first, must not make all others look odd: nine files spread over the tree vote.

    Parameters
    ----------
    files : sequence of Path
        All of them.
    root : Path
        Folder of the corpus, for messages.
    unit_m : float
        Length of the files' unit, m.
    n_vertices : int, optional
        How many are expected.
    faces : (F, 3) int32 array, optional
        Triangles expected.

    Returns
    -------
    vertices : (V, 3) float64 array
        Of one of the files, m.
    faces : (F, 3) int32 array or None
        As expected, or that file's.

    Raises
    ------
    SchemaError
        If none of the sample can be used, or a head is not of a head's size.
    """
    picked = np.unique(np.linspace(0, len(files) - 1, _SAMPLE).round().astype(int))
    found: list[_Head] = []
    reasons = []
    for path in (files[k] for k in picked):
        try:
            frames, triangles = read_frames(path)
        except SchemaError as err:
            reasons.append(str(err))
            continue
        head = np.asarray(frames[0], np.float64) * unit_m
        if n_vertices is not None and len(head) != n_vertices:
            reasons.append(f"{path}: {len(head)} vertices, expected {n_vertices}")
        elif faces is not None and triangles is not None and not same_triangles(triangles, faces):
            reasons.append(f"{path}: {len(triangles)} triangles other than the {len(faces)} expected")
        elif not np.isfinite(head).all() or not np.ptp(head, axis=0).max() > 0:
            reasons.append(f"{path}: vertices that are not finite, or all in one place")
        else:
            found.append((head, triangles if faces is None else faces))
    if not found:
        raise SchemaError(f"{root}: none of {len(picked)} sampled files can be used; for example {reasons[0]}")
    references = [mesh_reference(*head) for head in found]
    votes = [sum(_agree(one, other, references[k]) for other in found) for k, one in enumerate(found)]
    chosen = found[votes.index(max(votes))]
    check_size(root, chosen[0], unit_m)
    return chosen


def check_size(where: Path, vertices: NDArray[np.floating], unit_m: float = 1.0) -> None:
    """Refuse heads that are not of a head's size: their unit is another one.

    Parameters
    ----------
    where : Path
        For the message.
    vertices : (V, 3) array
        m, if the unit is right.
    unit_m : float
        Length of the unit that was assumed, m.

    Raises
    ------
    SchemaError
        If the head is smaller than 5 cm or larger than 3 m.
    """
    size = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    low, high = _HEAD_M
    if not low < size < high:
        fits = [unit for unit, length in UNITS.items() if low < size / unit_m * length < high]
        hint = f"; is the unit {' or '.join(fits)}?" if fits else ""
        raise SchemaError(f"{where}: a head of {size:.3g} m across, expected {low:g} to {high:g} m{hint}")


def _agree(a: _Head, b: _Head, reference: MeshReference) -> bool:
    if a[0].shape != b[0].shape or (a[1] is None) != (b[1] is None):
        return False
    if a[1] is not None and b[1] is not None and not same_triangles(a[1], b[1]):
        return False
    return explain_difference(reference, b[0]) is None
