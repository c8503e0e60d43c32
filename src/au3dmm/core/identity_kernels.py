"""Compiled loops for `fitting.fit_neutral`: normal equations of a shape seen in many frames, offsets eliminated."""

from __future__ import annotations

from numba import njit


@njit(cache=True, fastmath={"contract"})
def shape_equations(landmarks, centred, base, camera, tilt, centre, precision, weights, h, g):  # type: ignore[no-untyped-def]
    """Write ``h = sum_f p_f A_f'A_f`` (3, 3) and ``g_i = w_i sum_f p_f A_f' r_fi`` (L, 3).

    With ``r = l (1 - centred . tilt) - centre - A base``; shapes: landmarks (n, L, 2), centred and base (L, 3), camera
    (n, 2, 3), tilt (n, 3), centre (n, 2), precision (n,), weights (L,).
    """
    h[:] = 0.0
    g[:] = 0.0
    for f in range(len(landmarks)):
        p = precision[f]
        a0, a1, a2 = camera[f, 0, 0], camera[f, 0, 1], camera[f, 0, 2]
        b0, b1, b2 = camera[f, 1, 0], camera[f, 1, 1], camera[f, 1, 2]
        t0, t1, t2 = tilt[f, 0], tilt[f, 1], tilt[f, 2]
        cx, cy = centre[f, 0], centre[f, 1]
        for i in range(3):
            for j in range(3):
                h[i, j] += p * (camera[f, 0, i] * camera[f, 0, j] + camera[f, 1, i] * camera[f, 1, j])
        for i in range(len(centred)):
            nearer = 1.0 - (centred[i, 0] * t0 + centred[i, 1] * t1 + centred[i, 2] * t2)
            x, y, z = base[i, 0], base[i, 1], base[i, 2]
            u = p * weights[i] * (landmarks[f, i, 0] * nearer - cx - (a0 * x + a1 * y + a2 * z))
            v = p * weights[i] * (landmarks[f, i, 1] * nearer - cy - (b0 * x + b1 * y + b2 * z))
            g[i, 0] += a0 * u + b0 * v
            g[i, 1] += a1 * u + b1 * v
            g[i, 2] += a2 * u + b2 * v


@njit(cache=True)
def eliminate_offsets(h, g, weights, precision, kept, m, reduced):  # type: ignore[no-untyped-def]
    """Take a personal offset per landmark, of prior `precision`, out of the equations ``H_i = w_i h``, ``g_i``.

    Written, per landmark: ``D = (H + precision I)^-1`` (`kept`), ``M = H - H D H``, and ``g - H D g`` (`reduced`).
    """
    for i in range(len(g)):
        w, d = weights[i], kept[i]
        a, b, c = w * h[0, 0] + precision, w * h[1, 1] + precision, w * h[2, 2] + precision
        x, y, z = w * h[0, 1], w * h[0, 2], w * h[1, 2]
        d[0, 0], d[1, 1], d[2, 2] = b * c - z * z, a * c - y * y, a * b - x * x
        d[0, 1], d[0, 2], d[1, 2] = y * z - x * c, x * z - y * b, x * y - a * z
        det = a * d[0, 0] + x * d[0, 1] + y * d[0, 2]
        for r in range(3):
            for s in range(r, 3):
                d[r, s] /= det
                d[s, r] = d[r, s]
        for r in range(3):
            for s in range(3):
                # H D = I - precision D, so that H - H D H = precision (I - precision D)
                m[i, r, s] = -precision * precision * d[r, s]
            m[i, r, r] += precision
            reduced[i, r] = precision * (d[r, 0] * g[i, 0] + d[r, 1] * g[i, 1] + d[r, 2] * g[i, 2])
