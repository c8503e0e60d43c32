"""Compiled loops over frames for `camera`: cameras from moments of the landmarks, and poses from cameras.

A camera needs of a frame's landmarks only ten weighted sums per image axis: they are one matrix product for all frames,
and the perspective correction, which is linear in the landmarks, is a change of those sums.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def moment_weights(shape, weights, centred, factors, inverse):  # type: ignore[no-untyped-def]
    """Write what turns landmarks (T, 2 L) into their moments (T, 10 x 2), and what turns those into cameras.

    The moments are means, weighted by `weights` (L,) of sum 1, of l, of l times x, y, z, and of l times xx, yy, zz, xy,
    xz, yz, where (x, y, z) is the model landmark about its mean. Written: `centred` (L, 3), `factors` (2 L, 20), and
    `inverse` (3, 3), that of the model landmarks' second moment. Returns False if they lie in a plane.
    """
    n = len(shape)
    for c in range(3):
        mean = 0.0
        for i in range(n):
            mean += weights[i] * shape[i, c]
        for i in range(n):
            centred[i, c] = shape[i, c] - mean
    xx, yy, zz, xy, xz, yz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    factors[:] = 0.0
    for i in range(n):
        w, x, y, z = weights[i], centred[i, 0], centred[i, 1], centred[i, 2]
        xx, yy, zz = xx + w * x * x, yy + w * y * y, zz + w * z * z
        xy, xz, yz = xy + w * x * y, xz + w * x * z, yz + w * y * z
        of_landmark = (w, w * x, w * y, w * z, w * x * x, w * y * y, w * z * z, w * x * y, w * x * z, w * y * z)
        for m in range(10):
            factors[2 * i, 2 * m] = of_landmark[m]
            factors[2 * i + 1, 2 * m + 1] = of_landmark[m]
    inverse[0, 0], inverse[1, 1], inverse[2, 2] = yy * zz - yz * yz, xx * zz - xz * xz, xx * yy - xy * xy
    inverse[0, 1], inverse[0, 2], inverse[1, 2] = xz * yz - xy * zz, xy * yz - xz * yy, xy * xz - xx * yz
    det = xx * inverse[0, 0] + xy * inverse[0, 1] + xz * inverse[0, 2]
    # trace(N) trace(N^-1) bounds the ratio of the largest to the smallest eigenvalue
    if not 1e9 * det > (xx + yy + zz) * (inverse[0, 0] + inverse[1, 1] + inverse[2, 2]):
        return False
    for i in range(3):
        for j in range(i, 3):
            inverse[i, j] /= det
            inverse[j, i] = inverse[i, j]
    return True


@njit(cache=True)
def nearest(a):  # type: ignore[no-untyped-def]
    """Turn the affine camera `a` (2, 3) into the scaled orthographic one nearest to it; its scale, or 0 if it has none.

    With ``M = A A'`` and ``d = sqrt(det M)`` that is ``(adj(M) + d I) A / (2 d)``, of scale ``sqrt(tr M + 2 d) / 2``.
    """
    m = a[0, 0] * a[0, 0] + a[0, 1] * a[0, 1] + a[0, 2] * a[0, 2]
    n = a[1, 0] * a[1, 0] + a[1, 1] * a[1, 1] + a[1, 2] * a[1, 2]
    o = a[0, 0] * a[1, 0] + a[0, 1] * a[1, 1] + a[0, 2] * a[1, 2]
    det = m * n - o * o
    if not det > 1e-12 * (m + n) ** 2:
        return 0.0
    d = np.sqrt(det)
    p, q, r = (n + d) / (2 * d), (m + d) / (2 * d), o / (2 * d)
    for c in range(3):
        x, y = a[0, c], a[1, c]
        a[0, c] = p * x - r * y
        a[1, c] = q * y - r * x
    return np.sqrt(m + n + 2 * d) / 2


@njit(cache=True)
def nearest_of_frames(affine, scale):  # type: ignore[no-untyped-def]
    """Apply `nearest` to cameras (T, 2, 3) in place; return the first frame that has none, or -1."""
    for f in range(len(affine)):
        scale[f] = nearest(affine[f])
        if not scale[f] > 0.0:
            return f
    return -1


@njit(cache=True)
def cameras_of_frames(moments, inverse, scaled, passes, focal, camera, centre, tilt):  # type: ignore[no-untyped-def]
    """Fit a camera to the moments of every frame; return the first frame that determines none, or -1.

    `inverse` is that of the (3, 3) second moment of the model landmarks. Written: `camera` (T, 2, 3), `tilt` (T, 3),
    with which perspective is removed, ``l (1 - S . tilt)``, and `centre` (T, 2), the mean of what is left.
    """
    first = np.empty((2, 3))
    for f in range(len(moments)):
        m = moments[f].reshape(10, 2)
        t0, t1, t2 = 0.0, 0.0, 0.0
        a = camera[f]
        for step in range(passes + 1):
            for c in range(2):
                first[c, 0] = m[1, c] - (m[4, c] * t0 + m[7, c] * t1 + m[8, c] * t2)
                first[c, 1] = m[2, c] - (m[7, c] * t0 + m[5, c] * t1 + m[9, c] * t2)
                first[c, 2] = m[3, c] - (m[8, c] * t0 + m[9, c] * t1 + m[6, c] * t2)
                for i in range(3):
                    a[c, i] = first[c, 0] * inverse[0, i] + first[c, 1] * inverse[1, i] + first[c, 2] * inverse[2, i]
            if step == passes and not scaled:
                break
            s = nearest(a)
            if not s > 0.0:
                return f
            if step < passes:
                # the third row of the rotation, times scale / focal
                by = 1.0 / (s * focal)
                t0 = by * (a[0, 1] * a[1, 2] - a[0, 2] * a[1, 1])
                t1 = by * (a[0, 2] * a[1, 0] - a[0, 0] * a[1, 2])
                t2 = by * (a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0])
        tilt[f, 0], tilt[f, 1], tilt[f, 2] = t0, t1, t2
        for c in range(2):
            centre[f, c] = m[0, c] - (m[1, c] * t0 + m[2, c] * t1 + m[3, c] * t2)
    return -1


@njit(cache=True)
def poses_of_frames(camera, shift, centre, focal, rotation, scale, translation):  # type: ignore[no-untyped-def]
    """Write the poses of cameras that see ``camera @ X + shift``; return the first frame that has none, or -1.

    `centre` (3,) is where depth was counted from; `focal` is 0 where no perspective was corrected.
    """
    a = np.empty((2, 3))
    for f in range(len(camera)):
        for c in range(3):
            a[0, c], a[1, c] = camera[f, 0, c], camera[f, 1, c]
        s = nearest(a)
        if not s > 0.0:
            return f
        r = rotation[f]
        for c in range(3):
            r[0, c] = a[0, c] / s
            r[1, c] = a[1, c] / s
        r[2, 0] = r[0, 1] * r[1, 2] - r[0, 2] * r[1, 1]
        r[2, 1] = r[0, 2] * r[1, 0] - r[0, 0] * r[1, 2]
        r[2, 2] = r[0, 0] * r[1, 1] - r[0, 1] * r[1, 0]
        to_origin = 1.0
        if focal > 0.0:
            depth = r[2, 0] * centre[0] + r[2, 1] * centre[1] + r[2, 2] * centre[2]
            to_origin = 1.0 / (1.0 + s * depth / focal)
        scale[f] = s * to_origin
        translation[f, 0] = shift[f, 0] * to_origin
        translation[f, 1] = shift[f, 1] * to_origin
    return -1
