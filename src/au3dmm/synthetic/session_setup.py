"""How a synthetic session is recorded, and the two text files that tell a reader of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRUTH = "truth.json"


@dataclass(frozen=True)
class Setup:
    """How a session is recorded.

    Attributes
    ----------
    rgb_size, event_size : (int, int)
        Width and height, px.
    simulate_fps : float
        Pictures per second from which events are made.
    offset_us, drift_ppm : float
        Clock of the events, counted from the start of their file's clock, against that of the RGB camera.
    first_pts_us : int
        RGB time of the first frame: a container's start offset.
    exposure_us : int
        us
    tail_us : int
        How long the events go on after the last frame.
    image_noise : float
        Standard deviation, grey levels.
    background_hz : float
        Background events per second and pixel.
    distance_m : float
        From the RGB camera to the head.
    rgb_place_m : (float, float)
        How far the RGB camera stands to the right of the head and above it; it looks straight ahead from there
        unless `rgb_target_m` says otherwise.
    rgb_target_m : (float, float)
        The place beside the head's origin (right, up) that it is aimed at.
    event_place_m : (float, float)
        The same of the event camera, which is aimed at the head.
    base_us : int, optional
        Where the clock of the event file starts, a multiple of 4096; None lets its 24 bits run over in the middle of
        the video.
    """

    rgb_size: tuple[int, int] = (640, 480)
    event_size: tuple[int, int] = (1280, 720)
    simulate_fps: float = 240.0
    offset_us: int = 350_000
    drift_ppm: float = 25.0
    first_pts_us: int = 66_667
    exposure_us: int = 8_000
    tail_us: int = 150_000
    image_noise: float = 1.2
    background_hz: float = 0.05
    distance_m: float = 0.42
    rgb_place_m: tuple[float, float] = (0.0, -0.015)
    rgb_target_m: tuple[float, float] = (0.0, -0.015)
    event_place_m: tuple[float, float] = (0.065, 0.02)
    base_us: int | None = None

    def clock(self, t_rgb_us: NDArray[np.number], base_us: int) -> NDArray[np.float64]:
        """Turn RGB times into times of the event camera, us; `base_us` is where its file's clock starts."""
        return np.asarray(base_us + self.offset_us + (1 + self.drift_ppm * 1e-6) * np.asarray(t_rgb_us, np.float64))


TINY = Setup(
    rgb_size=(320, 240),
    event_size=(320, 180),
    simulate_fps=120.0,
    offset_us=30_000,
    first_pts_us=20_000,
    tail_us=40_000,
)
"""For tests: seconds=0.5 takes about a second."""


def timestamps_csv(pts_us: NDArray[np.int64], exposure_us: NDArray[np.int64]) -> str:
    """Return the timestamps of frames: presentation (N,), start and end of the exposure (N, 2), us, RGB clock."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame_index", "pts_us", "exposure_start_us", "exposure_end_us"])
    for i, (pts, (start, end)) in enumerate(zip(pts_us, exposure_us, strict=True)):
        writer.writerow([i, pts, start, end])
    return text.getvalue()


def manifest_toml(
    session: Mapping[str, str | int | bool],
    setup: Setup,
    *,
    fps: float,
    n_frames: int,
    source: Mapping[str, str | int | float],
    truth: str,
    annotations: Sequence[Mapping[str, str]] = (),
) -> str:
    """Return the text of `session.toml`.

    Parameters
    ----------
    session, source : mapping
        The sections of these names.
    setup : Setup
        How it was recorded.
    fps : float
        RGB frames per second.
    n_frames : int
        RGB frames.
    truth : str
        Where the truth lies, for the comment.
    annotations : sequence of mapping
        What is said of it besides.
    """
    rgb: dict[str, str | int | float | bool] = {
        "file": "rgb.mp4",
        "timestamps": "rgb_timestamps.csv",
        "timestamp_convention": "exposure_midpoint",
        "clock": "rgb",
        "width": setup.rgb_size[0],
        "height": setup.rgb_size[1],
        "frames": n_frames,
        "median_interval_us": round(1e6 / fps),
        "variable_frame_rate": False,
        "exposure_us": setup.exposure_us,
    }
    events = {
        "file": "events.raw",
        "format": "EVT3",
        "sensor": "simulated",
        "width": setup.event_size[0],
        "height": setup.event_size[1],
    }
    sync = {
        "method": "trigger",
        "trigger_id": 0,
        "rising_edge": "exposure_start",
        "falling_edge": "exposure_end",
    }
    sections = {"session": session, "rgb": rgb, "events": events, "sync": sync, "source": source}
    lines = [f"# a synthetic session: a rendered head, simulated events; the truth is in {truth}", "schema_version = 1"]
    for name, values in sections.items():
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    for one in annotations:
        lines += ["", "[[annotations]]", *(f"{key} = {_toml(value)}" for key, value in one.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    # JSON's strings and numbers are TOML's, for the plain values that stand here
    return json.dumps(value, ensure_ascii=False)
