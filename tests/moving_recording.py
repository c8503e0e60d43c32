"""A session folder whose video and events show one texture that moves by fits and starts, on planted clocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from au3dmm.core.clock import ClockModel
from au3dmm.io.events import TRIGGER_DTYPE, write_evt3
from au3dmm.synthetic.event_simulation import Sensor, simulate_events
from recordings import write_csv, write_manifest, write_video
from simulated_motion import movements

TRUE = ClockModel(2_400_000.0, 30.0)
INTERVAL, FIRST, EXPOSURE = 33_333, 400_000, 8_000
SIZE = (72, 54)  # px, of both cameras
PICTURES_HZ = 150
_LEAD_S, _TAIL_S = 0.7, 0.5  # what the events show before and after the video


def write_recording(
    folder: Path, seconds: float = 5.0, *, method: str = "motion", seed: int = 0, bystander: bool = False
) -> np.ndarray:
    """Write `session.toml`, `rgb.mp4`, `times.csv` and `events.raw` into `folder`; return the frames' times, us.

    With a `bystander` another texture moves in the upper half of the video, which the event camera does not see.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    t_rgb = FIRST + INTERVAL * np.arange(int(seconds * 1e6 / INTERVAL))
    film = Film(rng, seconds + _LEAD_S + _TAIL_S)
    beside = Film(rng, seconds + _LEAD_S + _TAIL_S)
    images = []
    for t in t_rgb:
        picture = film.at((t - FIRST) / 1e6 + _LEAD_S)
        if bystander:
            picture = np.concatenate([beside.at((t - FIRST) / 1e6 + _LEAD_S), picture])
        grey = np.rint(255 * np.exp(picture) ** (1 / 2.2)).astype(np.uint8)
        images.append(np.repeat(grey[..., None], 3, axis=2))
    write_video(folder / "rgb.mp4", images, [round(t * 0.09) for t in t_rgb])
    write_csv(folder / "times.csv", t_rgb)
    at_s = np.arange(0, seconds + _LEAD_S + _TAIL_S, 1 / PICTURES_HZ)
    there_us = TRUE.to_event_us(np.rint((at_s - _LEAD_S) * 1e6 + FIRST).astype(np.int64))
    sensor = Sensor(*SIZE, noise_hz=1.0)
    events = simulate_events(pictures(film, at_s, there_us), sensor, rng)
    triggers = exposure_edges(t_rgb)
    write_evt3(folder / "events.raw", events, triggers, width=SIZE[0], height=SIZE[1])
    write_manifest(
        folder,
        {"file": "rgb.mp4", "timestamps": "times.csv", "exposure_us": EXPOSURE},
        events={"file": "events.raw"},
        sync={"method": method},
    )
    return t_rgb


def pictures(film: Film, at_s: np.ndarray, there_us: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Yield what the event camera sees: its time and the logarithm of the brightness."""
    for t, there in zip(at_s, there_us, strict=True):
        yield float(there), film.at(t).astype(np.float32)


class Film:
    """A smooth random texture that moves sideways."""

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        rows = rng.normal(size=(SIZE[1], 2 * SIZE[0]))
        spectrum = np.fft.rfft(rows, axis=1) * np.exp(-((np.arange(SIZE[0] + 1) / 14) ** 2))
        smooth = np.fft.irfft(spectrum, axis=1)
        self._texture = -1.2 + 0.35 * smooth / smooth.std()
        self._texture = np.clip(self._texture, -2.5, -0.1)
        self._t = np.arange(0, seconds + 0.1, 0.001)
        speed = movements(rng, self._t, 1.5) * rng.choice([-1, 1])
        self._place = np.cumsum(0.5 + 25 * speed) * 0.001  # px

    def at(self, t_s: float) -> np.ndarray:
        """Return the picture (H, W) at a time, s: the logarithm of its brightness."""
        place = float(np.interp(t_s, self._t, self._place))
        whole = int(np.floor(place))
        left = np.roll(self._texture, whole, axis=1)
        right = np.roll(self._texture, whole + 1, axis=1)
        return ((1 - (place - whole)) * left + (place - whole) * right)[:, : SIZE[0]]


def exposure_edges(t_rgb: np.ndarray) -> np.ndarray:
    """Both edges of every exposure."""
    edges = np.zeros(2 * len(t_rgb), TRIGGER_DTYPE)
    edges["t"] = TRUE.to_event_us((t_rgb[:, None] + np.array([-1, 1]) * EXPOSURE // 2).ravel())
    edges["p"] = np.tile([1, 0], len(t_rgb))
    return edges
