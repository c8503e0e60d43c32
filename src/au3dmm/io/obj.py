"""Parse Wavefront OBJ meshes with vertices and triangles exactly as the file has them.

Mesh libraries split vertices where texture coordinates or materials change, drop unused ones, and sort quads behind
triangles. Components and landmarks mean vertices and triangles by their number, so nothing of that may happen.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from au3dmm.core.mesh import Mesh


def parse_obj(data: bytes) -> Mesh:
    """Read the vertices and polygons of an OBJ file; polygons are split into triangles in place, as fans.

    Texture coordinates, normals, groups and materials are passed over. Relative (negative) indices are understood.

    Parameters
    ----------
    data : bytes
        The file.

    Raises
    ------
    ValueError
        If a line cannot be understood, or a polygon names a vertex that is not there.

    Examples
    --------
    >>> parse_obj(b"v 0 0 0; v 1 0 0; v 0 1 0; f 1 2 3".replace(b"; ", bytes([10]))).faces
    array([[0, 1, 2]], dtype=int32)
    """
    vertices: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    for number, line in enumerate(data.splitlines(), 1):
        word, _, rest = line.lstrip().partition(b" ")
        try:
            if word == b"v":
                x, y, z = rest.split()[:3]
                vertices.append([float(x), float(y), float(z)])
            elif word == b"f":
                corners = [_corner(token, len(vertices)) for token in rest.split()]
                if len(corners) < 3:
                    raise ValueError("fewer than three corners")
                triangles += [(corners[0], b, c) for b, c in pairwise(corners[1:])]
        except ValueError as err:
            text = line[:60].decode("utf-8", "replace").strip()
            raise ValueError(f"line {number}, {text!r}, cannot be understood: {err}") from err
    faces = np.array(triangles, np.int64).reshape(-1, 3)
    if faces.size and not 0 <= faces.min() <= faces.max() < len(vertices):
        wrong = faces.min() if faces.min() < 0 else faces.max()
        raise ValueError(f"a polygon names vertex {wrong + 1}, but there are {len(vertices)}")
    return Mesh(np.array(vertices, np.float64).reshape(-1, 3), faces.astype(np.int32))


def _corner(token: bytes, n_so_far: int) -> int:
    """Return the vertex, counted from 0, of ``v``, ``v/vt``, ``v//vn`` or ``v/vt/vn``."""
    index = int(token.partition(b"/")[0])
    if index == 0:
        raise ValueError("vertices are counted from 1")
    return index - 1 if index > 0 else n_so_far + index
