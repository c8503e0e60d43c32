"""A labelled session for the Rerun viewer: frames, events, landmarks, head and curves on the session clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import GROUPS
from au3dmm.core.shading import Lighting, shade, vertex_normals
from au3dmm.errors import AssetError
from au3dmm.io.atomic import atomic_path
from au3dmm.io.bases import read_bases
from au3dmm.io.clock import read_clock
from au3dmm.io.event_frame_table import read_event_frame_info
from au3dmm.io.frames import session_frames
from au3dmm.io.images import resize_area
from au3dmm.io.labelled_session import LabelledSession
from au3dmm.io.tables import read_metadata, read_table, vectors
from au3dmm.report.fitted_head import FittedHead, mean_head, projection, read_head
from au3dmm.report.mesh_views import HEAT
from au3dmm.report.moments import EventPictures, largest_motion
from au3dmm.report.overlay import CLOSED, DETECTED, FITTED
from au3dmm.report.plots_coefficients import Curves, read_curves
from au3dmm.report.plots_style import COLOURS as _PLOT_COLOURS

TIMELINE = "session"
"""Seconds on the event camera's clock, as all times of the tables."""
NEEDED = "the Rerun viewer is not installed; pip install 'au3dmm[rerun]' (a download of 170 MB) adds it"
_LONGEST_PX, _QUALITY = 960, 85
_SHOWN = 6
# as Rerun takes them
COLOURS = tuple(int(f"{colour[1:]}ff", 16) for colour in _PLOT_COLOURS)
_MESH_BYTES, _VERTEX_BYTES = 300_000_000, 16
_LIGHT = Lighting(direction=(-0.35, 0.55, 0.9), key=0.62, ambient=0.48, ground=0.3, wrap=0.45)


def rerun_module() -> Any:
    """Return the library.

    Raises
    ------
    AssetError
        If it is not installed.
    """
    try:
        import rerun
    except ImportError as err:
        raise AssetError(NEEDED) from err
    return rerun


@dataclass(frozen=True)
class _Fit:
    """The table of coefficients, and when its rows are on the session clock."""

    table: Any
    metadata: dict[str, Any]
    t_us: NDArray[np.int64]
    ok: NDArray[np.bool_]


def write_recording(
    session: LabelledSession,
    path: Path,
    *,
    mesh_fps: float | None = None,
    rgb: bool = True,
    progress: Callable[[int, int | None], None] | None = None,
) -> int:
    """Write a session as a Rerun recording (.rrd), frame by frame: memory does not grow with its length.

    The file holds names that Rerun draws at random, so that its bytes differ from time to time.

    Parameters
    ----------
    session : LabelledSession
        One without events is shown without them, on the RGB clock.
    path : Path
        The file.
    mesh_fps : float, optional
        Heads a second, at most; each takes 16 bytes per vertex. Default: one for each RGB frame, or, if those took
        more than 300 MB, so many that they do not.
    rgb : bool
        Whether to show RGB frames with landmarks, and the person's own head; otherwise the mean head.
    progress : callable, optional
        Told how many frames are done, and of how many.

    Returns
    -------
    int
        RGB frames, and event frames, in it.

    Raises
    ------
    AssetError
        If Rerun is not installed.
    SessionError
        If the recording is not there.
    SchemaError
        If a table or the basis is not there, or not what it should be.
    OutputError
        If the file cannot be written.
    """
    rr = rerun_module()
    fit = _read_fit(session)
    bases = read_bases(session.bases())
    head = read_head(session.file("identity"), bases) if rgb else mean_head(bases)
    has_events = session.has("labels") and session.has("event_frames")
    curves = read_curves(session.file("labels" if has_events else "coefficients"))
    stream = rr.RecordingStream("au3dmm", send_properties=False)
    with atomic_path(path) as tmp, stream:
        stream.save(tmp, default_blueprint=_blueprint(curves, has_events, rgb))
        stream.set_log_time_enabled(False)
        stream.set_log_tick_enabled(False)
        stream.send_recording_name(session.session_id)
        _log_curves(rr, stream, session, curves, fit, has_events)
        n_events = len(curves.t_s) if has_events else 0
        total = len(fit.t_us) + n_events
        apart_us = _apart_us(fit, head, mesh_fps)
        n = _log_frames(rr, stream, session, fit, head, apart_us, rgb, lambda done: progress and progress(done, total))
        if has_events:
            _log_events(rr, stream, session, lambda done: progress and progress(n + done, total))
        stream.flush()
        stream.disconnect()
    return n + n_events


def _read_fit(session: LabelledSession) -> _Fit:
    path = session.file("coefficients")
    table = read_table(path, "coefficients")
    t_us = table["t_rgb_us"].to_numpy()
    if session.has("clock"):
        t_us = read_clock(session.file("clock")).model.to_event_us(t_us)
    ok = np.array([word == "ok" for word in table["status"].to_pylist()], bool)
    return _Fit(table, read_metadata(path), t_us, ok)


def _at(rr: Any, t_us: NDArray[np.int64]) -> Any:
    return rr.TimeColumn(TIMELINE, duration=t_us.astype("timedelta64[us]"))


def _log_curves(rr: Any, stream: Any, session: LabelledSession, curves: Curves, fit: _Fit, has_events: bool) -> None:
    """Log all coefficients, the fit's error and confidence, and how many events there are: a column each."""
    t_us = fit.t_us
    if has_events:
        labels = read_table(session.file("labels"), "labels", ["t_label_us", "n_events"])
        t_us = labels["t_label_us"].to_numpy()
        _log_column(rr, stream, "events/in_frame", t_us, labels["n_events"].to_numpy().astype(np.float64))
    strongest = curves.strongest(_SHOWN)
    for k, path in enumerate(_curve_paths(curves)):
        look: dict[str, Any] = {"names": curves.names[k]}
        if k in strongest:
            look["colors"] = COLOURS[strongest.index(k) % len(COLOURS)]
        stream.log(path, rr.SeriesLines(**look), static=True)
        _log_column(rr, stream, path, t_us, curves.values[:, k].astype(np.float64))
        _log_column(rr, stream, f"uncertainty{path[len('coefficients') :]}", t_us, curves.std[:, k].astype(np.float64))
    for name in ("rmse_px", "confidence"):
        if name in fit.table.column_names:
            values = fit.table[name].to_numpy(zero_copy_only=False).astype(np.float64)
            _log_column(rr, stream, f"fit/{name}", fit.t_us, values)
    _log_status(rr, stream, fit)


def _curve_paths(curves: Curves) -> list[str]:
    return [f"coefficients/{name.split(' ')[0]}" for name in curves.names]


def _log_column(rr: Any, stream: Any, path: str, t_us: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    # NaN breaks the line where there is nothing
    rr.send_columns(path, [_at(rr, t_us)], rr.Scalars.columns(scalars=values), recording=stream)


def _log_status(rr: Any, stream: Any, fit: _Fit) -> None:
    """Say where the status of frames changes."""
    words = fit.table["status"].to_pylist()
    for i, word in enumerate(words):
        if i == 0 or word != words[i - 1]:
            stream.set_time(TIMELINE, duration=np.timedelta64(int(fit.t_us[i]), "us"))
            level = rr.TextLogLevel.INFO if word == "ok" else rr.TextLogLevel.WARN
            stream.log("status", rr.TextLog(f"{word} from RGB frame {i} on", level=level))


def _log_frames(
    rr: Any,
    stream: Any,
    session: LabelledSession,
    fit: _Fit,
    head: FittedHead,
    apart_us: float,
    rgb: bool,
    progress: Callable[[int], Any],
) -> int:
    """Log RGB frames with what was detected and fitted in them, and the head; return how many."""
    alpha = vectors(fit.table, "alpha_au")[0]
    marks = _landmarks(session) if rgb else np.empty((0, 68, 2))
    largest_mm = largest_motion(head, alpha)
    paint = _Painter(head, largest_mm)
    stream.log("head", rr.ViewCoordinates.RUB, static=True)
    triangles = np.asarray(head.bases.faces, np.uint32)
    stream.log("head/mesh", rr.Mesh3D.from_fields(triangle_indices=triangles), static=True)
    images = iter(session_frames(session.recorded())) if rgb else None
    last_us = -(1 << 62)
    for i in range(len(fit.t_us)):
        stream.set_time(TIMELINE, duration=np.timedelta64(int(fit.t_us[i]), "us"))
        if images is not None:
            frame = next(images, None)
            zoom = _log_image(rr, stream, None if frame is None else frame.image)
            if zoom:
                _log_landmarks(rr, stream, fit, head, alpha, marks, i, zoom)
        if fit.ok[i] and fit.t_us[i] - last_us >= apart_us:
            last_us = int(fit.t_us[i])
            places, colours = paint.head(alpha[i])
            stream.log("head/mesh", rr.Mesh3D.from_fields(vertex_positions=places, vertex_colors=colours))
        progress(i + 1)
    return len(fit.t_us)


def _apart_us(fit: _Fit, head: FittedHead, mesh_fps: float | None) -> float:
    """Return how far apart heads are, us."""
    if mesh_fps is not None:
        return 0.9e6 / mesh_fps  # a little less than asked for: frames that come at this very rate jitter
    most = max(_MESH_BYTES // (_VERTEX_BYTES * len(head.head)), 1)
    return float(fit.t_us[-1] - fit.t_us[0]) / most if int(fit.ok.sum()) > most else 0.0


def _landmarks(session: LabelledSession) -> NDArray[np.float64]:
    found, _ = vectors(read_table(session.file("landmarks"), "landmarks", ["landmarks_px"]), "landmarks_px")
    return found.reshape(-1, 68, 3)[..., :2].astype(np.float64)


def _log_image(rr: Any, stream: Any, image: NDArray[np.uint8] | None) -> float:
    """Log a frame as JPEG; return its zoom, 0 if there is none."""
    if image is None:
        stream.log("rgb", rr.Clear(recursive=True))
        return 0.0
    height, width = image.shape[:2]
    zoom = min(1.0, _LONGEST_PX / max(int(height), int(width)))
    if zoom < 1:
        image = resize_area(image, (max(round(width * zoom), 1), max(round(height * zoom), 1)))
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done, "OpenCV refused a frame that was decoded here"
    stream.log("rgb/image", rr.EncodedImage(contents=data.tobytes(), media_type="image/jpeg"))
    return zoom


def _log_landmarks(
    rr: Any,
    stream: Any,
    fit: _Fit,
    head: FittedHead,
    alpha: NDArray[np.float32],
    marks: NDArray[np.float64],
    i: int,
    zoom: float,
) -> None:
    # Rerun counts from a pixel's corner, we from its centre
    if np.isfinite(marks[i]).all():
        places = (marks[i] + 0.5) * zoom
        stream.log("rgb/image/detected", rr.Points2D(places, radii=rr.Radius.ui_points(2.5), colors=DETECTED))
        rings = [places[[*group, *list(group)[: name in CLOSED]]] for name, group in GROUPS.items()]
        stream.log("rgb/image/lines", rr.LineStrips2D(rings, colors=DETECTED, radii=rr.Radius.ui_points(0.7)))
    else:
        stream.log("rgb/image/detected", rr.Clear(recursive=False))
        stream.log("rgb/image/lines", rr.Clear(recursive=False))
    if fit.ok[i]:
        seen = projection(fit.table.slice(i, 1), fit.metadata).px(head.marks(alpha[i])[None])[0]
        stream.log("rgb/image/fitted", rr.Points2D((seen + 0.5) * zoom, radii=rr.Radius.ui_points(1.5), colors=FITTED))
    else:
        stream.log("rgb/image/fitted", rr.Clear(recursive=False))


class _Painter:
    """Heads with their colours: heat by displacement, with light and shade, which Rerun adds to none of its own."""

    def __init__(self, head: FittedHead, largest_mm: float) -> None:
        self._head, self._largest_mm = head, largest_mm

    def head(self, alpha: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return vertices (V, 3), m, and colours (V, 3)."""
        shape = self._head.shapes(alpha)
        moved = 1e3 * np.linalg.norm(shape - self._head.head, axis=1) / self._largest_mm
        heat = HEAT[np.rint(np.clip(moved, 0, 1) * (len(HEAT) - 1)).astype(int)]
        light = shade(vertex_normals(shape, self._head.bases.faces), heat**2.2, _LIGHT)
        return shape.astype(np.float32), np.rint(255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def _log_events(rr: Any, stream: Any, session: LabelledSession, progress: Callable[[int], Any]) -> None:
    path = session.file("event_frames")
    pictures = EventPictures(path, read_event_frame_info(path), "dark")
    for row, t in enumerate(read_table(session.file("labels"), "labels", ["t_label_us"])["t_label_us"].to_pylist()):
        done, data = cv2.imencode(".png", np.ascontiguousarray(pictures.picture(row)[..., ::-1]))
        assert done, "OpenCV refused a picture that was drawn here"
        stream.set_time(TIMELINE, duration=np.timedelta64(int(t), "us"))
        stream.log("events/image", rr.EncodedImage(contents=data.tobytes(), media_type="image/png"))
        progress(row + 1)


def _blueprint(curves: Curves, has_events: bool, rgb: bool) -> Any:
    """Return how the viewer lays it out: pictures above, curves below."""
    import rerun.blueprint as rrb

    paths = _curve_paths(curves)
    strongest = [f"/{paths[k]}" for k in curves.strongest(_SHOWN)]
    pictures = [rrb.Spatial3DView(origin="/head", name="head, by displacement", background=[255, 255, 255])]
    if has_events:
        pictures.insert(0, rrb.Spatial2DView(origin="/events/image", name="events"))
    if rgb:
        pictures.insert(0, rrb.Spatial2DView(origin="/rgb/image", name="RGB, landmarks"))
    rows = [
        rrb.Horizontal(*pictures),
        rrb.TimeSeriesView(origin="/", contents=strongest, name="coefficients that vary most, sd"),
        rrb.TimeSeriesView(origin="/fit", name="fit: error, px; confidence"),
    ]
    return rrb.Blueprint(
        rrb.Vertical(*rows, row_shares=[4, 2, 1]),
        rrb.TimePanel(timeline=TIMELINE, state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
        rrb.BlueprintPanel(state="collapsed"),
    )
