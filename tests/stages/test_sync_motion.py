"""Stage sync by motion: a small film with simulated events, ties between triggers, and the shared recording."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from au3dmm.config import SyncParams
from au3dmm.core.clock import ClockModel
from au3dmm.errors import FitError
from au3dmm.io.clock import read_clock, read_evidence
from au3dmm.io.events import read_events, write_evt3
from au3dmm.io.frames import session_frames
from au3dmm.io.session import read_session
from au3dmm.io.timestamps import read_timestamps
from au3dmm.stages import sync, sync_motion
from au3dmm.stages.sync_motion import face_box
from moving_recording import INTERVAL, SIZE, TRUE, exposure_edges, write_recording
from timed_recording import write_landmarks


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("film")
    return folder, write_recording(folder, seed=2)


def run(
    folder: Path, t_rgb: np.ndarray, out: Path, box: tuple[float, ...] | None = None, **params: Any
) -> dict[str, Any]:
    landmarks = write_landmarks(out / "landmarks.parquet", t_rgb, box)
    return sync.run(
        session=folder, landmarks=landmarks, clock=out / "clock.json", params=SyncParams.model_validate(params)
    )


def error_us(result: dict[str, Any], t_rgb: np.ndarray, true: ClockModel = TRUE) -> float:
    drift = result["drift_ppm"] - true.drift_ppm
    return float(np.abs(result["offset_us"] - true.offset_us + drift * 1e-6 * t_rgb[[0, -1]]).max())


def retriggered(film: tuple[Path, np.ndarray], to: Path, triggers: np.ndarray) -> Path:
    """Copy the recording with other trigger edges."""
    shutil.copytree(film[0], to)
    events = read_events(to / "events.raw")
    write_evt3(to / "events.raw", events, triggers[np.argsort(triggers["t"])], width=SIZE[0], height=SIZE[1])
    return to


def test_motion_gives_the_planted_clock_its_uncertainty_and_its_evidence(film, tmp_path: Path) -> None:
    result = run(*film, tmp_path)
    assert result["method"] == "motion"
    assert error_us(result, film[1]) < min(5_000, 2 * result["uncertainty_us"])
    assert result["residual_us"] is result["n_matched"] is result["tie_broken_by"] is None
    found, evidence = read_clock(tmp_path / "clock.json"), read_evidence(tmp_path / "clock.json")
    assert (found.drift_ppm, found.drift_std_ppm) == (0.0, 50.0)
    assert found.offset_std_us <= found.uncertainty_us == result["uncertainty_us"]
    assert evidence["correlation"] > 0.7 > evidence["rival_correlation"]
    for name in ("curve", "zoom"):
        curve = evidence[name]
        top = curve["first_us"] + curve["step_us"] * int(np.argmax(curve["correlation"]))
        assert abs(top) <= INTERVAL
    assert len(evidence["curve"]["correlation"]) <= 2000
    seen = evidence["seen"]
    assert np.corrcoef(seen["rgb"], seen["events"])[0, 1] == pytest.approx(evidence["correlation"], abs=0.02)
    assert set(seen["t_rgb_us"]) <= set(((film[1][1:] + film[1][:-1]) // 2).tolist()) | set(
        ((film[1][1:] + film[1][:-1] + 1) // 2).tolist()
    )


def test_two_runs_give_the_same_bytes(film, tmp_path: Path) -> None:
    run(*film, tmp_path)
    first = (tmp_path / "clock.json").read_bytes()
    run(*film, tmp_path)
    assert (tmp_path / "clock.json").read_bytes() == first
    assert str(tmp_path).encode() not in first


def test_frames_that_cannot_be_decoded_are_left_out(film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(frame):
        return frame._replace(image=None) if frame.frame_index in (10, 40, 41, 99) else frame

    class Damaged:
        source, n_expected = film[0] / "rgb.mp4", None

        def __iter__(self):
            return map(lose, session_frames(read_session(film[0])))

    monkeypatch.setattr(sync_motion, "session_frames", lambda session: Damaged())
    result = run(*film, tmp_path)
    assert error_us(result, film[1]) < 2 * result["uncertainty_us"]
    assert read_evidence(tmp_path / "clock.json")["n_intervals"] == len(film[1]) - 1 - 4


def test_where_others_move_too_the_face_is_compared(tmp_path: Path) -> None:
    t_rgb = write_recording(tmp_path / "film", seed=1, bystander=True)
    below = (0.0, float(SIZE[1]) + 8, float(SIZE[0]), 2.0 * SIZE[1] - 8)  # of the video, the part that both cameras see
    result = run(tmp_path / "film", t_rgb, tmp_path, below)
    evidence = read_evidence(tmp_path / "clock.json")
    assert evidence["region"] == "face"
    assert error_us(result, t_rgb) < 2 * result["uncertainty_us"]
    run(tmp_path / "film", t_rgb, tmp_path)
    whole = read_evidence(tmp_path / "clock.json")
    assert whole["region"] == "frame"
    assert whole["correlation"] < evidence["correlation"]


def test_the_face_box_is_where_the_face_mostly_is() -> None:
    boxes = np.tile([100.0, 50.0, 200.0, 170.0], (100, 1))
    boxes[3] = [0, 0, 640, 480]  # one frame with another face
    assert face_box(boxes).tolist() == pytest.approx([85, 32, 215, 188])
    assert face_box(np.zeros((0, 4))) is None


def test_motion_breaks_a_tie_between_shifts_of_one_exposure(film, tmp_path: Path) -> None:
    t_rgb = film[1]
    for name, edges in (
        ("first-lost", exposure_edges(t_rgb)[2:]),
        ("runs-on", exposure_edges(np.arange(t_rgb[0] - 20 * INTERVAL, t_rgb[-1] + 12 * INTERVAL, INTERVAL))),
    ):
        session = retriggered(film, tmp_path / name, edges)
        result = run(session, t_rgb, tmp_path, method="trigger")
        assert result["tie_broken_by"] == "motion"
        assert error_us(result, t_rgb) < 1
        assert result["uncertainty_us"] < 1
        assert read_clock(tmp_path / "clock.json").tie_broken_by == "motion"
        assert read_evidence(tmp_path / "clock.json")["kind"] == "trigger"


def test_a_tie_that_motion_cannot_break_is_refused_with_the_reason(film, tmp_path: Path) -> None:
    t_rgb = film[1]
    fast = np.arange(t_rgb[0] - 40 * INTERVAL, t_rgb[-1] + 40 * INTERVAL, INTERVAL / 4)  # four pulses per frame
    session = retriggered(film, tmp_path / "fast", exposure_edges(np.rint(fast).astype(np.int64)))
    with pytest.raises(FitError, match=r"two shifts \d+ us apart .*; nor does motion tell: by it event time minus"):
        run(session, t_rgb, tmp_path, method="trigger")
    still = retriggered(film, tmp_path / "still", exposure_edges(t_rgb)[2:])
    events = read_events(still / "events.raw")
    events["t"] = np.sort(np.random.default_rng(0).integers(events["t"][0], events["t"][-1], len(events)))
    write_evt3(still / "events.raw", events, exposure_edges(t_rgb)[2:], width=SIZE[0], height=SIZE[1])
    with pytest.raises(FitError, match=r"two shifts 3333\d us apart .*; nor does motion tell: cannot tell: "):
        run(still, t_rgb, tmp_path, method="trigger")
    assert not (tmp_path / "clock.json").exists()


def test_the_video_is_read_only_where_motion_is_needed(film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_motion, "session_frames", lambda session: pytest.fail("the video was read"))
    result = run(*film, tmp_path, method="trigger")
    assert (result["method"], result["tie_broken_by"]) == ("trigger", None)
    run(*film, tmp_path, method="start")


def test_what_does_not_move_is_refused_with_advice(film, tmp_path: Path) -> None:
    session = tmp_path / "still"
    shutil.copytree(film[0], session)
    events = read_events(session / "events.raw")
    events["t"] = np.sort(np.random.default_rng(0).integers(events["t"][0], events["t"][-1], len(events)))
    write_evt3(session / "events.raw", events, exposure_edges(film[1]), width=SIZE[0], height=SIZE[1])
    with pytest.raises(FitError, match=r"session 's01': cannot tell: .*; record more motion .* or use `--sync start`"):
        run(session, film[1], tmp_path)
    assert not (tmp_path / "clock.json").exists()


@pytest.mark.shared
def test_the_shared_recording_without_triggers_is_synchronised_within_five_ms(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "sessions" / "single_motion"
    truth = json.loads((folder / "truth.json").read_text())
    t_rgb = read_timestamps(folder / "rgb_timestamps.csv").pts_us
    result = run(folder, t_rgb, tmp_path)
    error = error_us(result, t_rgb, ClockModel(truth["offset_raw_s"] * 1e6, truth["drift_ppm"]))
    assert error < 5_000
    assert error < 2 * result["uncertainty_us"] < 10_000
