"""Look into an event file: can it be read, and has it edges of the RGB camera's exposures?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.events import TRIGGER_DTYPE, open_events
from au3dmm.io.timestamps import read_timestamps
from au3dmm.io.video import packet_times

# what flipped bits leave behind; gaps and unknown words come from cameras, too
_DAMAGED = ("outside_sensor", "late", "time_glitch", "truncated")
_LEAST, _LEAST_ALONE = 4, 16  # edges of a kind, with RGB frames to hold them against and without; fewer match anything
_FEWEST = 0.5  # edges of a kind per RGB frame; the camera may run longer than it records, so more are well
_EVEN, _SHORTEST, _LONGEST = 0.8, 0.5, 2.0  # so many intervals lie between these multiples of the usual one
_INPUTS_TOLD = 4
_ALTERNATE = 0.8  # so many edges go the other way than the one before


@dataclass(frozen=True)
class EventsFound:
    """An event file, and what is in it.

    Attributes
    ----------
    path : Path
        Relative to the folder.
    format : str or None
        As its content says; None if it cannot be read.
    unreadable : str or None
        Why it cannot be read, or why every command refuses it.
    edges : dict
        Trigger edges by input.
    trigger_ids : tuple of int
        Inputs whose edges may be those of the RGB camera's exposures.
    n_frames : int or None
        RGB frames that they were held against; None if they cannot be counted.
    damage : str
        What was lost by damage, in words; empty if nothing was.
    """

    path: Path
    format: str | None = None
    unreadable: str | None = None
    edges: Mapping[int, int] = field(default_factory=dict)
    trigger_ids: tuple[int, ...] = ()
    n_frames: int | None = None
    damage: str = ""

    def why_not_trigger(self) -> str | None:
        """Say why the clock is not proposed to be taken from triggers; None if it is."""
        if self.unreadable is not None:
            return "the event file cannot be used as it is, so nobody knows whether it has trigger edges"
        if self.trigger_ids:
            return None
        if not self.edges:
            return "no trigger edges were found"
        what = "RGB exposures" if self.n_frames is None else f"{self.n_frames} RGB exposures"
        damaged = "; the file is damaged, which invents edges" if self.damage else ""
        return f"its {edges_told(self.edges)} do not look like those of {what}{damaged}"


def edges_told(edges: Mapping[int, int]) -> str:
    """Say how many edges there are, by input; of many inputs, those with most.

    Examples
    --------
    >>> edges_told({0: 3, 4: 1})
    '4 trigger edges (3 of input 0, 1 of input 4)'
    """
    most = sorted(edges.items(), key=lambda item: (-item[1], item[0]))
    each = [f"{n} of input {i}" for i, n in most[:_INPUTS_TOLD]]
    more = [f"{len(most) - _INPUTS_TOLD} inputs more"] if len(most) > _INPUTS_TOLD else []
    total = sum(edges.values())
    return f"{total} trigger edge{'' if total == 1 else 's'} ({', '.join(each + more)})"


def look_at_events(path: Path, t_rgb_us: NDArray[np.int64] | None) -> EventsFound:
    """Read an event file to its end.

    Parameters
    ----------
    path : Path
        The file.
    t_rgb_us : (N,) int64 array or None
        Times of the RGB frames, us; None if they are not known.
    """
    name = Path(path.name)
    try:
        file = open_events(path)
        stream = file.stream()
        found = [chunk.triggers for chunk in stream]
    except SessionError as err:
        return EventsFound(name, unreadable=" ".join(str(err).removeprefix(f"{path}: ").split()))
    report = stream.report
    triggers = np.concatenate(found) if found else np.zeros(0, TRIGGER_DTYPE)
    ids, counts = np.unique(triggers["id"], return_counts=True)
    refused = report.refusal()
    return EventsFound(
        name,
        file.format,
        refused,
        dict(zip(ids.tolist(), counts.tolist(), strict=True)),
        () if refused else tuple(int(i) for i in ids if are_exposures(triggers[triggers["id"] == i], t_rgb_us)),
        None if t_rgb_us is None else len(t_rgb_us),
        report.lost() if any(report.counts[kind] for kind in _DAMAGED) else "",
    )


def are_exposures(edges: NDArray[np.void], t_rgb_us: NDArray[np.int64] | None) -> bool:
    """Whether trigger edges may be those of RGB exposures: not far fewer than frames, as far apart, rising in turn.

    Flipped bits in a file make edges of any input at any time: few of each, and no two as far apart as frames are.

    Parameters
    ----------
    edges : (M,) array of TRIGGER_DTYPE
        Of one input.
    t_rgb_us : (N,) int64 array or None
        Times of the RGB frames, us; None if they are not known: then edges need only be regular.

    Examples
    --------
    >>> edges = np.zeros(8, TRIGGER_DTYPE)
    >>> edges["t"], edges["p"] = np.arange(8) * 500, np.arange(8) % 2
    >>> are_exposures(edges, np.arange(4) * 1000), are_exposures(edges, np.arange(400) * 1000)
    (True, False)
    """
    up, down = edges["t"][edges["p"] > 0], edges["t"][edges["p"] == 0]
    most = max(up, down, key=len)  # a camera may be set to one kind of edge only
    if len(most) < (_LEAST_ALONE if t_rgb_us is None else max(_LEAST, _FEWEST * len(t_rgb_us))):
        return False
    if min(len(up), len(down)) and np.mean(np.diff(edges["p"].astype(int)) != 0) < _ALTERNATE:
        return False
    steps = np.diff(most)
    usual = float(np.median(steps)) if t_rgb_us is None or len(t_rgb_us) < 2 else float(np.median(np.diff(t_rgb_us)))
    return bool(np.mean((steps > _SHORTEST * usual) & (steps < _LONGEST * usual)) >= _EVEN)


def rgb_times(video: Path | None, images: Path | None, timestamps: Path | None) -> NDArray[np.int64] | None:
    """Return the times of a recording's RGB frames, us, as far as they can be told without decoding; None if not.

    Parameters
    ----------
    video, images : Path or None
        One of them.
    timestamps : Path or None
        The CSV, which counts if there is one.
    """
    try:
        if timestamps is not None:
            return read_timestamps(timestamps).pts_us
        return None if video is None or images is not None else packet_times(video)
    except SessionError:  # `label` tells; here it is only about how many edges to expect
        return None
