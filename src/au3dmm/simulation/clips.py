"""What faces do in a clip: one action unit, several, speech, or a movement of the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.simulation.faces import BLINKS, FACIAL_UNITS, FaceFamily
from au3dmm.synthetic.tasks import ACTION_UNITS, HEAD_UNITS

ClipKind = Literal["units", "combined", "speech", "facemorphic"]
FRAMES = 75
N_CLIPS = 24
INTERVAL_US = 33_333
_MM = 1e-3


@dataclass(frozen=True)
class Clip:
    """A clip of T frames.

    Attributes
    ----------
    label : str
        What was asked for.
    weights : (T, E) array
        How far each expression is shown.
    rotation : (T, 3, 3) array
        Of the head about its pivot, x right, y up, z towards the camera.
    translation : (T, 3) array
        m
    units : (T, 24, 2) array
        How far each of `FACIAL_UNITS` is shown on the left and on the right, 1 being in full; not known of speech (0).
    """

    label: str
    weights: NDArray[np.float64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    units: NDArray[np.float64]


def clip_labels(kind: ClipKind) -> tuple[str, ...]:
    """Return what the 24 clips of a subject are called."""
    if kind == "units":
        return FACIAL_UNITS
    if kind == "facemorphic":
        return ACTION_UNITS
    return tuple(f"{kind}{i + 1:02d}" for i in range(N_CLIPS))


def make_clip(
    family: FaceFamily,
    kind: ClipKind,
    label: str,
    rng: np.random.Generator,
    *,
    starts_active: bool,
    motion_deg: float,
    frames: int = FRAMES,
) -> Clip:
    """Plan a clip.

    Parameters
    ----------
    kind, label
        As in `clip_labels`.
    rng : Generator
        Which variation.
    starts_active : bool
        Whether the recording begins in the middle of the movement.
    motion_deg : float
        Yaw, pitch and roll swing smoothly, each by at most a share of this, degrees.
    frames : int
        T.
    """
    angles = _sway(rng, frames, motion_deg)
    units = np.zeros((frames, len(FACIAL_UNITS), 2))
    if kind == "speech":
        weights = _speech(family, rng, frames)
    elif kind == "combined":
        weights, units = _combined(family, rng, frames)
    elif label in HEAD_UNITS:
        weights = np.zeros((frames, len(family.names)))
        axis, sign, least, most = HEAD_UNITS[label]
        # their axes are x, y, z; ours are yaw (y), pitch (x), roll (z)
        angles[:, (1, 0, 2)[axis]] += sign * rng.uniform(least, most) * _course(rng, frames)
    else:
        weights, course = _unit(family, label, rng, frames)
        units[:, FACIAL_UNITS.index(label)] = course
    if starts_active:
        shown = weights.max(1)
        back = -int(np.argmax(shown > 0.6 * shown.max(initial=0)))
        weights, units = np.roll(weights, back, axis=0), np.roll(units, back, axis=0)
        weights[-5:], units[-5:] = 0, 0
    rotation = Rotation.from_euler("yxz", angles, degrees=True).as_matrix()
    drift = np.cumsum(0.15 * _MM * rng.standard_normal((frames, 3)), axis=0)
    translation = rng.standard_normal(3) * np.array([20, 15, 20]) * _MM + drift
    return Clip(label, weights, rotation, translation, units)


def rise_and_fall(frames: int, start: float, rise: float, hold: float, fall: float) -> NDArray[np.float64]:
    """Return a smooth activation (T,): 0, up to 1, held, down to 0; all in frames."""
    times = np.cumsum([start, rise, hold, fall])
    x = np.interp(np.arange(frames), times, [0, 1, 1, 0])
    return np.asarray(x * x * (3 - 2 * x))


def _course(rng: np.random.Generator, frames: int) -> NDArray[np.float64]:
    s = frames / FRAMES
    return rise_and_fall(
        frames, s * rng.uniform(8, 22), s * rng.uniform(6, 12), s * rng.uniform(8, 25), s * rng.uniform(6, 12)
    )


def _strength(family: FaceFamily, unit: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how far each expression (E,) is shown at the apex: sides differ by 20 %, people by half; lids less."""
    most = np.zeros(len(family.names))
    for i, weight in family.units[unit].items():
        most[i] = weight * (rng.uniform(0.8, 1.2) if family.sides[i] else 1.0)
    return np.asarray(most * rng.uniform(0.5, 1.0) ** (0.3 if unit in BLINKS else 1.0))


def sides_shown(family: FaceFamily, unit: str, most: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far `most` (E,), of the expressions, shows a unit on the left and on the right (2,), 1 in full."""
    shown = np.zeros(2)
    for side, name in enumerate(("left", "right")):
        parts = {i: weight for i, weight in family.units[unit].items() if family.sides[i] in ("", name)}
        shown[side] = sum(most[i] for i in parts) / max(sum(parts.values()), 1e-12)
    return shown


def _unit(
    family: FaceFamily, unit: str, rng: np.random.Generator, frames: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    most = _strength(family, unit, rng)
    if unit == "AU45":
        course = rise_and_fall(frames, rng.uniform(0.2, 0.6) * frames, 3, 1, 4)
    else:
        course = _course(rng, frames)
    return course[:, None] * most, course[:, None] * sides_shown(family, unit, most)


def _combined(
    family: FaceFamily, rng: np.random.Generator, frames: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two to four action units that overlap in time, each with a course of its own; sometimes one side only."""
    weights = np.zeros((frames, len(family.names)))
    units = np.zeros((frames, len(FACIAL_UNITS), 2))
    shared = rng.uniform(0.15, 0.3) * frames
    for unit in rng.choice([u for u in FACIAL_UNITS if u != "AU45"], int(rng.integers(2, 5)), replace=False):
        most = _strength(family, str(unit), rng)
        if rng.random() < 0.15:
            silent = rng.choice(["left", "right"])
            most *= [side != silent for side in family.sides]
        s = frames / FRAMES
        course = rise_and_fall(
            frames, shared + s * rng.uniform(0, 10), s * rng.uniform(6, 12), s * rng.uniform(8, 20), s * 8
        )
        weights = np.maximum(weights, course[:, None] * most)
        units[:, FACIAL_UNITS.index(str(unit))] = course[:, None] * sides_shown(family, str(unit), most)
    return weights, units


def _speech(family: FaceFamily, rng: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Seven mouth shapes that come and go several times a second, and mostly a blink; it starts and ends neutral."""
    weights = np.zeros((frames, len(family.names)))
    for i in rng.choice(family.speech, min(7, len(family.speech)), replace=False):
        weights[:, i] = murmur(rng, frames, window=11)
    weights[:, list(family.smiles)] *= 0.5
    edge = 10 * frames / FRAMES
    away = np.minimum(np.arange(frames), np.arange(frames)[::-1])
    weights *= np.clip(away / edge - 0.6, 0, 1)[:, None]
    if rng.random() < 0.6:
        blink = rise_and_fall(frames, rng.uniform(0.1, 0.8) * frames, 3, 1, 4)
        for i in family.units["AU45"]:
            weights[:, i] = blink
    return weights


def murmur(rng: np.random.Generator, frames: int, window: int) -> NDArray[np.float64]:
    """Return a random activation (T,), 0 to 1, that changes within `window` frames."""
    soft = np.convolve(rng.standard_normal(frames + 2 * window), np.hanning(window) / 4 * np.sqrt(21 / window), "same")
    return np.asarray(np.clip(0.5 * soft[window:-window], 0, 1))


def _sway(rng: np.random.Generator, frames: int, motion_deg: float) -> NDArray[np.float64]:
    """Return yaw, pitch and roll (T, 3), degrees: three slow waves each, scaled to a maximum of its own."""
    angles = np.empty((frames, 3))
    phase = np.arange(frames) / frames
    for axis in range(3):
        waves = [rng.standard_normal() * np.sin(2 * np.pi * (rate * phase + rng.uniform())) for rate in (0.3, 0.8, 1.5)]
        track = np.sum(waves, axis=0)
        angles[:, axis] = track / np.abs(track).max() * rng.uniform(0, motion_deg)
    return angles
