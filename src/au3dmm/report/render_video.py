"""A labelled session as a film: RGB, event frames and the fitted head side by side, and its curves below."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError
from au3dmm.io.labelled_session import LabelledSession
from au3dmm.io.video_write import write_video
from au3dmm.report.fitted_head import mean_head
from au3dmm.report.mesh_views import HEAT
from au3dmm.report.moments import EventPictures, MeshPictures, Moments, read_moments, rgb_images
from au3dmm.report.overlay import cut_square
from au3dmm.report.plots_coefficients import Curves, draw_curve, draw_gaps, read_curves
from au3dmm.report.plots_style import COLOURS, FAINT, INK, print_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAPER, _NOTHING, _DARK, _CURSOR = (255, 255, 255), (225, 225, 225), (34, 34, 34), (213, 94, 0)
_GAP, _TOP, _CURVES = 8, 56, 136  # px
_DPI = 100
_SHOWN = 3
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class _Stage:
    """What stays the same from frame to frame.

    Attributes
    ----------
    ground : (H, W, 3) uint8 array
        Titles, bar and curves.
    places : tuple of (int, int)
        Top and left of each picture, px.
    left, right, top, bottom : float
        Of the curves, px.
    """

    ground: NDArray[np.uint8]
    places: tuple[tuple[int, int], ...]
    left: float
    right: float
    top: int
    bottom: int


def render(
    session: LabelledSession,
    path: Path,
    *,
    panel_px: int = 360,
    fps: float = 30.0,
    speed: float = 1.0,
    start_s: float = 0.0,
    end_s: float | None = None,
    rgb: bool = True,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[int, float]:
    """Write a film (H.264 in mp4) of a labelled session; equal sessions give equal bytes.

    Every film frame is one event frame with the RGB frame nearest to it, at the event frame's own time; memory does
    not grow with the recording.

    Parameters
    ----------
    session : LabelledSession
    path : Path
        The film.
    panel_px : int
        Side of each picture; even.
    fps : float
        At most so many film frames a second: of more event frames, some are left out.
    speed : float
        Of the film, 1 is that of life.
    start_s, end_s : float
        Stretch of the recording, s from the first event frame; None: to its end.
    rgb : bool
        Whether to show RGB frames and the person's own head; otherwise the mean head stands for it.
    progress : callable, optional
        Told how many frames are done, and of how many.

    Returns
    -------
    n : int
        Film frames.
    seconds : float
        Length of the film.

    Raises
    ------
    SessionError
        If the recording is not there.
    SchemaError
        If a table or the basis is not there, or not what it should be.
    ConfigError
        If there is no event frame in the stretch.
    OutputError
        If the film cannot be written.
    """
    moments = read_moments(session)
    rows = film_rows(moments.t_us, fps / speed, start_s, end_s)
    pts_us = np.rint((moments.t_us[rows] - moments.t_us[rows[0]]) / speed).astype(np.int64)
    person = moments.person if rgb else mean_head(moments.bases)
    meshes = MeshPictures(person, moments.alpha, _PAPER)
    names = [*(["RGB"] if rgb else []), "events", "fitted head" if rgb else "mean head"]
    stage = _set(moments, read_curves(session.file("labels")), names, panel_px, meshes.largest_mm)
    frames = _frames(session, moments, rows, stage, meshes, panel_px, rgb, progress)
    n = write_video(path, frames, pts_us.tolist())
    return n, float(pts_us[-1]) / 1e6


def film_rows(
    t_us: NDArray[np.int64], fps: float, start_s: float = 0.0, end_s: float | None = None
) -> NDArray[np.int64]:
    """Choose event frames within a stretch, at most so many a second.

    Raises
    ------
    ConfigError
        If there are none.

    Examples
    --------
    >>> film_rows(np.arange(0, 100_000, 10_000), 50.0, 0.02, 0.08)
    array([2, 4, 6, 8])
    """
    t_s = (t_us - t_us[0]) / 1e6
    inside = np.flatnonzero((t_s >= start_s) & (t_s <= (np.inf if end_s is None else end_s)))
    if not len(inside):
        until = "the end" if end_s is None else f"{end_s:g} s"
        raise ConfigError(f"no event frame from {start_s:g} s to {until}; the recording has 0 to {t_s[-1]:.2f} s")
    chosen = [int(inside[0])]
    # a little less than the interval: frames that come at this very rate jitter
    apart_us = 0.9e6 / fps
    for row in inside[1:].tolist():
        if t_us[row] - t_us[chosen[-1]] >= apart_us:
            chosen.append(row)
    return np.array(chosen, np.int64)


def _frames(
    session: LabelledSession,
    moments: Moments,
    rows: NDArray[np.int64],
    stage: _Stage,
    meshes: MeshPictures,
    panel_px: int,
    rgb: bool,
    progress: Callable[[int, int | None], None] | None,
) -> Iterator[NDArray[np.uint8]]:
    events = EventPictures(moments.events, moments.info, "dark")
    images = rgb_images(session.recorded(), moments.rgb_frame[rows]) if rgb else iter([None] * len(rows))
    status = moments.labels["status"]
    span = max(float(moments.t_s[-1]), 1e-3)
    for i, (row, image) in enumerate(zip(rows.tolist(), images, strict=True)):
        pictures: list[NDArray[np.uint8] | None] = [_fitted_in(events.picture(row), panel_px)]
        if rgb:
            cut = None if image is None else cut_square(image, *moments.square_at(panel_px), panel_px)
            pictures.insert(0, cut)
        pictures.append(meshes.picture(moments.alpha[row], panel_px) if moments.ok[row] else None)
        out = stage.ground.copy()
        for (top, left), picture in zip(stage.places, pictures, strict=True):
            room = out[top : top + panel_px, left : left + panel_px]
            if picture is None:
                room[:] = _NOTHING
                word = "no RGB frame" if picture is pictures[0] and rgb else str(status[row].as_py())
                cv2.putText(room, word, (12, panel_px // 2), _FONT, 0.6, _DARK, 1, cv2.LINE_AA)
            else:
                room[:] = picture
        t = float(moments.t_s[row])
        x = round(stage.left + (stage.right - stage.left) * t / span)
        cv2.line(out, (x, stage.top), (x, stage.bottom), _CURSOR, 2)
        words = f"{t:7.2f} s"
        width = cv2.getTextSize(words, _FONT, 0.6, 1)[0][0]
        cv2.putText(out, words, (out.shape[1] - width - _GAP, 22), _FONT, 0.6, _DARK, 1, cv2.LINE_AA)
        yield out
        if progress:
            progress(i + 1, len(rows))


def _fitted_in(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Put a picture of any size into a square, whole, its cells kept apart where it is enlarged."""
    height, width = picture.shape[:2]
    zoom = side / max(height, width)
    size = (max(round(width * zoom), 1), max(round(height * zoom), 1))
    shown = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    out = np.full((side, side, 3), _NOTHING, np.uint8)
    y, x = (side - size[1]) // 2, (side - size[0]) // 2
    out[y : y + size[1], x : x + size[0]] = shown
    return out


def _set(moments: Moments, curves: Curves, names: list[str], panel_px: int, largest_mm: float) -> _Stage:
    """Draw what stays."""
    from matplotlib.figure import Figure

    width = len(names) * panel_px + (len(names) + 1) * _GAP
    width += width % 2
    height = _TOP + panel_px + _CURVES + 2 * _GAP
    height += height % 2
    places = tuple((_TOP, _GAP + i * (panel_px + _GAP)) for i in range(len(names)))
    with print_style(8.0):
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        demo = " (DEMO basis)" if moments.bases.is_demo else ""
        title = figure.text(
            _GAP / width, 1 - 6 / height, f"{moments.session_id}{demo}", weight="bold", va="top", fontsize=10, color=INK
        )
        after = title.get_window_extent().x1 + 12
        told = f"N = {len(moments.ok)} event frames, {int(moments.ok.sum())} with values"
        figure.text(after / width, 1 - 8 / height, told, va="top", fontsize=8, color=FAINT)
        for (top, left), name in zip(places, names, strict=True):
            figure.text(left / width, 1 - (top - 4) / height, name, va="bottom", fontsize=8, color=FAINT)
        _draw_bar(figure, places[-1][1] + panel_px, width, height, largest_mm)
        left, top = _GAP + 34, _TOP + panel_px + _GAP + 22
        bottom = height - 36
        wide, high = (width - left - 2 * _GAP) / width, (bottom - top) / height
        axes = figure.add_axes((left / width, 1 - bottom / height, wide, high))
        draw_gaps(axes, curves)
        for k, colour in zip(curves.strongest(_SHOWN), COLOURS, strict=False):
            draw_curve(axes, curves, k, colour).set_label(curves.names[k])
        axes.set_xlim(0, max(float(moments.t_s[-1]), 1e-3))
        axes.set_xlabel("s from the first event frame", color=INK, labelpad=0)
        axes.set_ylabel("sd", color=INK, labelpad=1)
        if axes.get_legend_handles_labels()[0]:
            where: dict[str, Any] = {
                "loc": "lower left",
                "bbox_to_anchor": (0.0, 0.97),
                "ncols": _SHOWN,
                "borderpad": 0.0,
            }
            axes.legend(frameon=False, fontsize=7.5, **where)
        raw = io.BytesIO()
        figure.savefig(raw, format="rgba", dpi=_DPI)
    ground = np.frombuffer(raw.getvalue(), np.uint8).reshape(height, width, 4)[..., :3].copy()
    return _Stage(ground, places, float(left), float(width - 2 * _GAP), top, bottom)


def _draw_bar(figure: Figure, right: int, width: int, height: int, largest_mm: float) -> None:
    """Draw the scale of the heat map above the head."""
    wide, high = 90, 8
    y = 1 - (_TOP - 6) / height
    axes = figure.add_axes(((right - wide - 40) / width, y, wide / width, high / height))
    axes.imshow(HEAT[None], aspect="auto", interpolation="none")
    axes.set_axis_off()
    figure.text((right - 36) / width, y, f"{largest_mm:.0f} mm", va="bottom", fontsize=7.5, color=FAINT)
    figure.text((right - wide - 46) / width, y, "0", va="bottom", ha="right", fontsize=7.5, color=FAINT)
