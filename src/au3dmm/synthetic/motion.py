"""What a synthetic person does: tracks of action units and of head poses, smooth functions of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import FitError

# peak in standard deviations; "AU12" moves both sides where a basis has AU12_left and AU12_right
EXPRESSIONS: dict[str, dict[str, float]] = {
    "smile": {"AU12": 2.4, "AU6": 1.4, "AU25": 0.8},
    "brow_raise": {"AU1": 2.2, "AU2": 2.2},
    "jaw_open": {"AU26": 2.4, "AU25": 1.0},
    "frown": {"AU4": 2.2, "AU15": 1.6, "AU17": 1.0},
    "smile_left": {"AU12_left": 2.4, "AU6_left": 1.0},
    "brow_right": {"AU2_right": 2.6, "AU4_left": 1.0},
    "pucker": {"AU18": 2.0, "AU22": 1.2},
    "sneer": {"AU9": 1.8, "AU10": 1.8},
}
MOST = 3.0
"""alpha of a maximal contraction."""
BLINK: dict[str, float] = {"AU43": 3.0, "AU45": 3.0}
_BLINK_S = 0.2
_PAUSE = 0.18  # part of an expression's slot in which the face is neutral


@dataclass(frozen=True)
class Movement:
    """One expression: it rises, holds and falls between `start_s` and `end_s`.

    Attributes
    ----------
    name : str
        A key of `EXPRESSIONS`, or ``blink``.
    start_s, end_s : float
        s; the face is neutral outside.
    peak : mapping of str to float
        Action units and what they reach, standard deviations.
    rise, fall : float
        Shares of that time in which it comes and goes; it holds in between.
    """

    name: str
    start_s: float
    end_s: float
    peak: Mapping[str, float]
    rise: float = 0.4
    fall: float = 0.4

    def envelope(self, t_s: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how far it has come at times (T,), s: 0 to 1, along smoothsteps, so that speed is continuous."""
        return _envelope(self.start_s, self.end_s, self.rise, self.fall, t_s)


@dataclass(frozen=True)
class Turn:
    """One movement of the head, of the same course as a `Movement`.

    Attributes
    ----------
    name : str
        For people, like ``AU51``.
    start_s, end_s, rise, fall : float
        As those of a `Movement`.
    rotation_vector : (float, float, float)
        What it reaches, rad: about x (the chin goes down), y (to the subject's left), z (to the right shoulder).
    """

    name: str
    start_s: float
    end_s: float
    rotation_vector: tuple[float, float, float]
    rise: float = 0.4
    fall: float = 0.4

    def envelope(self, t_s: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how far it has come at times (T,), s: 0 to 1."""
        return _envelope(self.start_s, self.end_s, self.rise, self.fall, t_s)


@dataclass(frozen=True)
class Performance:
    """All that a person does in a session.

    Attributes
    ----------
    movements : tuple of Movement
        Of the face.
    turns : tuple of Turn
        Of the head.
    seed : int or tuple of int
        Of the sway that never stops.
    sway : float
        Its size, in terms of `head_motion`.
    """

    movements: tuple[Movement, ...]
    turns: tuple[Turn, ...] = ()
    seed: int | tuple[int, ...] = 0
    sway: float = 1.0

    def head(self, t_s: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how the head is turned (T, 3), rad, and moved (T, 3), m, at times (T,), s."""
        rotation, translation = head_motion(t_s, self.seed)
        rotation, translation = self.sway * rotation, self.sway * translation
        for turn in self.turns:
            rotation = rotation + turn.envelope(t_s)[:, None] * np.asarray(turn.rotation_vector)
        return rotation, translation


def with_stand_ins(performance: Performance, stand_ins: Mapping[str, Mapping[str, float]]) -> Performance:
    """Show other action units, so many times as strong, in the place of those that a face model lacks.

    Parameters
    ----------
    performance : Performance
        What is planned.
    stand_ins : mapping of str to mapping of str to float
        By unit, without ``_left`` and ``_right``, which stay.

    Examples
    --------
    >>> yawn = Performance((Movement("yawn", 0.0, 1.0, {"AU27": 2.0, "AU1": 1.0}),))
    >>> dict(with_stand_ins(yawn, {"AU27": {"AU26": 1.5}}).movements[0].peak)
    {'AU26': 3.0, 'AU1': 1.0}
    """
    movements = []
    for movement in performance.movements:
        peak: dict[str, float] = {}
        for unit, value in movement.peak.items():
            base, _, side = unit.partition("_")
            for other, factor in stand_ins.get(base, {base: 1.0}).items():
                name = f"{other}_{side}" if side else other
                peak[name] = min(MOST, peak.get(name, 0.0) + factor * value)
        movements.append(replace(movement, peak=peak))
    return replace(performance, movements=tuple(movements))


def _envelope(start_s: float, end_s: float, rise: float, fall: float, t_s: NDArray[np.floating]) -> NDArray[np.float64]:
    phase = (np.asarray(t_s, np.float64) - start_s) / (end_s - start_s)
    ramp = np.clip(np.minimum(phase / rise, (1 - phase) / fall), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp))


def plan_movements(duration_s: float, seed: int) -> tuple[Movement, ...]:
    """Plan expressions, one after another, and blinks between them; the first and last moments are neutral.

    About a third of the time is neutral, as the neutral face has to be found in it. Expressions come in the order
    of `EXPRESSIONS`, again from the start when there is time, with peaks that vary by 15 %.

    Parameters
    ----------
    duration_s : float
        s, positive.
    seed : int
        Which variation.

    Returns
    -------
    tuple of Movement
        In order of their start.

    Examples
    --------
    >>> [m.name for m in plan_movements(1.5, seed=0)]
    ['smile', 'blink', 'brow_raise']
    """
    if not duration_s > 0:
        raise FitError(f"motion: a duration of {duration_s} s; expected more than 0")
    rng = np.random.default_rng(seed)
    margin = min(0.3, 0.15 * duration_s)
    free = duration_s - 2 * margin
    slot = float(np.clip(free / 5, 0.4, 1.0))
    n = max(1, int(free / slot + 1e-9))
    slot = free / n
    names = list(EXPRESSIONS)
    movements = []
    for i in range(n):
        name = names[i % len(names)]
        size = rng.uniform(0.85, 1.15)
        start = margin + slot * (i + _PAUSE / 2)
        peak = {unit: value * size for unit, value in EXPRESSIONS[name].items()}
        movements.append(Movement(name, start, start + slot * (1 - _PAUSE), peak))
        # a blink every other pause, as short as real ones, in sessions long enough to hold one
        if i % 2 == 0 and i + 1 < n:
            centre = margin + slot * (i + 1)
            movements.append(Movement("blink", centre - _BLINK_S / 2, centre + _BLINK_S / 2, BLINK))
    return tuple(sorted(movements, key=lambda m: m.start_s))


def activation(movements: Sequence[Movement], names: Sequence[str], t_s: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how far each action unit is activated at times `t_s`.

    Each movement goes up along a smoothstep, holds and comes down along another, so that speed is continuous;
    movements that share a unit add up, to `MOST` at most.

    Parameters
    ----------
    movements : sequence of Movement
        Any order.
    names : sequence of str
        The K units of a basis; a movement's unit matches its own name and its ``_left`` and ``_right`` halves.
        Units that the basis lacks are left out.
    t_s : (T,) array
        s.

    Returns
    -------
    (T, K) array
        alpha_au, standard deviations, not negative.

    Examples
    --------
    >>> smile = Movement("smile", 0.0, 1.0, {"AU12": 2.0})
    >>> activation([smile], ["AU12_left", "AU12_right", "AU1"], np.array([0.0, 0.2, 0.5, 2.0]))
    array([[0., 0., 0.],
           [1., 1., 0.],
           [2., 2., 0.],
           [0., 0., 0.]])
    """
    alpha = np.zeros((len(t_s), len(names)))
    for movement in movements:
        envelope = movement.envelope(t_s)
        for unit, peak in movement.peak.items():
            for k, name in enumerate(names):
                if name == unit or name.rpartition("_")[0] == unit:
                    alpha[:, k] += peak * envelope
    return np.minimum(alpha, MOST)


def head_motion(
    t_s: NDArray[np.floating], seed: int | tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slow, small head movements: sums of two sines per axis.

    Parameters
    ----------
    t_s : (T,) array
        s.
    seed : int or tuple of int
        Which phases and rates.

    Returns
    -------
    rotation_vector : (T, 3) array
        rad: pitch (at most 5 degrees), yaw (8), roll (4).
    translation : (T, 3) array
        m, at most 8, 6 and 10 mm along x, y and z.
    """
    rng = np.random.default_rng([seed, 1] if isinstance(seed, int) else seed)
    reach = np.array([np.radians(5), np.radians(8), np.radians(4), 8e-3, 6e-3, 10e-3])
    rate = 2 * np.pi * rng.uniform([[0.15], [0.4]], [[0.35], [0.8]], (2, 6))
    phase = rng.uniform(0, 2 * np.pi, (2, 6))
    share = np.array([[0.75], [0.25]])
    track = reach * (share * np.sin(rate * np.asarray(t_s)[:, None, None] + phase)).sum(1)
    return track[:, :3], track[:, 3:]
