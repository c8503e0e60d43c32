"""What numba compiled is forgotten when the sources change, and only then."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import au3dmm

PROGRAM = "import au3dmm; from au3dmm.io.events.time_words import ahead; print(ahead(95, 3, 100))"


def run(folder: Path) -> str:
    """Import the copy of the package in `folder`, and call a compiled function that another one calls."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_change_of_any_source_forgets_what_was_compiled(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    package = tmp_path / "au3dmm"
    shutil.copytree(Path(au3dmm.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    assert run(tmp_path) == "8"
    compiled = {path: path.stat().st_mtime_ns for path in package.rglob("*.nb[ic]")}
    assert compiled
    assert run(tmp_path) == "8"
    assert {path: path.stat().st_mtime_ns for path in package.rglob("*.nb[ic]")} == compiled
    errors = package / "errors.py"
    errors.write_text(errors.read_text() + "\n")
    assert run(tmp_path) == "8"
    assert all(not path.exists() or path.stat().st_mtime_ns != was for path, was in compiled.items())
