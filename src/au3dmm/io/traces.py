"""Find names of people and sessions in files: in paths, Parquet, JSON, npz, tables and text."""

from __future__ import annotations

import csv
import json
import mmap
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from au3dmm.errors import SchemaError
from au3dmm.io.bases import read_npz

_LONG = 16
_BY_CHANCE = 6
_PICTURE = re.compile(rb"base64,[A-Za-z0-9+/=]{64,}")
_PNG = b"\x89PNG\r\n\x1a\n"
_NAMING = frozenset(
    {
        *("session_id", "session_ids", "session", "neutral_frames", "session_id_names"),
        *("subject_id", "subject", "subject_id_names"),
    }
)
_NAMING_FOLDERS = frozenset({"sessions", "subjects", "recordings", "landmarks"})
_TABLES = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Trace:
    """A place where a name was found.

    Attributes
    ----------
    path : Path
        The file or folder.
    where : str
        ``name``, ``metadata``, a column, ``text``, or ``unreadable``: then nobody can tell.
    name : str
        What was found.
    """

    path: Path
    where: str
    name: str

    def __str__(self) -> str:
        if self.where == "unreadable":
            return f"{self.path}: cannot be read, so nobody can tell what is in it"
        return f"{self.path}: {self.name} in its {self.where}"


class Names:
    """Names to look for.

    A name with letters and digits in it, or a long one, is found wherever it stands alone (``S01`` in ``S01_AU12``, not
    in ``S012``). One such as ``12`` or ``train`` would be found everywhere; it counts where names of people and
    sessions belong: columns and keys called so, folders below ``sessions`` and ``subjects``, cells of a text's table.

    Examples
    --------
    >>> names = Names(["S01", "12"])
    >>> [names.find(text) for text in ("S01_AU12", "S012", "12", None)], names.find("12", naming=True)
    (['S01', None, None, None], '12')
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.exact = frozenset(name for name in names if name)
        strong = sorted((name for name in self.exact if is_telling(name)), key=len, reverse=True)
        self._pattern = self._bytes = self._chance = None
        if strong:
            text = "|".join(map(re.escape, strong))
            # case does not matter: who is S01 is s01
            self._pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{text})(?![A-Za-z0-9])", re.IGNORECASE)
            self._bytes = re.compile(self._pattern.pattern.encode(), re.IGNORECASE)
            long = "|".join(re.escape(name) for name in strong if len(name) >= _BY_CHANCE)
            self._chance = re.compile(long.encode(), re.IGNORECASE) if long else None
        self._folded = {name.casefold(): name for name in self.exact}
        self._telling = {name.casefold(): name for name in strong}
        words = [re.escape(name) for name in self.exact if not is_telling(name) and not name.isdigit()]
        cells = "|".join(words)
        self._cells = re.compile(rf"(?:>|\| )(?:{cells})(?:<| \|)".encode()) if words else None

    def find(self, text: Any, naming: bool = False) -> str | None:
        """Return the name that is in a text, if one is; `naming`: the text stands where names belong."""
        if not isinstance(text, str):
            return None
        known = self._folded if naming else self._telling
        if (name := known.get(text.casefold())) is not None:
            return name
        found = None if self._pattern is None else self._pattern.search(text)
        return None if found is None else found[0]

    def find_bytes(self, data: bytes | mmap.mmap, binary: bool = False) -> str | None:
        """Return the name that is in the bytes of a file that is no table, if one is.

        Any three characters are found in a megabyte of `binary` data by chance, so that short names are left out there.
        """
        for pattern in (self._chance,) if binary else (self._bytes, self._cells):
            found = None if pattern is None else pattern.search(data)
            if found is not None:
                return bytes(found[0]).decode("utf-8", "replace").strip("<>| ")
        return None


def is_telling(name: str) -> bool:
    """Whether a name is found in running text, too; see `Names`.

    Examples
    --------
    >>> [is_telling(name) for name in ("S01", "12", "train", "p-1", "0a1b2c3d4e5f60718293")]
    [True, False, False, True, True]
    """
    letters, digits = any(c.isalpha() for c in name), any(c.isdigit() for c in name)
    return (letters and digits) or len(name) >= _LONG


def find_traces(root: Path, names: Names, skip: Iterable[Path] = ()) -> Iterator[Trace]:
    """Look through a folder and all in it, hidden files included.

    Parameters
    ----------
    root : Path
        The folder; its own name does not count.
    names : Names
        What to look for.
    skip : iterable of Path
        Files that are not looked into.
    """
    left_out = {path.absolute() for path in skip}
    for path in sorted(root.rglob("*")):
        if path.absolute() in left_out:
            continue
        naming = path.parent.name in _NAMING_FOLDERS
        if (name := names.find(path.name, naming)) is not None or (name := names.find(path.stem, naming)) is not None:
            yield Trace(path, "name", name)
        if path.is_file() and not path.is_symlink():
            yield from _in_file(path, names)


def _in_file(path: Path, names: Names) -> Iterator[Trace]:
    try:
        with path.open("rb") as f:
            head = f.read(4)
        if head == b"PAR1":
            found = list(_in_parquet(path, names))
        elif path.suffix == ".npz":
            found = list(_in_npz(path, names))
        elif path.suffix in (".json", ".jsonl"):
            found = list(_in_json(path, names))
        elif path.suffix in _TABLES:
            found = list(_in_table(path, names))
        else:
            found = list(_in_bytes(path, names))
    except (OSError, ValueError, pa.ArrowException, zipfile.BadZipFile, SchemaError, csv.Error):
        try:
            found = [*_in_bytes(path, names), Trace(path, "unreadable", "")]
        except OSError:
            found = [Trace(path, "unreadable", "")]
    seen: set[tuple[str, str]] = set()
    for trace in found:
        if (trace.where, trace.name) not in seen:
            seen.add((trace.where, trace.name))
            yield trace


def _in_parquet(path: Path, names: Names) -> Iterator[Trace]:
    with pq.ParquetFile(path) as file:
        for key, value in (file.metadata.metadata or {}).items():
            if key == b"ARROW:schema":
                continue
            text = value.decode("utf-8", "replace")
            if (name := _in_json_text(text, names)) is not None:
                yield Trace(path, "metadata", name)
        columns = [field.name for field in file.schema_arrow if _has_text(field.type)]
        for batch in file.iter_batches(columns=columns) if columns else ():
            for column in columns:
                for text in _texts(batch.column(column)):
                    if (name := names.find(text, column in _NAMING)) is not None:
                        yield Trace(path, f"column {column}", name)


def _has_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _has_text(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_has_text(field.type) for field in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _has_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _texts(array: pa.Array) -> Iterator[Any]:
    """Every text in a column, words that no row uses included."""
    if pa.types.is_dictionary(array.type):
        yield from _texts(array.dictionary)
    elif pa.types.is_struct(array.type):
        for part in array.flatten():
            if _has_text(part.type):
                yield from _texts(part)
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        yield from array.unique().to_pylist()
    else:
        yield from _texts(array.values)


def _in_npz(path: Path, names: Names) -> Iterator[Trace]:
    with zipfile.ZipFile(path) as z:
        for member in z.namelist():
            if (name := names.find(member.removesuffix(".npy"))) is not None:
                yield Trace(path, "arrays' names", name)
    for key, array in read_npz(path).items():
        if array.dtype.kind in "US":
            for text in np.unique(array).astype(str).tolist():
                if (name := names.find(text, key in _NAMING) or _in_json_text(text, names)) is not None:
                    yield Trace(path, f"array {key}", name)


def _in_json(path: Path, names: Names) -> Iterator[Trace]:
    text = path.read_text("utf-8")
    for piece in text.splitlines() if path.suffix == ".jsonl" else [text]:
        if (name := _in_json_text(piece, names)) is not None:
            yield Trace(path, "text", name)


def _in_json_text(text: str, names: Names) -> str | None:
    try:
        value = json.loads(text)
    except ValueError:
        return names.find(text)
    return next((name for each, naming in _strings(value) if (name := names.find(each, naming)) is not None), None)


def _strings(value: Any, naming: bool = False) -> Iterator[tuple[str, bool]]:
    """Every text in JSON, and whether it stands where names belong."""
    if isinstance(value, str):
        yield value, naming
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key, False
            yield from _strings(each, key in _NAMING)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, naming)


def _in_table(path: Path, names: Names) -> Iterator[Trace]:
    with path.open(encoding="utf-8-sig", newline="") as f:
        columns: list[str] = []
        for row in csv.reader(f, delimiter=_TABLES[path.suffix]):
            if not columns:
                columns = row
            for at, cell in enumerate(row):
                column = columns[at] if at < len(columns) else str(at)
                if (name := names.find(cell, column in _NAMING)) is not None:
                    yield Trace(path, f"column {column}", name)


def _in_bytes(path: Path, names: Names) -> Iterator[Trace]:
    if not path.stat().st_size:
        return
    with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[: len(_PNG)] == _PNG:
            name = names.find_bytes(b" ".join(_png_texts(data)))
        elif _is_text(data[:65_536]):
            name = names.find_bytes(_PICTURE.sub(b"", data[:]))
        else:
            name = names.find_bytes(data, binary=True)
    if name is not None:
        yield Trace(path, "text", name)


def _is_text(start: bytes) -> bool:
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as err:
        return err.start > len(start) - 4  # a letter that the cut went through
    return b"\0" not in start


def _png_texts(data: mmap.mmap) -> Iterator[bytes]:
    """Yield the text chunks of a picture: in its pixels, any short name is found by chance."""
    at = len(_PNG)
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        if kind == b"zTXt":
            with suppress(zlib.error):
                body += zlib.decompress(body.partition(b"\0")[2][1:])
        if kind.endswith(b"Xt"):
            yield body
        at += 12 + length
