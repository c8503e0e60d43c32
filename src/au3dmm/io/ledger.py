"""`stage.json`: the record of what each stage wrote and what that was made from, so that work is not done twice."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import au3dmm
from au3dmm.errors import OutputError
from au3dmm.io.atomic import write_bytes
from au3dmm.io.hashing import sha256_file, sha256_written

log = logging.getLogger(__name__)


def is_entry(entry: Any) -> bool:
    """Whether a value read from `stage.json` has the shape of a stage's record."""
    outputs = entry.get("outputs") if isinstance(entry, dict) else None
    return isinstance(outputs, dict) and all(isinstance(said, dict) for said in outputs.values())


class Ledger:
    """`stage.json`: what each stage's outputs were made from, and their sha256.

    A file that cannot be read is as good as none, with a warning: then everything is made again.

    Parameters
    ----------
    path : Path
        The file, which need not be there.
    order : sequence of str
        Names of stages, in the order they are written.

    Attributes
    ----------
    entries : dict
        Record of each stage.
    """

    def __init__(self, path: Path, order: Sequence[str]) -> None:
        self.path = path
        self._order = tuple(order)
        self.entries: dict[str, Any] = {}
        try:
            data = json.loads(path.read_text())
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            # it is only a record of work done: without it the work is done again
            log.warning("%s cannot be read; every stage runs again", path)
            return
        stages = data.get("stages") if isinstance(data, dict) and data.get("format_version") == 1 else None
        if not isinstance(stages, dict):
            log.warning("%s is not a record of stages; every stage runs again", path)
            return
        self.entries = {name: entry for name, entry in stages.items() if is_entry(entry)}

    def is_current(self, name: str, mark: str, outputs: Mapping[str, Path]) -> bool:
        """Whether a stage's outputs are those that were made with this fingerprint."""
        entry = self.entries.get(name)
        return entry is not None and entry.get("fingerprint") == mark and self._damage(entry, outputs) is None

    def why(
        self,
        name: str,
        mark: str,
        version: int,
        params: Mapping[str, Any],
        read: Mapping[str, str],
        outputs: Mapping[str, Path],
    ) -> str | None:
        """Return why a stage's outputs are not up to date, in words; None if they are.

        Parameters
        ----------
        name : str
            The stage.
        mark, version, params, read
            Its fingerprint, and what that follows from.
        outputs : dict
            Where its outputs should be.
        """
        entry = self.entries.get(name)
        if entry is None:
            return "not done yet"
        if entry.get("fingerprint") == mark:
            return self._damage(entry, outputs)
        if entry.get("version") != version:
            return f"version {entry.get('version')} of the stage made it, now {version}"
        before = entry.get("params")
        changed = [k for k in sorted(params) if before.get(k) != params[k]] if isinstance(before, dict) else []
        if changed:
            return "changed: " + ", ".join(f"{k} = {params[k]}, was {before.get(k)}" for k in changed)
        inputs = entry.get("inputs")
        if isinstance(inputs, dict):
            changed = sorted(k for k in read if inputs.get(k) != read[k])
            return "changed: " + ", ".join(k.partition(":")[2] or k for k in changed)
        return "something it is made from has changed"

    def _damage(self, entry: Mapping[str, Any], outputs: Mapping[str, Path]) -> str | None:
        for key, path in outputs.items():
            said = entry.get("outputs", {}).get(key, {})
            if said.get("file") != path.name or not path.is_file():
                return f"{path.name} is missing"
            if sha256_file(path) != said.get("sha256"):
                return f"{path.name} was changed since"
        return None

    def summary(self, name: str) -> dict[str, Any]:
        """Return the numbers that a stage reported."""
        return dict(self.entries[name].get("summary", {}))

    def forget(self, name: str, folder: Path, kept: Mapping[str, Path] | None = None) -> None:
        """Forget a stage and remove what it wrote, but for what it is about to write again."""
        entry = self.entries.pop(name, None)
        if entry is None:
            return
        stay = {path.name for path in (kept or {}).values()}
        for said in entry["outputs"].values():
            file = said.get("file")
            if (
                isinstance(file, str) and file == Path(file).name and file not in stay
            ):  # frames of another representation
                (folder / file).unlink(missing_ok=True)
        self._write()

    def record(
        self,
        name: str,
        version: int,
        mark: str,
        outputs: Mapping[str, Path],
        summary: Mapping[str, Any],
        params: Mapping[str, Any],
        read: Mapping[str, str],
    ) -> None:
        """Note what a stage has written.

        Raises
        ------
        OutputError
            If an output is not there, or the ledger cannot be written.
        """
        missing = [str(path) for path in outputs.values() if not path.is_file()]
        if missing:
            raise OutputError(f"stage {name} wrote no {', '.join(missing)}")
        self.entries[name] = {
            "fingerprint": mark,
            "version": version,
            "params": dict(params),
            "inputs": dict(read),
            "outputs": {key: {"file": p.name, "sha256": sha256_written(p)} for key, p in outputs.items()},
            "summary": dict(summary),
        }
        self._write()

    def _write(self) -> None:
        # a line per stage: indented JSON is written by a slow part of the library, five times per session
        lines = [
            f"{json.dumps(name)}: {json.dumps(self.entries[name], sort_keys=True, ensure_ascii=False)}"
            for name in self._order
            if name in self.entries
        ]
        head = f'"format_version": 1,\n"package": "au3dmm {au3dmm.__version__}",\n"stages": '
        text = "{\n" + head + "{\n " + ",\n ".join(lines) + "\n}\n}\n"
        # lost in a power cut, or older than the files: then their sha256 are others, and the work is done again
        write_bytes(self.path, text.encode(), flush=False)
