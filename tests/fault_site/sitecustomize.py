"""Does harm in every Python process that has this folder on its path, as the variable ``AU3DMM_FAULT`` says.

It is JSON: ``kind`` and what belongs to it.

``enospc``: from the `at`-th call of ``os.fsync`` or ``os.replace`` on, over all processes, the disk is full; with
`once` only that call fails.
``memory``: one session's stage asks for `n_bytes`.
``kill``: one session's stage kills its process; with `once` (a file) only the first time.
``clock``: the clock jumps by `by_s` when tasks begin.
``slow``: every stage takes `seconds` longer.
``account``: no harm; each process keeps a file in `folder` with the processor seconds of its stages, and of the whole.
"""

from __future__ import annotations

import errno
import functools
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import time

STAGES = ("detect", "identity", "fit", "sync", "frames", "align")


def _count(path):
    """Return how many calls there have been, this one included, over all processes."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, b".")
        return os.lseek(fd, 0, os.SEEK_CUR)
    finally:
        os.close(fd)


def _disk_full(fault):
    def wrapped(call):
        @functools.wraps(call)
        def wrapper(*args, **kwargs):
            n = _count(fault["counter"])
            if n == fault["at"] or (n > fault["at"] and not fault.get("once")):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*args, **kwargs)

        return wrapper

    os.fsync, os.replace = wrapped(os.fsync), wrapped(os.replace)


def _harm(fault, stage, paths):
    """Harm the stage of one session, known by the folder that it writes to."""
    if fault["kind"] == "slow":
        time.sleep(fault["seconds"])
        return
    if stage != fault["stage"] or not any(getattr(p, "parent", p) and _of(p) == fault["session"] for p in paths):
        return
    if fault["kind"] == "memory":
        bytearray(fault["n_bytes"])
    elif not fault.get("once") or not os.path.exists(fault["once"]):
        if fault.get("once"):
            with open(fault["once"], "w"):
                pass
        os.kill(os.getpid(), signal.SIGKILL)


def _of(path):
    return os.path.basename(os.path.dirname(os.fspath(path))) if isinstance(path, os.PathLike) else None


def _account(fault):
    spent = {}

    def loaded(module):
        run, stage = module.run, module.__name__.rpartition(".")[2]

        @functools.wraps(run)
        def wrapper(*args, **kwargs):
            began = time.process_time()
            try:
                return run(*args, **kwargs)
            finally:
                spent[stage] = spent.get(stage, 0.0) + time.process_time() - began
                spent["all"] = time.process_time()
                with open(os.path.join(fault["folder"], f"{os.getpid()}.json"), "w") as file:
                    json.dump(spent, file)

        module.run = wrapper

    sys.meta_path.insert(0, _Hook([f"au3dmm.stages.{stage}" for stage in (*STAGES, "consolidate")], loaded))


class _Hook(importlib.abc.MetaPathFinder):
    """Calls back once a module has been loaded."""

    def __init__(self, names, loaded):
        self._names, self._loaded = set(names), loaded

    def find_spec(self, name, path, target=None):
        if name not in self._names:
            return None
        self._names.discard(name)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            self._loaded(module)

        spec.loader.exec_module = exec_module
        return spec


def _harm_stages(fault):
    def loaded(module):
        run, stage = module.run, module.__name__.rpartition(".")[2]

        @functools.wraps(run)
        def wrapper(*args, **kwargs):
            _harm(fault, stage, kwargs.values())
            return run(*args, **kwargs)

        module.run = wrapper

    sys.meta_path.insert(0, _Hook([f"au3dmm.stages.{stage}" for stage in STAGES], loaded))


def _move_clock(fault):
    seconds, nanoseconds = time.time, time.time_ns

    def loaded(module):
        # not before: compiled code of long ago would be removed, as if a year had passed
        time.time = lambda: seconds() + fault["by_s"]
        time.time_ns = lambda: nanoseconds() + int(fault["by_s"] * 1e9)

    sys.meta_path.insert(0, _Hook(["au3dmm.pipeline.tasks"], loaded))


if "AU3DMM_FAULT" in os.environ:
    _fault = json.loads(os.environ["AU3DMM_FAULT"])
    {"enospc": _disk_full, "clock": _move_clock, "account": _account}.get(_fault["kind"], _harm_stages)(_fault)
