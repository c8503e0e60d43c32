"""A labelled session instant by instant: the RGB frame, the event frame and the fitted head that belong together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.errors import SchemaError
from au3dmm.io.bases import bases_fingerprint, read_bases
from au3dmm.io.event_frame_table import EventFrameInfo, read_clip, read_event_frame_info
from au3dmm.io.frames import session_frames
from au3dmm.io.labelled_session import LabelledSession
from au3dmm.io.session import Session
from au3dmm.io.tables import read_metadata, read_table, vectors
from au3dmm.report.event_picture import colour_frame, full_colour
from au3dmm.report.fitted_head import FittedHead, read_head
from au3dmm.report.mesh_views import FRONT_DEG, Framing, draw_head, frame_heads, on_paper
from au3dmm.report.openness import surface_openness
from au3dmm.report.overlay import crop_square

_LEAST_MM = 2.0  # the heat map's last colour is this much at least: noise stays grey
_PARTS, _FAINTEST = ("polarity", "tbr"), 0.2  # shares of a cell; the least that gets the full colour
_SAMPLE = 200  # frames whose largest displacement or event count decides a scale


@dataclass(frozen=True)
class Moments:
    """The labels of a session, ready to be drawn row by row.

    Attributes
    ----------
    session_id : str
        Whose.
    recording : Session or None
        For the RGB frames.
    labels : pyarrow.Table
        N rows.
    t_us : (N,) int64 array
        Of each row, on the event clock.
    ok : (N,) bool array
        Which rows have values.
    rgb_frame : (N,) int64 array
        Number of the nearest RGB frame; -1 where there is none.
    alpha : (N, K) array
        NaN where there is nothing.
    bases : Bases
        What they were made with.
    person : FittedHead
        The neutral head.
    events : Path
        The table of event frames.
    info : EventFrameInfo
        What it holds.
    square : ((2,) array, float)
        Top-left corner, px of the RGB frame, and side of a square that holds the face throughout.
    """

    session_id: str
    recording: Session | None
    labels: Any
    t_us: NDArray[np.int64]
    ok: NDArray[np.bool_]
    rgb_frame: NDArray[np.int64]
    alpha: NDArray[np.float32]
    bases: Bases
    person: FittedHead
    events: Path
    info: EventFrameInfo
    square: tuple[NDArray[np.float64], float]

    @property
    def t_s(self) -> NDArray[np.float64]:
        """Times, s from the first row."""
        return np.asarray((self.t_us - self.t_us[0]) / 1e6)

    def square_at(self, cell_px: int) -> tuple[NDArray[np.float64], float]:
        """Return corner and zoom of the square for a picture of a size; see `overlay.cut_square`."""
        return self.square[0], cell_px / self.square[1]


def read_moments(session: LabelledSession) -> Moments:
    """Read what a session's pictures need, but for frames.

    Raises
    ------
    SchemaError
        If a table or the basis is not there, or not what it should be, or not one row has values.
    """
    path, events = session.file("labels"), session.file("event_frames")
    labels = read_table(path, "labels")
    bases = read_bases(session.bases())
    info = read_event_frame_info(events)
    if info.n_frames != len(labels):
        raise SchemaError(f"{path}: {len(labels)} rows for {info.n_frames} event frames; label the session again")
    ok = np.array([word == "ok" for word in labels["status"].to_pylist()], bool)
    if not ok.any():
        raise SchemaError(f"{path}: not one of its {len(ok)} rows has values, so there is nothing to draw")
    nearest = labels["rgb_frame_index"].to_numpy(zero_copy_only=False).astype(np.float64)
    marks, _ = vectors(read_table(session.file("landmarks"), "landmarks", ["landmarks_px"]), "landmarks_px")
    return Moments(
        session.session_id,
        session.recording,
        labels,
        labels["t_label_us"].to_numpy(),
        ok,
        np.where(np.isfinite(nearest), nearest, -1).astype(np.int64),
        vectors(labels, "alpha_au")[0],
        bases,
        read_head(session.file("identity"), bases),
        events,
        info,
        _steady_square(marks.reshape(-1, 68, 3)[..., :2], read_metadata(session.file("landmarks"))),
    )


def _steady_square(marks: NDArray[np.floating], metadata: dict[str, Any]) -> tuple[NDArray[np.float64], float]:
    """Return a square that holds the face in nearly all frames, so that pictures do not jump with it."""
    known = marks[np.isfinite(marks).all((1, 2))]
    size = (metadata["image"]["height"], metadata["image"]["width"])
    corners = np.full((2, 2), np.nan)
    if len(known):
        corners = np.stack([np.percentile(known.min(1), 2, axis=0), np.percentile(known.max(1), 98, axis=0)])
    corner, zoom = crop_square(np.empty((*size, 0), np.uint8), corners, 1000)
    # what lies beyond the frame shows nothing
    side = min(1000 / zoom, *map(float, size))
    middle = corner + 500 / zoom
    room = np.array([size[1], size[0]], np.float64) - side
    return np.clip(middle - side / 2, -0.5, room - 0.5), side


def rgb_images(recording: Session, wanted: NDArray[np.integer]) -> Iterator[NDArray[np.uint8] | None]:
    """Yield the RGB frame of each number, holding one at a time.

    Parameters
    ----------
    recording : Session
    wanted : (n,) int array
        Numbers of frames, not decreasing; where one is smaller than its predecessor (-1: there is none), None.
    """
    frames = iter(session_frames(recording))
    at, image = -1, None
    for number in wanted.tolist():
        while at < number:
            frame = next(frames, None)
            if frame is None:
                break
            at, image = frame.frame_index, frame.image
        yield image if at == number else None


class EventPictures:
    """Colours event frames of a table on one scale.

    Parameters
    ----------
    path : Path
        The table.
    info : EventFrameInfo
        What it holds.
    palette : str
        A key of `event_picture.PALETTES`.
    """

    def __init__(self, path: Path, info: EventFrameInfo, palette: str) -> None:
        self._path, self._palette = path, palette
        self._name = str((info.metadata.get("representation") or {}).get("name", "polarity"))
        rows = np.unique(np.linspace(0, max(info.n_frames - 1, 0), 12).astype(int))[: info.n_frames]
        sample = [self._values(row) for row in rows.tolist()]
        self._full = full_colour(np.stack(sample), self._name) if sample else 1.0
        if self._name in _PARTS and sample:
            # a cell holds the mean of its sensor's pixels: few reach 1, and small pictures would look empty
            there = np.abs(np.stack(sample))
            self._full = max(float(np.percentile(there[there > 0], 90)) if there.any() else 1.0, _FAINTEST)

    def _values(self, row: int) -> NDArray[np.floating]:
        values: NDArray[np.floating] = read_clip(self._path, row, 1, as_float=True)[0]
        # bins side by side are no picture of a face
        return values.sum(0, keepdims=True) if self._name == "voxel" else values

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Return one frame (H, W, 3)."""
        return colour_frame(
            self._values(row), "polarity" if self._name == "voxel" else self._name, self._palette, self._full
        )


def largest_motion(person: FittedHead, alpha: NDArray[np.floating]) -> float:
    """Return the largest displacement of any vertex in (a sample of) expressions (N, K), mm: the end of a scale."""
    known = alpha[np.isfinite(alpha).all(1)]
    some = known[np.unique(np.linspace(0, len(known) - 1, _SAMPLE).astype(int))] if len(known) else known
    return max([_LEAST_MM, *(float(person.moved_mm(one).max()) for one in some)])


class MeshPictures:
    """Draws a head from the front, coloured by how far an expression moves it, on one scale.

    Parameters
    ----------
    person : FittedHead
        Whose head.
    alpha : (N, K) array
        Expressions that will be drawn; their largest displacement gives the scale. Rows of NaN are left out.
    paper : (int, int, int)
        Behind it.
    largest_mm : float, optional
        The scale's end, if it is that of other pictures.
    """

    def __init__(
        self,
        person: FittedHead,
        alpha: NDArray[np.floating],
        paper: tuple[int, int, int] = (255, 255, 255),
        largest_mm: float | None = None,
    ) -> None:
        self._person, self._paper = person, paper
        self.largest_mm = largest_mm or largest_motion(person, alpha)
        self._framing = _square_framing(person)
        self._openness = surface_openness(person.head, person.bases.faces)

    def picture(self, alpha: NDArray[np.floating], height: int) -> NDArray[np.uint8]:
        """Return a square picture (height, height, 3)."""
        shape = self._person.shapes(alpha)
        moved = 1e3 * np.linalg.norm(shape - self._person.head, axis=1)
        head = draw_head(
            shape,
            self._person.bases.faces,
            self._framing,
            height=height,
            values=moved / self.largest_mm,
            openness=self._openness,
        )
        return on_paper(head, self._paper)


def _square_framing(person: FittedHead) -> Framing:
    """Frame the head from its crown to below its chin, in a square."""
    unit = float(np.linalg.norm(person.landmarks[36] - person.landmarks[45]))
    framing = frame_heads(person.head[None], float(person.landmarks[8, 1]) - 0.45 * unit, (FRONT_DEG,))
    side = max(framing.height_m, framing.width_m)
    return Framing(framing.centre, side, side, framing.fade_m)


def regressed(path: Path, moments: Moments, bases: Path) -> tuple[NDArray[np.float32], str]:
    """Read what a trained model says at the instants of a session.

    Parameters
    ----------
    path : Path
        ``predictions.parquet`` of `au3dmm predict`.
    moments : Moments
        Of the same recording.
    bases : Path
        The basis of the session.

    Returns
    -------
    alpha : (N, K) array
        Of the prediction nearest in time; NaN where none is within a frame's length.
    model : str
        Its name.

    Raises
    ------
    SchemaError
        If the model predicts no coefficients, those of another basis, or speaks of another stretch of time.
    """
    metadata = read_metadata(path)
    table = read_table(path, "predictions")
    if "alpha_au" not in table.column_names:
        raise SchemaError(f"{path}: its model predicts no coefficients; train one with targets that include them")
    said = (metadata.get("basis") or {}).get("file_hash")
    if said is not None and said != bases_fingerprint(bases):
        raise SchemaError(
            f"{path}: coefficients of basis {str(said)[:19]}, but the session was labelled with"
            f" {bases_fingerprint(bases)[:19]}; predict with a model that was trained on that basis"
        )
    values, _ = vectors(table, "alpha_au")
    if values.shape[1] != moments.bases.k_au:
        raise SchemaError(f"{path}: {values.shape[1]} coefficients, the session's basis has {moments.bases.k_au}")
    middle = (table["t_start_us"].to_numpy() + table["t_end_us"].to_numpy()) // 2
    if not len(middle):
        raise SchemaError(f"{path}: it has no rows; au3dmm predict makes them")
    right = np.clip(np.searchsorted(middle, moments.t_us), 1, max(len(middle) - 1, 1)) % max(len(middle), 1)
    left = np.maximum(right - 1, 0)
    near = np.where(abs(middle[left] - moments.t_us) <= abs(middle[right] - moments.t_us), left, right)
    reach = float(np.median(np.diff(middle))) if len(middle) > 1 else 50_000.0
    out = values[near].copy()
    out[abs(middle[near] - moments.t_us) > reach] = np.nan
    if not np.isfinite(out).any():
        raise SchemaError(f"{path}: no prediction at the times of {moments.session_id!r}; is it of another recording?")
    return out, str(metadata.get("model", "model"))
