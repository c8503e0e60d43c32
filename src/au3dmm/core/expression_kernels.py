"""Compiled loops over frames for `expression`: what the camera leaves unexplained, and where landmarks are fitted.

Arrays of landmarks in mesh space are stored axis by axis, (3 L), so that neighbours in memory are neighbours in a loop.
"""

from __future__ import annotations

from numba import njit


@njit(cache=True, fastmath={"contract"})
def pull_back(landmarks, centred, camera, tilt, centre, pulled, mix):  # type: ignore[no-untyped-def]
    """Write ``A'(l (1 - S . tilt) - centre - A S)`` of every landmark, and the six entries of A'A, of every frame.

    Shapes: landmarks (T, L, 2), centred (3, L), camera (T, 2, 3), tilt (T, 3), centre (T, 2); pulled (T, 3 L), mix
    (T, 6) in the order xx, yy, zz, xy, xz, yz.
    """
    n = centred.shape[1]
    for f in range(len(landmarks)):
        a0, a1, a2 = camera[f, 0, 0], camera[f, 0, 1], camera[f, 0, 2]
        b0, b1, b2 = camera[f, 1, 0], camera[f, 1, 1], camera[f, 1, 2]
        t0, t1, t2 = tilt[f, 0], tilt[f, 1], tilt[f, 2]
        cx, cy = centre[f, 0], centre[f, 1]
        mix[f, 0], mix[f, 1], mix[f, 2] = a0 * a0 + b0 * b0, a1 * a1 + b1 * b1, a2 * a2 + b2 * b2
        mix[f, 3], mix[f, 4], mix[f, 5] = a0 * a1 + b0 * b1, a0 * a2 + b0 * b2, a1 * a2 + b1 * b2
        for i in range(n):
            x, y, z = centred[0, i], centred[1, i], centred[2, i]
            nearer = 1.0 - (x * t0 + y * t1 + z * t2)
            u = landmarks[f, i, 0] * nearer - cx - (a0 * x + a1 * y + a2 * z)
            v = landmarks[f, i, 1] * nearer - cy - (b0 * x + b1 * y + b2 * z)
            pulled[f, i] = a0 * u + b0 * v
            pulled[f, n + i] = a1 * u + b1 * v
            pulled[f, 2 * n + i] = a2 * u + b2 * v


@njit(cache=True)
def move_cameras(camera, pose, unit_scale, unit_angle, moved):  # type: ignore[no-untyped-def]
    """Write cameras (T, 2, 3) changed by poses (T, 4): ``A (I + p_0 unit_scale I + sum_k p_k unit_angle [e_k]x)``."""
    for f in range(len(camera)):
        size = 1.0 + unit_scale * pose[f, 0]
        x, y, z = unit_angle * pose[f, 1], unit_angle * pose[f, 2], unit_angle * pose[f, 3]
        for c in range(2):
            a0, a1, a2 = camera[f, c, 0], camera[f, c, 1], camera[f, c, 2]
            moved[f, c, 0] = a0 * size + a1 * z - a2 * y
            moved[f, c, 1] = a1 * size - a0 * z + a2 * x
            moved[f, c, 2] = a2 * size + a0 * y - a1 * x


@njit(cache=True, fastmath={"contract"})
def see(shape, camera, shift, tilt, fitted):  # type: ignore[no-untyped-def]
    """Write the image of points: ``(A X + shift) / (1 - X . tilt)``.

    Shapes: shape (T, 3 L or more), camera (T, 2, 3), shift (T, 2), tilt (T, 3); fitted (T, L, 2).
    """
    n = fitted.shape[1]
    for f in range(len(fitted)):
        a0, a1, a2 = camera[f, 0, 0], camera[f, 0, 1], camera[f, 0, 2]
        b0, b1, b2 = camera[f, 1, 0], camera[f, 1, 1], camera[f, 1, 2]
        t0, t1, t2 = tilt[f, 0], tilt[f, 1], tilt[f, 2]
        cx, cy = shift[f, 0], shift[f, 1]
        for i in range(n):
            x, y, z = shape[f, i], shape[f, n + i], shape[f, 2 * n + i]
            nearer = 1.0 / (1.0 - (x * t0 + y * t1 + z * t2))
            fitted[f, i, 0] = (a0 * x + a1 * y + a2 * z + cx) * nearer
            fitted[f, i, 1] = (b0 * x + b1 * y + b2 * z + cy) * nearer
