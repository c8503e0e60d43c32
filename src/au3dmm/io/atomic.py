"""Write files whole or not at all, and keep two runs off one folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from au3dmm.errors import BusyError, OutputError, os_reason

_TMP_PREFIX, _TMP_SUFFIX = ".", ".writing"
_LOOK_S = 0.02


def temporary_name(path: Path) -> Path:
    """Return the name under which `path` is written before it is renamed (same folder, so the rename is atomic).

    Examples
    --------
    >>> temporary_name(Path("a/labels.parquet")).as_posix()
    'a/.labels.parquet.writing'
    """
    return path.with_name(f"{_TMP_PREFIX}{path.name}{_TMP_SUFFIX}")


@contextmanager
def atomic_path(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path; on success fsync it and rename it to `path`, on any failure remove it.

    A link at `path` is replaced, not what it points to. Without `flush` a power cut may take the file or leave an
    empty one (a killed process does not): for records whose loss costs only time.

    Raises
    ------
    OutputError
        If the folder or file cannot be written (read-only, disk full), or there is a pipe or a device.
    """
    _check_kind(path)
    tmp = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp.unlink(missing_ok=True)
        yield tmp
        if flush:
            with tmp.open("rb+") as f:
                os.fsync(f.fileno())
        os.replace(tmp, path)
        if flush:
            _sync_folder(path.parent)
    except OSError as err:
        _remove(tmp)
        # `filename` is set and elsewhere when the body failed to read something: that is not our news to tell
        if err.filename is not None and Path(os.fsdecode(err.filename)) not in (tmp, path, *path.parents):
            raise
        raise OutputError(
            f"{path}: cannot be written: {os_reason(err)}; nothing was left half-written; mend that and run again"
        ) from err
    except BaseException:
        _remove(tmp)
        raise


def _check_kind(path: Path) -> None:
    """Refuse to put a file in the place of what is none: /dev/null, for one, is there for others, too."""
    try:
        mode = path.stat().st_mode
    except OSError:  # nothing there, or a link to nothing; what else is wrong is told when it is written
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise OutputError(f"{path}: {kind}, which a file cannot take the place of; give the name of a file")


def write_bytes(path: Path, data: bytes, flush: bool = True) -> None:
    """Write `data` to `path` atomically; see `atomic_path`."""
    with atomic_path(path, flush) as tmp:
        tmp.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, so that equal values give equal bytes."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove temporary files that a killed run left in `folder`; return what was removed.

    Call it only while holding `folder_lock`: the names are shared by all runs.
    """
    gone = sorted(folder.glob(f"{_TMP_PREFIX}*{_TMP_SUFFIX}"))
    for tmp in gone:
        tmp.unlink(missing_ok=True)
    return gone


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on `folder` (created if needed); the kernel drops it if the process is killed.

    Raises
    ------
    OutputError
        If another process holds it, or the folder cannot be written.
    """
    with _lock(folder / ".lock", folder, "another folder with --out DIR"):
        yield


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file that is to be written, and may not exist yet; leaves nothing behind.

    Raises
    ------
    OutputError
        If another process holds it, its folder cannot be written, or there is a pipe or a device.
    """
    _check_kind(path)
    lock = path.with_name(f"{_TMP_PREFIX}{path.name}.lock")
    while True:
        with _lock(lock, path, "another place for it") as handle:
            if not _is_at(lock, handle):  # removed by the one who held it while we opened it: it locks nobody out
                continue
            try:
                yield
            finally:
                _remove(lock)
            return


@contextmanager
def patient_lock(path: Path, patience_s: float = 60.0) -> Iterator[None]:
    """Hold `file_lock`; while another process holds it, wait. For files that many runs write, each for a moment.

    Raises
    ------
    BusyError
        If it is still held after `patience_s`.
    OutputError
        If its folder cannot be written.
    """
    until = time.monotonic() + patience_s
    while True:
        lock = file_lock(path)
        try:
            lock.__enter__()
        except BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(_LOOK_S)
            continue
        break
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


@contextmanager
def _lock(lock: Path, what: Path, way_out: str) -> Iterator[IO[str]]:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("a")
    except OSError as err:
        raise OutputError(f"{what}: cannot be written: {os_reason(err)}; choose {way_out}") from err
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise BusyError(f"{what}: another au3dmm is working on it; wait for it") from err
        except OSError as err:
            raise OutputError(
                f"{what}: cannot be locked: {os_reason(err)}; choose {way_out}, on another file system"
            ) from err
        yield handle


def _is_at(path: Path, handle: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


def _remove(tmp: Path) -> None:
    try:
        tmp.unlink(missing_ok=True)
    except OSError:  # the folder itself may be gone or read-only; the first error is the one to report
        return


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as err:
        # some file systems cannot flush a folder; the file itself is flushed and in place
        if err.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)
