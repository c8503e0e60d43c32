"""Stage detect: landmarks of the subject's face on every RGB frame."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from au3dmm.config import DetectParams
from au3dmm.core.landmarks import N_LANDMARKS
from au3dmm.detectors import LandmarkDetector, checking, detector_identity, make_detector
from au3dmm.detectors.finding import FaceFinder, FoundFaces, Seen
from au3dmm.detectors.machine import machine
from au3dmm.errors import Au3dmmError, SessionError
from au3dmm.executors.processes import worker_slot
from au3dmm.io.frames import Place, SessionFrames, session_frames
from au3dmm.io.hashing import sha256_json
from au3dmm.io.landmark_parts import LandmarkParts, Part, parts_folder
from au3dmm.io.session import Session, read_session
from au3dmm.io.tables import write_batches
from au3dmm.stages.detect_rows import Rows, Subject, Tally
from au3dmm.stages.detect_workers import FoundPart, Ticks, found_in_processes

READS = ("session:rgb",)
WRITES = ("landmarks",)
# 2: faces are noticed to switch more often, frames over 1920 px are shrunk; MediaPipe: attention mesh, tracking
# 3: MediaPipe's windows and regions are summed in another order
VERSION = 3

__all__ = ["READS", "VERSION", "WRITES", "detector_identity", "run"]

log = logging.getLogger(__name__)

PART_ROWS = 256
"""Rows of a part: what a kill costs is less than this many frames."""

GROUP_PARTS = 8
"""Parts of a row group: 2048 rows, with MediaPipe's points 13 MB. Writing the table takes some times that in memory."""

_REPORT_EVERY = 10  # frames between two calls of `progress`


def run(
    *,
    session: Path,
    landmarks: Path,
    params: DetectParams,
    device: str = "cpu",
    workers: int = 1,
    weights_folder: Path | None = None,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Detect landmarks on every RGB frame of a session and write `landmarks.parquet`.

    What is done of a long recording is kept in parts beside the table until it is written. Whoever is stopped, even by
    SIGKILL, goes on after the last part, and writes the bytes of who was not; whoever calls it sees to it that two do
    not write the same table at once. However many processes there are, or were before, the bytes are the same.

    Parameters
    ----------
    session : Path
        `session.toml` or its folder.
    landmarks : Path
        The table to write: one row per RGB frame, whatever happens. ``status`` is ``ok``, ``low_confidence`` (a face
        whose landmarks score below ``min_landmark_score``; its landmarks are kept), ``no_face``, or ``decode_error``
        (a frame that is expected but cannot be decoded).
    params : DetectParams
        Which detector, and which face if there are several.
    device : str
        Torch device, for detectors that use torch; several with commas between them: one for each worker in turn.
    workers : int
        Processes that find faces at the same time, if the recording is long enough for several parts.
    weights_folder : Path, optional
        Where the detector's weights are, if not in the usual folder.
    stamp : mapping, optional
        What the pipeline knows: stage, fingerprint, inputs. Goes into the file's metadata.
    progress : callable, optional
        Called now and then with frames done and frames expected (None if unknown).

    Returns
    -------
    dict
        ``frames``, ``frames_expected``, ``frames_decoded``, ``packets_lost``, and rows by status: ``ok``,
        ``low_confidence``, ``no_face``, ``decode_error``. Of the landmarks: ``jitter_px`` and ``jitter_iod``, their
        noise from frame to frame while the face is still (None if too few frames say so); ``flags``, frames by flag;
        and ``check``, if a second detector looked: how far from the first.

    Raises
    ------
    SessionError
        If the recording cannot be read or not one frame of it can be decoded.
    AssetError
        If the detector's weights are missing.
    ConfigError
        If the manifest, or the combination of detector and manifest, is wrong.
    OutputError
        If the table cannot be written.
    WorkerError
        If one of several processes dies. What was done is kept.
    """
    recording = read_session(session)
    frames = session_frames(recording)
    devices = device.split(",")
    finder, detector, check = _finder(params, recording, devices[0], weights_folder)
    subject, tally = Subject(params), Tally(params.check_every)
    rows = Rows(detector.n_dense, check is not None)
    made_by = {"detector": detector.describe(), **({} if check is None else {"check": check.describe()})}
    made = {**made_by, "machine": machine(params, device)}
    parts = LandmarkParts(parts_folder(landmarks), _mark(recording, params, stamp, made, finder))
    place: Place | None = None
    for table in parts.load(rows.schema):
        tally.add(table)
    if parts.last is not None:
        place = Place.from_dict(parts.last.state["place"])
        subject.restore(parts.last.state["subject"])
        log.info("detect %s: goes on after %d frames that were done before", recording.session_id, tally.n)
    if parts.dropped:
        log.info(
            "detect %s: %d parts of an earlier detection are not used: made with other settings, inputs, devices or"
            " versions of libraries, or damaged",
            *(recording.session_id, parts.dropped),
        )
    waiting: Part | None = None  # a full part is kept until another frame comes: short recordings have no parts
    tell = _teller(progress, frames.n_expected)
    how = {"session": recording.path, "params": params, "devices": devices, "weights_folder": weights_folder}
    every = _found_by(workers, how, frames, place, finder, parts.folder / "ticks", tell)
    with contextlib.closing(every):
        for found, here in every:
            if waiting is not None:
                parts.append(waiting)
                waiting = None
            rows.rows.append(subject.row(found))
            n_done = tally.n + len(rows.rows)
            if here is not None:
                state = {"place": here.to_dict(), "subject": subject.to_dict(), "subject_id": recording.subject_id}
                waiting = Part(rows.table(), state)
                tally.add(waiting.table)
                rows.rows.clear()
            if n_done % _REPORT_EVERY == 0:
                tell(n_done)
    if subject.image_size is None:
        raise SessionError(
            f"{frames.source}: not one frame could be decoded; {frames.n_expected or 'some'} were expected and"
            f" {frames.n_lost} damaged packets or images were met"
        )
    tail = rows.table()
    tally.add(tail)
    if progress is not None:
        progress(tally.n, frames.n_expected)
    counts, quality = tally.counts(frames.n_expected, frames.n_lost), tally.quality()
    _warn(recording, frames, counts, subject.image_size)
    metadata = {
        "stage": "detect",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        **made_by,
        "landmark_scheme": f"ibug{N_LANDMARKS}",
        "n_dense": detector.n_dense,
        "image": {
            "width": subject.image_size[0],
            "height": subject.image_size[1],
        },
        "matched_by": frames.matched_by,
        "counts": counts,
        "quality": quality,
        "units": {
            "t_rgb_us": "us, exposure midpoint on the RGB clock",
            "box_px": "x0, y0, x1, y1 px",
            "landmarks_px": "68 x (x, y, z) px; (0, 0) = centre of the top-left pixel, y down, z towards the camera",
            "dense_px": "as landmarks_px, the detector's own points",
        },
    }
    last = [tail] if waiting is None else [waiting.table, tail]
    write_batches(landmarks, "landmarks", rows.schema, _groups(parts, last), metadata)
    parts.remove()
    return {**counts, **quality}


def _finder(
    params: DetectParams, recording: Session, device: str, weights_folder: Path | None
) -> tuple[FaceFinder, LandmarkDetector, LandmarkDetector | None]:
    """Return what finds faces, the detector in it, and the one that checks it."""
    how: dict[str, Any] = {"session": recording, "device": device, "weights_folder": weights_folder}
    detector = make_detector(params, **how)
    check = None if params.check_with == "none" else make_detector(checking(params), **how)
    return FaceFinder(detector, check, params.check_every, params.max_side_px), detector, check


def _mark(
    recording: Session,
    params: DetectParams,
    stamp: Mapping[str, Any] | None,
    made_by: Mapping[str, Any],
    finder: FaceFinder,
) -> str:
    """Return the fingerprint of what makes a part: parts with another one are of no use."""
    inputs = {part: recording.input_fingerprint(part) for part in ("rgb", "landmarks")}
    return sha256_json(
        {
            "version": VERSION,
            "params": params.model_dump(mode="json"),
            "inputs": inputs,
            "stamp": dict(stamp or {}),
            "made_by": made_by,
            "rows": part_rows(finder.period),
        }
    )


def part_rows(period: int) -> int:
    """Return how many rows a part has: about `PART_ROWS`, so that a detector may start anew after them.

    Examples
    --------
    >>> part_rows(1), part_rows(30), part_rows(240), part_rows(1000)
    (256, 270, 240, 1000)
    """
    return max(1, round(PART_ROWS / period)) * period


def _found(
    frames: SessionFrames, place: Place | None, finder: FaceFinder, rows: int
) -> Generator[tuple[FoundFaces, Place | None]]:
    """Yield what is found in each frame after `place`, and after the last frame of each part of `rows` where that is.

    Batches begin anew with each part, so they hold the same frames wherever a run was stopped.
    """
    batch: list[Seen] = []
    for n, frame in enumerate(frames.read(place), 1 if place is None else place.n + 1):
        batch.append(finder.seen(frame))  # 32 frames of 8K would be 3 GB
        ends = n % rows == 0
        if ends or len(batch) == finder.batch_size:
            here = frames.place() if ends else None
            found = finder(batch)
            yield from ((one, None) for one in found[:-1])
            yield found[-1], here
            batch.clear()
    yield from ((one, None) for one in (finder(batch) if batch else ()))


def _found_by(
    workers: int,
    how: dict[str, Any],
    frames: SessionFrames,
    place: Place | None,
    finder: FaceFinder,
    ticks: Path,
    tell: Callable[[int], None],
) -> Generator[tuple[FoundFaces, Place | None]]:
    """Yield what `_found` does, found by several processes as far as they get, and by this one from there on."""
    rows, whole = part_rows(finder.period), False
    if workers > 1:
        place, whole = yield from found_in_processes(
            frames, place, find_part, {**how, "rows": rows}, rows=rows, n_workers=workers, ticks=ticks, tell=tell
        )
    if not whole:
        yield from _found(frames, place, finder, rows)


@lru_cache(maxsize=1)  # a worker finds many parts of one recording
def _opened(
    session: Path, params: DetectParams, device: str, weights_folder: Path | None
) -> tuple[SessionFrames, FaceFinder]:
    recording = read_session(session)
    return session_frames(recording), _finder(params, recording, device, weights_folder)[0]


def find_part(
    session: Path,
    params: DetectParams,
    devices: Sequence[str],
    weights_folder: Path | None,
    rows: int,
    place: Place,
    ticks: Path,
) -> FoundPart:
    """Find the faces of a part of `rows` frames after a place, in a process of `found_in_processes`."""
    if multiprocessing.parent_process() is not None:
        logging.disable()  # what a detector warns of when it is made, the parent has said
    found: list[FoundFaces] = []
    try:
        with contextlib.redirect_stdout(sys.stderr):
            device = devices[worker_slot() % len(devices)]
            frames, finder = _opened(session, params, device, weights_folder)
            with contextlib.closing(_found(frames, place, finder, rows)) as every:
                for one, here in every:
                    found.append(one)
                    if len(found) % _REPORT_EVERY == 0:
                        Ticks.add(ticks, _REPORT_EVERY)
                    if here is not None:
                        return FoundPart(frames.began(), here, False, frames.interlaced, found)
            end = replace(frames.place(), n_lost=frames.n_lost)
            return FoundPart(frames.began(), end, True, frames.interlaced, found)
    except Au3dmmError as err:
        return FoundPart(failed=err)
    except Exception as err:  # noqa: BLE001 - the parent does it again, and meets it with its traceback
        return FoundPart(failed=RuntimeError(f"{type(err).__name__}: {err}"))


def _teller(progress: Callable[[int, int | None], None] | None, n_expected: int | None) -> Callable[[int], None]:
    """Return what tells of frames done: processes are ahead of what they have handed over, and no bar goes back."""
    told = -1

    def tell(n_done: int) -> None:
        nonlocal told
        if progress is not None and n_done > told:
            told = n_done
            progress(n_done, n_expected)

    return tell


def _groups(parts: LandmarkParts, last: list[pa.Table]) -> Iterator[pa.Table]:
    """Yield the tables of all parts, joined into row groups of `GROUP_PARTS` parts."""
    group: list[pa.Table] = []
    for table in chain(parts.tables(), last):
        group.append(table)
        if len(group) == GROUP_PARTS:
            yield pa.concat_tables(group).combine_chunks()
            group.clear()
    if any(map(len, group)):
        yield pa.concat_tables(group).combine_chunks()


def _warn(recording: Session, frames: SessionFrames, counts: Mapping[str, Any], size: tuple[int, int]) -> None:
    decoded, expected = counts["frames_decoded"], counts["frames_expected"]
    if counts["decode_error"] or counts["packets_lost"] or (expected is not None and decoded < expected):
        log.warning(
            "detect %s: %s is damaged or cut short: %d frames decoded, %s expected",
            *(recording.session_id, frames.source.name, decoded, "an unknown number" if expected is None else expected),
        )
        if frames.matched_by == "order" and recording.manifest.rgb.file is not None:
            log.warning(
                "detect %s: frames were matched with the timestamps by order, as their times differ from the"
                " container's; if frames are missing before the end, later times are wrong",
                recording.session_id,
            )
    if frames.interlaced:
        log.warning(
            "detect %s: %s is interlaced: each frame holds two moments, line by line, so what moves is drawn twice;"
            " deinterlace it first (ffmpeg -vf bwdif)",
            *(recording.session_id, frames.source.name),
        )
    rgb = recording.manifest.rgb
    for name, said, found in (("width", rgb.width, size[0]), ("height", rgb.height, size[1])):
        if said is not None and said != found:
            log.warning(
                "detect %s: rgb.%s is %d in session.toml, %d in the frames", recording.session_id, name, said, found
            )
