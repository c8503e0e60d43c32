"""Say by content what a file or a set of parameters is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from au3dmm.errors import SessionError, os_reason
from au3dmm.io.hash_cache import active_cache

MIB = 1 << 20
WHOLE = 64 * MIB


def sha256_file(path: Path) -> str:
    """Return the sha256 of the whole file, in hex; within `remembered_hashes`, of an unchanged file the one known."""
    cache = active_cache()
    return _sha256(path) if cache is None else cache.digest("sha256", path, lambda: _sha256(path))


def sha256_written(path: Path) -> str:
    """Return the sha256 of a file that was written a moment ago, and remember it."""
    digest = _sha256(path)
    cache = active_cache()
    if cache is not None:
        cache.wrote("sha256", path, digest)
    return digest


def _sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def quick_hash(path: Path) -> str:
    """Return sha256 of a file: of all of it up to 64 MiB, of its size and its first and last MiB beyond.

    That notices a recording that was cut, exchanged or made again in milliseconds, but not a few bytes changed in the
    middle of a large one. Within `remembered_hashes`, an unchanged file is not read again.

    Raises
    ------
    SessionError
        If the file cannot be read.
    """
    cache = active_cache()
    return _quick(path) if cache is None else cache.digest("quick", path, lambda: _quick(path))


def _quick(path: Path) -> str:
    try:
        size = path.stat().st_size
        h = hashlib.sha256(str(size).encode())
        with path.open("rb") as f:
            if size <= WHOLE:
                h.update(f.read())
            else:
                h.update(f.read(MIB))
                f.seek(size - MIB)
                h.update(f.read(MIB))
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
    return "quick:" + h.hexdigest()


def fingerprint(stage: str, version: int, params: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return sha256 of what determines a stage's output: its name, version, parameters and inputs' fingerprints.

    Examples
    --------
    >>> a = fingerprint("fit", 1, {"sigma_px": 0.7}, {"landmarks": "x"})
    >>> a == fingerprint("fit", 1, {"sigma_px": 0.7}, {"landmarks": "x"})
    True
    >>> a == fingerprint("fit", 2, {"sigma_px": 0.7}, {"landmarks": "x"})
    False
    """
    return sha256_json({"stage": stage, "version": version, "params": dict(params), "inputs": dict(inputs)})


def sha256_json(value: Any) -> str:
    """Return sha256 of `value` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
