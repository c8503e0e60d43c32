"""Under which conditions faces are seen: one dataclass of switches, the named conditions, and the seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from au3dmm.simulation.clips import ClipKind

TRAINING_SEED = 1000
"""Actors that bases are learnt from."""
VALIDATION_SEEDS = (501, 502, 503)
"""For choosing parameters."""
COMPARISON_SEED = 900
"""The seed of the tables that today's parameters come from: for comparing, not for claims."""
TEST_SEEDS = (7101, 7102, 7103)
"""For claims only: nothing is ever chosen by results on these."""


@dataclass(frozen=True)
class Condition:
    """How faces move and are seen; the defaults are the base that all tables but the conditions use.

    Attributes
    ----------
    kind : str
        What the 24 clips show, see `clips.clip_labels`.
    noise_px, noise_ar : float
        Standard deviation of the landmarks' noise, px per axis (twice that on the contour), and its correlation from
        frame to frame.
    bias_px : float
        Standard deviation of each landmark's own, constant misplacement on a subject, px per axis.
    perspective : bool
        A pinhole at 60 cm; otherwise a scaled orthographic camera.
    focal_guess : float
        What the fit takes for the focal length, as a share of the true one.
    motion_deg : float
        Most that yaw, pitch and roll reach, degrees.
    starts_active : float
        Share of the clips that begin in the middle of the movement.
    clips_pooled : int
        Clips that a subject's neutral face is found from: 24 is all; with fewer, the clips are taken in groups.
    sliding : bool
        Contour landmarks slide with yaw.
    occlusion : float
        Share of the clips in which something hides a part of the face for a while: landmarks there wander.
    outliers : float
        Share of landmarks that are far off, each in a single frame.
    expression_noise : bool
        Landmarks are the noisier the more they are moved, and every landmark over- or under-reads motion in a way of
        its own (by -10 +- 15 %).
    params : mapping
        Values for the fit that somebody in this condition would set.
    """

    kind: ClipKind = "units"
    noise_px: float = 1.0
    noise_ar: float = 0.0
    bias_px: float = 0.0
    perspective: bool = True
    focal_guess: float = 1.0
    motion_deg: float = 20.0
    starts_active: float = 0.05
    clips_pooled: int = 24
    sliding: bool = False
    occlusion: float = 0.0
    outliers: float = 0.0
    expression_noise: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)


CONDITIONS: dict[str, Condition] = {
    "base": Condition(),
    "no noise": Condition(noise_px=0.0),
    "AR(1) 1.5 px": Condition(noise_px=1.5, noise_ar=0.9),
    "AR(1) 1.5 px, bias 1 px": Condition(noise_px=1.5, noise_ar=0.9, bias_px=1.0),
    "weak perspective, not told": Condition(perspective=False),
    "weak perspective, told": Condition(perspective=False, params={"perspective_passes": 0}),
    "focal length x0.77": Condition(focal_guess=0.77),
    "focal length x1.3": Condition(focal_guess=1.3),
    "1 clip per subject": Condition(clips_pooled=1),
    "4 clips per subject": Condition(clips_pooled=4),
    "all clips start active": Condition(starts_active=1.0),
    "1 clip, starts active": Condition(starts_active=1.0, clips_pooled=1),
    "head turns up to 40 deg": Condition(motion_deg=40.0),
    "contour slides": Condition(sliding=True),
    "occlusion": Condition(occlusion=0.3),
    "outliers 1 %": Condition(outliers=0.01),
    "noise grows with motion": Condition(expression_noise=True),
    "combined AUs": Condition(kind="combined"),
    "speech": Condition(kind="speech"),
    "FACEMORPHIC's 24": Condition(kind="facemorphic"),
    "hard": Condition(
        noise_ar=0.9, bias_px=1.0, sliding=True, occlusion=0.1, outliers=0.003, expression_noise=True, clips_pooled=4
    ),
}
"""By name; ``hard`` puts the realistic ones together."""
