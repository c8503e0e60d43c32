"""What numba compiled is used again, but never after a change of what it calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import au3dmm

CALLEE = "from numba import njit\n\n\n@njit(cache=True)\ndef callee():\n    return {value}\n"
CALLER = (
    "from numba import njit\n\nfrom au3dmm.core.zz_callee import callee\n\n\n"
    "@njit(cache=True)\ndef caller():\n    return callee()\n"
)
PROGRAM = "import au3dmm; from au3dmm.core.zz_caller import caller; print(caller())"


def call(folder: Path, **variables: str) -> int:
    """Call a function of the copy in `folder` that calls another one, both compiled."""
    clean = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    where = {**clean, "PYTHONPATH": str(folder), **variables}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=folder, env=where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("chosen", [False, True])
def test_a_changed_function_takes_effect_where_it_is_called(tmp_path: Path, chosen: bool) -> None:
    package = tmp_path / "au3dmm"
    shutil.copytree(Path(au3dmm.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    variables = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")} if chosen else {}
    (package / "core" / "zz_callee.py").write_text(CALLEE.format(value=1))
    (package / "core" / "zz_caller.py").write_text(CALLER)
    assert call(tmp_path, **variables) == 1
    compiled = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ic]")}
    assert len(compiled) >= 2
    assert call(tmp_path, **variables) == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ic]")} == compiled
    (package / "core" / "zz_callee.py").write_text(CALLEE.format(value=100))
    assert call(tmp_path, **variables) == 100


def test_a_process_started_by_another_shares_its_folder(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys, au3dmm; print(os.environ['NUMBA_CACHE_DIR']);"
        " print(subprocess.run([sys.executable, '-c', 'import os, au3dmm; print(os.environ[\"NUMBA_CACHE_DIR\"])'],"
        " capture_output=True, text=True).stdout)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    one, other = done.stdout.split()
    assert one == other


def test_a_changed_constant_takes_effect_and_an_unrelated_change_compiles_nothing(tmp_path: Path) -> None:
    package = tmp_path / "au3dmm"
    shutil.copytree(Path(au3dmm.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "core" / "zz_constant.py").write_text("VALUE = 1\n")
    (package / "core" / "zz_caller.py").write_text(
        "from numba import njit\n\nfrom au3dmm.core.zz_constant import VALUE\n\n\n"
        "@njit(cache=True)\ndef caller():\n    return VALUE\n"
    )
    assert call(tmp_path) == 1
    compiled = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ic]")}
    unrelated = package / "io" / "session.py"
    unrelated.write_text(unrelated.read_text() + "\n# a remark\n")
    assert call(tmp_path) == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb[ic]")} == compiled
    (package / "core" / "zz_constant.py").write_text("VALUE = 100\n")
    assert call(tmp_path) == 100
