"""What a subject of a synthetic dataset is asked to do: FACEMORPHIC's 24 action units, free acts, speech, emotions.

Times are drawn for a session of 2.5 s and stretch with its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from au3dmm.errors import ConfigError
from au3dmm.synthetic.motion import BLINK, MOST, Movement, Performance, Turn

UNITS: dict[str, dict[str, float]] = {
    "AU1": {"AU1": 2.6},
    "AU2": {"AU2": 2.6},
    "AU4": {"AU4": 2.7},
    "AU6": {"AU6": 2.7},
    "AU7": {"AU7": 2.7},
    "AU9": {"AU9": 2.6},
    "AU10": {"AU10": 2.6},
    "AU12": {"AU12": 2.6},
    "AU14": {"AU14": 2.7},
    "AU15": {"AU15": 2.7},
    "AU17": {"AU17": 2.6},
    "AU23": {"AU23": 2.8},
    "AU24": {"AU24": 2.8},
    "AU25": {"AU25": 2.4},
    "AU26": {"AU26": 2.4},
    "AU27": {"AU27": 2.5},
    "AU43": BLINK,
    "AU45": BLINK,
}
"""What each facial action unit of FACEMORPHIC reaches, standard deviations; AU45 is AU43 in short."""
# degrees about x (the chin goes down), y (to the subject's left), z (to the right shoulder), smallest and largest
HEAD_UNITS: dict[str, tuple[int, int, float, float]] = {
    "AU51": (1, 1, 18.0, 28.0),
    "AU52": (1, -1, 18.0, 28.0),
    "AU53": (0, -1, 12.0, 19.0),
    "AU54": (0, 1, 12.0, 19.0),
    "AU55": (2, -1, 14.0, 22.0),
    "AU56": (2, 1, 14.0, 22.0),
}
"""Axis, direction and range in degrees of each head movement: turn left and right, up and down, tilt left and right."""
ACTION_UNITS = (*UNITS, *HEAD_UNITS)
FREE, SPEECH = "FREE", "SPEECH"
TASKS = (*ACTION_UNITS, FREE, SPEECH)

EMOTIONS: dict[str, tuple[dict[str, float], ...]] = {
    "ANGER": (
        {"AU4": 2.3, "AU5": 1.1, "AU7": 1.6, "AU23": 2.0},
        {"AU4": 2.4, "AU7": 1.8, "AU17": 1.0, "AU24": 2.0},
    ),
    "CONTEMPT": ({"AU12_left": 1.5, "AU14_left": 2.2}, {"AU12_right": 1.5, "AU14_right": 2.2}),
    "DISGUST": ({"AU9": 2.2, "AU15": 1.4, "AU16": 1.2}, {"AU10": 2.2, "AU17": 1.4}),
    "FEAR": (
        {"AU1": 2.0, "AU2": 1.3, "AU4": 1.3, "AU5": 1.8, "AU20": 1.6, "AU26": 1.0},
        {"AU1": 2.0, "AU4": 1.2, "AU5": 1.8, "AU20": 1.8, "AU25": 1.2},
    ),
    "HAPPINESS": ({"AU6": 1.8, "AU12": 2.3}, {"AU6": 1.6, "AU12": 2.4, "AU25": 1.2}),
    "SADNESS": ({"AU1": 2.0, "AU4": 1.4, "AU15": 2.0}, {"AU1": 2.0, "AU15": 1.8, "AU17": 1.2}),
    "SURPRISE": (
        {"AU1": 2.2, "AU2": 2.2, "AU5": 1.5, "AU26": 2.0},
        {"AU1": 2.0, "AU2": 2.0, "AU5": 1.4, "AU27": 1.8},
    ),
    "NONE": ({},),
}
"""NEFER's seven emotions and its "None": of each the prototype of FACS (Ekman and Friesen) and a variant of it. A
subject shows either."""
EMOTION_TASKS = tuple(EMOTIONS)
TASK_NUMBERS = {task: number for number, task in enumerate((*TASKS, *EMOTION_TASKS))}
"""What noise is drawn from: new tasks come last, so that recordings of the others stay as they are."""

COMBINATIONS: dict[str, dict[str, float]] = {
    "happiness": {"AU6": 1.8, "AU12": 2.4, "AU25": 0.9},
    "surprise": {"AU1": 2.2, "AU2": 2.2, "AU5": 1.6, "AU26": 1.9},
    "anger": {"AU4": 2.4, "AU7": 1.6, "AU23": 1.8},
    "disgust": {"AU9": 2.2, "AU10": 1.6, "AU17": 1.0},
    "sadness": {"AU1": 2.0, "AU4": 1.4, "AU15": 2.0, "AU17": 0.8},
    "fear": {"AU1": 2.0, "AU2": 1.4, "AU4": 1.2, "AU5": 1.8, "AU20": 1.6, "AU25": 1.2},
    "doubt": {"AU2_left": 2.4, "AU14_right": 1.8},
    "wink": {"AU43_right": 3.0, "AU45_right": 3.0, "AU6_right": 1.6, "AU12_right": 1.4},
    "pout": {"AU17": 2.0, "AU18": 1.4},
    "smirk": {"AU12_left": 2.0, "AU14_left": 1.0},
}
"""What the face does freely: combinations after FACS's emotion prototypes, and one-sided ones."""
VISEMES: tuple[dict[str, float], ...] = (
    {"AU26": 1.5, "AU25": 0.8},
    {"AU26": 0.8, "AU25": 0.9, "AU20": 0.8},
    {"AU25": 0.8, "AU12": 0.9, "AU26": 0.3},
    {"AU18": 1.8, "AU22": 0.9, "AU26": 0.5},
    {"AU18": 1.2, "AU26": 1.1},
    {"AU24": 1.6},
    {"AU28": 0.9, "AU26": 0.3},
    {"AU10": 0.8, "AU16": 0.9, "AU25": 0.8},
    {"AU25": 1.0, "AU26": 0.5},
)
"""Mouth shapes of speech, after open and closed vowels, lip closures, lip to teeth and hissing sounds."""
_TWO_SIDED = ("AU2", "AU5", "AU6", "AU10", "AU12", "AU14", "AU15", "AU20")
_SECONDS = 2.5
_SWAY = 0.22


def plan_task(task: str, seconds: float, seed: Sequence[int]) -> Performance:
    """Plan what a subject does in a session; it starts and ends neutral.

    An action unit rises once, holds and falls, each in a time of its own (AU45: three blinks), and so does an emotion
    (NONE: nothing); FREE is two or three combinations and sometimes a turn of the head, SPEECH a chain of mouth shapes
    with nods and raised brows. The head sways a little, and blinks come in between, but for those that are asked for.

    Parameters
    ----------
    task : str
        One of `TASKS` or `EMOTION_TASKS`.
    seconds : float
        Length of the session, at least 0.5.
    seed : sequence of int
        Which variation.

    Raises
    ------
    ConfigError
        If the task is another one.

    Examples
    --------
    >>> {m.name for m in plan_task("AU12", 2.5, (0, 1)).movements} - {"blink"}
    {'AU12'}
    >>> [turn.name for turn in plan_task("AU51", 2.5, (0, 1)).turns]
    ['AU51']
    """
    if task not in TASK_NUMBERS:
        raise ConfigError(f"no task {task!r}; there are {', '.join(TASK_NUMBERS)}")
    rng = np.random.default_rng([*seed, 1])
    stretch = seconds / _SECONDS
    movements: list[Movement] = []
    turns: list[Turn] = []
    if task == SPEECH:
        movements, turns = _speak(seconds, rng)
    elif task == FREE:
        movements, turns = _act_freely(seconds, rng)
    elif task == "AU45":
        for centre in np.linspace(0.22, 0.78, 3) * seconds + stretch * rng.uniform(-0.06, 0.06, 3):
            movements.append(_blink(task, float(centre), seconds, rng))
    elif task in HEAD_UNITS:
        axis, sign, least, most = HEAD_UNITS[task]
        vector = np.radians(rng.uniform(-2.0, 2.0, 3))
        vector[axis] = sign * np.radians(rng.uniform(least, most))
        turns = [Turn(task, *_course(stretch, rng, 1.25), _triple(vector), *_shares(rng))]
    elif task in EMOTIONS:
        variants = EMOTIONS[task]
        peak = _strengthened(variants[rng.integers(len(variants))], rng.uniform(0.7, 1.08), rng)
        movements = [Movement(task, *_course(stretch, rng), peak, *_shares(rng))] if peak else []
    else:
        strength = rng.uniform(0.85, 1.08)
        peak = _strengthened(UNITS[task], 1.0 if task == "AU43" else strength, rng)
        movements = [Movement(task, *_course(stretch, rng), peak, *_shares(rng))]
    if task not in ("AU43", "AU45") and rng.random() < 0.6:
        movements.append(_blink("blink", float(rng.uniform(0.16, 0.84)) * seconds, seconds, rng))
    return Performance(tuple(sorted(movements, key=lambda m: m.start_s)), tuple(turns), seed=(*seed, 2), sway=_SWAY)


def tasks_of(names: Sequence[str]) -> Iterator[str]:
    """Yield tasks by name, in the order of `TASKS`, then emotions.

    ``all`` are `TASKS`, ``units`` the 24 action units, ``emotions`` the eight of `EMOTION_TASKS`.

    Raises
    ------
    ConfigError
        If there is no such task.

    Examples
    --------
    >>> list(tasks_of(["12", "AU4"]))
    ['AU4', 'AU12']
    """
    groups = {"ALL": TASKS, "UNITS": ACTION_UNITS, "EMOTIONS": EMOTION_TASKS}
    wanted: set[str] = set()
    for name in names:
        task = name.strip().upper()
        task = f"AU{task}" if task.isdigit() else task
        if task not in groups and task not in TASK_NUMBERS:
            there = ", ".join(TASK_NUMBERS)
            raise ConfigError(
                f"--aus: no task {name!r}; there are {there}, and all, units (the 24) or emotions (the 8)"
            )
        wanted.update(groups.get(task, (task,)))
    yield from (task for task in TASK_NUMBERS if task in wanted)


def _course(stretch: float, rng: np.random.Generator, longer: float = 1.0) -> tuple[float, float]:
    """Draw when a movement starts and ends, s."""
    start = rng.uniform(0.38, 0.62)
    length = min(rng.uniform(1.0, 1.5) * longer, 2.3 - start)
    return float(start * stretch), float((start + length) * stretch)


def _shares(rng: np.random.Generator) -> tuple[float, float]:
    """Draw the shares of a movement's time in which it comes and goes; people are slower to let go."""
    return float(rng.uniform(0.2, 0.38)), float(rng.uniform(0.26, 0.44))


def _strengthened(peak: dict[str, float], strength: float, rng: np.random.Generator) -> dict[str, float]:
    """Return what units reach, each and each side of a face a little stronger or weaker."""
    sides = {u: (f"{u}_left", f"{u}_right") if u in _TWO_SIDED else (u,) for u in peak}
    return {
        side: min(MOST, value * strength * float(rng.uniform(0.94, 1.06)))
        for unit, value in peak.items()
        for side in sides[unit]
    }


def _blink(name: str, centre_s: float, seconds: float, rng: np.random.Generator) -> Movement:
    """Return a blink, closing faster than it opens; blinks do not become longer with the session, but shorter."""
    length = min(rng.uniform(0.2, 0.32), 0.22 * seconds)
    return Movement(name, centre_s - length / 2, centre_s + length / 2, BLINK, 0.34, 0.5)


def _act_freely(seconds: float, rng: np.random.Generator) -> tuple[list[Movement], list[Turn]]:
    n = max(1, round(seconds / _SECONDS * float(rng.choice([2, 2, 3]))))
    margin, pause = 0.1 * seconds, 0.05 * seconds
    slot = (seconds - 2 * margin) / n
    names = rng.permutation(np.resize(list(COMBINATIONS), max(n, len(COMBINATIONS))))[:n]
    movements, turns = [], []
    for i, name in enumerate(names):
        start = margin + i * slot + pause * rng.uniform(0.2, 0.8)
        end = margin + (i + 1) * slot - pause * rng.uniform(0.2, 0.8)
        peak = _strengthened(COMBINATIONS[str(name)], rng.uniform(0.85, 1.1), rng)
        movements.append(Movement(str(name), float(start), float(end), peak, *_shares(rng)))
        if rng.random() < 0.4:
            vector = np.radians(rng.uniform(-1, 1, 3) * [6, 10, 6])
            turns.append(Turn("turn", float(start), float(end), _triple(vector), *_shares(rng)))
    return movements, turns


def _speak(seconds: float, rng: np.random.Generator) -> tuple[list[Movement], list[Turn]]:
    """Return a chain of mouth shapes, four or five a second, each running into the next."""
    movements, turns = [], []
    t, end = 0.14 * seconds, 0.86 * seconds
    while t < end:
        length = min(rng.uniform(0.24, 0.42), 0.3 * seconds)
        peak = _strengthened(VISEMES[rng.integers(len(VISEMES))], rng.uniform(0.7, 1.15), rng)
        movements.append(Movement("viseme", t, min(t + length, 0.93 * seconds), peak, 0.45, 0.45))
        t += 0.62 * length
    for _ in range(max(1, round(seconds / 2))):
        start = rng.uniform(0.15, 0.5) * seconds
        length = rng.uniform(0.2, 0.4) * seconds
        vector = np.radians(rng.uniform(-1, 1, 3) * [5, 4, 3])
        turns.append(Turn("nod", float(start), float(start + length), _triple(vector)))
        if rng.random() < 0.6:
            raised = {"AU1": float(rng.uniform(0.6, 1.4)), "AU2": float(rng.uniform(0.6, 1.4))}
            movements.append(Movement("brows", float(start), float(start + length), raised))
    return movements, turns


def _triple(vector: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in vector)
    return x, y, z
