"""Keep what numba compiles in a folder of its own for each state of our sources.

numba knows a compiled function by the file it stands in, not by the functions it calls: after an update of one file it
would go on running, within functions of the others, what that file used to say. A process that was started before the
update keeps its own folder, and so cannot leave old code to those started after it.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_ROOMS = ("core", "io", "synthetic")  # where compiled functions are
_PREFIX = "au3dmm-numba-"
_IMPORT = re.compile(rb"^\s*from au3dmm\.([\w.]+) import (\([^)]*\)|.*)$", re.MULTILINE)
_NAME = re.compile(rb"\w+")
_KEPT_S = 30 * 24 * 3600


def prepare() -> None:
    """Tell numba where to keep compiled functions; called before it is imported."""
    folder = _home()
    name = _PREFIX + _digest()
    place = os.path.join(folder, name)
    os.environ["NUMBA_CACHE_DIR"] = place
    if "numba" in sys.modules:  # it has read its environment already
        sys.modules["numba"].config.CACHE_DIR = place
    _remove_old(folder, name)


def _home() -> str:
    """Return the folder of those folders: the user's choice, beside the sources, in the user's home, or a new one."""
    chosen = os.environ.get("NUMBA_CACHE_DIR", "")
    if os.path.basename(chosen).startswith(_PREFIX):  # of the process that started this one
        return os.path.dirname(chosen)
    for folder in (chosen, os.path.join(_PACKAGE, "__pycache__"), os.path.expanduser("~/.cache/au3dmm")):
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    folder = tempfile.mkdtemp(prefix="au3dmm-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _digest() -> str:
    """Return a hash of every source that compiled code may have come from."""
    texts = {path: text for room in _ROOMS for path, text in _sources(os.path.join(_PACKAGE, room))}
    digest = hashlib.sha256()
    for path in sorted(_reached(texts)):
        digest.update(path.encode() + b"\0" + texts[path] + b"\0")
    return digest.hexdigest()[:16]


def _sources(folder: str) -> Iterator[tuple[str, bytes]]:
    for entry in os.scandir(folder):
        if entry.name.endswith(".py"):
            with open(entry.path, "rb") as f:
                yield entry.path, f.read()
        elif entry.name != "__pycache__" and entry.is_dir(follow_symlinks=False):
            yield from _sources(entry.path)


def _reached(texts: Mapping[str, bytes]) -> set[str]:
    """Return the sources that hold compiled functions, and all that they import: those may hold their constants."""
    left = [path for path, text in texts.items() if b"njit" in text]
    reached: set[str] = set()
    while left:
        path = left.pop()
        if path in reached or path not in texts:
            continue
        reached.add(path)
        for module, names in _IMPORT.findall(texts[path]):
            parts = module.decode().split(".")
            for more in ((), *((name.decode(),) for name in _NAME.findall(names))):
                place = os.path.join(_PACKAGE, *parts, *more)
                left += [f"{place}.py", os.path.join(place, "__init__.py")]
    return reached


def _remove_old(folder: str, name: str) -> None:
    """Remove what sources of long ago were compiled to."""
    for entry in os.scandir(folder):
        if entry.name.startswith(_PREFIX) and entry.name != name:
            try:
                if time.time() - entry.stat().st_mtime > _KEPT_S:
                    shutil.rmtree(entry.path, ignore_errors=True)
            except OSError:
                continue
