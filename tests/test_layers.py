"""The rooms of the code as a table: who may import whom, and which library lives where."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "au3dmm"

# a room may import the rooms named here (and itself); changing this is a design decision (docs/decisions.md)
MAY_IMPORT = {
    "errors": set(),
    "core": {"errors"},
    "config": {"errors"},
    "io": {"core", "config", "errors"},
    "detectors": {"io", "core", "config", "errors"},
    "simulation": {"synthetic", "io", "core", "config", "errors"},
    "synthetic": {"executors", "io", "core", "errors"},
    "stages": {"detectors", "executors", "io", "core", "config", "errors"},
    "report": {"io", "core", "errors"},
    "models": set(),
    "training_config": {"config", "errors"},
    "training": {"models", "evaluation", "training_config", "io", "core", "config", "errors"},
    "evaluation": {"io", "core", "errors"},
    "executors": {"errors"},
    "pipeline": {"executors", "stages", "report", "io", "config", "errors"},
    "basis_building": {"stages", "report", "io", "core", "config", "errors"},
    "api": {"pipeline", "executors", "stages", "report", "basis_building", "io", "core", "config", "errors"},
    "validation": {"io", "core", "config", "errors"},
    "exports": {"io", "core", "config", "errors"},
    "forgetting": {"stages", "exports", "report", "io", "core", "config", "errors"},
    "doctor": {"detectors", "io", "config", "errors"},
    "discovery": {"io", "config", "errors"},
    "adapters": {"discovery", "io", "config", "errors"},
    "cli": {
        *{"api", "basis_building", "pipeline", "validation", "doctor", "discovery", "adapters", "synthetic", "report"},
        *{"executors", "exports", "forgetting", "training", "training_config", "evaluation"},
        *{"io", "config", "errors"},
    },
    "__main__": {"cli"},
    "__init__": {"api", "compilations"},
    "compilations": set(),
}

# libraries that only these rooms (or files) may import
PINNED = {
    "dask": {"executors"},
    "distributed": {"executors"},
    "click": {"cli"},
    "rich": {"cli"},
    "pyarrow": {"io", "stages", "api", "validation", "exports"},
    "trimesh": {"io"},
    "av": {"io"},
    "cv2": {"io", "detectors", "report"},
    "torch": {"detectors", "doctor", "models", "training"},
    "onnx": {"models/export.py"},
    "onnxscript": {"models/export.py"},
    "face_alignment": {"detectors/face_alignment.py"},
    "ai_edge_litert": {"detectors"},
    "pydantic": {"config", "training_config", "io"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "threadpoolctl": {"core"},
    "rerun": {"report/rerun_recording.py"},
    "h5py": {"io"},
    "hdf5plugin": {"io"},
}


def files():
    return sorted(SRC.rglob("*.py"))


def room_of(path):
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write it whole"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SRC)))
def test_imports_point_down(path):
    room = room_of(path)
    assert room in MAY_IMPORT, f"{path}: a new room; give it a line in MAY_IMPORT and in docs/decisions.md"
    for name, line in imports_of(path):
        parts = name.split(".")
        if parts[0] != "au3dmm" or len(parts) == 1:
            continue
        other = parts[1]
        if other in ("__version__", "au3dmm"):
            continue
        assert other == room or other in MAY_IMPORT[room], f"{path}:{line}: {room} must not import {other}"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SRC)))
def test_libraries_stay_in_their_rooms(path):
    relative = path.relative_to(SRC).as_posix()
    for name, line in imports_of(path):
        allowed = PINNED.get(name.split(".")[0])
        if allowed is not None:
            ok = relative in allowed or room_of(path) in allowed
            assert ok, f"{path}:{line}: {name} belongs to {', '.join(sorted(allowed))}"


def test_core_touches_no_files_and_logs_nothing():
    for path in (SRC / "core").glob("*.py"):
        for name, line in imports_of(path):
            library = name.split(".")[0]
            assert library not in {"pathlib", "os", "logging", "json"}, f"{path}:{line}: core imports {library}"


def test_files_stay_small():
    long = {str(p.relative_to(SRC)): n for p in files() if (n := len(p.read_text().splitlines())) > 450}
    assert not long, f"files with more than one job? {long}"
