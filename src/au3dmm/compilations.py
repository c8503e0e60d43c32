"""Keep what numba has compiled where it can be kept, and forget it when the code has changed.

numba knows a compiled function by the file it stands in, not by the functions it calls: after an update of one file it
would go on running, within functions of the others, what that file used to say.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_MARK = ".compiled-from"


def prepare() -> None:
    """Choose a place for compiled functions, and forget those of other sources; called before numba is imported."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    if os.access(_PACKAGE, os.W_OK):
        _forget_stale()
    elif not os.access(os.path.expanduser("~"), os.W_OK):
        # installed in a read-only place and used by someone without a home: numba would have nowhere to go
        folder = tempfile.mkdtemp(prefix="au3dmm-numba-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = folder


def _forget_stale() -> None:
    digest = hashlib.sha256()
    compiled = []
    for path, stat in sorted(_files(_PACKAGE), key=lambda pair: pair[0]):
        if path.endswith((".nbi", ".nbc")):
            compiled.append(path)
        elif path.endswith(".py"):
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    mark = os.path.join(_PACKAGE, "__pycache__", _MARK)
    try:
        with open(mark, encoding="ascii") as f:
            if f.read() == digest.hexdigest():
                return
    except (OSError, UnicodeDecodeError):
        pass
    for path in compiled:
        try:
            os.unlink(path)
        except OSError:
            return  # somebody else's, or in use; the mark stays as it is, so that it is tried again
    try:
        os.makedirs(os.path.dirname(mark), exist_ok=True)
        with open(f"{mark}.{os.getpid()}", "w", encoding="ascii") as f:
            f.write(digest.hexdigest())
        os.replace(f"{mark}.{os.getpid()}", mark)
    except OSError:
        return


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    for entry in os.scandir(folder):
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.name.endswith((".py", ".nbi", ".nbc")):
                yield entry.path, entry.stat()
        except FileNotFoundError:  # removed meanwhile by another process that does the same
            continue
