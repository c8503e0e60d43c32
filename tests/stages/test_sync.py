"""Stage sync: clocks planted on disk, and the shared recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from au3dmm.config import SyncParams
from au3dmm.errors import Au3dmmError, ConfigError, FitError, SessionError
from au3dmm.io.clock import read_clock, read_clock_metadata, read_evidence
from au3dmm.io.events import TRIGGER_DTYPE
from au3dmm.io.timestamps import read_timestamps
from au3dmm.stages import sync
from timed_recording import EXPOSURE, INTERVAL, N_FRAMES, T_RGB, TRUE, exposure_edges, write_landmarks, write_session


def run(tmp_path: Path, t_rgb_us: np.ndarray = T_RGB, method: str = "session", **session: Any) -> dict[str, Any]:
    folder = write_session(tmp_path / "planted", **session)
    landmarks = write_landmarks(tmp_path / "landmarks.parquet", t_rgb_us)
    params = SyncParams.model_validate({"method": method})
    return sync.run(session=folder, landmarks=landmarks, clock=tmp_path / "clock.json", params=params)


def error_us(result: dict[str, Any]) -> float:
    ends = T_RGB[[0, -1]]
    planted = TRUE.offset_us + TRUE.drift_ppm * 1e-6 * ends
    return float(np.abs(result["offset_us"] + result["drift_ppm"] * 1e-6 * ends - planted).max())


def csv_of(columns: dict[str, np.ndarray]) -> str:
    rows = zip(np.arange(N_FRAMES), *columns.values(), strict=True)
    return "\n".join([",".join(["frame_index", *columns]), *(",".join(map(str, row)) for row in rows)])


def test_triggers_give_the_planted_clock(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert error_us(result) < 0.5
    assert (result["n_matched"], result["n_expected"], result["n_edges"]) == (120, 120, 120)
    found = read_clock(tmp_path / "clock.json")
    assert (found.method, found.first_event_us, found.last_event_us) == ("trigger", 15_450_000, 18_100_000)
    assert found.t_shift_us == (found.first_event_us // 4096 - 1) * 4096
    metadata = read_clock_metadata(tmp_path / "clock.json")
    assert metadata["stage"] == "sync"
    assert metadata["event_file"]["triggers"] == 120
    assert metadata["event_file"]["dropped"] == 0
    assert 0 < found.offset_std_us < found.uncertainty_us < 0.2
    assert 0 < found.drift_std_ppm < 0.1
    evidence = read_evidence(tmp_path / "clock.json")
    assert evidence["kind"] == "trigger"
    assert len(evidence["residual_us"]) == len(evidence["t_rgb_us"]) == len(evidence["edge"]) == 120
    assert set(evidence["edge"]) == {"exposure_start", "exposure_end"}
    assert max(map(abs, evidence["residual_us"])) <= 1


def test_missing_and_spurious_edges_are_tolerated(tmp_path: Path) -> None:
    edges = exposure_edges(drop=(30, 77), spurious=(15_600_000, 16_123_456))
    result = run(tmp_path, triggers=edges)
    assert error_us(result) < 0.5
    assert (result["n_matched"], result["n_edges"]) == (118, 120)
    evidence = read_evidence(tmp_path / "clock.json")
    assert evidence["spurious_t_us"] == [15_600_000, 16_123_456]
    assert evidence["missing_t_rgb_us"] == [int(T_RGB[15]) - EXPOSURE // 2, int(T_RGB[38]) + EXPOSURE // 2]


@pytest.mark.parametrize(
    ("convention", "shift"),
    [("exposure_midpoint", 0), ("exposure_start", -EXPOSURE // 2), ("exposure_end", EXPOSURE // 2)],
)
@pytest.mark.parametrize("exposure", ["columns", "manifest", "unknown"])
def test_times_by_every_convention_give_the_clock_of_their_instant(
    tmp_path: Path, convention: str, shift: int, exposure: str
) -> None:
    columns = {"pts_us": T_RGB + shift}
    if exposure == "columns":
        columns |= {"exposure_start_us": T_RGB - EXPOSURE // 2, "exposure_end_us": T_RGB + EXPOSURE // 2}
    rgb = f'timestamp_convention = "{convention}"\n' + (f"exposure_us = {EXPOSURE}" if exposure == "manifest" else "")
    # where nothing is known of the exposure, a frame's time is what was stated, at both places alike
    result = run(tmp_path, T_RGB + (shift if exposure == "unknown" else 0), csv=csv_of(columns), rgb=rgb)
    assert error_us(result) < 0.6


def test_without_a_csv_the_times_of_the_frames_are_used(tmp_path: Path) -> None:
    assert error_us(run(tmp_path, rgb="")) < 0.6
    assert error_us(run(tmp_path, rgb=f'exposure_us = {EXPOSURE}\ntimestamp_convention = "exposure_end"')) < 0.6


def test_one_kind_of_edge_is_enough_if_the_exposure_is_known(tmp_path: Path) -> None:
    rising = exposure_edges()[::2]
    assert error_us(run(tmp_path, triggers=rising)) < 0.5
    with pytest.raises(ConfigError, match=r"trigger edges of one kind only.*give rgb\.exposure_us"):
        run(tmp_path, triggers=rising, rgb="")


@pytest.mark.parametrize("drop", [(), (33,)])
def test_inverted_wiring_is_configured_or_noticed(tmp_path: Path, drop: tuple[int, ...]) -> None:
    edges = exposure_edges(drop)
    edges["p"] = 1 - edges["p"]
    inverted = 'method = "trigger"\nrising_edge = "exposure_end"\nfalling_edge = "exposure_start"'
    result = run(tmp_path, triggers=edges, sync=inverted)
    assert (error_us(result) < 0.5, result["warnings"]) == (True, [])
    result = run(tmp_path, triggers=edges)
    assert error_us(result) < 0.5
    (warning,) = result["warnings"]
    assert f"taken as swapped, {120 - len(drop)} of 120 exposure instants match within 0 us" in warning
    assert "write sync.rising_edge = 'exposure_end'" in warning
    assert read_clock(tmp_path / "clock.json").warnings == (warning,)
    # and the other way round: the manifest is wrong about edges that are as usual
    assert "write sync.rising_edge = 'exposure_start'" in run(tmp_path, sync=inverted)["warnings"][0]


@pytest.mark.parametrize("length", [INTERVAL // 2 - 900, INTERVAL // 2 + 900])
def test_inverted_wiring_is_noticed_where_exposures_are_nearly_as_long_as_the_pauses(
    tmp_path: Path, length: int
) -> None:
    # as stated, all edges match within 2 ms: 20 ms off
    edges = exposure_edges(length=length)
    edges["p"] = 1 - edges["p"]
    result = run(tmp_path, triggers=edges, rgb=f"exposure_us = {length}")
    assert error_us(result) < 1
    assert "taken as swapped, 120 of 120" in result["warnings"][0]
    assert result["residual_us"] < 1


def test_exposures_as_long_as_the_pauses_are_a_tie_that_says_what_to_check(tmp_path: Path) -> None:
    edges = exposure_edges(length=INTERVAL // 2)
    edges["p"] = 1 - edges["p"]
    said = r"two shifts 4170[89] us apart .*\(with rising and falling edges swapped 120 of 120 exposure instants match"
    with pytest.raises(Au3dmmError, match=said):
        run(tmp_path, triggers=edges, rgb=f"exposure_us = {INTERVAL // 2}")


def test_edges_of_the_wrong_input_are_not_taken(tmp_path: Path) -> None:
    both = np.sort(np.r_[exposure_edges(trigger_id=3), exposure_edges(trigger_id=5)[::7]], order="t")
    assert error_us(run(tmp_path, triggers=both, sync='method = "trigger"\ntrigger_id = 3')) < 0.5
    with pytest.raises(ConfigError, match=r"several inputs \(3, 5\); say which with sync\.trigger_id"):
        run(tmp_path, triggers=both)
    with pytest.raises(SessionError, match=r"no trigger edges with id 0 \(there are some with id 3, 5\)"):
        run(tmp_path, triggers=both, sync='method = "trigger"\ntrigger_id = 0')


def test_shared_clocks_differ_by_the_stated_offset(tmp_path: Path) -> None:
    result = run(tmp_path, sync='method = "shared"\noffset_us = 15000000')
    assert (result["method"], result["offset_us"], result["drift_ppm"]) == ("shared", 15_000_000.0, 0.0)
    assert result["residual_us"] is result["uncertainty_us"] is result["n_matched"] is None
    implied = run(tmp_path, T_RGB + 15_000_000, sync="", rgb='clock = "event"')
    assert (implied["method"], implied["offset_us"]) == ("shared", 0.0)


@pytest.mark.parametrize("method", ["shared", "start"])
def test_what_was_not_measured_has_no_evidence(tmp_path: Path, method: str) -> None:
    run(tmp_path, T_RGB + 15_000_000 * (method == "shared"), method=method)
    assert read_evidence(tmp_path / "clock.json") == {"kind": method}
    found = read_clock(tmp_path / "clock.json")
    assert found.offset_std_us is found.drift_std_ppm is found.tie_broken_by is None


def test_start_places_the_first_frame_one_interval_after_the_zero_of_the_stream(tmp_path: Path) -> None:
    result = run(tmp_path, method="start")
    found = read_clock(tmp_path / "clock.json")
    assert found.model.to_event_us(T_RGB[:1]).tolist() == [found.t_shift_us + INTERVAL]
    assert result["uncertainty_us"] is None
    json.loads((tmp_path / "clock.json").read_text())


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path)
    first = (tmp_path / "clock.json").read_bytes()
    run(tmp_path)
    assert (tmp_path / "clock.json").read_bytes() == first
    assert str(tmp_path).encode() not in first


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"events": False}, SessionError, r"session 'planted' has no events: no \[events\] section"),
        (
            {"triggers": np.zeros(0, TRIGGER_DTYPE)},
            SessionError,
            "no trigger edges, expected two for each RGB exposure",
        ),
        ({"triggers": exposure_edges()[2:]}, FitError, "cannot tell: two shifts 4170[89] us apart"),
        ({"sync": 'method = "shared"\noffset_us = -99000000'}, SessionError, "expected them to overlap"),
        ({"t_rgb_us": T_RGB[:1]}, SessionError, "1 RGB frames, expected at least two"),
    ],
)
def test_what_cannot_be_synchronised_is_explained_and_nothing_is_written(
    tmp_path: Path, change: dict[str, Any], error: type[Au3dmmError], match: str
) -> None:
    with pytest.raises(error, match=match):
        run(tmp_path, **change)
    assert not (tmp_path / "clock.json").exists()


@pytest.mark.shared
def test_the_shared_recording_is_synchronised_to_two_microseconds(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "sessions" / "pexels_trigger"
    truth = json.loads((folder / "truth.json").read_text())
    t_rgb = read_timestamps(folder / "rgb_timestamps.csv").pts_us
    landmarks = write_landmarks(tmp_path / "landmarks.parquet", t_rgb)
    result = sync.run(session=folder, landmarks=landmarks, clock=tmp_path / "clock.json", params=SyncParams())
    planted = truth["offset_raw_s"] * 1e6 + truth["drift_ppm"] * 1e-6 * t_rgb
    found = result["offset_us"] + result["drift_ppm"] * 1e-6 * t_rgb
    assert np.abs(found - planted).max() < 2
    assert result["n_matched"] == truth["trigger_edges"]
