"""Read the CSV of RGB timestamps: when each frame was presented, and when its exposure began and ended."""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError, os_reason

Convention = Literal["exposure_midpoint", "exposure_start", "exposure_end"]

_REQUIRED = ("frame_index", "pts_us")
_EXPOSURE = ("exposure_start_us", "exposure_end_us")
_LIMIT = 2**62  # the difference of two times below it is an int64


@dataclass(frozen=True)
class Timestamps:
    """Times of N RGB frames on the RGB clock, us.

    Attributes
    ----------
    frame_index : (N,) int32 array
        0, 1, 2, ...
    pts_us : (N,) int64 array
        Strictly increasing; which instant of the exposure they name is stated in the session's manifest.
    exposure_start_us, exposure_end_us : (N,) int64 array or None
        None if the file has no such columns.
    """

    frame_index: NDArray[np.int32]
    pts_us: NDArray[np.int64]
    exposure_start_us: NDArray[np.int64] | None = None
    exposure_end_us: NDArray[np.int64] | None = None

    def exposures_us(self, convention: Convention, exposure_us: int | None) -> NDArray[np.int64] | None:
        """Return (start, end) of each exposure, (N, 2), or None if nothing is known of the exposure.

        Parameters
        ----------
        convention : {"exposure_midpoint", "exposure_start", "exposure_end"}
            Which instant `pts_us` names; used where the file has no exposure columns.
        exposure_us : int or None
            Length of the exposure; used where the file has no exposure columns.
        """
        if self.exposure_start_us is not None and self.exposure_end_us is not None:
            return np.stack([self.exposure_start_us, self.exposure_end_us], 1)
        if exposure_us is None:
            return None
        before = {"exposure_start": 0, "exposure_midpoint": exposure_us // 2, "exposure_end": exposure_us}[convention]
        start = self.pts_us - before
        return np.stack([start, start + exposure_us], 1)

    def midpoints_us(self, convention: Convention, exposure_us: int | None) -> NDArray[np.int64]:
        """Return the time of each frame, (N,): the middle of its exposure.

        That is `pts_us` itself where it names the midpoint, or where nothing is known of the exposure.

        Examples
        --------
        >>> stamps = Timestamps(np.array([0], np.int32), np.array([1000]))
        >>> stamps.midpoints_us("exposure_start", 8000)
        array([5000])
        """
        exposures = self.exposures_us(convention, exposure_us)
        if convention == "exposure_midpoint" or exposures is None:
            return self.pts_us
        half = (exposures[:, 1] - exposures[:, 0]) // 2
        return self.pts_us + half if convention == "exposure_start" else self.pts_us - half


def read_timestamps(path: Path) -> Timestamps:
    """Read a CSV with the columns ``frame_index, pts_us`` and optionally ``exposure_start_us, exposure_end_us``.

    Other columns, empty lines and lines that begin with ``#`` are ignored. Rows are numbered 0, 1, 2, ...: whatever
    else counts frames (a landmark file, the names of images) means rows.

    Raises
    ------
    SessionError
        If the file cannot be read, lacks a column, holds something else than whole numbers, numbers its rows
        otherwise, or goes backwards.
    """
    names, rows, lines = _read_rows(path)
    wanted = list(_REQUIRED)
    if set(_EXPOSURE) & set(names):
        wanted += _EXPOSURE
    columns: dict[str, NDArray[np.int64]] = {}
    for name in wanted:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean it by {close[0]!r}?" if close else f"found: {', '.join(names)}"
            raise SessionError(f"{path}: no column {name!r}; {hint}")
        at = names.index(name)
        columns[name] = np.array([_whole(path, line, name, row, at) for line, row in zip(lines, rows, strict=True)])
    _check_numbered(path, columns["frame_index"], lines)
    _check_increasing(path, "pts_us", columns["pts_us"], lines)
    if "exposure_start_us" not in columns:
        return Timestamps(columns["frame_index"].astype(np.int32), columns["pts_us"])
    start, end = columns["exposure_start_us"], columns["exposure_end_us"]
    _check_increasing(path, "exposure_start_us", start, lines)
    wrong = np.flatnonzero(end <= start)
    if len(wrong):
        i = wrong[0]
        raise SessionError(f"{path}: line {lines[i]}: exposure ends at {end[i]} us, not after its start {start[i]} us")
    return Timestamps(columns["frame_index"].astype(np.int32), columns["pts_us"], start, end)


def _read_rows(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the column names, the rows, and the line number of each row."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
    except UnicodeDecodeError as err:
        raise SessionError(f"{path}: not a text file: {err}; expected a CSV of timestamps") from err
    kept = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]  # fmt: skip
    if not kept:
        raise SessionError(f"{path}: empty, expected a CSV with the columns {', '.join(_REQUIRED + _EXPOSURE)}")
    try:
        table = list(csv.reader(line for _, line in kept))
    except csv.Error as err:
        raise SessionError(f"{path}: not a CSV: {err}; expected a CSV of timestamps") from err
    names = [name.strip() for name in table[0]]
    if len(table) == 1:
        raise SessionError(f"{path}: a header but no rows, expected one row per RGB frame")
    if len(table) != len(kept):  # rows could no longer be named by their lines
        raise SessionError(f"{path}: a quoted field goes over several lines; expected one line per RGB frame")
    return names, table[1:], [number for number, _ in kept[1:]]


def _whole(path: Path, line: int, name: str, row: list[str], at: int) -> int:
    text = row[at].strip() if at < len(row) else ""
    try:
        value = int(text)
    except ValueError as err:
        found = text if len(text) <= 40 else text[:40] + "..."
        raise SessionError(f"{path}: line {line}: {name} is {found!r}, expected a whole number") from err
    if not -_LIMIT < value < _LIMIT:
        raise SessionError(f"{path}: line {line}: {name} is {value:.3g}, expected a number below 2^62; is the unit us?")
    return value


def _check_numbered(path: Path, values: NDArray[np.int64], lines: list[int]) -> None:
    wrong = np.flatnonzero(values != np.arange(len(values)))
    if len(wrong):
        i = int(wrong[0])
        raise SessionError(
            f"{path}: line {lines[i]}: frame_index is {values[i]}, expected {i}; number the rows 0, 1, 2, ..., with a"
            " row for every frame"
        )


def _check_increasing(path: Path, name: str, values: NDArray[np.int64], lines: list[int]) -> None:
    back = np.flatnonzero(np.diff(values) <= 0)
    if len(back):
        i = int(back[0])
        raise SessionError(
            f"{path}: line {lines[i + 1]}: {name} is {values[i + 1]} after {values[i]}, expected it to increase"
        )
