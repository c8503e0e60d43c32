"""Stage sync: find the clock model between the RGB video and the event stream of a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import SyncParams
from au3dmm.core.clock import ClockFit, ClockModel, fit_trigger_clock
from au3dmm.errors import ConfigError, FitError, SessionError
from au3dmm.io.clock import Clock, write_clock
from au3dmm.io.events import EventCounts, EventFile, open_events
from au3dmm.io.session import Session, read_session
from au3dmm.io.tables import read_table
from au3dmm.io.timestamps import Timestamps, read_timestamps

READS = ("session:rgb", "session:events", "session:sync", "landmarks")
WRITES = ("clock",)
VERSION = 1

_START, _END = 0, 1  # kinds of exposure instants


def run(
    *,
    session: Path,
    landmarks: Path,
    clock: Path,
    params: SyncParams,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Write `clock.json`.

    Methods: ``trigger`` matches the edges on the trigger input with the exposures (`core.clock`); ``shared`` takes
    RGB times as event times plus ``sync.offset_us``; ``start`` assumes that both recordings began at the same
    instant, so that the first RGB frame ends its interval one median RGB interval after the zero of the event
    file's shifted clock (`t_shift_us`), which is what the code released with the paper does. The latter two know no
    residual and no uncertainty.

    Returns
    -------
    dict
        ``method, offset_us, drift_ppm, residual_us, uncertainty_us, n_matched, n_expected, n_edges, events, triggers``.

    Raises
    ------
    ConfigError
        If the method is not available, or the session does not say what the method needs.
    SessionError
        If the recording has no events or no trigger edges, or RGB and events do not overlap.
    FitError
        If the edges cannot tell the clock.
    """
    recording = read_session(session)
    method = chosen_method(recording, params)
    table = read_table(landmarks, "landmarks", ["frame_index", "t_rgb_us"])
    frames = Timestamps(table["frame_index"].to_numpy(), table["t_rgb_us"].to_numpy())
    if len(frames.pts_us) < 2:
        raise SessionError(f"{recording.path}: {len(frames.pts_us)} RGB frames, expected at least two")
    events = open_session_events(recording)
    stream = _scan(events, progress)
    fit: ClockFit | None = None
    if method == "trigger":
        fit = _from_triggers(recording, params, frames, stream.triggers, events.path)
        model = fit.model
    elif method == "shared":
        model = ClockModel(float(recording.manifest.sync.offset_us), 0.0)
    else:
        interval = int(np.median(np.diff(frames.pts_us)))
        model = ClockModel(float(events.t_shift_us + interval - frames.pts_us[0]), 0.0)
    found = Clock(
        method=method,
        offset_us=model.offset_us,
        drift_ppm=model.drift_ppm,
        residual_us=fit.residual_us if fit else None,
        uncertainty_us=fit.uncertainty_us if fit else None,
        n_matched=fit.n_matched if fit else None,
        n_expected=fit.n_expected if fit else None,
        n_edges=fit.n_edges if fit else None,
        t_shift_us=events.t_shift_us,
        first_event_us=stream.first_us,
        last_event_us=stream.last_us,
    )
    _check_overlap(recording, found, frames.pts_us)
    metadata = {
        "stage": "sync",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        "equation": "t_us = offset_us + (1 + drift_ppm * 1e-6) * t_rgb_us",
        "units": "us; t_us on the unshifted event clock, t_rgb_us the middle of an RGB exposure",
        "event_file": {**events.describe(), **asdict(stream.counts)},
    }
    write_clock(clock, found, metadata)
    keys = ("method", "offset_us", "drift_ppm", "residual_us", "uncertainty_us", "n_matched", "n_expected", "n_edges")
    return {
        **{key: getattr(found, key) for key in keys},
        "events": stream.counts.events,
        "triggers": stream.counts.triggers,
    }


def open_session_events(session: Session) -> EventFile:
    """Open the event file that a session names.

    Raises
    ------
    SessionError
        If it names none, or the file is not there or cannot be read.
    """
    section = session.manifest.events
    if section is None:
        raise SessionError(f"session {session.session_id!r} has no events: no [events] section in {session.path}")
    return open_events(session.file(section.file), section.width, section.height)


@dataclass(frozen=True)
class _Stream:
    first_us: int
    last_us: int
    triggers: NDArray[np.void]
    counts: EventCounts


def _scan(events: EventFile, progress: Callable[[int, int | None], None] | None) -> _Stream:
    first: int | None = None
    last = 0
    triggers = []
    counts = EventCounts()
    for block in events.blocks():
        if len(block.events):
            first = int(block.events["t"][0]) if first is None else first
            last = max(last, int(block.events["t"].max()))
        triggers.append(block.triggers)
        counts = block.counts
        if progress:
            progress(counts.events, None)
    if first is None:
        raise SessionError(
            f"{events.path}: no events ({counts.triggers} triggers, {counts.dropped_out_of_range} events outside the"
            f" {events.width}x{events.height} sensor), expected an event recording"
        )
    return _Stream(first, last, np.concatenate(triggers), counts)


def chosen_method(session: Session, params: SyncParams) -> str:
    """Return ``trigger``, ``shared`` or ``start``: what the parameters say, or else the manifest.

    Raises
    ------
    ConfigError
        If the manifest asks for a method that is not available.
    """
    if params.method != "session":
        return params.method
    if session.manifest.rgb.clock != "rgb":
        return "shared"  # the manifest says that RGB times are event times
    method = session.manifest.sync.method
    if method == "motion":
        raise ConfigError(
            f"{session.path}: sync.method 'motion' is not available in this version; set sync.method to 'shared' with"
            " an offset_us that you measured, or use `--sync start` (a guess, which may be hundreds of ms off)"
        )
    return method


def _from_triggers(
    session: Session, params: SyncParams, frames: Timestamps, triggers: NDArray[np.void], path: Path
) -> ClockFit:
    sync, rgb = session.manifest.sync, session.manifest.rgb
    edges = triggers if sync.trigger_id is None else triggers[triggers["id"] == sync.trigger_id]
    there = sorted(set(triggers["id"].tolist()))
    if not len(edges):
        wanted = "" if sync.trigger_id is None else f" with id {sync.trigger_id}"
        elsewhere = f" (there are some with id {', '.join(map(str, there))})" if there else ""
        raise SessionError(
            f"{path}: no trigger edges{wanted}{elsewhere}, expected two for each RGB exposure; correct"
            " sync.trigger_id, or choose another method with --sync (for example --sync start)"
        )
    if sync.trigger_id is None and len(there) > 1:
        raise ConfigError(
            f"{session.path}: {path.name} has trigger edges of several inputs ({', '.join(map(str, there))}); say"
            " which with sync.trigger_id"
        )
    rising, falling = (_START, _END) if sync.rising_edge == "exposure_start" else (_END, _START)
    edge_kind = np.where(edges["p"] > 0, rising, falling)
    instants, exposure_kind, edge_us, edge_kind = _pair_up(session, frames, edges["t"], edge_kind)
    try:
        return fit_trigger_clock(
            edge_us,
            instants,
            edge_kind=edge_kind,
            exposure_kind=exposure_kind,
            tolerance_us=params.tolerance_us,
            min_matched=params.min_matched,
        )
    except FitError as err:
        raise FitError(
            f"{path}: {err}; check {'rgb.timestamps' if rgb.timestamps else 'the video times'}, sync.trigger_id and"
            " sync.rising_edge, or choose another method with --sync (for example --sync start)"
        ) from err


def _pair_up(
    session: Session, frames: Timestamps, edge_us: NDArray[np.int64], edge_kind: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return exposure instants with their kinds, and the edges to match them with."""
    rgb = session.manifest.rgb
    if rgb.timestamps is not None:
        stamps, convention = read_timestamps(session.file(rgb.timestamps)), rgb.timestamp_convention
    else:
        # frame times are exposure midpoints already, where the length of the exposure is known
        known = rgb.exposure_us is not None
        stamps, convention = frames, "exposure_midpoint" if known else rgb.timestamp_convention
    exposures = stamps.exposures_us(convention, rgb.exposure_us)
    if exposures is not None:
        kinds = [k for k in (_START, _END) if (edge_kind == k).any()]  # a camera may be set to one edge only
        instants = np.concatenate([exposures[:, k] for k in kinds])
        return instants, np.repeat(kinds, len(exposures)), edge_us, edge_kind
    n = len(stamps.pts_us)
    if convention != "exposure_midpoint":
        kind = _START if convention == "exposure_start" else _END
        mine = edge_kind == kind
        return stamps.pts_us, np.full(n, kind), edge_us[mine], edge_kind[mine]
    start = np.flatnonzero((edge_kind[:-1] == _START) & (edge_kind[1:] == _END))
    if not len(start):
        raise ConfigError(
            f"{session.path}: trigger edges of one kind only, while frame times are exposure midpoints; give"
            " rgb.exposure_us, or exposure columns in the timestamps CSV"
        )
    middle = edge_us[start] + (edge_us[start + 1] - edge_us[start]) // 2
    return stamps.pts_us, np.zeros(n, np.int64), middle, np.zeros(len(middle), np.int64)


def _check_overlap(session: Session, clock: Clock, t_rgb_us: NDArray[np.int64]) -> None:
    first, last = clock.model.to_event_us(t_rgb_us[[0, -1]])
    if last <= clock.first_event_us or first > clock.last_event_us:
        raise SessionError(
            f"session {session.session_id!r}: by method {clock.method!r} rgb lasts from {first} to {last} us of the"
            f" event clock, events from {clock.first_event_us} to {clock.last_event_us} us, expected them to overlap;"
            " correct [sync] in session.toml or choose another method with --sync"
        )
