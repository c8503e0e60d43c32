"""Read EVT3 RAW files (Prophesee): 16-bit words to events and triggers, block by block.

The format is described at https://docs.prophesee.ai/stable/data/encoding_formats/evt3.html. A word's upper four
bits are its kind; time, row and vector base are state that later words build on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import SessionError, os_reason
from au3dmm.io.events.evt3_writer import write_evt3
from au3dmm.io.events.header import RawHeader, sensor_size
from au3dmm.io.events.stream import EVENT_DTYPE, TRIGGER_DTYPE, Block, EventCounts

__all__ = ["Evt3File", "write_evt3"]

_WORDS = 1 << 18  # read at once: 512 KiB
_EVENTS = 1 << 18  # delivered at once: 4 MiB
_TRIGGERS = 1 << 14
# words in which the next TIME_HIGH is looked for when one does not follow its predecessor; cameras repeat it every
# 16 us, so it is near. Smaller than _WORDS, so that blocks never decide what is decoded.
_LOOKAHEAD = 1 << 16

# state of the decoder between words, and what it has counted
_HIGH, _LOW, _ROW, _BASE, _POLARITY = range(5)
_BEFORE, _OUTSIDE, _GAPS, _GLITCHES, _UNKNOWN = range(5)
_COUNTED = ("dropped_before_start", "dropped_out_of_range", "time_gaps", "time_glitches", "unknown_words")


class Evt3File:
    """An EVT3 file; `au3dmm.io.events.open_events` makes it.

    Attributes
    ----------
    path : Path
    format : str
        ``"EVT3"``.
    width, height : int
        Sensor, px.
    header : mapping
        Fields of the header.
    t_shift_us : int
        (first TIME_HIGH - 1) * 4096, or 0 if that is 0: what the vendor's SDK subtracts from all times.
    """

    format = "EVT3"

    def __init__(self, path: Path, header: RawHeader, width: int | None, height: int | None) -> None:
        self.path = path
        self.header: Mapping[str, str] = header.fields
        self.width, self.height = sensor_size(path, header, width, height)
        self._data_starts = header.n_bytes
        first_high = self._first_time_high()
        self.t_shift_us = max(first_high - 1, 0) << 12

    def blocks(self) -> Iterator[Block]:
        """Decode the file from its start, block by block, in bounded memory; at least one block.

        Yields
        ------
        Block
            Times have the wraps of the 24-bit clock (every 16.777216 s) undone. Events outside the sensor are
            dropped and counted before anything is written by their coordinates.

        Raises
        ------
        SessionError
            If the file cannot be read.
        """
        words = np.empty(_WORDS, "<u2")
        triggers = np.empty(_TRIGGERS, TRIGGER_DTYPE)
        state = np.array([-1, 0, -1, -1, 0], np.int64)
        counts = np.zeros(5, np.int64)
        n_events = n_triggers = kept = trailing = 0
        final = False
        with self._open() as f:
            while not final or kept:
                if not final:
                    got = self._read_into(f, words[kept:].view(np.uint8))
                    final = got < 2 * (_WORDS - kept)
                    kept, trailing = kept + got // 2, got % 2
                events = np.empty(_EVENTS, EVENT_DTYPE)  # given away: copying costs as much as decoding
                used, e, k = _decode(
                    words[:kept], final, state, counts, self.width, self.height,
                    events["t"], events["x"], events["y"], events["p"],
                    triggers["t"], triggers["id"], triggers["p"],
                )  # fmt: skip
                words[: kept - used] = words[used:kept].copy()
                kept -= used
                n_events += e
                n_triggers += k
                total = EventCounts(n_events, n_triggers, **dict(zip(_COUNTED, counts.tolist(), strict=True)))
                total = replace(total, trailing_bytes=trailing)
                yield Block(events[:e], triggers[:k].copy(), total)

    def triggers(self) -> NDArray[np.void]:
        """Return all triggers of the file, (M,) array of TRIGGER_DTYPE; decodes the whole file."""
        return np.concatenate([block.triggers for block in self.blocks()])

    def describe(self) -> dict[str, Any]:
        """Return what the file says of itself, for the metadata of what is made from it."""
        return {
            "format": self.format,
            "width": self.width,
            "height": self.height,
            "t_shift_us": self.t_shift_us,
            "header": dict(self.header),
        }

    def _open(self) -> BinaryIO:
        try:
            f = self.path.open("rb")
            f.seek(self._data_starts)
        except OSError as err:
            raise SessionError(f"{self.path}: cannot be read: {os_reason(err)}") from err
        return f

    def _read_into(self, f: BinaryIO, target: NDArray[np.uint8]) -> int:
        try:
            return int(f.readinto(target.data))  # type: ignore[attr-defined]
        except OSError as err:
            raise SessionError(f"{self.path}: cannot be read: {os_reason(err)}") from err

    def _first_time_high(self) -> int:
        words = np.empty(_WORDS, "<u2")
        with self._open() as f:
            while got := self._read_into(f, words.view(np.uint8)):
                part = words[: got // 2]
                high = part[part >> 12 == 0x8]
                if len(high):
                    return int(high[0]) & 0xFFF
        raise SessionError(
            f"{self.path}: no events: {self.path.stat().st_size - self._data_starts} bytes after the header without"
            f" any time word; expected an EVT3 stream"
        )


@njit(cache=True, nogil=True)
def _decode(words, final, state, counts, width, height, et, ex, ey, ep, tt, ti, tp):  # type: ignore[no-untyped-def]
    """Decode until words or room run out; return (words used, events, triggers) and update state and counts."""
    high, low, row, base, polarity = state[0], state[1], state[2], state[3], state[4]
    n = words.shape[0]
    i = e = k = 0
    while i < n and e + 12 <= et.shape[0] and k < tt.shape[0]:
        word = np.int64(words[i])
        kind = word >> 12
        if kind == 0x2:
            x = word & 0x7FF
            if high < 0 or row < 0:
                counts[_BEFORE] += 1
            elif x >= width or row >= height:
                counts[_OUTSIDE] += 1
            else:
                et[e] = (high << 12) | low
                ex[e] = x
                ey[e] = row
                ep[e] = (word >> 11) & 1
                e += 1
        elif kind == 0x4 or kind == 0x5:
            # each vector word stands for itself: groups of 12, 12 and 8 may come incomplete
            step = 12 if kind == 0x4 else 8
            mask = word & ((1 << step) - 1)
            x = base
            while mask:
                if mask & 1:
                    if high < 0 or row < 0 or base < 0:
                        counts[_BEFORE] += 1
                    elif x >= width or row >= height:
                        counts[_OUTSIDE] += 1
                    else:
                        et[e] = (high << 12) | low
                        ex[e] = x
                        ey[e] = row
                        ep[e] = polarity
                        e += 1
                mask >>= 1
                x += 1
            if base >= 0:
                base += step
        elif kind == 0x6:
            low = word & 0xFFF
        elif kind == 0x0:
            row = word & 0x7FF
        elif kind == 0x3:
            base = word & 0x7FF
            polarity = (word >> 11) & 1
        elif kind == 0x8:
            step = ((word & 0xFFF) - high) & 0xFFF
            if high < 0:
                high = word & 0xFFF
                low = 0
            elif step > 1:
                # neither a repetition nor the next one: believed if the next TIME_HIGH follows it more closely
                # than it follows the present one
                j = i + 1
                while j < n and j <= i + _LOOKAHEAD and words[j] >> 12 != 0x8:
                    j += 1
                if j == n and not final:
                    break  # decided with more words
                if j < n and j <= i + _LOOKAHEAD:
                    following = np.int64(words[j])
                    believed = ((following - word) & 0xFFF) < ((following - high) & 0xFFF)
                else:
                    believed = step < 2048
                if believed:
                    counts[_GAPS] += 1
                    high += step
                    low = 0
                else:
                    counts[_GLITCHES] += 1
            elif step == 1:
                high += 1
                low = 0
        elif kind == 0xA:
            if high < 0:
                counts[_BEFORE] += 1
            else:
                tt[k] = (high << 12) | low
                ti[k] = (word >> 8) & 0xF
                tp[k] = word & 1
                k += 1
        elif kind != 0x7 and kind != 0xE and kind != 0xF:  # CONTINUED and OTHERS: monitoring, nothing for us
            counts[_UNKNOWN] += 1
        i += 1
    state[0], state[1], state[2], state[3], state[4] = high, low, row, base, polarity
    return i, e, k
