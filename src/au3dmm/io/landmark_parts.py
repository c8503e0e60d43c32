"""What a detection has done of a long recording: parts of its table beside the table, until it is whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from au3dmm.errors import OutputError, os_reason
from au3dmm.io.atomic import remove_leftovers, write_bytes
from au3dmm.io.tables import METADATA_KEY

_SUFFIX = ".arrow"


def parts_folder(landmarks: Path) -> Path:
    """Return where the parts of a table lie.

    Examples
    --------
    >>> parts_folder(Path("s01/landmarks.parquet")).as_posix()
    's01/.landmarks.parts'
    """
    return landmarks.with_name(f".{landmarks.stem}.parts")


@dataclass(frozen=True)
class Part:
    """Consecutive rows of a table, and what is needed to go on after them.

    Attributes
    ----------
    table : pyarrow.Table
        The rows.
    state : dict
        Plain values.
    """

    table: pa.Table
    state: dict[str, Any]


def subject_of_parts(folder: Path) -> str | None:
    """Return whose parts are left below a session's folder: of a run that was killed, and not run again."""
    for path in sorted(folder.glob(f".*.parts/*{_SUFFIX}")):
        try:
            said = json.loads((pa.ipc.open_file(path.read_bytes()).schema.metadata or {})[METADATA_KEY])
            return str(said["state"]["subject_id"])
        except (OSError, pa.ArrowException, ValueError, KeyError):
            continue
    return None


class LandmarkParts:
    """The parts of one table, numbered from 0. A part is a file of Arrow's IPC format whose name holds its sha256.

    A part appears under its name when it is whole, so there is no list of parts that could disagree with them. Parts
    that were made with other parameters, inputs, weights, devices or libraries are never mixed: each holds the mark of
    what made it.

    Parameters
    ----------
    folder : Path
        Where the parts are; it need not exist. Whoever uses it holds the lock on the table's folder.
    mark : str
        Fingerprint of what makes the rows.

    Attributes
    ----------
    last : Part or None
        The last part, once `load` or `append` have seen it.
    n : int
        Parts that are there.
    dropped : int
        Parts that `load` found and removed.
    """

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder, self.mark = folder, mark
        self.last: Part | None = None
        self.n = self.dropped = 0
        self._paths: list[Path] = []

    def load(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Yield the tables of all parts from the first on that are whole and have the mark; remove all other files.

        A part that is damaged, or stands after one that is missing, is none.
        """
        if not self.folder.is_dir():
            return
        try:
            remove_leftovers(self.folder)
            while True:
                found = sorted(self.folder.glob(f"{self.n:06}.*{_SUFFIX}"))
                read = [(path, part) for path in found if (part := self._read(path, schema)) is not None]
                if not read:
                    break
                path, self.last = read[0]
                self._paths.append(path)
                self.n += 1
                yield self.last.table
            for path in self.folder.iterdir():
                if path not in self._paths:
                    path.unlink()
                    self.dropped += path.suffix == _SUFFIX
        except OSError as err:
            raise OutputError(
                f"{self.folder}: parts of an interrupted detection cannot be read: {os_reason(err)}; remove the folder"
            ) from err

    def append(self, part: Part) -> None:
        """Write the next part.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        said = json.dumps({"mark": self.mark, "part": self.n, "state": part.state}, sort_keys=True)
        table = part.table.replace_schema_metadata({METADATA_KEY: said.encode()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(table)
        data = sink.getvalue().to_pybytes()
        path = self.folder / f"{self.n:06}.{hashlib.sha256(data).hexdigest()}{_SUFFIX}"
        write_bytes(path, data)
        self._paths.append(path)
        self.last, self.n = part, self.n + 1

    def tables(self) -> Iterator[pa.Table]:
        """Yield the tables of all parts, one in memory at a time."""
        for path in self._paths:
            # a file that was right a moment ago; if it is gone now, that is told by whoever reads it
            yield pa.ipc.open_file(pa.BufferReader(path.read_bytes())).read_all().replace_schema_metadata(None)

    def remove(self) -> None:
        """Remove all parts; whatever resists is removed by the next run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, path: Path, schema: pa.Schema) -> Part | None:
        data = path.read_bytes()
        if path.name.split(".")[1] != hashlib.sha256(data).hexdigest():
            return None
        try:
            table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
            said = json.loads((table.schema.metadata or {})[METADATA_KEY])
            if said["mark"] != self.mark or said["part"] != self.n or not table.schema.equals(schema):
                return None
            return Part(table.replace_schema_metadata(None), said["state"])
        except (pa.ArrowException, ValueError, KeyError):
            return None
