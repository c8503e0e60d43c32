"""Pictures of a synthetic dataset to look at: for each task a neutral face, its apex, and the events of its onset."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.camera import from_plane, principal_point
from au3dmm.errors import SchemaError
from au3dmm.io.events import read_events
from au3dmm.io.images import resize_area
from au3dmm.io.video import read_frames
from au3dmm.synthetic.film import event_view
from au3dmm.synthetic.session_setup import Setup

CELL_PX = 200
_WINDOW_US = 33_333
_HALF_M = 0.135  # half of the side of what is shown, at the distance of the head
# nothing, darker, brighter: Prophesee's dark palette
_PALETTE = np.array([[30, 37, 52], [64, 126, 200], [255, 255, 255]], np.uint8)


def task_strip(folder: Path, truth_file: Path) -> NDArray[np.uint8]:
    """Return a neutral face, the apex, and the event frame of 33 ms amid the onset, side by side.

    Parameters
    ----------
    folder : Path
        Of a session.
    truth_file : Path
        Its truth.

    Returns
    -------
    (CELL_PX, 3 CELL_PX, 3) uint8 array
        RGB.

    Raises
    ------
    SchemaError
        If the truth is not that of a synthetic session.
    """
    truth = _truth(truth_file)
    setup = Setup(**truth["setup"])
    shown = _main_movement(truth)
    frames = [image for _, image in read_frames(folder / "rgb.mp4") if image is not None]
    t_us = np.arange(len(frames)) * (truth["rgb_last_pts_us"] - truth["rgb_first_pts_us"]) / max(1, len(frames) - 1)
    t_us = t_us + truth["rgb_first_pts_us"]
    apex = _apex(t_us, shown, truth)
    cells = [_face(frames[i], truth, i) for i in (0, apex)]
    onset_us = shown["start_us"] + 0.5 * (shown["apex_start_us"] - shown["start_us"])
    centre_us = truth["offset_raw_s"] * 1e6 + (1 + truth["drift_ppm"] * 1e-6) * onset_us
    start_us = round(centre_us - _WINDOW_US / 2)
    events = read_events(folder / "events.raw", start_us, start_us + _WINDOW_US)
    width, height = setup.event_size
    sign = np.zeros((height, width), np.int8)
    sign[events["y"], events["x"]] = np.where(events["p"], 2, 1)  # the last event of a pixel wins
    view = event_view(setup)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])  # it is aimed at the head
    half = _HALF_M * view.focal_px / float(np.linalg.norm(view.position))
    return np.concatenate([*cells, _square(_PALETTE[sign], centre, half)], axis=1)


def _truth(path: Path) -> dict[str, Any]:
    try:
        truth = json.loads(path.read_text("utf-8"))
        assert truth["simulated"]
    except (OSError, ValueError, KeyError, AssertionError, TypeError) as err:
        raise SchemaError(f"{path}: not the truth of a synthetic session: {err!r}; make it again") from err
    return dict(truth)


def _main_movement(truth: dict[str, Any]) -> dict[str, Any]:
    """Return what shows most: the first movement or turn of the task, else the first but for blinks."""
    task = truth["session"].split("_")[1] if "_" in truth["session"] else ""
    moves = list(chain(truth["movements"], truth["turns"]))
    named = [m for m in moves if m["name"] == task]
    others = [m for m in moves if m["name"] not in ("blink", "turn", "nod", "brows")]
    amid = (truth["rgb_first_pts_us"] + truth["rgb_last_pts_us"]) / 2
    nothing = {"name": task, "start_us": amid, "apex_start_us": amid, "apex_end_us": amid}
    return dict([*named, *others, *moves, nothing][0])


def _apex(t_us: NDArray[np.floating], shown: dict[str, Any], truth: dict[str, Any]) -> int:
    """Return the frame amid the apex, or one near it in which nobody blinks."""
    away = np.abs(t_us - (shown["apex_start_us"] + shown["apex_end_us"]) / 2)
    blinks = [m for m in truth["movements"] if m["name"] == "blink"]
    closed = sum((m["start_us"] < t_us) & (t_us < m["end_us"]) for m in blinks)
    return int(np.argmin(away + np.where(closed, 0.4e6, 0)))


def _face(frame: NDArray[np.uint8], truth: dict[str, Any], i: int) -> NDArray[np.uint8]:
    size = principal_point(frame.shape[1], frame.shape[0])
    centre = from_plane(np.asarray(truth["translation_px"][i]), size)
    # from halfway between the first frame's place and this one's, so that a turn of the head is seen as one
    first = from_plane(np.asarray(truth["translation_px"][0]), size)
    scale = truth["scale_px_per_m"][0]
    return _square(frame, (centre + first) / 2 + [0, 0.02 * scale], _HALF_M * scale)


def _square(image: NDArray[np.uint8], centre: NDArray[np.float64], half: float) -> NDArray[np.uint8]:
    """Cut a square out of an image, with its edge repeated where it ends, and make it a cell."""
    n = max(1, round(2 * half))
    x0, y0 = np.rint(centre - half).astype(int)
    rows = np.clip(np.arange(y0, y0 + n), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(x0, x0 + n), 0, image.shape[1] - 1)
    return resize_area(np.ascontiguousarray(image[rows][:, columns]), (CELL_PX, CELL_PX))
