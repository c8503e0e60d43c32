"""A split that comes with a dataset: `splits.tsv`, or columns ``split`` and ``fold`` in `participants.tsv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from au3dmm.core.splits import SPLITS, Part
from au3dmm.errors import ConfigError, os_reason
from au3dmm.io.participants import PARTICIPANTS

SPLITS_FILE = "splits.tsv"
_COLUMNS = ("split", "fold")
_WORDS = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test"}


@dataclass(frozen=True)
class GivenSplit:
    """A split that someone else made.

    Attributes
    ----------
    path : Path
        Where it is written.
    by : {"subject_id", "session_id"}
        What it names.
    parts : dict
        The part of each.
    """

    path: Path
    by: str
    parts: dict[str, Part]

    def part_of(self, session_id: str, subject_id: str) -> Part:
        """Return the part of a recording.

        Raises
        ------
        ConfigError
            If the file does not name it.
        """
        name = subject_id if self.by == "subject_id" else session_id
        part = self.parts.get(name)
        if part is None:
            raise ConfigError(
                f"{self.path}: no split for {self.by} {name!r}; expected one for every {self.by[:-3]} of the dataset;"
                " add it, or remove the split to have one computed"
            )
        return part


def read_given_split(folder: Path, participants: Mapping[str, Mapping[str, str]]) -> GivenSplit | None:
    """Read the split of the dataset in `folder`, if it has one; `splits.tsv` wins over `participants.tsv`.

    `splits.tsv` is tab-separated with a header: ``subject_id`` or ``session_id``, and ``split`` (train, val, test) or
    ``fold`` (0, 1, ...) or both.

    Parameters
    ----------
    folder : Path
        The dataset.
    participants : mapping
        Rows of `participants.tsv` by subject_id.

    Raises
    ------
    ConfigError
        If a file cannot be read, or a value in it is no split.
    """
    path = folder / SPLITS_FILE
    if path.exists():
        return _read(path)
    table = folder / PARTICIPANTS
    if not any(column in row for row in participants.values() for column in _COLUMNS):
        return None
    return GivenSplit(table, "subject_id", dict(_parts(table, participants.items())))


def _read(path: Path) -> GivenSplit:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {os_reason(err)}") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path}: not UTF-8: {err}; save it as UTF-8 text") from err
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", restval="")
    names = [name.strip() for name in reader.fieldnames or ()]
    by = next((name for name in ("session_id", "subject_id") if name in names), None)
    if by is None or not any(column in names for column in _COLUMNS):
        found = ", ".join(names) or "nothing"
        raise ConfigError(
            f"{path}: columns {found}; expected subject_id or session_id, and split or fold, separated by tabs"
        )
    reader.fieldnames = names
    rows: dict[str, dict[str, str]] = {}
    for row in reader:
        line = reader.line_num
        if None in row:
            raise ConfigError(f"{path}: line {line} has more fields than the header; tabs separate them")
        values = {name: value.strip() for name, value in row.items()}
        name = values.pop(by)
        if not name or name in rows:
            what = f"{by} {name!r} a second time; keep one" if name else f"no {by}"
            raise ConfigError(f"{path}: line {line} has {what}")
        rows[name] = {column: text for column, text in values.items() if text and text.casefold() != "n/a"}
    return GivenSplit(path, by, dict(_parts(path, rows.items())))


def _parts(path: Path, rows: Iterable[tuple[str, Mapping[str, str]]]) -> Iterable[tuple[str, Part]]:
    for name, row in rows:
        word = row.get("split")
        split = None if word is None else _WORDS.get(word.casefold(), word.casefold())
        if split is not None and split not in SPLITS:
            raise ConfigError(f"{path}: the split of {name!r} is {word!r}, expected {', '.join(SPLITS)}")
        number = row.get("fold")
        if number is not None and not (number.isdecimal() and int(number) < 100):
            raise ConfigError(f"{path}: the fold of {name!r} is {number!r}, expected a whole number from 0 to 99")
        if split is not None or number is not None:
            yield name, Part(split, None if number is None else int(number))
