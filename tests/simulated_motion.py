"""Motion that an RGB camera and an event camera see on planted clocks: numbers only, no pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from au3dmm.core.clock import ClockModel
from au3dmm.core.event_rate import EventRate

STEP_S = 0.001


@dataclass(frozen=True)
class MotionCase:
    """A simulated recording.

    Attributes
    ----------
    t_rgb_us : (N,) int64 array
        Frame times as a host would state them.
    exact_rgb_us : (N,) array
        Frame times on the RGB clock.
    energy : (1, N - 1) array
        Motion between frames.
    rate : EventRate
        Events.
    true : ClockModel
    what : dict
        Seconds, frames per second, drift_ppm, jitter_us, mismatch, events.
    """

    t_rgb_us: np.ndarray
    exact_rgb_us: np.ndarray
    energy: np.ndarray
    rate: EventRate
    true: ClockModel
    what: dict

    def error_us(self, model: ClockModel) -> float:
        """How wrong a clock is at the worse end of the recording, us."""
        ends = self.exact_rgb_us[[0, -1]]
        offset, drift = model.offset_us - self.true.offset_us, model.drift_ppm - self.true.drift_ppm
        return float(np.abs(offset + drift * 1e-6 * ends).max())


def simulate(seed: int, **chosen: float) -> MotionCase:
    """Draw a recording: 3 to 60 s, 24 to 60 fps, 10^4 to 3 10^6 events, all else as `chosen` or by chance.

    Both cameras see movements of 0.1 to 0.7 s, half of which go there and back, and slow motion of the head. Each has
    beside that what the other does not see: movements of its own, a gain that wanders (`mismatch` is their size), and
    noise. RGB frames are exposed for 2 to 15 ms; the host states their times with a jitter.
    """
    rng = np.random.default_rng(seed)
    what = {
        "seconds": float(np.exp(rng.uniform(np.log(3), np.log(60)))),
        "fps": float(rng.choice([24, 25, 30, 30, 60])),
        "drift_ppm": float(rng.choice([-50, 0, 50])),
        "jitter_us": float(rng.choice([0, 500, 2000])),
        "mismatch": rng.uniform(0.05, 0.4),
        "events": 10 ** rng.uniform(4, 6.5),
    }
    what |= chosen
    t = np.arange(0, what["seconds"] + 4, STEP_S)
    often = rng.uniform(0.5, 2)
    moved = movements(rng, t, often) + 0.4 * head_motion(rng, t)
    seen = [
        moved * wander(rng, t, what["mismatch"]) + 2 * what["mismatch"] * movements(rng, t, often / 2) for _ in range(2)
    ]
    return record(rng, t, seen[0], seen[1], **what)


def record(
    rng: np.random.Generator,
    t: np.ndarray,
    for_rgb: np.ndarray,
    for_events: np.ndarray,
    *,
    seconds: float,
    fps: float = 30.0,
    drift_ppm: float = 0.0,
    jitter_us: float = 0.0,
    mismatch: float = 0.0,
    events: float = 1e6,
    floor: float | None = None,
) -> MotionCase:
    """Film motion (rates at times `t`, s): frames from 1 to 3 s after the events begin, events with a noise floor."""
    expected = for_events + (rng.uniform(0.02, 1) if floor is None else floor) * for_events.mean()
    start_us = int(rng.integers(0, 1 << 24))
    rate = EventRate(start_us, 1000, rng.poisson(expected * events / expected.sum()).astype(np.float64))
    true = ClockModel(rng.uniform(-2e6, 2e6), drift_ppm)
    there_s = rng.uniform(0.3, 2) + np.arange(int(seconds * fps)) / fps
    exact_us = (start_us + there_s * 1e6 - true.offset_us) / (1 + drift_ppm * 1e-6)
    cumulative = np.r_[0, np.cumsum(for_rgb)] * STEP_S
    grid = np.arange(len(cumulative)) * STEP_S
    exposed = there_s + rng.uniform(0.002, 0.015) * np.linspace(-0.5, 0.5, 5)[:, None]
    energy = np.diff(np.interp(exposed, grid, cumulative), axis=1).mean(0)
    noise = np.abs(rng.normal(0, 0.3 * mismatch, len(energy))) + 0.1
    energy = energy + noise * energy.mean()
    stated = np.rint(exact_us + rng.normal(0, jitter_us, len(exact_us))).astype(np.int64)
    order = np.arange(len(stated))
    stated = np.maximum.accumulate(stated - order) + order  # a host never states times that go back
    what = {"seconds": seconds, "fps": fps, "drift_ppm": drift_ppm, "jitter_us": jitter_us, "mismatch": mismatch}
    return MotionCase(stated, exact_us, energy[None], rate, true, {**what, "events": events})


def movements(rng: np.random.Generator, t: np.ndarray, per_second: float) -> np.ndarray:
    """Speeds of movements at random: bells, half of them followed by the way back."""
    speed = np.zeros(len(t))
    for _ in range(max(2, rng.poisson(per_second * t[-1]))):
        length, centre, size = rng.uniform(0.12, 0.7), rng.uniform(0, t[-1]), rng.lognormal(0, 0.6)
        back = [centre + length * rng.uniform(1, 3)] if rng.random() < 0.5 else []
        for c in (centre, *back):
            speed += size * np.cos(np.pi * np.clip((t - c) / length, -0.5, 0.5)) ** 2
    return speed


def head_motion(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Speed of slow motion without a pause."""
    waves = [np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * t + rng.uniform(0, 2 * np.pi)) for _ in range(3)]
    return np.abs(np.sum(waves, 0)) / 3


def wander(rng: np.random.Generator, t: np.ndarray, size: float) -> np.ndarray:
    """A gain that changes from second to second."""
    knots = np.arange(0, t[-1] + 2)
    return np.exp(np.interp(t, knots, rng.normal(0, size, len(knots))))
