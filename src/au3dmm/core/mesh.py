"""A triangle mesh as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes
    ----------
    vertices : (V, 3) float64 array
        In the file's own unit.
    faces : (F, 3) int32 array
        Triangles; polygons are split.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
