"""Draw triangle meshes: a z-buffer rasteriser, and interpolation of vertex values over its pixels.

The usual scan over each triangle's bounding box with edge functions (Pineda 1988, "A parallel algorithm for
polygon rasterization"). Serial and in triangle order, so the same mesh gives the same bytes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import SchemaError

BACKGROUND = -1


@dataclass(frozen=True)
class Raster:
    """What each pixel of an image sees of a mesh.

    Attributes
    ----------
    triangle : (H, W) int32 array
        Index of the nearest triangle, `BACKGROUND` where there is none.
    barycentric : (H, W, 3) float32 array
        Weights of its corners at the pixel's centre, 0 where there is none.
    depth : (H, W) float32 array
        Depth of that point, infinite where there is none.
    """

    triangle: NDArray[np.int32]
    barycentric: NDArray[np.float32]
    depth: NDArray[np.float32]

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(H, W) whether a pixel sees the mesh."""
        return np.not_equal(self.triangle, BACKGROUND)


def rasterise(
    vertices_px: NDArray[np.floating],
    depth: NDArray[np.floating],
    faces: NDArray[np.integer],
    height: int,
    width: int,
    *,
    cull_back: bool = False,
) -> Raster:
    """Find the nearest triangle at every pixel centre.

    Barycentric weights are linear in the image. Under perspective that is exact for the z-test if `depth` is
    linear in the image too (pass ``-1 / distance``), and close enough for colours on triangles of a few px.

    Parameters
    ----------
    vertices_px : (V, 2 or 3) array
        x and y, px, y down, pixel centres at integers; further columns are ignored.
        Triangles with a corner that is not finite are left out.
    depth : (V,) array
        Smaller is nearer; any unit.
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside (clockwise in the y-down image when they face the camera).
    height, width : int
        Size of the image, px.
    cull_back : bool
        Leave out triangles seen from behind.

    Returns
    -------
    Raster
        On equal depth, the triangle that comes first in `faces`.

    Raises
    ------
    SchemaError
        If shapes disagree, or a triangle names a vertex that does not exist.

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    >>> rasterise(corners, np.zeros(3), np.array([[0, 1, 2]]), 3, 4).triangle
    array([[ 0,  0,  0, -1],
           [ 0,  0, -1, -1],
           [ 0, -1, -1, -1]], dtype=int32)
    """
    xy, z, tri = _checked(vertices_px, depth, faces)
    triangle = np.full((height, width), BACKGROUND, np.int32)
    nearest = np.full((height, width), np.inf, np.float32)
    _fill(xy, z, tri, cull_back, triangle, nearest)
    barycentric = np.zeros((height, width, 3), np.float32)
    _weights(xy, tri, triangle, barycentric)
    return Raster(triangle, barycentric, nearest)


def interpolate(raster: Raster, faces: NDArray[np.integer], values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Interpolate vertex values (normals, colours, ...) over the pixels that see the mesh.

    Parameters
    ----------
    raster : Raster
        Of this mesh.
    faces : (F, 3) int array
        Its triangles.
    values : (V, C) array
        Any unit.

    Returns
    -------
    (H, W, C) float32 array
        0 where the mesh is not seen.

    Raises
    ------
    SchemaError
        If the raster was made of another mesh, or a triangle names a vertex that does not exist.
    """
    tri = checked_faces(faces, len(values))
    if raster.triangle.max(initial=BACKGROUND) >= len(tri):
        raise SchemaError(f"raster names triangle {raster.triangle.max()}, but the mesh has {len(tri)}")
    corners = tri[np.maximum(raster.triangle, 0)] if len(tri) else np.zeros((*raster.triangle.shape, 3), np.int32)
    out = np.zeros((*raster.triangle.shape, values.shape[1]), np.float32)
    for corner in range(3):
        out += np.asarray(values, np.float32)[corners[..., corner]] * raster.barycentric[..., corner, None]
    return out


def render_mesh(
    vertices_px: NDArray[np.floating],
    depth: NDArray[np.floating],
    faces: NDArray[np.integer],
    values: NDArray[np.floating],
    height: int,
    width: int,
    *,
    supersample: int = 2,
    cull_back: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw interpolated vertex values with smooth edges: the mean of `supersample`^2 points per pixel.

    Parameters
    ----------
    vertices_px, depth, faces, height, width, cull_back
        As for `rasterise`.
    values : (V, C) array
        What to draw, for instance vertex colours that `core.shading.shade` made.
    supersample : int
        Sub-pixels along each side of a pixel.

    Returns
    -------
    image : (H, W, C) float32 array
        Mean over the sub-pixels, counting 0 where the mesh is not seen, so that
        ``image + (1 - coverage) * background`` is the finished picture.
    coverage : (H, W) float32 array
        Fraction of sub-pixels that see the mesh.

    Raises
    ------
    SchemaError
        If shapes disagree, a triangle names a vertex that does not exist, or `supersample` is below 1.
    """
    if supersample < 1:
        raise SchemaError(f"render: supersample is {supersample}, expected 1 or more")
    xy, z, tri = _checked(vertices_px, depth, faces)
    colours = np.ascontiguousarray(values, np.float32)
    if colours.ndim != 2 or len(colours) != len(xy):
        raise SchemaError(f"render: values {values.shape} for {len(xy)} vertices, expected ({len(xy)}, C)")
    image = np.zeros((height, width, colours.shape[1]), np.float32)
    coverage = np.zeros((height, width), np.float32)
    x0, y0, x1, y1 = _window(xy, height, width)
    if x1 > x0 and y1 > y0:
        # only the window that holds the mesh is worth a supersampled buffer
        fine = (xy - (x0, y0) + 0.5) * supersample - 0.5
        shape = ((y1 - y0) * supersample, (x1 - x0) * supersample)
        triangle = np.full(shape, BACKGROUND, np.int32)
        nearest = np.full(shape, np.inf, np.float32)
        _fill(fine, z, tri, cull_back, triangle, nearest)
        _average(fine, tri, triangle, colours, supersample, image[y0:y1, x0:x1], coverage[y0:y1, x0:x1])
    return image, coverage


def checked_faces(faces: NDArray[np.integer], n_vertices: int) -> NDArray[np.int32]:
    """Return triangles (F, 3) as contiguous int32, once it is certain that they name only vertices that exist.

    Raises
    ------
    SchemaError
        If they do not, or have another shape.
    """
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise SchemaError(f"mesh: faces have shape {faces.shape}, expected (F, 3)")
    if faces.size and not 0 <= faces.min() <= faces.max() < n_vertices:
        bad = faces.max() if faces.max() >= n_vertices else faces.min()
        raise SchemaError(f"mesh: a triangle names vertex {bad}, but there are {n_vertices}")
    return np.ascontiguousarray(faces, np.int32)


def _checked(
    vertices_px: NDArray[np.floating], depth: NDArray[np.floating], faces: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    if vertices_px.ndim != 2 or vertices_px.shape[1] < 2 or depth.shape != (len(vertices_px),):
        raise SchemaError(f"mesh: vertices {vertices_px.shape} and depth {depth.shape}; expected (V, 2 or 3) and (V,)")
    xy = np.ascontiguousarray(vertices_px[:, :2], np.float64)
    return xy, np.ascontiguousarray(depth, np.float64), checked_faces(faces, len(xy))


def _window(xy: NDArray[np.float64], height: int, width: int) -> tuple[int, int, int, int]:
    """Return the part x0, y0, x1, y1 (ends excluded) of the image that the mesh can touch."""
    seen = xy[np.isfinite(xy).all(1)]
    if not len(seen):
        return 0, 0, 0, 0
    x0, y0 = np.clip(np.floor(seen.min(0)), 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(seen.max(0)) + 1, 0, (width, height)).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


@njit(cache=True, nogil=True)
def _fill(
    xy: NDArray[np.float64],
    depth: NDArray[np.float64],
    faces: NDArray[np.int32],
    cull_back: bool,
    triangle: NDArray[np.int32],
    nearest: NDArray[np.float32],
) -> None:
    height, width = triangle.shape
    for f in range(len(faces)):
        i, j, k = faces[f]
        ax, ay, bx, by, cx, cy = xy[i, 0], xy[i, 1], xy[j, 0], xy[j, 1], xy[k, 0], xy[k, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        # with y down a triangle that faces the camera has a negative area; NaN and 0 fail both tests
        if not (area < 0 or (area > 0 and not cull_back)) or not np.isfinite(area):
            continue
        # clamped as floats: a far-off corner must not overflow the conversion to int
        x0 = int(max(0.0, np.ceil(min(ax, bx, cx))))
        x1 = int(min(width - 1.0, np.floor(max(ax, bx, cx))))
        y0 = int(max(0.0, np.ceil(min(ay, by, cy))))
        y1 = int(min(height - 1.0, np.floor(max(ay, by, cy))))
        inverse = 1.0 / area
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                # each edge on its own, never as one minus the others: shared edges then leave no holes
                w0 = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * inverse
                if w0 < 0:
                    continue
                w1 = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * inverse
                if w1 < 0:
                    continue
                w2 = ((ax - x) * (by - y) - (ay - y) * (bx - x)) * inverse
                if w2 < 0:
                    continue
                z = np.float32(w0 * depth[i] + w1 * depth[j] + w2 * depth[k])
                if z < nearest[y, x]:
                    nearest[y, x] = z
                    triangle[y, x] = f


@njit(cache=True, nogil=True)
def _barycentric(xy: NDArray[np.float64], face: NDArray[np.int32], x: int, y: int) -> tuple[float, float, float]:
    i, j, k = face
    ax, ay, bx, by, cx, cy = xy[i, 0], xy[i, 1], xy[j, 0], xy[j, 1], xy[k, 0], xy[k, 1]
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    inverse = 1.0 / area
    w0 = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * inverse
    w1 = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * inverse
    return w0, w1, 1.0 - w0 - w1


@njit(cache=True, nogil=True)
def _weights(
    xy: NDArray[np.float64], faces: NDArray[np.int32], triangle: NDArray[np.int32], barycentric: NDArray[np.float32]
) -> None:
    for y in range(triangle.shape[0]):
        for x in range(triangle.shape[1]):
            f = triangle[y, x]
            if f >= 0:
                w0, w1, w2 = _barycentric(xy, faces[f], x, y)
                barycentric[y, x, 0], barycentric[y, x, 1], barycentric[y, x, 2] = w0, w1, w2


@njit(cache=True, nogil=True)
def _average(
    xy: NDArray[np.float64],
    faces: NDArray[np.int32],
    triangle: NDArray[np.int32],
    values: NDArray[np.float32],
    s: int,
    image: NDArray[np.float32],
    coverage: NDArray[np.float32],
) -> None:
    share = 1.0 / (s * s)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            seen = 0
            for fine_y in range(y * s, y * s + s):
                for fine_x in range(x * s, x * s + s):
                    f = triangle[fine_y, fine_x]
                    if f < 0:
                        continue
                    seen += 1
                    w0, w1, w2 = _barycentric(xy, faces[f], fine_x, fine_y)
                    i, j, k = faces[f]
                    for c in range(values.shape[1]):
                        image[y, x, c] += share * (w0 * values[i, c] + w1 * values[j, c] + w2 * values[k, c])
            coverage[y, x] = seen * share
