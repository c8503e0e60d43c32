"""Find the pipeline that a user means: a file, a shipped one by its name, or values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from au3dmm.config import PipelineParams, load_pipeline
from au3dmm.errors import ConfigError
from au3dmm.io.assets import asset_path

DEFAULT_PIPELINE = "label"


def chosen_pipeline(
    pipeline: str | Path | PipelineParams | None,
    detector: str | None,
    sync: str | None,
    check_with: str | None = None,
) -> tuple[str, PipelineParams]:
    """Return the name and the values of a pipeline, with the detectors and the clock's method that win over it.

    Raises
    ------
    ConfigError
        If there is no such pipeline, or it is given as values and something is to win over them.
    """
    overrides: dict[str, dict[str, Any]] = {}
    if detector is not None:
        overrides["detect"] = {"detector": detector.replace("-", "_")}
    if check_with is not None:
        overrides.setdefault("detect", {})["check_with"] = check_with.replace("-", "_")
    if sync is not None:
        overrides["sync"] = {"method": sync}
    if isinstance(pipeline, PipelineParams):
        if overrides:
            raise ConfigError("give detector and sync inside the PipelineParams, not beside them")
        return DEFAULT_PIPELINE, pipeline
    path = pipeline_file(pipeline)
    return (DEFAULT_PIPELINE if path is None else path.stem), load_pipeline(path, **overrides)


def pipeline_file(pipeline: str | Path | None) -> Path | None:
    """Return the file of a pipeline given by its path, or by the name of a shipped one."""
    path = None if pipeline is None else Path(pipeline)
    if path is None or path.suffix or path.exists():
        return path
    name = str(path)
    folder = asset_path("pipelines/label.toml").parent
    shipped = {file.stem: file for file in sorted(folder.glob("*.toml"))}
    if name not in shipped:
        raise ConfigError(f"{name}: no such pipeline file, nor one that is shipped ({', '.join(shipped)})")
    return shipped[name]
