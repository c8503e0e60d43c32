"""Names: plain session and subject ids, and patterns that read them out of paths."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from au3dmm.discovery.ids import ids_of
from au3dmm.errors import ConfigError, os_reason

FIELDS = ("subject", "session", "au", "run")
_FIELD = re.compile(r"\{(\w*)\}")
_PARTS = re.compile(r"(\{\w*\}|\*\*/|\*|\?|\[[^\]/]+\])")
_NOT_RAW = frozenset({"derivatives", "truth"})


def plain_id(text: str) -> str:
    """Return a text as a session_id or subject_id may be: letters, digits, ``.``, ``_``, ``-``.

    Where other letters are lost, a hash of all of them keeps names apart that would become one: two people must not.

    Examples
    --------
    >>> plain_id("take 1/smile"), plain_id(".."), plain_id("J\u00f6rg"), plain_id("J\u00fcrg")
    ('take_1_smile', 'x', 'Jorg-...', 'Jurg-...')
    """
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", letters).strip("._") or "x"
    return plain if text.isascii() else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def ids_at(source: Path, place: Path) -> tuple[str, str, tuple[str, ...]]:
    """Return session_id, subject_id and notes for a recording at a place below the source.

    The session is called after its whole path from there, so that recordings that are added later rename no other. The
    subject is what looks like one in its path (``S01``, ``sub-01``); without, the session is its own.

    Examples
    --------
    >>> ids_at(Path("/data"), Path("/data/S01/smile"))
    ('S01_smile', 'S01', ())
    """
    place, source = place.absolute(), source.absolute()
    parts = place.relative_to(source).parts or (place.name,)
    session_id = plain_id("_".join(parts))
    found, subject_id = ids_of([place])[place]
    if subject_id != found or subject_id == parts[0]:
        return session_id, subject_id, ()
    return session_id, session_id, ("no subject in its path (S01, sub-01): taken for a person of its own",)


def template(pattern: str, option: str) -> re.Pattern[str]:
    """Return what a path, relative to the source and with slashes, must match in full.

    Parameters
    ----------
    pattern : str
        A regular expression if it has a group ``(?P<name>...)``; else a glob: ``{subject}``, ``{session}``, ``{au}``
        and ``{run}`` stand for a part of a name within one folder, ``*`` and ``?`` for what does not matter,
        ``**/`` for any folders.
    option : str
        Where the user wrote it, for messages.

    Raises
    ------
    ConfigError
        If it is no regular expression, or names another field.

    Examples
    --------
    >>> template("{subject}/**/{session}_rgb.*", "--rgb").fullmatch("S1/day2/smile_rgb.mp4").groupdict()
    {'subject': 'S1', 'session': 'smile'}
    """
    if "(?P<" in pattern:
        try:
            regex = re.compile(pattern)
        except re.error as err:
            raise ConfigError(f"{option} {pattern!r}: not a regular expression: {err}") from err
        unknown = sorted(set(regex.groupindex) - set(FIELDS))
    else:
        regex, unknown = _glob(pattern), [name for name in _FIELD.findall(pattern) if name not in FIELDS]
    if unknown or not regex.groupindex:
        fields = ", ".join(f"{{{name}}}" for name in FIELDS)
        found = f"names {{{unknown[0]}}}" if unknown else "names no field"
        raise ConfigError(f"{option} {pattern!r} {found}; use {fields} to say what tells recordings apart")
    return regex


def _glob(pattern: str) -> re.Pattern[str]:
    seen: set[str] = set()
    regex = []
    for part in _PARTS.split(pattern.rstrip("/")):
        field = _FIELD.fullmatch(part)
        if field is not None and field[1] in FIELDS:
            regex.append(f"(?P={field[1]})" if field[1] in seen else f"(?P<{field[1]}>[^/]+?)")
            seen.add(field[1])
        elif part in ("**/", "*", "?"):
            regex.append({"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}[part])
        elif _PARTS.fullmatch(part) and part.startswith("["):
            regex.append("[^" + part[2:] if part[1] == "!" else part)
        else:
            regex.append(re.escape(part))
    try:
        return re.compile("".join(regex))
    except re.error as err:
        raise ConfigError(f"{pattern!r}: not a pattern: {err}") from err


def below(source: Path, skip: frozenset[str] = _NOT_RAW) -> Iterator[tuple[str, Path, bool]]:
    """Yield everything below a folder that is not hidden, sorted: relative path with slashes, path, whether a folder.

    Folders that symbolic links lead to are entered once.

    Raises
    ------
    ConfigError
        If a folder cannot be read.
    """
    todo, seen = [("", source)], set()
    while todo:
        prefix, folder = todo.pop()
        try:
            stat = folder.stat()
            if (stat.st_dev, stat.st_ino) in seen:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted((e for e in listing if not e.name.startswith(".")), key=lambda e: e.name)
        except OSError as err:
            raise ConfigError(f"{folder}: cannot be read: {os_reason(err)}") from err
        inside = []
        for entry in entries:
            is_folder = entry.is_dir()
            if is_folder and entry.name in skip:
                continue
            yield prefix + entry.name, Path(entry.path), is_folder
            if is_folder:
                inside.append((f"{prefix}{entry.name}/", Path(entry.path)))
        todo += reversed(inside)


def check_source(source: Path, what: str) -> None:
    """Refuse a source that is no folder.

    Raises
    ------
    ConfigError
        Saying what was expected there.
    """
    if not source.is_dir():
        found = "a file" if source.exists() else "no such folder"
        raise ConfigError(f"{source}: {found}; expected {what}")
