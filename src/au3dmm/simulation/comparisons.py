"""What is compared: ladders of ingredients, one left out at a time, and alpha centred afterwards.

An ingredient is a line in a table: its name, and the parameters of `config` that it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = tuple[tuple[str, Mapping[str, Any]], ...]

LADDER: Rows = (
    ("paper", {}),
    ("+ noise 5 px, neutral 1 px", {"fit__sigma_px": 5.0, "sigma_id_px": 1.0}),
    ("+ scaled orthographic camera", {"camera": "scaled_orthographic"}),
    ("+ perspective removed", {"perspective_passes": 2}),
    ("+ pose solved jointly", {"joint_pose": True}),
    ("+ non-negative dictionary, noise 2 px", {"basis": "nonnegative", "fit__sigma_px": 2.0}),
    ("+ neutral: quietest frames of the clip", {"neutral": "low_energy", "sigma_id_px": 0.3, "alternations": 3}),
    ("+ neutral: of all clips", {"pool": "subject"}),
    ("+ neutral: personal offsets", {"sigma_offset_m": 0.002}),
    ("+ smoothing", {"smoothing_us": 300_000}),
    ("+ jaw weighs half", {"jaw_weight": 0.5}),
    ("+ non-negative codes, noise 1 px", {"codes": "nonnegative", "fit__sigma_px": 1.0}),
    ("+ l1, noise 0.7 px", {"fit__l1": 2.0, "fit__sigma_px": 0.7}),
    ("+ nearly exponential prior", {"fit__l1": 3.0, "fit__ridge": 0.1}),
    ("+ noise measured", {"noise": "measured"}),
    ("+ second solve", {"reweight": 3.0}),
    ("+ jumps put back", {"spike_iod": 0.06}),
    ("+ rates by size, second solve at 5", {"l1_by_size": 0.6, "reweight": 5.0}),
    ("+ outliers count less", {"robust": 4.0}),
    ("+ small displacements shrunk = robust", {"shrink": 4.0}),
)
"""From the published method to `robust`: each row adds its changes to those above."""

LEFT_OUT: Rows = (
    ("robust", {}),
    ("without smoothing", {"smoothing_us": 0}),
    ("affine camera", {"camera": "affine"}),
    ("without joint pose", {"joint_pose": False}),
    ("affine camera, without joint pose", {"camera": "affine", "joint_pose": False}),
    ("perspective left in", {"perspective_passes": 0}),
    ("perspective: 1 pass", {"perspective_passes": 1}),
    ("neutral: first frame of each clip", {"neutral": "first_frame", "pool": "session"}),
    ("neutral: quietest frames of each clip", {"pool": "session"}),
    ("neutral: without offsets", {"sigma_offset_m": 0.0}),
    ("neutral: 1 alternation", {"alternations": 1}),
    ("neutral: 2 passes", {"neutral_passes": 2}),
    ("neutral: told the truth", {"true_neutral": True}),
    ("jaw weighs as the rest", {"jaw_weight": 1.0}),
    ("without the second solve", {"reweight": 0.0}),
    ("second solve at a rate of 3", {"reweight": 3.0}),
    ("second solve at a rate of 7", {"reweight": 7.0}),
    ("jumps left in", {"spike_iod": 0.0}),
    ("rates per standard deviation", {"l1_by_size": 0.0}),
    ("rates per mm", {"l1_by_size": 1.0}),
    ("outliers count as the rest", {"robust": 0.0}),
    ("small displacements left as they are", {"shrink": 0.0}),
    ("small displacements: up to 12", {"shrink": 12.0}),
    ("noise as stated", {"noise": "stated"}),
    ("noise stated as 1 px", {"sigma_px": 1.0}),
    ("prior also Gaussian", {"ridge": 1.0}),
    ("without l1", {"l1": 0.0, "reweight": 0.0, "ridge": 1.0}),
    (
        "ridge codes, noise 2 px",
        {"codes": "ridge", "fit__sigma_px": 2.0, "ridge": 1.0, "noise": "stated", "shrink": 0.0},
    ),
    (
        "signed dictionary, ridge codes, noise 2 px",
        {"basis": "signed", "codes": "ridge", "fit__sigma_px": 2.0, "ridge": 1.0, "noise": "stated", "shrink": 0.0},
    ),
)
"""From `robust`: each row changes one thing."""

PRESETS: Rows = (("paper", {"preset": "paper"}), ("robust", {}))


def cumulative(rows: Rows) -> list[tuple[str, dict[str, Any]]]:
    """Return rows of which each has all changes up to it.

    Examples
    --------
    >>> cumulative((("a", {"x": 1}), ("b", {"y": 2})))
    [('a', {'x': 1}), ('b', {'x': 1, 'y': 2})]
    """
    so_far: dict[str, Any] = {}
    found = []
    for name, changes in rows:
        so_far = {**so_far, **changes}
        found.append((name, so_far))
    return found


CENTRED: Mapping[str, Callable[[NDArray[np.floating]], NDArray[np.floating]]] = {
    "less the subject's mean": lambda alpha: alpha - alpha.mean((1, 2), keepdims=True),
    "less the subject's median": lambda alpha: alpha - np.median(alpha, axis=(1, 2), keepdims=True),
    "less the clip's median": lambda alpha: alpha - np.median(alpha, axis=2, keepdims=True),
    "less the clip's first 3 frames": lambda alpha: alpha - alpha[:, :, :3].mean(2, keepdims=True),
}
"""Ways to take from alpha (S, C, T, K) what is constant in it: the cheap repair of a wrong neutral face.

If that did as well as finding the neutral face, there would be no need to find it.
"""
