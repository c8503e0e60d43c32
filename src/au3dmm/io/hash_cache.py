"""Remember hashes of files that have not changed, so that a second look at thousands of recordings takes seconds.

A file counts as unchanged while its size, inode, and times of modification and of status change are the same: an edit
that keeps the size and puts the modification time back still moves the time of status change.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from au3dmm.io.atomic import patient_lock, write_bytes

# a file that changed this recently may change again within one tick of the file system's clock
_TICK_NS = 20_000_000
_VERSION = 1

Entry = list[Any]
"""``[size, inode, mtime_ns, ctime_ns, digest]``."""


class HashCache:
    """Hashes by kind and absolute path."""

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        self.entries: dict[str, Entry] = dict(entries or {})
        self._news: dict[str, Entry] = {}

    def digest(self, kind: str, path: Path, compute: Callable[[], str]) -> str:
        """Return the hash that is remembered for an unchanged file, or `compute` it and remember it.

        Parameters
        ----------
        kind : str
            What sort of hash: one file may have several.
        path : Path
            The file.
        compute : callable
            Reads the file.
        """
        key = f"{kind}:{os.path.abspath(path)}"
        before = file_state(path)
        known = self.entries.get(key)
        if known is not None and before == known[:4]:
            return str(known[4])
        digest = compute()
        if before is not None and before == file_state(path) and is_settled(before):
            self.add({key: [*before, digest]})
        return digest

    def wrote(self, kind: str, path: Path, digest: str) -> None:
        """Remember the hash of a file that was written a moment ago by the one who holds its lock."""
        state = file_state(path)
        if state is not None:
            self.add({f"{kind}:{os.path.abspath(path)}": [*state, digest]})

    def add(self, entries: Mapping[str, Entry]) -> None:
        """Take over what another process found."""
        self.entries.update(entries)
        self._news.update(entries)

    def news(self) -> dict[str, Entry]:
        """Return what was added since the last call."""
        news, self._news = self._news, {}
        return news


def file_state(path: Path) -> Entry | None:
    """Return ``[size, inode, mtime_ns, ctime_ns]``, which change when the file does; None if there is none."""
    try:
        said = os.stat(path)
    except OSError:
        return None
    return [said.st_size, said.st_ino, said.st_mtime_ns, said.st_ctime_ns]


def is_settled(state: Entry) -> bool:
    """Whether a file of this state changed long enough ago that another change would be seen."""
    return bool(time.time_ns() - state[3] > _TICK_NS)


_active: HashCache | None = None


def active_cache() -> HashCache | None:
    """Return the cache in use; None: every hash is computed."""
    return _active


@contextmanager
def remembered_hashes(cache: HashCache) -> Iterator[HashCache]:
    """Let the functions of `au3dmm.io.hashing` use `cache`."""
    global _active
    before, _active = _active, cache
    try:
        yield cache
    finally:
        _active = before


def read_cache(path: Path) -> HashCache:
    """Read a cache; one that is missing or damaged is empty: it only saves time."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return HashCache()
    entries = data.get("hashes") if isinstance(data, dict) and data.get("version") == _VERSION else None
    if not isinstance(entries, dict):
        return HashCache()
    good = {k: e for k, e in entries.items() if isinstance(e, list) and len(e) == 5 and isinstance(e[4], str)}
    return HashCache(good)


def write_cache(path: Path, cache: HashCache) -> None:
    """Add to a cache file what was learnt since it was read; other runs may have added to it meanwhile.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    news = cache.news()
    if not news:
        return
    with patient_lock(path):
        entries = {**read_cache(path).entries, **news}
        write_bytes(path, json.dumps({"version": _VERSION, "hashes": entries}).encode())
