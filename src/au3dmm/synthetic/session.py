"""Write a synthetic session: a rendered person filmed by an RGB and an event camera, with every truth known.

The clocks of the cameras differ by an offset and a drift: ``event = offset + (1 + drift) * rgb``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.errors import OutputError, os_reason
from au3dmm.io.atomic import write_bytes, write_json
from au3dmm.io.events import TRIGGER_DTYPE, write_evt3
from au3dmm.io.session import MANIFEST
from au3dmm.io.video_write import write_video
from au3dmm.synthetic.film import Film, rgb_view
from au3dmm.synthetic.motion import Movement, Performance, Turn, plan_movements
from au3dmm.synthetic.occurrence import FILE, occurrence_csv, occurrence_of
from au3dmm.synthetic.person import Person, default_person
from au3dmm.synthetic.session_setup import TINY, TRUTH, Setup, manifest_toml, timestamps_csv

__all__ = ["TINY", "Identity", "Setup", "record", "write_session"]

FILMED = ("rgb.mp4", "rgb_timestamps.csv", "events.raw")
FILES = (*FILMED, FILE, MANIFEST)
_WRAP_US = 1 << 24
_BLOCK_US = 1 << 12


@dataclass(frozen=True)
class Identity:
    """What a session's manifest says of it.

    Attributes
    ----------
    session_id, subject_id : str
        Names.
    task : str, optional
        What the subject was asked to do.
    au : str, optional
        The action unit asked for, if one.
    emotion : str, optional
        The emotion asked for, if one.
    run : int, optional
        Repetition.
    source : mapping
        Where it is from; plain values.
    """

    session_id: str
    subject_id: str
    task: str | None = None
    au: str | None = None
    emotion: str | None = None
    run: int | None = None
    source: Mapping[str, str | int | float] | None = None


def write_session(
    folder: Path,
    *,
    seed: int = 0,
    seconds: float = 3.0,
    fps: float = 30.0,
    session_id: str = "synthetic",
    setup: Setup | None = None,
    person: Person | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Write `session.toml`, `rgb.mp4`, `rgb_timestamps.csv`, `events.raw` (EVT3), `occurrence.csv` and `truth.json`
    into `folder`.

    The manifest is written last, so a folder that has one is complete. Equal arguments give equal bytes.

    Parameters
    ----------
    folder : Path
        Created if needed; files of these names in it are replaced.
    seed : int
        Who is filmed and how they move.
    seconds : float
        Length of the RGB video.
    fps : float
        RGB frames per second.
    session_id : str
        Name in the manifest.
    setup : Setup, optional
        Cameras and clocks; `TINY` is for tests.
    person : Person, optional
        Who is filmed, in place of `default_person`.
    progress : callable, optional
        Called with the pictures drawn so far and their number.

    Returns
    -------
    dict
        What `truth.json` holds: clocks, coefficients, poses, counts; see the keys there.

    Raises
    ------
    AssetError
        If the embedded head is missing.
    OutputError
        If a file cannot be written.
    """
    performance = Performance(plan_movements(seconds, seed), seed=seed)
    film = Film(person or default_person(seed), performance, setup or Setup(), room=seed)
    identity = Identity(session_id, f"synthetic_{seed}", source={"from": __name__, "licence": "Apache-2.0"})
    truth_file = folder / TRUTH
    return record(folder, film, identity, truth_file, seed=seed, seconds=seconds, fps=fps, progress=progress)


def record(
    folder: Path,
    film: Film,
    identity: Identity,
    truth_file: Path,
    *,
    seed: int | tuple[int, ...],
    seconds: float,
    fps: float = 30.0,
    planned: Performance | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Write the files of a session into `folder`, and the truth about it to `truth_file`; the manifest comes last.

    Parameters
    ----------
    folder : Path
        Created if needed; files in it are replaced.
    film : Film
        Who does what before which cameras.
    identity : Identity
        What the manifest says of it.
    truth_file : Path
        A JSON file.
    seed : int or tuple of int
        Of the noise of both cameras.
    seconds, fps : float
        Length of the RGB video, and its frames per second.
    planned : Performance, optional
        What was to be done, where the film shows other movements in its place.
    progress : callable, optional
        Called with the pictures drawn so far and their number.

    Returns
    -------
    dict
        The truth.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    setup = film.setup
    # a manifest says that the folder is complete: an old one must not stand while its files are replaced
    try:
        (folder / MANIFEST).unlink(missing_ok=True)
    except OSError as err:
        raise OutputError(f"{folder}: cannot be written: {os_reason(err)}; choose another --out DIR") from err
    pts_us = _frame_times(setup, seconds, fps)
    n_frames = len(pts_us)
    base_us = setup.base_us
    if base_us is None:
        # whole blocks of the camera clock, placed so that its 24 bits run over in the middle of the video
        base_us = (_WRAP_US - setup.offset_us - int(pts_us[n_frames // 2])) // _BLOCK_US * _BLOCK_US
    drift = 1 + setup.drift_ppm * 1e-6
    first_us = (_BLOCK_US - setup.offset_us) / drift  # the file's clock starts one block before its first event
    n_pictures = max(2, int(np.ceil((pts_us[-1] + setup.tail_us - first_us) * setup.simulate_fps * 1e-6)))
    picture_us = first_us + np.arange(n_pictures) * 1e6 / setup.simulate_fps
    count = _counter(n_frames + n_pictures, progress)
    key = [seed] if isinstance(seed, int) else seed

    frames = film.rgb_frames(pts_us, np.random.default_rng([*key, 4]), count)
    write_video(folder / "rgb.mp4", frames, (int(t) for t in pts_us))
    events = film.events(picture_us, setup.clock(picture_us, base_us), np.random.default_rng([*key, 5]), count)

    exposure_us = pts_us[:, None] + np.array([-1, 1]) * (setup.exposure_us // 2)
    triggers = np.zeros(2 * n_frames, TRIGGER_DTYPE)
    triggers["t"] = np.rint(setup.clock(exposure_us.ravel(), base_us)).astype(np.int64)
    triggers["p"] = np.tile([1, 0], n_frames)
    names = {"camera_integrator_name": "au3dmm", "sensor_generation": "4.2", "serial_number": "00000000"}
    width, height = setup.event_size
    write_evt3(folder / "events.raw", events, triggers, width=width, height=height, header_extra=names)
    write_bytes(folder / "rgb_timestamps.csv", timestamps_csv(pts_us, exposure_us).encode())

    truth = {
        "session": identity.session_id,
        "simulated": True,
        "seed": seed if isinstance(seed, int) else list(seed),
        "setup": asdict(setup),
        **_clock_truth(setup, pts_us, base_us, events, triggers),
        **_film_truth(film, pts_us),
    }
    write_json(truth_file, truth)
    tell(folder, film, identity, truth_file, seconds=seconds, fps=fps, planned=planned)
    return truth


def tell(
    folder: Path,
    film: Film,
    identity: Identity,
    truth_file: Path,
    *,
    seconds: float,
    fps: float = 30.0,
    planned: Performance | None = None,
) -> None:
    """Write what is said of a session that is filmed: `occurrence.csv`, then the manifest.

    Parameters are those of `record`.
    """
    setup = film.setup
    pts_us = _frame_times(setup, seconds, fps)
    there = occurrence_of(planned or film.performance, (pts_us - setup.first_pts_us) * 1e-6)
    write_bytes(folder / FILE, occurrence_csv(there).encode())
    optional = {"task": identity.task, "au": identity.au, "run": identity.run}
    section = {
        "subject_id": identity.subject_id,
        "session_id": identity.session_id,
        **{name: value for name, value in optional.items() if value is not None},
        "simulated_events": True,
    }
    place = truth_file.name if truth_file.parent == folder else f"{truth_file.parent.name}/{truth_file.name}"
    said = [{"kind": "frame_occurrence", "origin": "simulated", "file": FILE}]
    if identity.emotion is not None:
        said.append({"kind": "video_class", "origin": "instructed", "vocabulary": "emotion", "label": identity.emotion})
    text = manifest_toml(
        section, setup, fps=fps, n_frames=len(pts_us), source=identity.source or {}, truth=place, annotations=said
    )
    write_bytes(folder / MANIFEST, text.encode())


def _frame_times(setup: Setup, seconds: float, fps: float) -> NDArray[np.int64]:
    """Return when RGB frames are shown, us on the RGB clock."""
    n = max(1, round(seconds * fps))
    return np.asarray(setup.first_pts_us + np.rint(np.arange(n) * 1e6 / fps), np.int64)


def _counter(total: int, progress: Callable[[int, int | None], None] | None) -> Callable[[], None]:
    """Return what counts pictures and tells `progress`."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return count


def _clock_truth(
    setup: Setup, pts_us: NDArray[np.int64], base_us: int, events: NDArray[np.void], triggers: NDArray[np.void]
) -> dict[str, Any]:
    """Return the clocks and counts, with the keys of the recordings made from real videos."""
    t = events["t"]
    first_us = int(min(t.min(initial=_WRAP_US), triggers["t"][0]))
    first_time_high = first_us >> 12
    raw_base_us = (first_time_high - 1) << 12  # what readers that shift times subtract
    offset_raw_us = base_us + setup.offset_us
    last_us = int(max(t.max(initial=0), triggers["t"][-1]))
    frames_us = np.rint(setup.clock(pts_us, base_us)).astype(np.int64)
    return {
        "clock_model": "t_event = offset_s + (1 + drift_ppm*1e-6) * t_rgb; t_rgb = pts*time_base = exposure midpoint"
        " (s); t_event = raw camera time minus raw_base_us; offset_raw_s: the same on the raw camera clock",
        "offset_s": round((offset_raw_us - raw_base_us) * 1e-6, 6),
        "offset_raw_s": round(offset_raw_us * 1e-6, 6),
        "drift_ppm": setup.drift_ppm,
        "raw_base_us": raw_base_us,
        "first_time_high": first_time_high,
        "wraps_24bit_inside": (last_us >> 24) - (first_us >> 24),
        "event_count": len(t),
        "event_count_on": int(events["p"].sum()),
        "first_event_raw_us": int(t[0]) if len(t) else None,
        "last_event_raw_us": int(t[-1]) if len(t) else None,
        "trigger_edges": len(triggers),
        "trigger_id": 0,
        "rgb_frames": len(pts_us),
        "rgb_first_pts_us": int(pts_us[0]),
        "rgb_last_pts_us": int(pts_us[-1]),
        "rgb_first_frame_raw_us": int(frames_us[0]),
        "rgb_last_frame_raw_us": int(frames_us[-1]),
    }


def _film_truth(film: Film, pts_us: NDArray[np.int64]) -> dict[str, Any]:
    """Return who was filmed and what they did in each RGB frame; `core.camera.Pose` says what the pose means."""
    alpha_au, _, _ = film.moves(pts_us)
    view = rgb_view(film.setup)
    pose = film.pose(pts_us, view)
    bases = film.person.bases
    return {
        "basis": {"topology_hash": bases.topology_hash(), "landmark_hash": bases.landmark_hash()},
        "names_au": list(bases.names_au),
        "alpha_id": film.person.alpha_id.round(6).tolist(),
        "alpha_au": alpha_au.round(6).tolist(),
        "focal_px": round(view.focal_px, 6),
        "rotation_vector": Rotation.from_matrix(pose.rotation).as_rotvec().round(8).tolist(),
        "scale_px_per_m": pose.scale.round(6).tolist(),
        "translation_px": pose.translation.round(6).tolist(),
        "movements": [_times(m, film.setup) for m in film.performance.movements],
        "turns": [_times(t, film.setup) for t in film.performance.turns],
        "beyond_basis": film.person.beyond_basis(),
    }


def _times(move: Movement | Turn, setup: Setup) -> dict[str, Any]:
    """Return when a movement starts, reaches its apex, leaves it and ends, us on the RGB clock."""
    length = move.end_s - move.start_s
    instants = (move.start_s, move.start_s + move.rise * length, move.end_s - move.fall * length, move.end_s)
    keys = ("start_us", "apex_start_us", "apex_end_us", "end_us")
    times = {key: round(t * 1e6) + setup.first_pts_us for key, t in zip(keys, instants, strict=True)}
    if isinstance(move, Turn):
        return {"name": move.name, **times, "rotation_vector": [round(v, 6) for v in move.rotation_vector]}
    return {"name": move.name, **times, "peak": {unit: round(v, 4) for unit, v in move.peak.items()}}
