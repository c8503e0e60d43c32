"""`participants.tsv`: who was recorded, and whether their recordings may be used."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from au3dmm.errors import ConfigError, os_reason
from au3dmm.io.atomic import write_bytes

PARTICIPANTS = "participants.tsv"
SUBJECT, CONSENT = "subject_id", "consent"
_YES = frozenset({"yes", "y", "true", "1", "given", "granted"})
_NO = frozenset({"no", "n", "false", "0", "withdrawn", "refused", "revoked", "declined"})


def read_participants(path: Path) -> dict[str, dict[str, str]]:
    """Read `participants.tsv`: tab-separated, UTF-8, a header with ``subject_id``; every other column is free.

    A column ``consent`` says whether a person's recordings may be used: yes, or no or withdrawn; nothing (empty,
    ``n/a``) says nothing.

    Returns
    -------
    dict
        Per subject_id the other columns, without those that are empty or ``n/a``; empty if there is no such file.

    Raises
    ------
    ConfigError
        If the file cannot be read, has no such header, a row of another length, a person twice, or a consent that is
        neither yes nor no.
    """
    if not path.exists():
        return {}
    lines = _rows(path)
    if not lines:
        raise ConfigError(f"{path}: empty; expected a header with the column {SUBJECT}, tab-separated")
    names = [name.strip() for name in lines[0][1]]
    _check_header(path, names)
    people: dict[str, dict[str, str]] = {}
    first_seen: dict[str, int] = {}
    for line, row in lines[1:]:
        if len(row) != len(names):
            raise ConfigError(f"{path}: line {line} has {len(row)} fields, the header {len(names)}; tabs separate them")
        values = {name: text.strip() for name, text in zip(names, row, strict=True)}
        subject = values.pop(SUBJECT)
        if not subject:
            raise ConfigError(f"{path}: line {line} has no {SUBJECT}")
        if (before := first_seen.get(subject.casefold())) is not None:
            raise ConfigError(f"{path}: line {line}: {SUBJECT} {subject!r} is in line {before} already; keep one")
        first_seen[subject.casefold()] = line
        people[subject] = {name: text for name, text in values.items() if text and text.casefold() != "n/a"}
        consent = people[subject].get(CONSENT, "yes")
        if consent.casefold() not in _YES | _NO:
            raise ConfigError(f"{path}: line {line}: {CONSENT} is {consent!r}, expected yes, no or withdrawn")
    return people


def withheld(row: Mapping[str, str]) -> str | None:
    """Return what a person's row says under ``consent`` if it is a no, else None."""
    consent = row.get(CONSENT)
    return consent if consent is not None and consent.casefold() in _NO else None


def add_participants(path: Path, people: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Add rows for people who have none; what is in the file stays as it is, also columns of one's own.

    Parameters
    ----------
    path : Path
        `participants.tsv`; made if it is not there.
    people : mapping
        Per subject_id further columns; they are added to the header where it lacks them.

    Returns
    -------
    list of str
        Whom it added, sorted.

    Raises
    ------
    ConfigError
        If the file that is there is not such a file.
    OutputError
        If it cannot be written.
    """
    there = {name.casefold() for name in read_participants(path)}
    new = sorted(name for name in people if name.casefold() not in there)
    if path.exists() and not new:
        return []
    rows = [row for _, row in _rows(path)] if path.exists() else [[SUBJECT]]
    names = [name.strip() for name in rows[0]]
    names += sorted({column for name in new for column in people[name]} - set(names))
    rows = [names, *([*row, *[""] * (len(names) - len(row))] for row in rows[1:])]
    for name in new:
        rows.append([name if column == SUBJECT else people[name].get(column, "") for column in names])
    write_bytes(path, _text(rows).encode())
    return new


def _text(rows: Iterable[Iterable[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter="\t", lineterminator="\n").writerows(rows)
    return out.getvalue()


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with the number of its last line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {os_reason(err)}") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path}: not UTF-8: {err}; save it as UTF-8 text") from err
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    try:
        return [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except csv.Error as err:
        raise ConfigError(f"{path}: line {reader.line_num}: not tab-separated values: {err}") from err


def _check_header(path: Path, names: list[str]) -> None:
    if SUBJECT not in names:
        close = difflib.get_close_matches(SUBJECT, names, n=1)
        hint = f"did you mean it by {close[0]!r}?" if close else f"found: {', '.join(names)}"
        hint += "; columns are separated by tabs" if len(names) == 1 else ""
        raise ConfigError(f"{path}: no column {SUBJECT!r}; {hint}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        what = f"names {twice[0]!r} twice" if twice else "leaves a column without a name"
        raise ConfigError(f"{path}: the header {what}; give each column one name of its own")
