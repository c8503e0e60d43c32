"""Read DAT files (Prophesee): events of 64 bits that each hold their whole time, x, y and sign.

The format is described at https://docs.prophesee.ai/stable/data/file_formats/dat.html: lines of text, the type and the
size of events, one byte each, and events: 32 bits of time in us, then x, y and sign, which have 14, 14 and 4 bits in
version 2 and 9, 8 and 1 before. Files of external triggers hold 4 bits of edge and, topmost, 6 of input.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import SessionError, os_reason
from au3dmm.io.events.damage import UNKNOWN_US, note
from au3dmm.io.events.header import DAT_KINDS, RawHeader, sensor_size
from au3dmm.io.events.records import RecordStream
from au3dmm.io.events.report import LATE, LATE_US, OUTSIDE_SENSOR, TIME_GAP, TIME_GLITCH
from au3dmm.io.events.stream import EventFile
from au3dmm.io.events.time_words import FOLLOWING, ahead, believed

_RECORDS = 1 << 16  # read at once
_TRIGGER = 14
_TURN = 1 << 32  # us
_GAP = 10_000  # us that the clock may go on by at once without it being told
_STEADY = 1 << 17  # us (0.13 s) within which events of a steady stream follow each other
_SPARSE = 1 << 26  # us (67 s) within which times go on
_ALONE = 1 << 18  # us (0.26 s) that a last time, which nothing follows, may go on by

# state between records: clock with its wraps undone, -1 before it is known; records; earliest event and latest event or
# trigger, us
_NOW, _READ, _T_FIRST, _T_LAST = range(4)


class DatFile(EventFile):
    """A DAT file; `au3dmm.io.events.open_events` makes it.

    Its times have been shifted by the software that wrote it, by how much is not known: `t_shift_us` is 0.

    Attributes
    ----------
    version : int
        2, or 1 or 0 for old files with narrower fields.
    kind : int
        Type of its events: 0 or 12 (contrast detection), 14 (external triggers).
    """

    format = "DAT"

    def __init__(self, path: Path, header: RawHeader, width: int | None, height: int | None) -> None:
        self.path = path
        self.header: Mapping[str, str] = header.fields
        self.width, self.height = sensor_size(path, header, width, height)
        self.t_shift_us = 0
        stated = header.fields.get("Version", "1")
        if stated not in ("0", "1", "2"):
            raise SessionError(f"{path}: DAT version {stated!r}, expected 0, 1 or 2")
        self.version = int(stated)
        self.kind = self._kind(header.n_bytes)
        self.data_starts = header.n_bytes + 2

    def _kind(self, at: int) -> int:
        try:
            with self.path.open("rb") as f:
                f.seek(at)
                found = f.read(2)
        except OSError as err:
            raise SessionError(f"{self.path}: cannot be read: {os_reason(err)}") from err
        if len(found) < 2:
            raise SessionError(f"{self.path}: no events: it ends with its header; expected a DAT recording")
        kind, size = found
        if kind not in DAT_KINDS or size != 8:
            raise SessionError(
                f"{self.path}: DAT with events of type {kind} and {size} bytes at byte {at}, expected type 0 or 12"
                " (contrast detection) or 14 (external triggers), of 8 bytes"
            )
        return kind

    def stream(self) -> DatStream:
        """Read the file from its start; see `EventFile.stream`."""
        return DatStream(self)


class DatStream(RecordStream):
    """One pass over a DAT file."""

    def __init__(self, file: DatFile) -> None:
        super().__init__(file, file.data_starts, 8, _RECORDS)
        self._triggers = file.kind == _TRIGGER
        self._bits = (14, 14, 4) if file.version >= 2 else (9, 8, 1)
        self._state = np.array([-1, 0, UNKNOWN_US, UNKNOWN_US], np.int64)
        self._following = np.zeros(FOLLOWING, np.int64)

    def decode(self, block: NDArray[np.uint8], final: bool, at_byte: int) -> tuple[int, int, int, int]:
        """Decode records; see `RecordStream`."""
        words = block[: len(block) // 8 * 8].view("<u4")
        used, e, s, k = _decode(
            words, self._triggers, *self._bits, final, at_byte, self._state, self.damage.rows, self.damage.counts,
            self.file.width, self.file.height, self._packed, self._run_us, self._run_at, self._edges,
            self._following,
        )  # fmt: skip
        self.t_first_us, self.t_last_us = int(self._state[_T_FIRST]), int(self._state[_T_LAST])
        self.time_words = int(self._state[_READ])
        return 8 * int(used), int(e), int(s), int(k)


@njit(cache=True, nogil=True)
def _decode(  # type: ignore[no-untyped-def]
    words, triggers_only, x_bits, y_bits, p_bits, final, at_byte, state, rows, counts, width, height, packed, run_us,
    run_at, edges, following,
):  # fmt: skip
    """Decode records; return records used, events, runs and triggers, and update the state and the damage.

    A time that steps back or goes on by more than `LATE_US` is held until the `FOLLOWING` times after it agree
    (`time_words.believed`). If they do not, the record is a glitch and is dropped.
    """
    n = words.shape[0] // 2
    e = k = s = 0
    at = UNKNOWN_US  # time of the present run
    now = state[_NOW]
    i = 0
    while i < n:
        value = np.int64(words[2 * i])
        place = np.int64(words[2 * i + 1])
        here = at_byte + 8 * i
        step = ahead(now % _TURN, value, _TURN) if now >= 0 else _TURN
        if not -LATE_US <= step <= LATE_US:
            found = min(FOLLOWING, n - 1 - i)
            if found < FOLLOWING and not final:
                break  # decided with more records
            for j in range(found):
                following[j] = words[2 * (i + 1 + j)]
            present = now % _TURN if now >= 0 else -1
            if not believed(present, value, following, found, _TURN, LATE_US, _STEADY, _SPARSE, _ALONE):
                known = now if now >= 0 else UNKNOWN_US
                note(rows, counts, TIME_GLITCH, here, here + 8, known, known, 1)
                state[_READ] += 1
                i += 1
                continue
            if now < 0:
                now = value
                step = 0
            elif now + step < 0:
                step += _TURN
            if not -LATE_US <= step <= _GAP:
                note(rows, counts, TIME_GAP, here, here + 8, now, now + step, 1)
        now = max(now + step, 0)
        state[_READ] += 1
        i += 1
        if triggers_only and now + LATE_US < state[_T_LAST]:
            note(rows, counts, LATE, here, here + 8, now, now, 1)
            continue
        if triggers_only:
            state[_T_LAST] = max(state[_T_LAST], now)
            edges[k, 0] = now
            edges[k, 1] = place >> 26
            edges[k, 2] = 1 if place & 0xF == 1 else 0
            k += 1
            continue
        x = place & ((1 << x_bits) - 1)
        y = (place >> x_bits) & ((1 << y_bits) - 1)
        p = (place >> (x_bits + y_bits)) & ((1 << p_bits) - 1)
        if x >= width or y >= height:
            note(rows, counts, OUTSIDE_SENSOR, here, here + 8, now, now, 1)
        elif now + LATE_US < state[_T_LAST]:
            note(rows, counts, LATE, here, here + 8, now, now, 1)
        else:
            packed[e] = (y << 12) | (x << 1) | (1 if p == 1 else 0)  # old software wrote -1 for darker
            if now != at:
                s += 1
                run_us[s] = at = now
                run_at[s] = e
                state[_T_LAST] = max(state[_T_LAST], now)
                if state[_T_FIRST] == UNKNOWN_US or now < state[_T_FIRST]:
                    state[_T_FIRST] = now
            e += 1
    state[_NOW] = now
    run_at[s + 1] = e
    return i, e, s, k
