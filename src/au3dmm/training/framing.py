"""How the event frames were made that a model was trained on: what a stream of events must be cut into for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from au3dmm.config import FramesParams
from au3dmm.core.canvases import Canvas
from au3dmm.errors import ConfigError, FitError, SchemaError
from au3dmm.io.event_frame_table import read_event_frame_info
from au3dmm.io.event_framing import frame_canvas, frame_grid
from au3dmm.io.events.stream import EventFile
from au3dmm.io.training_labels import TrainingLabels
from au3dmm.training.checkpoints import check_labels
from au3dmm.training.pictures import RGB
from au3dmm.training_config import TrainParams


def describe_framing(labels: TrainingLabels, used: Sequence[int], params: TrainParams) -> dict[str, Any] | None:
    """Return how event frames were made, plain, for a checkpoint; None of RGB frames, or if the tables do not say.

    ``params`` of stage frames and ``sensor`` (width, height) are those of the first recording; ``period_us`` is the
    mean time from one frame to the next over all recordings that are used.
    """
    if params.data.modality == RGB:
        return None
    said = read_event_frame_info(labels.sessions[used[0]].event_frames(params.data.representation)).metadata
    if "params" not in said or "sensor" not in said:
        return None
    lasts, steps = 0, 0
    for i in used:
        rows = labels.sessions[i].rows
        if labels.sessions[i].n > 1:
            lasts += int(labels.t_us[rows][-1] - labels.t_us[rows][0])
            steps += labels.sessions[i].n - 1
    return {
        "params": dict(said["params"]),
        "sensor": [int(said["sensor"]["width"]), int(said["sensor"]["height"])],
        "period_us": round(lasts / steps) if steps else None,
    }


@dataclass(frozen=True)
class Framing:
    """How to make event frames of a file.

    Attributes
    ----------
    params : FramesParams
        With windows that need no RGB frames.
    sensor : (int, int)
        Width and height of the sensor trained on, px.
    between_rgb : bool
        Whether training's windows were those between RGB frames, for which periodic ones of the mean length stand in.
    """

    params: FramesParams
    sensor: tuple[int, int]
    between_rgb: bool

    @property
    def period_us(self) -> int:
        """From one frame to the next, us."""
        if self.params.windows == "sliding":
            return self.params.step_us
        return int(np.floor(1e6 / self.params.fps + 0.5)) if self.params.fps else self.params.accumulation_us

    def canvas(self, file: EventFile) -> tuple[Canvas, tuple[int, int]]:
        """Return what the frames of a file are drawn on, and their height and width.

        Raises
        ------
        SchemaError
            If its sensor gives frames of another shape than those trained on.
        """
        width, height = self.sensor
        try:
            found = frame_grid(file.height, file.width, self.params).shape
            expected = frame_grid(height, width, self.params).shape
            if found != expected:
                raise SchemaError(
                    f"{file.path}: a sensor of {file.width} x {file.height} px gives frames of {found[1]} x {found[0]}"
                    f" px; the model was trained on {expected[1]} x {expected[0]} px, of a sensor of {width} x {height}"
                )
            return frame_canvas(file, self.params), found
        except FitError as err:
            raise SchemaError(f"{file.path}: {err}") from err


def read_framing(path: Path, content: Mapping[str, Any], labels: TrainingLabels | None = None) -> Framing:
    """Return how event frames must be made for a checkpoint.

    Parameters
    ----------
    path, content : Path, mapping
        The checkpoint.
    labels : TrainingLabels, optional
        Of the run that it was trained on: looked at if the checkpoint does not say.

    Raises
    ------
    ConfigError
        If the model does not see event frames, or nobody says how they were made.
    SchemaError
        If what the checkpoint says is damaged, or the labels are others.
    """
    said, name = content["labels"], content["model"]["name"]
    if said["representation"] is None:
        raise ConfigError(f"{path}: {name} reads coefficients, not events; give a checkpoint of a model of frames")
    if said["representation"]["name"] == RGB:
        raise ConfigError(
            f"{path}: {name} was trained on RGB frames, which event files do not hold; give one trained with"
            " data.modality = events"
        )
    found = said.get("event_frames")
    if found is None and labels is not None:
        check_labels(path, content, labels.described())
        params = TrainParams.model_validate(content["config"])
        found = describe_framing(labels, range(len(labels.sessions)), params)
    if found is None:
        raise ConfigError(
            f"{path}: does not say how its event frames were made (trained by an older au3dmm); give --labels, the"
            " dataset or run that it was trained on"
        )
    try:
        params_of = FramesParams.model_validate(found["params"])
        between = params_of.windows == "rgb"
        if between:
            change = {"windows": "periodic", "accumulation_us": int(found["period_us"]), "fps": 0.0}
            params_of = FramesParams.model_validate({**params_of.model_dump(), **change})
        width, height = map(int, found["sensor"])
    except (ValueError, TypeError, KeyError) as err:
        raise SchemaError(f"{path}: labels.event_frames is damaged: {' '.join(str(err).split())[:160]}") from err
    return Framing(params_of, (width, height), between)
