"""A folder that is written whole or not at all, and says of itself what it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from au3dmm.errors import ConfigError, OutputError, os_reason
from au3dmm.io.atomic import file_lock, write_json
from au3dmm.io.hashing import sha256_file

STAMP = "export.json"
_VERSION = 1


def read_stamp(folder: Path) -> dict[str, Any] | None:
    """Return what an export says of itself; None if the folder is none of ours."""
    try:
        value = json.loads((folder / STAMP).read_bytes())
    except (OSError, ValueError):
        return None
    if (
        not isinstance(value, dict)
        or value.get("format_version") != _VERSION
        or not isinstance(value.get("files"), dict)
    ):
        return None
    return value


def is_whole(folder: Path, stamp: Mapping[str, Any]) -> bool:
    """Whether every file of an export is there, as it was written, and no other."""
    files = stamp["files"]
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {STAMP}
    return there == set(files) and all(sha256_file(folder / name) == said for name, said in files.items())


def check_target(folder: Path) -> None:
    """Refuse to replace what is not an export.

    Raises
    ------
    ConfigError
        If `folder` is a file, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: a file; expected a folder that is empty or not there; choose another --out DIR")
    if folder.is_dir() and any(folder.iterdir()) and read_stamp(folder) is None:
        raise ConfigError(
            f"{folder}: holds something that is not an export ({min(p.name for p in folder.iterdir())}, ...); expected"
            " an empty folder or an export to replace; choose another --out DIR"
        )


@contextmanager
def replaced_folder(folder: Path, stamp: Mapping[str, Any]) -> Iterator[Path]:
    """Yield an empty folder to write into; on success it takes the place of `folder`, with `stamp` in it.

    What a killed run left beside `folder` is removed by the next one.

    Raises
    ------
    OutputError
        If something cannot be written, or another process is writing the same.
    """
    new, old = beside(folder)
    try:
        with file_lock(folder):
            for rest in (new, old):
                if rest.exists():
                    shutil.rmtree(rest)
            new.mkdir(parents=True)
            try:
                yield new
                files = {p.relative_to(new).as_posix(): sha256_file(p) for p in sorted(new.rglob("*")) if p.is_file()}
                write_json(new / STAMP, {"format_version": _VERSION, **stamp, "files": files})
                if folder.exists():
                    folder.rename(old)
                new.rename(folder)
                if old.exists():
                    shutil.rmtree(old)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
    except OSError as err:
        raise OutputError(
            f"{folder}: cannot be written: {os_reason(err)}; nothing was left half-written; mend that and run again"
        ) from err


def beside(folder: Path) -> tuple[Path, Path]:
    """Return where an export is written, and where the one before waits to be removed."""
    return folder.with_name(f".{folder.name}.writing"), folder.with_name(f".{folder.name}.old")
