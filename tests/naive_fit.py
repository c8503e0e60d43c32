"""The oracle: the same estimators, one frame at a time, by other algebra (explicit design matrices, SVD, NNLS)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

CROSS = [np.cross(np.eye(3)[i], np.eye(3)) for i in range(3)]  # rows: e_i x e_j


def eye(shape):
    return np.linalg.norm(shape[45] - shape[36])


def polar(a):
    u, d, vt = np.linalg.svd(a, full_matrices=False)
    return d.mean() * u @ vt, d.mean()


def camera_of(l, shape, w, model, passes, focal):
    wn = w / w.sum()
    root = np.sqrt(w)[:, None]

    def affine(seen):
        return (np.linalg.pinv(root * (shape - wn @ shape)) @ (root * (seen - wn @ seen))).T

    seen, a = l, affine(l)
    for _ in range(passes):
        near, s = polar(a)
        axis = np.cross(near[0] / s, near[1] / s)
        seen = np.array([l[i] * (1 - axis @ (shape[i] - wn @ shape) * s / focal) for i in range(len(l))])
        a = affine(seen)
    return (polar(a)[0] if model == "scaled_orthographic" else a), seen


def sigma_of(sigma, a, shape):
    return sigma * np.sqrt((a**2).sum() / 2) * eye(shape) / 144


def neutral(frames, template, components, w, model, passes, focal, *, sigma_id, sigma_offset, alternations):
    wn = w / w.sum()
    k = len(components)
    centred = components - np.einsum("l,kla->ka", wn, components)[:, None]
    shape = template
    for _ in range(alternations):
        rows, targets = [], []
        for l in frames:
            a, seen = camera_of(l, shape, w, model, passes, focal)
            s = sigma_of(sigma_id, a, shape) * np.sqrt(len(frames))
            residual = seen - wn @ seen - (template - wn @ template) @ a.T
            for i in range(68):
                block = np.zeros((2, k + 204))
                block[:, :k] = a @ centred[:, i].T
                if sigma_offset > 0:
                    block[:, k + 3 * i : k + 3 * i + 3] = a * sigma_offset
                rows.append(np.sqrt(w[i]) / s * block)
                targets.append(np.sqrt(w[i]) / s * residual[i])
        design = np.concatenate([*rows, np.eye(k + 204)])
        target = np.concatenate([*targets, np.zeros(k + 204)])
        x = np.linalg.lstsq(design, target, rcond=None)[0]
        offset = x[k:].reshape(68, 3) * sigma_offset
        shape = template + np.tensordot(x[:k], components, axes=1) + offset
    return x[:k], offset, shape


def expression(
    l, shape, components, w, model, passes, focal, *, sigma, joint_pose, nonnegative, l1, ridge=1.0, camera=None
):
    wn = w / w.sum()
    a, seen = camera_of(l, shape, w, model, passes, focal) if camera is None else (camera, l)
    s = sigma_of(sigma, a, shape)
    base = shape - wn @ shape
    columns = [c - wn @ c for c in components]
    precision = [ridge] * len(columns)
    if joint_pose:
        turns = [0.1 * np.array([np.cross(axis, x) for x in base]) for axis in np.eye(3)]
        columns = [0.05 * base, *turns, *columns]
        precision = [0.01] * 4 + precision
    root = np.repeat(np.sqrt(w), 2)
    design = np.stack([(c @ a.T).ravel() for c in columns], axis=1) * root[:, None]
    target = (seen - wn @ seen - base @ a.T).ravel() * root
    design = np.concatenate([design, s * np.diag(np.sqrt(precision))])
    target = np.concatenate([target, np.zeros(len(columns))])
    if not nonnegative:
        x = np.linalg.lstsq(design, target, rcond=None)[0]
        return x[-len(components) :]
    p = len(columns) - len(components)
    # project the pose columns out, then NNLS on a square root of what is left, with the l1 term in the target
    q = np.linalg.qr(design[:, :p])[0] if p else np.zeros((len(design), 0))
    free = design[:, p:] - q @ (q.T @ design[:, p:])
    g = free.T @ target - l1 * s**2
    r = np.linalg.cholesky(free.T @ free)
    return nnls(r.T, np.linalg.solve(r, g), maxiter=1000)[0]
