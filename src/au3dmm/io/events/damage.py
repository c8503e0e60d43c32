"""Note damage while a file is decoded: of which kind, how much, and where."""

from __future__ import annotations

import numpy as np
from numba import njit

from au3dmm.io.events.report import KINDS, MAX_SPANS, TIME_GAP, DamageSpan, Unit

UNKNOWN_US = int(np.iinfo(np.int64).min)
"""Stands for a time that is not known."""

_NEAR = 4096  # bytes within which two damaged stretches are one
_BEHIND = 4  # stretches that are looked back for one to continue: kinds of damage come mixed


class DamageLog:
    """Counts and places of damage, as arrays that compiled code fills by `note`.

    Attributes
    ----------
    counts : (7,) int64 array
        By kind of damage (`report.KINDS`).
    rows : (MAX_SPANS + 1, 6) int64 array
        Kind, first and end place, clock before and after in us, and count of each stretch; the last row begins with
        how many there are.

    Examples
    --------
    >>> log = DamageLog()
    >>> note(log.rows, log.counts, 1, 100, 104, 5, 5, 1)
    >>> note(log.rows, log.counts, 1, 120, 124, 9, 9, 2)
    >>> log.spans()
    (DamageSpan(kind='outside_sensor', first=100, end=124, unit='bytes', t_start_us=5, t_end_us=9, count=3),)
    """

    def __init__(self) -> None:
        self.counts = np.zeros(len(KINDS), np.int64)
        self.rows = np.zeros((MAX_SPANS + 1, 6), np.int64)

    def by_kind(self) -> dict[str, int]:
        """Return the counts by the name of their kind."""
        return dict(zip(KINDS, self.counts.tolist(), strict=True))

    def spans(self, unit: Unit = "bytes") -> tuple[DamageSpan, ...]:
        """Return the damaged stretches that were noted, by place, which is in this unit."""
        rows = sorted(self.rows[: int(self.rows[-1, 0])].tolist(), key=lambda row: row[1:3])
        return tuple(
            DamageSpan(KINDS[kind], first, end, unit, _known(before), _known(after), count)
            for kind, first, end, before, after, count in rows
        )


def _known(t_us: int) -> int | None:
    return None if t_us == UNKNOWN_US else t_us


@njit(cache=True, nogil=True)
def note(rows, counts, kind, first, end, before, after, count):  # type: ignore[no-untyped-def]
    """Count damage; what is near a stretch of the same kind continues it, but every gap stands for itself.

    Parameters
    ----------
    rows, counts : arrays
        Of a `DamageLog`; updated.
    kind : int
        Index into `report.KINDS`.
    first, end : int
        Where in the file, the end excluded: bytes, or numbers of events.
    before, after : int
        The clock before and after, us, or `UNKNOWN_US`.
    count : int
        Events dropped, words ignored, or bytes cut off.
    """
    counts[kind] += count
    if count == 0:
        return
    last = rows.shape[0] - 1
    n = rows[last, 0]
    if kind != TIME_GAP:
        for j in range(n - 1, max(n - 1 - _BEHIND, -1), -1):
            if rows[j, 0] == kind and first - rows[j, 2] <= _NEAR:
                rows[j, 2] = end
                rows[j, 4] = after
                rows[j, 5] += count
                return
    if n < last:
        rows[n, 0] = kind
        rows[n, 1] = first
        rows[n, 2] = end
        rows[n, 3] = before
        rows[n, 4] = after
        rows[n, 5] = count
        rows[last, 0] = n + 1
