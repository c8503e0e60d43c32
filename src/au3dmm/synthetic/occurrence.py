"""Which action units can be seen in each frame of a synthetic recording: what a coder would write down.

FACS grades a unit from A (a trace) to E (the most there is); BP4D codes it as there from A on. Here a fifth of the
strongest contraction is an A.
"""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from au3dmm.synthetic.motion import MOST, Movement, Performance, activation
from au3dmm.synthetic.tasks import ACTION_UNITS, HEAD_UNITS

FILE = "occurrence.csv"
FACE_LEAST = MOST / 5
"""From so many standard deviations on a unit of the face is there."""
HEAD_LEAST_DEG = 5.0
"""From so many degrees on the head is turned."""
BLINK_MOST_S = 0.5
"""Eyes that are closed for longer are AU43, and a blink, AU45, otherwise, as in FACS."""
_SIDES = ("", "_left", "_right")
_EYES = ("AU43", "AU45")


def occurrence_of(performance: Performance, t_s: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which of the 24 `ACTION_UNITS` are there at times (T,), s, as (T, 24).

    A unit of the face is there where it reaches `FACE_LEAST` on either side, whatever movement brings it: one that is
    asked for, a combination, a mouth shape. A head unit is there where the head is turned so far about its axis. Both
    are what is planned: where a head shows another movement in the place of one that it lacks, the planned one counts.

    Parameters
    ----------
    performance : Performance
        What is planned.
    t_s : (T,) array
        s from the first frame.

    Examples
    --------
    >>> smile = Performance((Movement("smile", 0.0, 1.0, {"AU12_left": 2.0, "AU6": 0.5}),), sway=0.0)
    >>> there = occurrence_of(smile, np.array([0.0, 0.5]))
    >>> [[ACTION_UNITS[k] for k in np.flatnonzero(row)] for row in there]
    [[], ['AU12']]
    """
    t = np.asarray(t_s, np.float64)
    moves = [_named_by_length(move) for move in performance.movements]
    names = [unit + side for unit in ACTION_UNITS for side in _SIDES]
    strength = activation(moves, names, t).reshape(len(t), len(ACTION_UNITS), len(_SIDES)).max(2)
    there: NDArray[np.bool_] = strength >= FACE_LEAST
    turned = np.degrees(performance.head(t)[0])
    for unit, (axis, sign, _, _) in HEAD_UNITS.items():
        there[:, ACTION_UNITS.index(unit)] = sign * turned[:, axis] >= HEAD_LEAST_DEG
    return there


def _named_by_length(move: Movement) -> Movement:
    """Return a movement that closes the eyes as the one unit that its length makes it."""
    named = _EYES[0] if move.end_s - move.start_s > BLINK_MOST_S else _EYES[1]
    peak: dict[str, float] = {}
    for unit, value in move.peak.items():
        base, _, side = unit.partition("_")
        name = (f"{named}_{side}" if side else named) if base in _EYES else unit
        peak[name] = max(value, peak.get(name, 0.0))
    return replace(move, peak=peak)


def occurrence_csv(there: NDArray[np.bool_]) -> str:
    """Return `FILE`: ``frame_index`` from 0 and a column of 0 and 1 per action unit (docs/datasets.md)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame_index", *ACTION_UNITS])
    writer.writerows([i, *row] for i, row in enumerate(there.astype(int).tolist()))
    return text.getvalue()
