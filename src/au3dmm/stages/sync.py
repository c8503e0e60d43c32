"""Stage sync: find the clock model between the RGB video and the event stream of a session."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import SyncParams
from au3dmm.core.clock import ClockFit, ClockModel, TieError
from au3dmm.core.event_rate import RateMeter
from au3dmm.errors import FitError, SessionError
from au3dmm.io.clock import Clock, write_clock
from au3dmm.io.events import TRIGGER_DTYPE, EventFile, EventFileReport
from au3dmm.io.session import Session, read_session
from au3dmm.io.session_events import open_session_events
from au3dmm.io.tables import read_table, vectors
from au3dmm.io.timestamps import Timestamps
from au3dmm.stages.sync_motion import MotionClock, face_box, from_motion, motion_evidence
from au3dmm.stages.sync_triggers import advice, from_triggers, trigger_evidence

log = logging.getLogger(__name__)

READS = ("session:rgb", "session:events", "session:sync", "landmarks")
WRITES = ("clock",)
VERSION = 3

_UNKNOWN: dict[str, Any] = dict.fromkeys(("residual_us", "uncertainty_us", "n_matched", "n_expected", "n_edges"))

Progress = Callable[[int, int | None], None]

# How sure motion must be to choose between shifts, in its standard errors: that the one it chooses is not farther away,
# and the next one not nearer
_AGREES, _EXCLUDES = 3.0, 4.0


def run(
    *,
    session: Path,
    landmarks: Path,
    clock: Path,
    params: SyncParams,
    stamp: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write `clock.json`.

    Methods: ``trigger`` matches the edges on the trigger input with the exposures (`core.clock`); where they fit at
    several shifts alike, motion decides if it can. ``motion`` compares motion in the RGB frames with the rate of events
    (`core.motion_sync`). ``shared`` takes RGB times as event times plus ``sync.offset_us``; ``start`` assumes that both
    recordings began at the same instant, so that the first RGB frame ends its interval one median RGB interval after
    the zero of the event file's shifted clock (`t_shift_us`), which is what the code released with the paper does. The
    latter two know no residual and no uncertainty.

    The video is read only for motion.

    Returns
    -------
    dict
        ``method, offset_us, drift_ppm, residual_us, uncertainty_us, n_matched, n_expected, n_edges, tie_broken_by,
        warnings, events, triggers, lost, damage``: `lost` says in words what `damage` counts.

    Raises
    ------
    ConfigError
        If the session does not say what the method needs.
    SessionError
        If the recording has no events, is too damaged, has no trigger edges, or RGB and events do not overlap.
    FitError
        If edges or motion cannot tell the clock.
    """
    recording = read_session(session)
    method = chosen_method(recording, params)
    source = _read(recording, params, landmarks, progress)
    answer = {"trigger": _by_triggers, "motion": _by_motion}.get(method, _as_stated)(source, method)
    report = source.report
    found = Clock(
        method=method,
        offset_us=answer.model.offset_us,
        drift_ppm=answer.model.drift_ppm,
        t_shift_us=source.events.t_shift_us,
        first_event_us=int(report.t_first_us or 0),
        last_event_us=int(report.t_last_us or 0),
        **{**_UNKNOWN, **answer.known},
    )
    _check_overlap(recording, found, source.frames.pts_us)
    for warning in found.warnings:
        log.warning("sync %s: %s", recording.session_id, warning)
    metadata = {
        "stage": "sync",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        "equation": "t_us = offset_us + (1 + drift_ppm * 1e-6) * t_rgb_us",
        "units": "us; t_us on the unshifted event clock, t_rgb_us the middle of an RGB exposure",
        "event_file": {**source.events.describe(), **report.to_dict()},
    }
    write_clock(clock, found, metadata, answer.evidence)
    keys = ("method", "offset_us", "drift_ppm", "residual_us", "uncertainty_us", "n_matched", "n_expected", "n_edges")
    return {
        **{key: getattr(found, key) for key in keys},
        "tie_broken_by": found.tie_broken_by,
        "warnings": list(found.warnings),
        "events": report.events,
        "triggers": report.triggers,
        "lost": report.lost(),
        "damage": {kind: n for kind, n in report.counts.items() if n and kind != "before_start"},
    }


def chosen_method(session: Session, params: SyncParams) -> str:
    """Return ``trigger``, ``motion``, ``shared`` or ``start``: what the parameters say, or else the manifest."""
    if params.method != "session":
        return params.method
    if session.manifest.rgb.clock != "rgb":
        return "shared"  # the manifest says that RGB times are event times
    return session.manifest.sync.method


@dataclass(frozen=True)
class _Source:
    """A recording whose events have been read."""

    session: Session
    params: SyncParams
    frames: Timestamps
    face_box: NDArray[np.float64] | None
    events: EventFile
    report: EventFileReport
    triggers: NDArray[np.void]
    meter: RateMeter
    progress: Progress | None


@dataclass(frozen=True)
class _Answer:
    """A clock, what is known of it (fields of `Clock`), and why."""

    model: ClockModel
    known: dict[str, Any]
    evidence: dict[str, Any]


def _read(session: Session, params: SyncParams, landmarks: Path, progress: Progress | None) -> _Source:
    table = read_table(landmarks, "landmarks", ["frame_index", "t_rgb_us", "box_px"])
    frames = Timestamps(table["frame_index"].to_numpy(), table["t_rgb_us"].to_numpy())
    if len(frames.pts_us) < 2:
        raise SessionError(f"{session.path}: {len(frames.pts_us)} RGB frames, expected at least two")
    boxes, valid = vectors(table, "box_px")
    events = open_session_events(session)
    meter, triggers, n = RateMeter(), [], 0
    stream = events.stream()
    for chunk in stream:
        meter.add(chunk.events)
        triggers.append(chunk.triggers)
        n += len(chunk.events)
        if progress:
            progress(n, None)
    stream.report.check(events.path)
    return _Source(
        session=session,
        params=params,
        frames=frames,
        face_box=face_box(boxes[valid].astype(np.float64)),
        events=events,
        report=stream.report,
        triggers=np.concatenate(triggers) if triggers else np.zeros(0, TRIGGER_DTYPE),
        meter=meter,
        progress=progress,
    )


def _by_triggers(source: _Source, _: str) -> _Answer:
    def match(near: tuple[float, float] | None = None) -> tuple[ClockFit, tuple[str, ...]]:
        return from_triggers(source.session, source.params, source.frames, source.triggers, source.events.path, near)

    broken_by = None
    try:
        fit, warnings = match()
    except TieError as tie:
        fit, warnings = _break_tie(source, tie, match)
        broken_by = "motion"
    names = ("residual_us", "uncertainty_us", "n_matched", "n_expected", "n_edges", "offset_std_us", "drift_std_ppm")
    known = {name: getattr(fit, name) for name in names}
    return _Answer(fit.model, {**known, "tie_broken_by": broken_by, "warnings": warnings}, trigger_evidence(fit))


def _break_tie(
    source: _Source, tie: TieError, match: Callable[[tuple[float, float]], tuple[ClockFit, tuple[str, ...]]]
) -> tuple[ClockFit, tuple[str, ...]]:
    """Take the shift that motion agrees with, if it agrees with one and with no other."""

    def refused(why: str) -> FitError:
        return FitError(f"{tie}; nor does motion tell: {why}; {advice(source.session, 'start')}")

    try:
        moved = _motion(source).fit
    except (FitError, SessionError) as err:
        raise refused(str(err)) from err
    middle = source.frames.pts_us[[0, -1]].mean()

    def shift(model: ClockModel) -> float:
        return float(model.offset_us + model.drift_ppm * 1e-6 * middle)

    wanted, std = shift(moved.model), moved.offset_std_us
    said = f"by it event time minus RGB time is {wanted:.0f} us, give or take {std:.0f} us"
    try:
        fit, warnings = match((wanted, tie.spacing_us / 2))
    except FitError as err:
        raise refused(said) from err
    off = abs(shift(fit.model) - wanted)
    if off > _AGREES * std or tie.spacing_us - off < _EXCLUDES * std:
        raise refused(f"{said}, {off:.0f} us from the nearest")
    return fit, warnings


def _by_motion(source: _Source, _: str) -> _Answer:
    try:
        moved = _motion(source)
    except FitError as err:
        raise FitError(
            f"session {source.session.session_id!r}: {err}; record more motion (expressions, a nod) or a trigger"
            " signal, set sync.method to 'shared' with an offset_us that you measured, or use `--sync start` (a guess,"
            " which may be hundreds of ms off)"
        ) from err
    names = ("uncertainty_us", "offset_std_us", "drift_std_ppm")
    known = {name: getattr(moved.fit, name) for name in names}
    return _Answer(moved.fit.model, known, motion_evidence(moved))


def _motion(source: _Source) -> MotionClock:
    return from_motion(source.session, source.params, source.face_box, source.meter.result(), source.progress)


def _as_stated(source: _Source, method: str) -> _Answer:
    if method == "shared":
        model = ClockModel(float(source.session.manifest.sync.offset_us), 0.0)
    else:
        interval = int(np.median(np.diff(source.frames.pts_us)))
        model = ClockModel(float(source.events.t_shift_us + interval - source.frames.pts_us[0]), 0.0)
    return _Answer(model, {}, {"kind": method})


def _check_overlap(session: Session, clock: Clock, t_rgb_us: NDArray[np.int64]) -> None:
    first, last = clock.model.to_event_us(t_rgb_us[[0, -1]])
    if last <= clock.first_event_us or first > clock.last_event_us:
        raise SessionError(
            f"session {session.session_id!r}: by method {clock.method!r} rgb lasts from {first} to {last} us of the"
            f" event clock, events from {clock.first_event_us} to {clock.last_event_us} us, expected them to overlap;"
            " correct [sync] in session.toml or choose another method with --sync"
        )
