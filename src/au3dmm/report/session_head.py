"""The head of a session for a page that turns it: mesh and components as whole numbers, coefficients as bytes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.report.mesh_views import HEAT

MESH_BYTES = 1_700_000
"""Room for mesh and components; base64 makes a third more of it."""
FAINT = 0.003
"""Of a component only what moves by more than this share of its largest displacement is in the page."""
CURVE_BYTES = 1_150_000
"""Room for coefficients and their deviations."""
_NULL = 255
_LEVELS = 254


@dataclass(frozen=True)
class Strength:
    """How much each component moves the face in a session.

    Attributes
    ----------
    order : (K,) int array
        Components, that which moves the face most first.
    share : (K,) array
        Of the sum of squares that all components would have one by one, 0 to 1; 0 where nothing moves.
    largest : (K,) array
        Largest absolute coefficient; 0 where nothing was fitted.
    """

    order: NDArray[np.int64]
    share: NDArray[np.float64]
    largest: NDArray[np.float64]


def component_strength(alpha: NDArray[np.floating], bases: Bases | None) -> Strength:
    """Rank components by the motion that they make, or by their coefficients where the basis is not there.

    Parameters
    ----------
    alpha : (N, K) array
        NaN where nothing was fitted.
    bases : Bases, optional
        What the coefficients belong to.
    """
    known = np.asarray(alpha[np.isfinite(alpha).all(1)], np.float64)
    k = alpha.shape[1]
    power = (known**2).mean(0) if len(known) else np.zeros(k)
    if bases is not None:
        power = power * (bases.components_au**2).sum(2).mean(1)
    total = float(power.sum())
    largest = np.abs(known).max(0) if len(known) else np.zeros(k)
    return Strength(np.argsort(-power, kind="stable"), power / total if total > 0 else power, largest)


def displacement_mm(bases: Bases, alpha: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how far each vertex is from its neutral place, (N, V) or (V,), mm; 0 where alpha is NaN."""
    moved = np.tensordot(np.nan_to_num(np.asarray(alpha, np.float64)), bases.components_au, axes=([-1], [0]))
    return np.asarray(1000 * np.sqrt((moved**2).sum(-1)))


def largest_displacement_mm(bases: Bases, alpha: NDArray[np.floating], frames: int = 48) -> float:
    """Return the largest displacement of any vertex, mm, looked for in the frames with the largest coefficients."""
    known = alpha[np.isfinite(alpha).all(1)]
    if not len(known):
        return 0.0
    peak = np.sqrt((bases.components_au**2).sum(2).max(1))
    chosen = np.argsort(-(np.abs(known) @ peak), kind="stable")[:frames]
    return float(displacement_mm(bases, known[chosen]).max())


def scale_mm(bases: Bases, largest_mm: float) -> float:
    """Return the displacement of the last colour: the largest that was fitted, or else of a component at 3."""
    peak = float(np.sqrt((bases.components_au**2).sum(2)).max())
    return largest_mm if largest_mm > 0 else 3000 * peak


def head_data(
    bases: Bases, strength: Strength, shape: NDArray[np.float64] | None = None, room: int = MESH_BYTES
) -> dict[str, Any]:
    """Return the mesh and its strongest components as the page's script reads them.

    Positions and displacements are whole numbers of 16 bits, times a step: of the head 4 micrometres, of a component
    a 32767th of its largest displacement. Components are local: only the vertices that they move are named.

    Parameters
    ----------
    bases : Bases
        Template, triangles, components.
    strength : Strength
        Which components come first.
    shape : (K_id,) array, optional
        The person's identity; without it the head is the basis' mean, which is nobody.
    room : int
        Bytes; components that do not fit are left out, the weakest first, and those that nothing moves.
    """
    head = bases.template if shape is None else bases.template + np.tensordot(shape, bases.components_id, axes=1)
    centre = (head.min(0) + head.max(0)) / 2
    step = float(np.abs(head - centre).max()) / 32767
    n_vertices = len(head)
    wide = n_vertices > 65535
    faces = bases.faces.astype("<u4" if wide else "<u2")
    index = "<u4" if wide else "<u2"
    each = np.dtype(index).itemsize + 6
    left = room - 6 * n_vertices - faces.nbytes
    moved = [int(k) for k in strength.order if strength.share[k] > 0] or [int(k) for k in strength.order]
    chosen: list[int] = []
    steps: list[float] = []
    places: list[NDArray[Any]] = []
    parts: list[NDArray[Any]] = []
    for k in moved:
        component = bases.components_au[k]
        far = np.sqrt((component**2).sum(1))
        place = np.flatnonzero(far > FAINT * far.max())
        left -= each * len(place)
        if left < 0 and chosen:
            break
        size = float(np.abs(component).max()) / 32767 or 1.0
        chosen.append(k)
        places.append(place.astype(index))
        steps.append(size)
        parts.append(np.rint(component[place] / size).astype("<i2"))
    landmarks = bases.landmarks()[0]
    return {
        "vertices": packed(np.rint((head - centre) / step).astype("<i2")),
        "step": step,
        "faces": packed(faces),
        "wide": wide,
        "counts": [len(place) for place in places],
        "places": packed(np.concatenate(places)),
        "components": packed(np.concatenate(parts)),
        "steps": steps,
        "which": chosen,
        "left_out": int((strength.share > 0).sum()) - len([k for k in chosen if strength.share[k] > 0]),
        "shown": float(strength.share[chosen].sum()),
        "face": _view(landmarks - centre),
        "heat": packed(np.rint(255 * HEAT).astype(np.uint8)),
    }


def _view(landmarks: NDArray[np.float64]) -> dict[str, Any]:
    """Return what the camera looks at: the middle of the face, and how high it is, m."""
    low, high = landmarks[8, 1], landmarks[17:27, 1].mean()
    ears = landmarks[[0, 16]]
    unit = float(np.linalg.norm(landmarks[36] - landmarks[45]))
    top, bottom = high + 0.72 * unit, low - 0.45 * unit
    middle = [float(ears[:, 0].mean()), float((top + bottom) / 2), float(ears[:, 2].mean())]
    return {"middle": middle, "height": float(top - bottom)}


def stride_for(n: int, n_vectors: int, k: int, room: int = CURVE_BYTES) -> int:
    """Return every how many frames are shown, so that vectors of K bytes fit.

    Examples
    --------
    >>> stride_for(9000, 2, 32), stride_for(72000, 2, 32)
    (1, 5)
    """
    return max(1, -(-n * n_vectors * k // room))


def as_bytes(values: NDArray[np.floating], lowest: float | None = None) -> dict[str, Any]:
    """Return vectors (N, K) as a byte for each number: 255 where there is none, else steps from the column's least.

    A step is a 254th of what the column spans, so that what is drawn is off by less than a pixel.

    Parameters
    ----------
    values : (N, K) array
        NaN where there is nothing.
    lowest : float, optional
        At least this low is where steps are counted from.

    Examples
    --------
    >>> said = as_bytes(np.array([[0.0], [2.54], [np.nan]]))
    >>> list(base64.b64decode(said["data"])), said["low"], [round(step, 4) for step in said["step"]]
    ([0, 254, 255], [0.0], [0.01])
    """
    known = np.isfinite(values)
    some = known.any(0)
    least = np.where(some, np.nanmin(np.where(known, values, np.inf), 0), 0.0)
    most = np.where(some, np.nanmax(np.where(known, values, -np.inf), 0), 0.0)
    if lowest is not None:
        least = np.minimum(least, lowest)
    step = np.where(most > least, (most - least) / _LEVELS, 1.0)
    steps = np.rint((np.nan_to_num(values) - least) / step).clip(0, _LEVELS)
    return {
        "data": packed(np.where(known, steps, _NULL).astype(np.uint8)),
        "low": [float(f"{x:.6g}") for x in least],
        "step": [float(f"{x:.6g}") for x in step],
    }


def packed(array: NDArray[Any]) -> str:
    """Return an array's bytes as base64; say little-endian types, which browsers read."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
