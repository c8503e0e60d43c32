"""How exact clocks are, and whether they say so: by triggers and by motion, planted, rendered and shared.

    python benchmarks/clock.py [--cases 100] [--first 0] [--rendered 6] [SESSIONS_FOLDER]

Errors are at the worse end of each recording. *Covered*: the share of recordings whose error is below twice the stated
uncertainty.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from au3dmm.config import SyncParams
from au3dmm.core.clock import ClockModel, fit_trigger_clock
from au3dmm.core.event_rate import EventRate, RateMeter
from au3dmm.core.motion_energy import MotionEnergy
from au3dmm.core.motion_sync import PIXEL_US, fit_motion_clock
from au3dmm.errors import FitError
from au3dmm.io.events import open_events
from au3dmm.io.frames import session_frames
from au3dmm.io.images import resize_area
from au3dmm.io.session import read_session
from au3dmm.io.timestamps import read_timestamps
from au3dmm.stages import sync
from au3dmm.synthetic.session import Setup, write_session
from simulated_motion import simulate
from timed_recording import write_landmarks

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "sessions"


def worst(found: ClockModel, true: ClockModel, t_rgb) -> float:
    ends = np.array([t_rgb[0], t_rgb[-1]], float)
    return float(np.abs(found.offset_us - true.offset_us + (found.drift_ppm - true.drift_ppm) * 1e-6 * ends).max())


def triggers(n: int) -> None:
    print(f"triggers, {n} recordings of 60 to 1800 frames each, drift up to 150 ppm")
    print(f"{'edges':52} {'error, us: median':>18} {'95 %':>7} {'worst':>7} {'covered':>8} {'refused':>8}")
    for name, missing, spurious, jitter, kinds in (
        ("all, 1 us jitter", 0, 0, 1, 2),
        ("1 % missing, 1 % spurious, 1 us", 0.01, 0.01, 1, 2),
        ("1 % missing, 1 % spurious, 20 us", 0.01, 0.01, 20, 2),
        ("10 % missing, 10 % spurious, 1 us", 0.1, 0.1, 1, 2),
        ("one kind of edge only, 1 % missing, 1 % spurious, 1 us", 0.01, 0.01, 1, 1),
    ):
        errors, covered, refused = [], [], 0
        for seed in range(n):
            rng = np.random.default_rng(seed)
            middle = np.rint(np.arange(int(rng.integers(60, 1800))) * 1e6 / rng.choice([24, 30, 60])).astype(np.int64)
            t_rgb = (middle[:, None] + np.array([-2000, 2000])[:kinds]).ravel()
            kind = np.tile([0, 1][:kinds], len(middle))
            true = ClockModel(rng.uniform(-1e6, 2e7), rng.uniform(-150, 150))
            edge = true.to_event_us(t_rgb) + np.rint(rng.normal(0, jitter, len(t_rgb))).astype(np.int64)
            keep = rng.random(len(edge)) >= missing
            # which end is missing cannot be told from evenly spaced edges alone: see the ties below
            keep[[*range(kinds), *range(-kinds, 0)]] = True
            more = rng.integers(edge[0], edge[-1], round(spurious * len(edge)))
            edges, kinds_e = np.r_[edge[keep], more], np.r_[kind[keep], rng.integers(0, kinds, len(more))]
            try:
                fit = fit_trigger_clock(edges, t_rgb, edge_kind=kinds_e, exposure_kind=kind)
            except FitError:
                refused += 1
                continue
            errors.append(worst(fit.model, true, t_rgb))
            covered.append(errors[-1] <= 2 * fit.uncertainty_us)
        low, high = np.quantile(errors, [0.5, 0.95])
        print(f"{name:52} {low:18.2f} {high:7.2f} {max(errors):7.2f} {np.mean(covered):8.0%} {refused:8d}")


def simulated(n: int, first: int) -> None:
    print(
        f"\nmotion, {n} simulated recordings: {simulate.__doc__.split(', all')[0].removeprefix('Draw a recording: ')}"
    )
    print("(two thirds with a drift of +-50 ppm, two thirds with jitter of host times; tests/simulated_motion.py)")
    rows = []
    for seed in range(first, first + n):
        case = simulate(seed)
        try:
            fit = fit_motion_clock(case.t_rgb_us, case.energy, case.rate)
            rows.append((case.what["seconds"], case.what["drift_ppm"], case.error_us(fit.model), fit.uncertainty_us))
        except FitError:
            rows.append((case.what["seconds"], case.what["drift_ppm"], np.nan, np.nan))
    table = np.array(rows)
    header = f"{'recordings':22} {'refused':>8} {'error, ms: median':>18} {'90 %':>6} {'worst':>6} {'below 5 ms':>11}"
    print(f"{header} {'uncertainty, ms: median':>24} {'10 to 90 %':>13} {'covered':>8}")
    for name, mine in (
        *((f"{a} to {b} s", (table[:, 0] >= a) & (table[:, 0] < b)) for a, b in ((3, 6), (6, 12), (12, 25), (25, 60))),
        ("without drift", table[:, 1] == 0),
        ("drift +-50 ppm", table[:, 1] != 0),
        ("all", np.ones(n, bool)),
    ):
        part = table[mine & np.isfinite(table[:, 2])]
        if not len(part):
            continue
        error, doubt = part[:, 2] / 1e3, part[:, 3] / 1e3
        low, high = np.quantile(doubt, [0.1, 0.9])
        print(
            f"{name:22} {mine.sum() - len(part):5d}/{mine.sum():<3d} {np.median(error):17.1f}"
            f" {np.quantile(error, 0.9):6.1f} {error.max():6.1f} {np.mean(error < 5):11.0%} {np.median(doubt):24.1f}"
            f" {low:6.1f} to {high:3.1f} {np.mean(error <= 2 * doubt):8.0%}"
        )
    done = table[np.isfinite(table[:, 2])]
    print(f"{'stated uncertainty':22} {'of those':>8} {'below 5 ms':>18} {'worst, ms':>10}")
    for most in (2.0, 2.5, 3.0, 4.0, 5.0):
        error = done[done[:, 3] < 1e3 * most, 2] / 1e3
        if len(error):
            print(f"{f'below {most} ms':22} {len(error):8d} {np.mean(error < 5):18.1%} {error.max():10.1f}")
    without = np.sqrt(np.maximum(done[:, 3] ** 2 - PIXEL_US**2, 0))
    print(f"covered without the {PIXEL_US / 1e3} ms for event pixels: {np.mean(done[:, 2] <= 2 * without):.0%}")


def recordings(n_rendered: int, folder: Path) -> None:
    print("\nrecordings: the method of the row, then motion measured otherwise (errors in ms)")
    print(
        f"{'recording':26} {'method':8} {'error, us':>10} {'uncertainty':>12} {'correlation':>12} {'region':>7}"
        f" {'seconds':>8} | {'|dI|':>6} {'|d log I|':>9} {'predicted events, C = 0.1':>25} {'0.2':>5} {'0.4':>5}"
    )
    with tempfile.TemporaryDirectory() as name:
        tmp = Path(name)
        for seed in range(n_rendered):
            setup = Setup(rgb_size=(320, 240), event_size=(480, 270), drift_ppm=(0.0, 50.0, -50.0)[seed % 3])
            write_session(tmp / f"rendered-{seed}", seed=seed, seconds=8.0, session_id=f"rendered-{seed}", setup=setup)
        sessions = [*(tmp / f"rendered-{seed}" for seed in range(n_rendered)), *sorted(folder.glob("*/"))]
        for session in sessions:
            truth = json.loads((session / "truth.json").read_text())
            true = ClockModel(truth["offset_raw_s"] * 1e6, truth["drift_ppm"])
            t_rgb = read_timestamps(session / "rgb_timestamps.csv").pts_us
            landmarks = write_landmarks(tmp / "landmarks.parquet", t_rgb)
            for method in ("trigger", "motion") if truth["trigger_edges"] else ("motion",):
                began = time.perf_counter()
                params = SyncParams(method=method)
                result = sync.run(session=session, landmarks=landmarks, clock=tmp / "clock.json", params=params)
                seconds = time.perf_counter() - began
                error = worst(ClockModel(result["offset_us"], result["drift_ppm"]), true, t_rgb)
                evidence = json.loads((tmp / "clock.json").read_text())["evidence"]
                row = (
                    f"{session.name:26} {method:8} {error:10.2f} {result['uncertainty_us']:12.2f}"
                    f" {evidence.get('correlation', np.nan):12.2f} {evidence.get('region', ''):>7} {seconds:8.1f}"
                )
                print(row + (f" | {otherwise(session, true)}" if method == "motion" else ""), flush=True)


def otherwise(session: Path, true: ClockModel) -> str:
    """Return the errors, ms, in the middle of a recording by other ways to measure motion."""
    t_rgb, ways, before = [], [], None
    predicted = MotionEnergy([0.1, 0.2, 0.4])
    for frame in session_frames(read_session(session)):
        height, width = frame.image.shape[:2]
        image = resize_area(frame.image, (min(180, height), round(width * min(180, height) / height)))
        grey = image.astype(np.float64) @ [0.2126, 0.7152, 0.0722]
        pair = np.stack([grey, np.log((grey / 255) ** 2.2 + 0.02)])
        events = predicted.add(image)
        if before is not None:
            ways.append([*np.abs(pair - before).mean((1, 2)), *events[0]])
        before = pair
        t_rgb.append(frame.t_rgb_us)
    meter = RateMeter()
    for chunk in open_events(session / "events.raw").stream():
        meter.add(chunk.events)
    rate: EventRate = meter.result()
    errors = []
    for energy in np.array(ways).T:
        try:
            found = fit_motion_clock(np.array(t_rgb), energy[None], rate).model
        except FitError:
            errors.append(np.nan)
            continue
        middle = (t_rgb[0] + t_rgb[-1]) / 2
        drift = (found.drift_ppm - true.drift_ppm) * 1e-6
        errors.append((found.offset_us - true.offset_us + drift * middle) / 1e3)
    return f"{errors[0]:+6.1f} {errors[1]:+9.1f} {errors[2]:+25.1f} {errors[3]:+5.1f} {errors[4]:+5.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", nargs="?", type=Path, default=SHARED)
    parser.add_argument("--cases", type=int, default=100, help="simulated recordings")
    parser.add_argument("--first", type=int, default=0, help="seed of the first simulated recording with motion")
    parser.add_argument("--rendered", type=int, default=6, help="synthetic sessions, half a minute each")
    chosen = parser.parse_args()
    triggers(chosen.cases)
    simulated(chosen.cases, chosen.first)
    recordings(chosen.rendered, chosen.sessions)


if __name__ == "__main__":
    main()
