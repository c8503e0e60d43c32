"""Files of what coders said of every frame: our own CSV, and those of BP4D and DISFA.

BP4D (AUCoding): ``AU_OCC/F001_T1.csv`` has a header of action unit numbers and rows of a frame's number and their codes
(0, 1, 9 = not coded), for a part of the frames; ``AU_INT/AU06/F001_T1_AU06.csv`` has rows of frame number and intensity
(0 to 5, 9 = not coded) of one action unit, without header. DISFA: ``SN001/SN001_au12.txt`` has rows of frame number
(from 1) and intensity. What was not coded is NaN here.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError, os_reason
from au3dmm.io.corpora.action_units import parse_action_units

FileFormat = Literal["csv", "bp4d", "disfa"]
FRAME_INDEX = "frame_index"
_MISSING = frozenset({"", "nan", "n/a", "na", "null"})
_NOT_CODED = (9.0, -1.0, 999.0)
"""Codes for "not coded" (BP4D and its kin write 9, padded copies -1)."""


@dataclass(frozen=True)
class FrameCodes:
    """N rows of a file, each about one frame.

    Attributes
    ----------
    number : (N,) int64 array
        The frame's number as the file counts; `counts_from` is that of the recording's first frame.
    counts_from : int
        0 in our own CSV, 1 in the others.
    labels : tuple of str
        What the K columns speak of.
    values : (N, K) float32 array
        Occurrence or intensity; NaN where it was not coded.
    """

    number: NDArray[np.int64]
    counts_from: int
    labels: tuple[str, ...]
    values: NDArray[np.float32]


def canonical_label(text: str, vocabulary: str) -> str:
    """Return a label in one spelling: action units as ``AU12`` or ``AU6+AU12_left``, other words as they are.

    Examples
    --------
    >>> canonical_label("au06", "au"), canonical_label("12+6", "au"), canonical_label("Happiness", "emotion")
    ('AU6', 'AU6+AU12', 'Happiness')
    """
    units = parse_action_units(text) if vocabulary == "au" else ()
    return "+".join(units) or text.strip()


def read_frame_codes(path: Path, kind: FileFormat, label: str | None, vocabulary: str, top: int) -> FrameCodes:
    """Read a file of frame-level annotations.

    Parameters
    ----------
    path : Path
        ``csv``: a header ``frame_index`` (from 0) and one column per label. ``bp4d``, ``disfa``: see the module.
    kind : {"csv", "bp4d", "disfa"}
        How it is laid out.
    label : str or None
        What the one column speaks of, where the file has no header; of several columns, which one is wanted.
    vocabulary : str
        ``au`` makes one spelling of the labels.
    top : int
        The largest value that means anything: 1 of an occurrence, 5 of an intensity.

    Raises
    ------
    SessionError
        If the file cannot be read, has another layout, or holds a value that means nothing; the line is named.
    """
    rows = _read_rows(path)
    header = rows[0][1]
    if kind == "csv":
        if FRAME_INDEX not in header:
            raise SessionError(f"{path}: no column {FRAME_INDEX!r}; found: {', '.join(header)}")
        at, names = header.index(FRAME_INDEX), [name for name in header if name != FRAME_INDEX]
        body, first = rows[1:], 0
    else:
        at, first = 0, 1
        # a first row of BP4D's matrices holds the action units' numbers; files of one unit have no header
        has_header = len(header) > 2 or not all(_is_number(text) for text in header)
        body, names = (rows[1:], header[1:]) if has_header else (rows, [""])
    if len(names) == 1 and label is not None:
        names = [label]
    labels = tuple(canonical_label(name, vocabulary) for name in names)
    _check_labels(path, names, labels, vocabulary)
    if not body:
        raise SessionError(f"{path}: a header but no rows, expected one row per frame")
    number = np.array([_whole(path, line, row, at, len(names) + 1) for line, row in body], np.int64)
    columns = [i for i in range(len(names) + 1) if i != at]
    values = np.array([[_value(path, line, row[i], top) for i in columns] for line, row in body], np.float32)
    _check_order(path, number, [line for line, _ in body])
    if label is not None and len(labels) > 1:
        wanted = canonical_label(label, vocabulary)
        if wanted not in labels:
            raise SessionError(f"{path}: no column {wanted!r}, found: {', '.join(labels)}")
        labels, values = (wanted,), values[:, [labels.index(wanted)]]
    return FrameCodes(number, first, labels, values)


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
    except UnicodeDecodeError as err:
        raise SessionError(f"{path}: not a text file: {err}; expected rows of frame number and codes") from err
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not lines:
        raise SessionError(f"{path}: empty, expected rows of frame number and codes")
    try:
        return [(n, [field.strip() for field in next(csv.reader([line]))]) for n, line in lines]
    except csv.Error as err:
        raise SessionError(f"{path}: not a CSV: {err}") from err


def _check_labels(path: Path, names: list[str], labels: tuple[str, ...], vocabulary: str) -> None:
    if not names:
        raise SessionError(f"{path}: no column besides the frame's number; expected one per label")
    for name, label in zip(names, labels, strict=True):
        if not label or (vocabulary == "au" and not label.startswith("AU")):
            what = "a column without a name" if not name else f"column {name!r}, which is no action unit"
            raise SessionError(f"{path}: {what}; say label = 'AU12' beside the file, or another vocabulary")
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise SessionError(f"{path}: two columns speak of {twice[0]}; expected one")


def _whole(path: Path, line: int, row: list[str], at: int, expected: int) -> int:
    if len(row) != expected:
        raise SessionError(f"{path}: line {line} has {len(row)} fields, expected {expected}")
    try:
        number = float(row[at])
    except ValueError:
        number = float("nan")
    if not number.is_integer() or not 0 <= number < 2**31:
        raise SessionError(f"{path}: line {line}: frame number {row[at][:40]!r}, expected a whole number")
    return int(number)


def _value(path: Path, line: int, text: str, top: int) -> float:
    if text.casefold() in _MISSING:
        return float("nan")
    try:
        value = float(text)
    except ValueError as err:
        raise SessionError(f"{path}: line {line}: {text[:40]!r}, expected a number from 0 to {top}") from err
    if value in _NOT_CODED:
        return float("nan")
    if not 0 <= value <= top or (top == 1 and not value.is_integer()):
        one_of = "0, 1 or 9 (not coded)" if top == 1 else f"a number from 0 to {top}, or 9 (not coded)"
        raise SessionError(f"{path}: line {line}: value {text[:40]}, expected {one_of}")
    return value


def _check_order(path: Path, number: NDArray[np.int64], lines: list[int]) -> None:
    back = np.flatnonzero(np.diff(number) <= 0)
    if len(back):
        i = int(back[0])
        raise SessionError(
            f"{path}: line {lines[i + 1]}: frame {number[i + 1]} after frame {number[i]}, expected each once, in order"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
