"""Write a synthetic session: a rendered person filmed by an RGB and an event camera, with every truth known.

The two cameras stand side by side and differ in focal length; nothing in the session says how (a real pair is not
calibrated either). Their clocks differ by an offset and a drift: ``event = offset + (1 + drift) * rgb``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.core.camera import focal_from_field_of_view
from au3dmm.io.atomic import write_bytes, write_json
from au3dmm.io.events import TRIGGER_DTYPE, write_evt3
from au3dmm.io.images import enlarge_linear
from au3dmm.io.session import MANIFEST
from au3dmm.io.video_write import write_video
from au3dmm.synthetic.event_simulation import Sensor, simulate_events
from au3dmm.synthetic.motion import Movement, activation, head_motion, plan_movements
from au3dmm.synthetic.person import Person, default_person
from au3dmm.synthetic.render import View, look_at, render_view, soft_background, to_srgb
from au3dmm.synthetic.session_setup import TINY, TRUTH, Setup, manifest_toml, timestamps_csv

__all__ = ["TINY", "Setup", "write_session"]

_WRAP_US = 1 << 24
_BLOCK_US = 1 << 12
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# brightness of the event camera's darkest grey: keeps the logarithm of pits and pupils finite
_DARK = 0.02


@dataclass(frozen=True)
class _Film:
    """What both cameras look at: someone who moves; times are of the RGB clock."""

    person: Person
    movements: tuple[Movement, ...]
    first_pts_us: int
    seed: int

    def moves(
        self, t_rgb_us: NDArray[np.number]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return alpha_au (T, K), rotation vectors (T, 3), rad, and translations (T, 3), m."""
        t_s = (np.asarray(t_rgb_us, np.float64) - self.first_pts_us) * 1e-6
        return activation(self.movements, self.person.bases.names_au, t_s), *head_motion(t_s, self.seed)

    def pictures(
        self, t_rgb_us: NDArray[np.number], view: View, to_channels: NDArray[np.float64]
    ) -> Iterator[NDArray[np.float32]]:
        """Yield linear pictures (H, W, C); `to_channels` (3, C) mixes red, green and blue."""
        background = soft_background(view.width, view.height, self.seed) @ to_channels
        faces = self.person.bases.faces
        for alpha_au, turn, shift in zip(*self.moves(t_rgb_us), strict=True):
            vertices, colours = self.person.lit(alpha_au, Rotation.from_rotvec(turn).as_matrix(), shift)
            yield render_view(view, vertices, faces, colours @ to_channels, background)


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
    """Write `session.toml`, `rgb.mp4`, `rgb_timestamps.csv`, `events.raw` (EVT3) and `truth.json` into `folder`.

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
    setup = setup or Setup()
    person = person or default_person(seed)
    film = _Film(person, plan_movements(seconds, seed), setup.first_pts_us, seed)
    rgb_view, event_view = _views(setup)
    n_frames = max(1, round(seconds * fps))
    pts_us = setup.first_pts_us + np.rint(np.arange(n_frames) * 1e6 / fps).astype(np.int64)
    # whole blocks of the camera clock, placed so that its 24 bits run over in the middle of the video
    base_us = (_WRAP_US - setup.offset_us - int(pts_us[n_frames // 2])) // _BLOCK_US * _BLOCK_US
    drift = 1 + setup.drift_ppm * 1e-6
    first_us = (_BLOCK_US - setup.offset_us) / drift  # the file's clock starts one block before its first event
    n_pictures = max(2, int(np.ceil((pts_us[-1] + setup.tail_us - first_us) * setup.simulate_fps * 1e-6)))
    picture_us = first_us + np.arange(n_pictures) * 1e6 / setup.simulate_fps
    report = _counter(n_frames + n_pictures, progress)

    noise = np.random.default_rng([seed, 4])
    rgb = (to_srgb(p, noise, setup.image_noise) for p in report(film.pictures(pts_us, rgb_view, np.eye(3))))
    write_video(folder / "rgb.mp4", rgb, (int(t) for t in pts_us))

    sensor = Sensor(*setup.event_size, noise_hz=setup.background_hz)
    drawn = report(film.pictures(picture_us, event_view, _LUMINANCE[:, None]))
    grey = ((t, _log_picture(p, sensor)) for t, p in zip(setup.clock(picture_us, base_us), drawn, strict=True))
    events = simulate_events(grey, sensor, np.random.default_rng([seed, 5]))

    exposure_us = pts_us[:, None] + np.array([-1, 1]) * (setup.exposure_us // 2)
    triggers = np.zeros(2 * n_frames, TRIGGER_DTYPE)
    triggers["t"] = np.rint(setup.clock(exposure_us.ravel(), base_us)).astype(np.int64)
    triggers["p"] = np.tile([1, 0], n_frames)
    names = {"camera_integrator_name": "au3dmm", "sensor_generation": "4.2", "serial_number": "00000000"}
    write_evt3(folder / "events.raw", events, triggers, width=sensor.width, height=sensor.height, header_extra=names)
    write_bytes(folder / "rgb_timestamps.csv", timestamps_csv(pts_us, exposure_us).encode())

    truth = {
        "session": session_id,
        "simulated": True,
        "seed": seed,
        "setup": asdict(setup),
        **_clock_truth(setup, pts_us, base_us, events, triggers),
        **_film_truth(film, pts_us, rgb_view),
    }
    write_json(folder / TRUTH, truth)
    write_bytes(folder / MANIFEST, manifest_toml(session_id, seed, fps, n_frames, setup).encode())
    return truth


def _views(setup: Setup) -> tuple[View, View]:
    """Return the RGB camera, and the event camera beside it, which is drawn at half its resolution.

    Enlarging that picture again stands for the blur of its lens, as wide as a pixel, and takes a quarter of the time.
    """
    (width, height), (event_width, event_height) = setup.rgb_size, setup.event_size
    place = np.array([0.0, -0.015, setup.distance_m])
    rgb = View(width, height, focal_from_field_of_view(width, 60.0), place, np.eye(3))
    beside = np.array([0.065, 0.02, 0.97 * setup.distance_m])
    axes = look_at((0.0, -0.01, 0.0), beside, roll_rad=0.02)
    event = View(event_width, event_height, 0.8 * event_width, beside, axes)
    return rgb, event.scaled(0.5)


def _log_picture(picture: NDArray[np.float32], sensor: Sensor) -> NDArray[np.float32]:
    return enlarge_linear(np.log(picture[..., 0] + np.float32(_DARK)), (sensor.height, sensor.width))


def _counter(
    total: int, progress: Callable[[int, int | None], None] | None
) -> Callable[[Iterator[NDArray[np.float32]]], Iterator[NDArray[np.float32]]]:
    """Return a wrapper for iterators of pictures that tells `progress` how many went by in all of them."""
    done = 0

    def counted(pictures: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        nonlocal done
        for picture in pictures:
            yield picture
            done += 1
            if progress is not None:
                progress(done, total)

    return counted


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


def _film_truth(film: _Film, pts_us: NDArray[np.int64], view: View) -> dict[str, Any]:
    """Return who was filmed and what they did in each RGB frame; `core.camera.Pose` says what the pose means."""
    alpha_au, turn, shift = film.moves(pts_us)
    pose = view.head_pose(Rotation.from_rotvec(turn).as_matrix(), shift)
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
        "movements": [
            {"name": m.name, "start_us": _us(m.start_s, film), "end_us": _us(m.end_s, film)} for m in film.movements
        ],
    }


def _us(t_s: float, film: _Film) -> int:
    return round(t_s * 1e6) + film.first_pts_us
