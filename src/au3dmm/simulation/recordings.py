"""Simulated recordings: landmarks as a detector would find them, and the truth beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import JAW
from au3dmm.simulation.clips import FRAMES, clip_labels, make_clip
from au3dmm.simulation.conditions import Condition
from au3dmm.simulation.contour import PATH_POINTS, slide
from au3dmm.simulation.faces import FACIAL_UNITS, FaceFamily
from au3dmm.simulation.people import draw_expressions, draw_neutral
from au3dmm.simulation.views import focal_px, landmark_noise, reading, see

_NEUTRAL = 1e-6
_APEX = 0.9


@dataclass(frozen=True)
class Recordings:
    """S subjects of C clips of T frames; points L (68 or all landmarks) and M metric points.

    Attributes
    ----------
    condition : Condition
        How they were seen.
    labels : tuple of C str
        What each clip shows.
    landmarks : (S, C, T, L, 2) float32 array
        Image plane relative to the principal point, px, y up.
    weights : (S, C, T, E) float32 array
        How far each expression is shown.
    expressions : (S, E, M, 3) float32 array
        How each subject shows them, at the metric points, m.
    neutral : (S, L, 3) array
        True neutral landmarks, m.
    rotation : (S, C, T, 3, 3) float32 array
        True rotation of the head.
    activation : (S, C, T) array
        Rms displacement of the metric points as a share of the clip's largest; 0 where the face is neutral.
    focal_px : float
        What the fit is told.
    contour : (L,) bool array
        Landmarks on the jaw's contour.
    units : (S, C, T, 24, 2) float32 array
        How far each of `FACIAL_UNITS` is shown on the left and on the right, 1 in full; not known of speech (0).
    """

    condition: Condition
    labels: tuple[str, ...]
    landmarks: NDArray[np.float32]
    weights: NDArray[np.float32]
    expressions: NDArray[np.float32]
    neutral: NDArray[np.float64]
    rotation: NDArray[np.float32]
    activation: NDArray[np.float64]
    focal_px: float
    contour: NDArray[np.bool_]
    units: NDArray[np.float32]

    @property
    def still(self) -> NDArray[np.bool_]:
        """(S, C, T) frames in which the face is neutral."""
        return self.activation < _NEUTRAL

    @property
    def apex(self) -> NDArray[np.bool_]:
        """(S, C, T) frames in which the face moves by 0.9 of the clip's largest displacement or more."""
        return (self.activation >= _APEX) & ~self.still

    @property
    def active_start(self) -> NDArray[np.bool_]:
        """(S, C) clips whose first frame is not neutral."""
        return ~self.still[:, :, 0]

    def displacement(self, subject: int, frames: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the true displacements (n, M, 3), m, of a subject's frames (C, T)."""
        shown = self.weights[subject][frames]
        shapes = self.expressions[subject]
        return np.asarray((shown @ shapes.reshape(len(shapes), -1)).reshape(len(shown), -1, 3))


def draw_person(family: FaceFamily, seed: int, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the neutral face (P, 3) of a subject and how he or she shows the expressions (E, P, 3), m."""
    rng = np.random.default_rng([seed, number, 0])
    return draw_neutral(family, rng), draw_expressions(family, rng)


def simulate(
    family: FaceFamily, condition: Condition, *, seed: int, subjects: int, dense: bool = False, frames: int = FRAMES
) -> Recordings:
    """Simulate recordings; a subject does not depend on how many others there are, nor the 68 landmarks on `dense`.

    Parameters
    ----------
    family : FaceFamily
        Whose faces.
    condition : Condition
        How they move and are seen.
    seed : int
        Which subjects; see `conditions`.
    subjects : int
        S.
    dense : bool
        All landmarks instead of iBUG's 68.
    frames : int
        T.
    """
    labels = clip_labels(condition.kind)
    n = family.n_landmarks if dense else 68
    shape = (subjects, len(labels), frames)
    landmarks = np.empty((*shape, n, 2), np.float32)
    weights = np.empty((*shape, len(family.names)), np.float32)
    rotation = np.empty((*shape, 3, 3), np.float32)
    expressions = np.empty((subjects, len(family.names), family.n_metric, 3), np.float32)
    neutral = np.empty((subjects, n, 3))
    activation = np.zeros(shape)
    units = np.zeros((*shape, len(FACIAL_UNITS), 2), np.float32)
    for s in range(subjects):
        # one stream for each purpose, so that conditions share all that they do not change
        does, errs, seeming, accidents = (np.random.default_rng([seed, s, part]) for part in range(1, 5))
        face, own = draw_person(family, seed, s)
        seen_share = reading(family, condition, seeming)
        bias = condition.bias_px * seeming.standard_normal((family.n_landmarks, 2))
        expressions[s], neutral[s] = own[:, family.metric], face[:n]
        metric = own[:, family.metric].reshape(len(own), -1)
        gram = metric @ metric.T
        # what must move: landmarks, and the contour's paths behind the points that are only measured
        marks_own = own[:, : family.n_landmarks].reshape(len(own), -1)
        paths_own = own[:, family.n_model :].reshape(len(own), -1)
        for c, label in enumerate(labels):
            starts_active = bool(does.random() < condition.starts_active)
            clip = make_clip(
                family,
                condition.kind,
                label,
                does,
                starts_active=starts_active,
                motion_deg=condition.motion_deg,
                frames=frames,
            )
            marks = (clip.weights @ marks_own).reshape(frames, -1, 3)
            far = np.linalg.norm(marks, axis=2)
            points = face[: family.n_landmarks] + seen_share * marks
            if condition.sliding:
                paths = face[family.n_model :] + (clip.weights @ paths_own).reshape(frames, -1, 3)
                points[:, JAW] = slide(paths.reshape(frames, len(JAW), PATH_POINTS, 3), clip.rotation)
            points = (points - family.pivot) @ clip.rotation.swapaxes(1, 2) + clip.translation[:, None]
            noise = landmark_noise(family, condition, far, errs, accidents)
            seen = see(points, family, clip.translation, condition.perspective) + bias + noise
            landmarks[s, c], weights[s, c], rotation[s, c] = seen[:, :n], clip.weights, clip.rotation
            units[s, c] = clip.units
            rms = np.sqrt(np.maximum(np.einsum("te,ef,tf->t", clip.weights, gram, clip.weights), 0))
            activation[s, c] = rms / (rms.max() or 1.0)
    return Recordings(
        condition,
        labels,
        landmarks,
        weights,
        expressions,
        neutral,
        rotation,
        activation,
        focal_px(family) * condition.focal_guess,
        family.contour[:n],
        units,
    )
