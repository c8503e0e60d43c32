"""How far a sequence of faces is from the true one, and how much it trembles (AU-D3DFace, sec. 4 and Table 1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.smoothing import smooth_tracks
from au3dmm.core.surface_distance import Surface, register_to_surface
from au3dmm.errors import SchemaError

_MM = 1e3


@dataclass(frozen=True)
class MeshError:
    """Errors of the vertices of T frames.

    Attributes
    ----------
    mean_mm : (T,) array
        Mean distance of each frame's vertices from the true surface; NaN where there is no frame.
    squared_mm2 : (T,) array
        Mean square of it.
    n_vertices : int
        Over how many vertices.
    """

    mean_mm: NDArray[np.float64]
    squared_mm2: NDArray[np.float64]
    n_vertices: int

    def summary(self) -> dict[str, float]:
        """Return ``mean_mm``, ``sd_mm`` (over all vertices of all frames), ``rms_mm`` and ``frames``.

        Examples
        --------
        >>> MeshError(np.array([1.0, np.nan, 3.0]), np.array([2.0, np.nan, 12.0]), 10).summary()
        {'mean_mm': 2.0, 'sd_mm': 1.7320508075688772, 'rms_mm': 2.6457513110645907, 'frames': 2.0}
        """
        there = np.isfinite(self.mean_mm)
        if not there.any():
            return {"mean_mm": np.nan, "sd_mm": np.nan, "rms_mm": np.nan, "frames": 0.0}
        mean, square = float(self.mean_mm[there].mean()), float(self.squared_mm2[there].mean())
        return {
            "mean_mm": mean,
            "sd_mm": float(np.sqrt(max(square - mean**2, 0.0))),
            "rms_mm": float(np.sqrt(square)),
            "frames": float(there.sum()),
        }


def surface_errors(
    found: NDArray[np.floating],
    truth: NDArray[np.floating],
    faces: NDArray[np.integer],
    *,
    vertices: NDArray[np.integer] | None = None,
    align: bool = True,
) -> MeshError:
    """Measure faces against true surfaces of any topology: vertex-to-plane distances after ICP.

    Each frame is moved rigidly, by ICP, to where its vertices are nearest to the true surface; the error of a vertex is
    its distance from the plane of the true triangle nearest to it. (The paper says "vertex-to-plane mean square error"
    and gives mean and standard deviation in mm, which we take for those of the distance.)

    Parameters
    ----------
    found : (T, V, 3) array
        m; frames that are not finite do not count.
    truth : (T, W, 3) array
        m; the same.
    faces : (F, 3) int array
        Of the true mesh.
    vertices : (n,) int array, optional
        Which vertices of `found` are measured, and aligned by; default: all.
    align : bool
        Whether ICP comes before.

    Raises
    ------
    SchemaError
        If shapes disagree.
    """
    if found.ndim != 3 or truth.ndim != 3 or len(found) != len(truth) or found.shape[2] != 3 or truth.shape[2] != 3:
        raise SchemaError(f"mesh error: found {found.shape} and true {truth.shape}; expected (T, V, 3) and (T, W, 3)")
    some = np.arange(found.shape[1]) if vertices is None else vertices
    mean = np.full(len(found), np.nan)
    squared = np.full(len(found), np.nan)
    surface: Surface | None = None
    for i, (mesh, true) in enumerate(zip(found, truth, strict=True)):
        points = np.asarray(mesh, np.float64)[some]
        if not (np.isfinite(points).all() and np.isfinite(true).all()):
            continue
        surface = Surface(true, faces) if surface is None else surface.moved(true)
        if align:
            points = register_to_surface(points, surface).apply(points)
        error = _MM * np.abs(surface.nearest(points).plane_distances(points))
        mean[i], squared[i] = error.mean(), (error**2).mean()
    return MeshError(mean, squared, len(some))


def vertex_errors(
    found: NDArray[np.floating], truth: NDArray[np.floating], vertices: NDArray[np.integer] | None = None
) -> MeshError:
    """Measure faces (T, V, 3), m, against true ones of the same mesh: distances of corresponding vertices.

    Sliding along the surface counts, which `surface_errors` does not see.

    Raises
    ------
    SchemaError
        If shapes disagree.
    """
    if found.ndim != 3 or found.shape != truth.shape:
        raise SchemaError(f"mesh error: found {found.shape} and true {truth.shape}; expected one shape (T, V, 3)")
    some = slice(None) if vertices is None else vertices
    error = _MM * np.linalg.norm(found[:, some] - truth[:, some], axis=2)
    return MeshError(error.mean(1), (error**2).mean(1), error.shape[1])


def jitter(motion: NDArray[np.floating], truth: NDArray[np.floating] | None = None) -> float:
    """Return how much a sequence trembles: the rms second difference over frames, per vertex, mm.

    Of three successive frames, how far the middle one is from the mean of its neighbours, times two. With `truth`,
    that of what differs from it, so that true quick movements are none.

    Parameters
    ----------
    motion, truth : (T, R) arrays
        Coordinates in a motion space, mm, whose squared length is the mean square over vertices
        (`core.motion_space`), at even times. Rows that are not finite break the sequence.

    Returns
    -------
    float
        NaN if no three frames in a row are there.

    Examples
    --------
    >>> jitter(np.array([[0.0], [1.0], [2.0], [3.0]])), jitter(np.array([[0.0], [1.0], [0.0]]))
    (0.0, 2.0)
    """
    rows = np.asarray(motion, np.float64) if truth is None else np.asarray(motion, np.float64) - truth
    second = rows[2:] - 2 * rows[1:-1] + rows[:-2]
    squared = (second**2).sum(1)
    there = np.isfinite(squared)
    return float(np.sqrt(squared[there].mean())) if there.any() else float("nan")


def rest_jitter(motion: NDArray[np.floating], truth: NDArray[np.floating], still_mm: float = 0.02) -> float:
    """Return how much a sequence moves while the true face does not: the rms change from frame to frame, mm.

    What docs/accuracy.md calls jitter, on any frames at rest.

    Parameters
    ----------
    motion, truth : (T, R) arrays
        As of `jitter`.
    still_mm : float
        A face that truly changes by less than this (rms over vertices) is at rest.

    Returns
    -------
    float
        NaN if the face is never at rest.

    Examples
    --------
    >>> rest_jitter(np.array([[0.0], [0.1], [5.0]]), np.array([[0.0], [0.0], [4.0]]))
    0.1
    """
    moved, truly = (np.sqrt((np.diff(rows, axis=0) ** 2).sum(1)) for rows in (motion, truth))
    at_rest = np.isfinite(moved) & (truly < still_mm)
    return float(np.sqrt((moved[at_rest] ** 2).mean())) if at_rest.any() else float("nan")


def smoothed(motion: NDArray[np.floating], t_us: NDArray[np.int64], window_us: int) -> NDArray[np.float64]:
    """Return a sequence (T, R) smoothed by Savitzky-Golay (order 2): what any refinement has to beat.

    Rows that are not finite break it and stay as they are; see `core.smoothing.smooth_tracks`.
    """
    valid = np.isfinite(motion).all(axis=1)
    return smooth_tracks(np.asarray(motion, np.float64), t_us, valid, window_us, max(window_us, 1))
