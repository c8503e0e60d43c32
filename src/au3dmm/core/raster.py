"""Draw triangle meshes: a z-buffer rasteriser, and interpolation of vertex values over its pixels.

The usual scan over each triangle's bounding box with edge functions (Pineda 1988, "A parallel algorithm for
polygon rasterization"). Serial and in triangle order, so the same mesh gives the same bytes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.triangle_painting import average_pixels, extent_of, paint_triangles
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
    xy, z = _checked_vertices(vertices_px, depth)
    tri = checked_faces(faces, len(xy))
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


@dataclass(frozen=True)
class Drawing:
    """A drawn mesh; see `MeshPainter.draw`.

    Attributes
    ----------
    x0, y0 : int
        Where in the image the window lies that holds the mesh, px.
    image : (h, w, C) float32 array
        Mean over the sub-pixels, counting 0 where the mesh is not seen, so that
        ``image + (1 - coverage) * background`` is the finished picture.
    coverage : (h, w) float32 array
        Fraction of sub-pixels that see the mesh.
    """

    x0: int
    y0: int
    image: NDArray[np.float32]
    coverage: NDArray[np.float32]

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image that were drawn."""
        height, width = self.coverage.shape
        return slice(self.y0, self.y0 + height), slice(self.x0, self.x0 + width)


class MeshPainter:
    """Draws vertex values of one mesh again and again, in buffers that are made once.

    Parameters
    ----------
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside.
    n_vertices : int
        Of the mesh.
    height, width : int
        Size of the image, px.
    channels : int
        Values per vertex.
    supersample : int
        Sub-pixels along each side of a pixel.
    cull_back : bool
        Leave out triangles seen from behind.

    Raises
    ------
    SchemaError
        If a triangle names a vertex that does not exist, or `supersample` is below 1.
    """

    def __init__(
        self,
        faces: NDArray[np.integer],
        n_vertices: int,
        height: int,
        width: int,
        channels: int,
        *,
        supersample: int = 2,
        cull_back: bool = False,
    ) -> None:
        if supersample < 1:
            raise SchemaError(f"render: supersample is {supersample}, expected 1 or more")
        self._faces = checked_faces(faces, n_vertices)
        self._n_vertices = n_vertices
        self._size = height, width, channels
        self._supersample, self._cull_back = supersample, cull_back
        fine = height * width * supersample**2
        self._nearest, self._painted = np.empty(fine, np.float32), np.empty(fine * channels, np.float32)
        self._coverage = np.empty(height * width, np.float32)
        self._image = np.empty(height * width * channels, np.float32)

    def draw(
        self, vertices_px: NDArray[np.floating], depth: NDArray[np.floating], values: NDArray[np.floating]
    ) -> Drawing:
        """Draw interpolated vertex values with smooth edges: the mean of `supersample`^2 points per pixel.

        Parameters
        ----------
        vertices_px, depth
            As for `rasterise`.
        values : (V, C) array
            What to draw, for instance vertex colours that `core.shading.shade` made.

        Returns
        -------
        Drawing
            Its arrays are the painter's own: they hold until the next call.

        Raises
        ------
        SchemaError
            If shapes disagree.
        """
        height, width, channels = self._size
        xy, z = _checked_vertices(vertices_px, depth)
        colours = np.ascontiguousarray(values, np.float32)
        if len(xy) != self._n_vertices or colours.shape != (len(xy), channels):
            found = f"values {colours.shape} for {len(xy)} vertices"
            raise SchemaError(f"render: {found}, expected ({self._n_vertices}, {channels})")
        # only the window that holds the mesh is worth supersampled pixels
        x0, y0, x1, y1 = _window(xy, height, width)
        s = self._supersample
        fine = (xy - (x0, y0) + 0.5) * s - 0.5
        h, w = y1 - y0, x1 - x0
        # the window's pixels lie next to each other in the buffers, however small it is
        nearest = self._nearest[: h * w * s * s].reshape(h * s, w * s)
        painted = self._painted[: h * w * s * s * channels].reshape(h * s, w * s, channels)
        image = self._image[: h * w * channels].reshape(h, w, channels)
        coverage = self._coverage[: h * w].reshape(h, w)
        nearest.fill(np.inf)
        painted.fill(0)
        paint_triangles(fine, z, self._faces, colours, self._cull_back, nearest, painted)
        average_pixels(nearest, painted, s, image, coverage)
        return Drawing(x0, y0, image, coverage)


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
    """Draw interpolated vertex values with smooth edges, once: see `MeshPainter`.

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
    channels = values.shape[1] if values.ndim == 2 else 0
    painter = MeshPainter(
        faces, len(vertices_px), height, width, channels, supersample=supersample, cull_back=cull_back
    )
    drawing = painter.draw(vertices_px, depth, values)
    image = np.zeros((height, width, channels), np.float32)
    coverage = np.zeros((height, width), np.float32)
    image[drawing.window], coverage[drawing.window] = drawing.image, drawing.coverage
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


def _checked_vertices(
    vertices_px: NDArray[np.floating], depth: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if vertices_px.ndim != 2 or vertices_px.shape[1] < 2 or depth.shape != (len(vertices_px),):
        raise SchemaError(f"mesh: vertices {vertices_px.shape} and depth {depth.shape}; expected (V, 2 or 3) and (V,)")
    return np.ascontiguousarray(vertices_px[:, :2], np.float64), np.ascontiguousarray(depth, np.float64)


def _window(xy: NDArray[np.float64], height: int, width: int) -> tuple[int, int, int, int]:
    """Return the part x0, y0, x1, y1 (ends excluded) of the image that the mesh can touch."""
    left, top, right, bottom = extent_of(xy)
    if not left <= right:
        return 0, 0, 0, 0
    x0, y0 = np.clip(np.floor((left, top)), 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil((right, bottom)) + 1, 0, (width, height)).astype(int)
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
