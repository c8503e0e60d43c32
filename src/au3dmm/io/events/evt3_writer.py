"""Write EVT3 RAW files: the inverse of `evt3`, for synthetic recordings and tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.atomic import write_bytes

_REPEAT_US = 16  # cameras repeat TIME_HIGH this often
_WRAP_US = 1 << 24


def write_evt3(
    path: Path,
    events: NDArray[np.void],
    triggers: NDArray[np.void],
    *,
    width: int,
    height: int,
    header_extra: Mapping[str, str] | None = None,
) -> int:
    """Write events and triggers as an EVT3 file that reads back exactly, in the same order.

    Parameters
    ----------
    path : Path
        The file to write; written whole or not at all.
    events : (N,) structured array
        Fields t (us on the unshifted camera clock), x, y (px) and p (0 or 1), in order of time.
    triggers : (M,) structured array
        Fields t, id (0 to 15) and p (1 rising, 0 falling), in order of time.
    width, height : int
        Sensor, px; stated in the header.
    header_extra : mapping, optional
        More header lines by key, for example ``{"serial_number": "00050123"}``.

    Returns
    -------
    int
        Words written.

    Raises
    ------
    SessionError
        If times go backwards or do not start in the clock's first turn, or a value does not fit.
    OutputError
        If the file cannot be written.
    """
    _check(path, events, triggers, width, height)
    times = np.concatenate([events["t"], triggers["t"]])
    steps = int((times.max() >> 12) - (times.min() >> 12)) if len(times) else 0
    # at most TIME_HIGH, TIME_LOW, row and column for each event; one more TIME_HIGH for every 4096 us
    words = np.empty(4 * len(events) + 3 * len(triggers) + steps + 1, "<u2")
    t, x, y, p = (events[name].astype(np.int64) for name in ("t", "x", "y", "p"))
    trigger_t, trigger_id, trigger_p = (triggers[name].astype(np.int64) for name in ("t", "id", "p"))
    n = int(_encode(t, x, y, p, trigger_t, trigger_id, trigger_p, words))
    fields = {"evt": "3.0", "format": f"EVT3;height={height};width={width}", "geometry": f"{width}x{height}"}
    fields |= dict(header_extra or {})
    lines = [f"% {key} {fields[key]}\n" for key in sorted(fields)]
    write_bytes(path, "".join([*lines, "% end\n"]).encode("ascii") + words[:n].tobytes())
    return n


def _check(path: Path, events: NDArray[np.void], triggers: NDArray[np.void], width: int, height: int) -> None:
    if not (0 < width <= 2048 and 0 < height <= 2048):
        raise SessionError(f"{path}: sensor {width}x{height}, EVT3 holds 1x1 to 2048x2048")
    for name, stream in (("events", events), ("triggers", triggers)):
        t = stream["t"]
        if not len(t):
            continue
        back = np.flatnonzero(np.diff(t) < 0)
        if len(back):
            raise SessionError(f"{path}: {name} go back in time at number {back[0] + 1}; sort them by t")
        if stream["p"].max() > 1:
            raise SessionError(f"{path}: {name} with p = {stream['p'].max()}, expected 0 or 1")
    first = min((int(stream["t"][0]) for stream in (events, triggers) if len(stream)), default=0)
    if not 0 <= first < _WRAP_US:
        raise SessionError(f"{path}: starts at {first} us; EVT3 clocks start between 0 and {_WRAP_US - 1} us")
    if len(events) and (events["x"].max() >= width or events["y"].max() >= height):
        raise SessionError(
            f"{path}: events up to ({events['x'].max()}, {events['y'].max()}) do not fit a {width}x{height} sensor"
        )
    if len(triggers) and triggers["id"].max() > 15:
        raise SessionError(f"{path}: trigger id {triggers['id'].max()}, EVT3 has 0 to 15")


@njit(cache=True, nogil=True)
def _encode(et, ex, ey, ep, tt, ti, tp, words):  # type: ignore[no-untyped-def]
    """Fill words, return how many; events of equal time keep their order."""
    n = i = k = 0
    high = low = row = repeated = -1
    while i < et.shape[0] or k < tt.shape[0]:
        now = et[i] if k == tt.shape[0] or (i < et.shape[0] and et[i] <= tt[k]) else tt[k]
        if high < 0:
            high = (now >> 12) - 1
        if now >> 12 == high and now - repeated >= _REPEAT_US:
            words[n] = 0x8000 | (high & 0xFFF)
            n += 1
            repeated = now
        while high < now >> 12:  # every step is written, so that a reader never meets a jump
            high += 1
            words[n] = 0x8000 | (high & 0xFFF)
            n += 1
            low = -1
            repeated = now
        if now & 0xFFF != low:
            low = now & 0xFFF
            words[n] = 0x6000 | low
            n += 1
        while k < tt.shape[0] and tt[k] == now:
            words[n] = 0xA000 | (ti[k] << 8) | tp[k]
            n += 1
            k += 1
        while i < et.shape[0] and et[i] == now:
            if ey[i] != row:
                row = ey[i]
                words[n] = row
                n += 1
            mask = np.int64(1)
            j = i + 1
            while (
                j < et.shape[0] and et[j] == now and ey[j] == row and ep[j] == ep[i]
                and ex[j] > ex[j - 1] and ex[j] < ex[i] + 32
            ):  # fmt: skip
                mask |= np.int64(1) << (ex[j] - ex[i])
                j += 1
            if j - i >= 3:
                # always the whole triple: some readers assume it
                words[n] = 0x3000 | (ep[i] << 11) | ex[i]
                words[n + 1] = 0x4000 | (mask & 0xFFF)
                words[n + 2] = 0x4000 | ((mask >> 12) & 0xFFF)
                words[n + 3] = 0x5000 | (mask >> 24)
                n += 4
                i = j
            else:
                words[n] = 0x2000 | (ep[i] << 11) | ex[i]
                n += 1
                i += 1
    return n
