"""Paint triangles of interpolated values: the loops of `core.raster.MeshPainter`, and nothing else."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def extent_of(xy: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return the smallest and the largest x and y of finite points: left, top, right, bottom; inf if there are none."""
    left, top, right, bottom = np.inf, np.inf, -np.inf, -np.inf
    for i in range(len(xy)):
        x, y = xy[i, 0], xy[i, 1]
        if np.isfinite(x) and np.isfinite(y):
            left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
    return left, top, right, bottom


@njit(cache=True, nogil=True)
def paint_triangles(  # type: ignore[no-untyped-def]
    xy, depth, faces, values, cull_back, nearest, painted
):
    """Draw values straight into the pixels, row by row between the edges: `rasterise` and `interpolate` in one go.

    Neighbours compute the same numbers, but for the sign, on the edge they share: no holes there either.
    """
    height, width = nearest.shape
    channels = values.shape[1]
    slope_x, slope_y, row_value = np.empty(channels), np.empty(channels), np.empty(channels)
    for f in range(len(faces)):
        i, j, k = faces[f]
        ax, ay, bx, by, cx, cy = xy[i, 0], xy[i, 1], xy[j, 0], xy[j, 1], xy[k, 0], xy[k, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if not (area < 0 or (area > 0 and not cull_back)) or not np.isfinite(area):
            continue
        left, right = max(0.0, np.ceil(min(ax, bx, cx))), min(width - 1.0, np.floor(max(ax, bx, cx)))
        y0 = int(max(0.0, np.ceil(min(ay, by, cy))))
        y1 = int(min(height - 1.0, np.floor(max(ay, by, cy))))
        if right < left or y1 < y0:
            continue
        # values and depth are linear in the image: v_i + slope_x (x - ax) + slope_y (y - ay)
        inverse = 1.0 / area
        bx_, by_, cx_, cy_ = (bx - ax) * inverse, (by - ay) * inverse, (cx - ax) * inverse, (cy - ay) * inverse
        depth_1, depth_2 = depth[j] - depth[i], depth[k] - depth[i]
        depth_x, depth_y = depth_1 * cy_ - depth_2 * by_, depth_2 * bx_ - depth_1 * cx_
        for channel in range(channels):
            value_1, value_2 = values[j, channel] - values[i, channel], values[k, channel] - values[i, channel]
            slope_x[channel] = value_1 * cy_ - value_2 * by_
            slope_y[channel] = value_2 * bx_ - value_1 * cx_
        # a pixel is inside where e_x x + e_y y + e_0 is not negative for each of the three edges
        side = 1.0 if area > 0 else -1.0
        ax_, ay_, a0 = side * (by - cy), side * (cx - bx), side * (bx * cy - by * cx)
        bx_, by_, b0 = side * (cy - ay), side * (ax - cx), side * (cx * ay - cy * ax)
        cx_, cy_, c0 = side * (ay - by), side * (bx - ax), side * (ax * by - ay * bx)
        a_inverse = 1.0 / ax_ if ax_ != 0 else 0.0
        b_inverse = 1.0 / bx_ if bx_ != 0 else 0.0
        c_inverse = 1.0 / cx_ if cx_ != 0 else 0.0
        for y in range(y0, y1 + 1):
            first, last = _cut(a_inverse, ay_ * y + a0, left, right)
            first, last = _cut(b_inverse, by_ * y + b0, first, last)
            first, last = _cut(c_inverse, cy_ * y + c0, first, last)
            if last < first:
                continue
            row_depth = depth[i] + depth_y * (y - ay) - depth_x * ax
            if channels == 1:  # apart from the others, which is twice as fast
                value = values[i, 0] + slope_y[0] * (y - ay) - slope_x[0] * ax
                slope = slope_x[0]
                for x in range(int(first), int(last) + 1):
                    z = np.float32(row_depth + depth_x * x)
                    if z < nearest[y, x]:
                        nearest[y, x] = z
                        painted[y, x, 0] = value + slope * x
                continue
            for channel in range(channels):
                row_value[channel] = values[i, channel] + slope_y[channel] * (y - ay) - slope_x[channel] * ax
            for x in range(int(first), int(last) + 1):
                z = np.float32(row_depth + depth_x * x)
                if z < nearest[y, x]:
                    nearest[y, x] = z
                    for channel in range(channels):
                        painted[y, x, channel] = row_value[channel] + slope_x[channel] * x


@njit(inline="always")
def _cut(inverse, rest, first, last):  # type: ignore[no-untyped-def]
    """Return which of the pixels from first to last have ``x / inverse + rest >= 0``; 0 stands for a level edge."""
    if inverse > 0:
        return max(first, np.ceil(-rest * inverse)), last
    if inverse < 0:
        return first, min(last, np.floor(-rest * inverse))
    return first, last if rest >= 0 else first - 1


@njit(cache=True, nogil=True)
def average_pixels(nearest, painted, s, image, coverage):  # type: ignore[no-untyped-def]
    """Take means over the sub-pixels; those that see nothing must hold 0."""
    height, width = coverage.shape
    share = np.float32(1.0 / (s * s))
    far = np.float32(np.inf)
    for y in range(height):
        for x in range(width):
            seen = 0
            if s == 2:  # spelled out, which is four times as fast
                seen += (nearest[2 * y, 2 * x] < far) + (nearest[2 * y, 2 * x + 1] < far)
                seen += (nearest[2 * y + 1, 2 * x] < far) + (nearest[2 * y + 1, 2 * x + 1] < far)
            else:
                for fine_y in range(y * s, y * s + s):
                    for fine_x in range(x * s, x * s + s):
                        seen += nearest[fine_y, fine_x] < far
            coverage[y, x] = seen * share
    for c in range(image.shape[2]):
        for y in range(height):
            for x in range(width):
                total = np.float32(0)
                if s == 2:
                    total += painted[2 * y, 2 * x, c] + painted[2 * y, 2 * x + 1, c]
                    total += painted[2 * y + 1, 2 * x, c] + painted[2 * y + 1, 2 * x + 1, c]
                else:
                    for fine_y in range(y * s, y * s + s):
                        for fine_x in range(x * s, x * s + s):
                            total += painted[fine_y, fine_x, c]
                image[y, x, c] = total * share
