"""One long recording among several processes: each finds the faces in parts of its own, and they are taken in order.

A worker begins its part at a place that is a guess: so many frames, shown until such a time. What it found counts only
if the part before it ended at that very place, with the same picture; so all parts hang together from the first one on,
as if one process had gone on from each to the next. Where they do not, one process does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from au3dmm.detectors.finding import FoundFaces
from au3dmm.errors import Au3dmmError, SessionError, WorkerError
from au3dmm.executors import Job, make_executor
from au3dmm.io.frames import Place, SessionFrames

log = logging.getLogger(__name__)

AHEAD = 2
"""Parts per worker that may be found or waited for at a time: each has some MB."""

_LOOK_S = 0.2


@dataclass(frozen=True)
class FoundPart:
    """What a worker found in the frames of a part.

    Attributes
    ----------
    began, end : Place or None
        After what it began, and where it ended; None if there was no such place, or it failed.
    last : bool
        Whether no more frames came.
    interlaced : bool
        Whether a frame holds two moments.
    found : list of FoundFaces
        One per frame.
    failed : Exception or None
        Why it could not be done.
    """

    began: Place | None = None
    end: Place | None = None
    last: bool = False
    interlaced: bool = False
    found: list[FoundFaces] = field(default_factory=list)
    failed: Exception | None = None


class Ticks:
    """A file that grows by a byte for every frame that a worker has looked at: only a sign of life.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with suppress(OSError):  # a full disk is told by who writes results
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    def count(self) -> int:
        """Return how many frames were looked at."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    @staticmethod
    def add(path: Path, n: int) -> None:
        """Tell that so many frames more were looked at."""
        with suppress(OSError), path.open("ab", buffering=0) as file:
            file.write(bytes(n))


def found_in_processes(
    frames: SessionFrames,
    place: Place | None,
    find: Callable[..., FoundPart],
    arguments: dict[str, Any],
    *,
    rows: int,
    n_workers: int,
    ticks: Path,
    tell: Callable[[int], None],
) -> Generator[tuple[FoundFaces, Place | None], None, tuple[Place | None, bool]]:
    """Yield what is found in each frame after `place`, and after the last frame of each whole part where that is.

    Parameters
    ----------
    frames : SessionFrames
        The recording. It is not read here; `n_lost` and `interlaced` are set as if it were.
    place : Place or None
        Where to begin: after a multiple of `rows` frames.
    find : callable
        Finds the faces of one part; gets `arguments`, ``place`` and ``ticks``.
    arguments : dict
        The same for every part.
    rows : int
        Frames of a part.
    n_workers : int
        How many processes, at most.
    ticks : Path
        The file for `Ticks`.
    tell : callable
        Called now and then with the number of frames done.

    Returns
    -------
    place : Place or None
        Where to go on with one process.
    whole : bool
        Whether there is no need to: all frames were seen.

    Raises
    ------
    WorkerError
        If a worker dies.
    Au3dmmError
        If weights or a device are missing.
    """
    n_done = 0 if place is None else place.n
    starts = [Place() if place is None else place]
    while (guess := frames.guess(n_done + rows * len(starts))) is not None:
        starts.append(guess)
    if min(n_workers, len(starts)) < 2:
        return place, False
    counted = Ticks(ticks)
    done: dict[int, FoundPart] = {}
    n_given = 0
    executor = make_executor("processes", min(n_workers, len(starts)))
    try:
        for i in range(len(starts)):
            while n_given < min(len(starts), i + AHEAD * n_workers):
                executor.submit(Job(str(n_given), find, {**arguments, "place": starts[n_given], "ticks": ticks}))
                n_given += 1
            while i not in done:
                for outcome in executor.wait(_LOOK_S):
                    if outcome.died is not None:
                        first = n_done + rows * int(outcome.key)
                        raise WorkerError(
                            f"{frames.source}: the process for frames {first} to {first + rows - 1} was lost:"
                            f" {outcome.died}; what is done is kept: run again, with fewer --workers if memory ran out"
                        )
                    done[int(outcome.key)] = outcome.value
                tell(n_done + counted.count())
            part = done.pop(i)
            # the first part begins where it was told to
            end = part.end if i == 0 else _joined(frames, place, part)
            if end is None:
                _say(frames, 0 if place is None else place.n, part.failed)
                return place, False
            place, frames.n_lost = end, end.n_lost
            frames.interlaced |= part.interlaced
            yield from ((one, None) for one in part.found[:-1])
            if part.found:
                yield part.found[-1], None if part.last else end
            if part.last:
                return place, True
    finally:
        executor.close(at_once=True)
    return place, False


def _joined(frames: SessionFrames, place: Place | None, part: FoundPart) -> Place | None:
    if place is None or part.began is None or part.end is None:
        return None
    return frames.joined(place, part.began, part.end)


def _say(frames: SessionFrames, n_done: int, failed: Exception | None) -> None:
    """Say why one process goes on; raise what would be the same for it."""
    if isinstance(failed, Au3dmmError) and not isinstance(failed, SessionError):
        raise failed
    why = "is damaged, or its frames cannot be told apart by their times" if failed is None else f"failed: {failed}"
    log.warning("detect: %s %s: from frame %d on, one process reads it", frames.source, why, n_done)
