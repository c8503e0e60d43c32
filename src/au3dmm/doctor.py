"""What is on this machine, what is missing, and how to get it."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import au3dmm
from au3dmm.errors import AssetError, Au3dmmError
from au3dmm.io.weights import MEDIAPIPE_TASK, weights_folder, weights_status

if TYPE_CHECKING:
    from au3dmm.config import DetectParams

# what `label` imports with the default detector; its other dependencies are looked up without importing them
_NEEDED = ("numpy", "scipy", "numba", "cv2", "av", "pyarrow", "pydantic", "ai_edge_litert.interpreter")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_HOW = {
    "mediapipe": "au3dmm weights get mediapipe",
    "face_alignment": "au3dmm weights get face-alignment, or weights add with copies from where it has run",
}
_TORCH_TIMEOUT_S = 60
# In a process of its own: importing torch takes seconds, and a broken driver can hang or crash it
_ASK_TORCH = """
import json, torch
found = [{"device": "cpu", "name": "processor"}]
if torch.cuda.is_available():
    for i in range(torch.cuda.device_count()):
        found.append({"device": f"cuda:{i}", "name": torch.cuda.get_device_name(i)})
if torch.backends.mps.is_available():
    found.append({"device": "mps", "name": "Apple GPU"})
print(json.dumps(found))
"""


def examine(pipeline: str | Path | DetectParams | None = None) -> dict[str, Any]:
    """Look at everything `label` needs.

    Parameters
    ----------
    pipeline : path, name or DetectParams, optional
        A pipeline file, a shipped one by its name, or the detector and its settings; by default as `label` has them.

    Returns
    -------
    dict
        ``ready`` (whether `label` can run with these), ``detector`` (its name), ``problems`` (one line each, with what
        to do), ``versions``, ``imports``, ``detectors``, ``devices``, ``basis``, ``cpu``, ``folders``.

    Raises
    ------
    ConfigError
        If the pipeline file is missing or wrong.
    """
    imports = _imports(_NEEDED)
    # settings are read by pydantic: where it cannot be imported, that is the problem to tell
    params = None if imports.get("pydantic") else _detect_params(pipeline)
    detectors = {} if params is None else _detectors(params)
    basis = _basis()
    folders = _folders()
    problems = [f"{name} cannot be imported: {why}; install au3dmm again" for name, why in imports.items() if why]
    if params is not None:
        used = [params.detector, *([] if params.check_with == "none" else [params.check_with])]
        problems += [detectors[name]["problem"] for name in used if not detectors[name]["ready"]]
    if "error" in basis:
        problems.append(f"the shipped basis cannot be read: {basis['error']}; give one with --bases FILE")
    ready = not problems
    problems += [f"{f['path']}: not writable; {f['advice']}" for f in folders.values() if not f["writable"]]
    return {
        "ready": ready,
        "detector": None if params is None else params.detector,
        "problems": problems,
        "versions": _versions(),
        "imports": {name: why or "ok" for name, why in imports.items()},
        "detectors": detectors,
        "devices": devices(),
        "basis": basis,
        "cpu": {"cores": _cores(), "threads": {name: os.environ.get(name) for name in _THREADS}},
        "folders": folders,
    }


def devices(command: Iterable[str] = (sys.executable, "-c", _ASK_TORCH)) -> dict[str, Any]:
    """Ask torch which devices it can use.

    Parameters
    ----------
    command : iterable of str
        Prints the devices as JSON.

    Returns
    -------
    dict
        ``found``: device and name of each; ``note`` where torch could not be asked.
    """
    cpu = [{"device": "cpu", "name": "processor"}]
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, timeout=_TORCH_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"found": cpu, "note": f"torch did not answer within {_TORCH_TIMEOUT_S} s"}
    except OSError as err:
        return {"found": cpu, "note": f"torch could not be asked: {err}"}
    try:
        return {"found": json.loads(done.stdout)}
    except ValueError:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"found": cpu, "note": f"torch could not be asked: {said[-1]}"}


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"au3dmm": au3dmm.__version__, "python": platform.python_version()}
    found["system"] = f"{platform.system()} {platform.machine()}"
    try:
        requirements = importlib.metadata.requires("au3dmm") or []
    except importlib.metadata.PackageNotFoundError:  # run from a source tree that is not installed
        requirements = []
    for requirement in requirements:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _imports(names: Iterable[str]) -> dict[str, str | None]:
    """Import each module; say why it failed, or None."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            importlib.import_module(name)
            found[name] = None
        except (ImportError, OSError, RuntimeError) as err:  # a missing library of the system is an OSError
            found[name] = " ".join(str(err).split())
    return found


def _detect_params(pipeline: str | Path | DetectParams | None) -> DetectParams:
    from au3dmm.config import DetectParams, load_pipeline
    from au3dmm.io.assets import pipeline_file

    if isinstance(pipeline, DetectParams):
        return pipeline
    return DetectParams() if pipeline is None else load_pipeline(pipeline_file(pipeline)).detect


def _detectors(params: DetectParams) -> dict[str, dict[str, Any]]:
    """Say of each detector whether it could run with these settings: what `label` itself asks before it begins."""
    from au3dmm.io.weight_needs import needed_names, needed_weights

    found: dict[str, dict[str, Any]] = {}
    states = weights_status()
    for name in ("mediapipe", "face_alignment", "precomputed"):
        alone = params.model_copy(update={"detector": name, "check_with": "none"})
        needed = needed_names(alone)
        files = [weight for weight in states if weight.file in needed]
        try:
            needed_weights(alone)
            problem = None
        except AssetError as err:
            problem = str(err)
        found[name] = {
            "ready": problem is None,
            "folder": str(files[0].path.parent) if files else None,
            "weights": {weight.file: weight.state for weight in files},
            "problem": problem,
            "how": None if problem is None else _how(name, needed),
        }
    return found


def _how(name: str, needed: Iterable[str]) -> str | None:
    return "au3dmm weights add, with your face_landmarker.task" if MEDIAPIPE_TASK in needed else _HOW.get(name)


def _basis() -> dict[str, Any]:
    from au3dmm.io.assets import DEMO_BASES, asset_path
    from au3dmm.io.bases import read_bases

    try:
        path = asset_path(DEMO_BASES)
        bases = read_bases(path)
    except Au3dmmError as err:
        return {"error": str(err)}
    return {
        "path": str(path),
        "kind": bases.kind,
        "k_id": bases.k_id,
        "k_au": bases.k_au,
        "is_flame_topology": bool(bases.info.get("is_flame_topology", False)),
    }


def _cores() -> int:
    # a container or a job may be given fewer cores than the machine has
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _folders() -> dict[str, dict[str, Any]]:
    current, weights = Path.cwd(), weights_folder()
    return {
        "current": {
            "path": str(current),
            "writable": os.access(current, os.W_OK),
            "advice": "label writes beside the session, or to --out DIR",
        },
        "weights": {
            "path": str(weights),
            "writable": os.access(_existing(weights), os.W_OK),
            "advice": "set AU3DMM_WEIGHTS to a folder that is",
        },
    }


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())
