"""Find the pipeline that a user means: a file, a shipped one by its name, or values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from au3dmm.config import PipelineParams, load_pipeline
from au3dmm.errors import ConfigError
from au3dmm.io.assets import pipeline_file

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
