"""What a synthetic person does: a track of action units and of head poses, smooth functions of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    """

    name: str
    start_s: float
    end_s: float
    peak: Mapping[str, float]


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

    Each movement goes up along a smoothstep for 40 % of its time, holds for 20 % and comes down for 40 %, so that
    speed is continuous; movements that share a unit add up.

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
        phase = (np.asarray(t_s, np.float64) - movement.start_s) / (movement.end_s - movement.start_s)
        ramp = np.clip(np.minimum(phase, 1 - phase) / 0.4, 0, 1)
        envelope = ramp * ramp * (3 - 2 * ramp)
        for unit, peak in movement.peak.items():
            for k, name in enumerate(names):
                if name == unit or name.rpartition("_")[0] == unit:
                    alpha[:, k] += peak * envelope
    return alpha


def head_motion(t_s: NDArray[np.floating], seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slow, small head movements: sums of two sines per axis.

    Parameters
    ----------
    t_s : (T,) array
        s.
    seed : int
        Which phases and rates.

    Returns
    -------
    rotation_vector : (T, 3) array
        rad: pitch (at most 5 degrees), yaw (8), roll (4).
    translation : (T, 3) array
        m, at most 8, 6 and 10 mm along x, y and z.
    """
    rng = np.random.default_rng([seed, 1])
    reach = np.array([np.radians(5), np.radians(8), np.radians(4), 8e-3, 6e-3, 10e-3])
    rate = 2 * np.pi * rng.uniform([[0.15], [0.4]], [[0.35], [0.8]], (2, 6))
    phase = rng.uniform(0, 2 * np.pi, (2, 6))
    share = np.array([[0.75], [0.25]])
    track = reach * (share * np.sin(rate * np.asarray(t_s)[:, None, None] + phase)).sum(1)
    return track[:, :3], track[:, 3:]
