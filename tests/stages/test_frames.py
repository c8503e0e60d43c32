"""Stage frames: windows and pictures on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.config import FramesParams
from au3dmm.errors import SessionError
from au3dmm.io.clock import Clock, read_clock, write_clock
from au3dmm.io.events import open_events
from au3dmm.io.tables import read_metadata, read_table
from au3dmm.stages import frames
from timed_recording import INTERVAL, N_FRAMES, T_RGB, TRUE, write_landmarks, write_session


def run(tmp_path: Path, t_rgb_us: np.ndarray = T_RGB, **params: Any) -> tuple[dict[str, Any], pa.Table, np.ndarray]:
    folder = write_session(tmp_path / "planted")
    shift = (15_450_000 // 4096 - 1) * 4096
    clock = Clock("trigger", TRUE.offset_us, TRUE.drift_ppm, 0, 0, 0, 0, 0, shift, 15_450_000, 18_100_000)
    write_clock(tmp_path / "clock.json", clock, {})
    out = tmp_path / "event_frames.parquet"
    result = frames.run(
        session=folder,
        landmarks=write_landmarks(tmp_path / "landmarks.parquet", t_rgb_us),
        clock=tmp_path / "clock.json",
        event_frames=out,
        params=FramesParams.model_validate({"size_px": 0, "crop": "none"} | params),
        stamp={"fingerprint": "f"},
    )
    table = read_table(out, "event_frames")
    shape = read_metadata(out)["shape"]
    pixels = np.array([np.frombuffer(b, np.uint8).reshape(shape) for b in table["pixels"].to_pylist()])
    return result, table, pixels


def by_definition(tmp_path: Path, start: int, end: int) -> tuple[int, np.ndarray]:
    frame, n = np.full((48, 64), 128, np.uint8), 0
    for block in open_events(tmp_path / "planted" / "events.raw").blocks():
        e = block.events
        for event in e[(e["t"] >= start) & (e["t"] < end)]:
            frame[event["y"], event["x"]] = 255 if event["p"] else 0
            n += 1
    return n, frame


@pytest.mark.parametrize(
    "params",
    [{}, {"windows": "periodic"}, {"windows": "periodic", "accumulation_us": 90_000, "fps": 30.0}],
)
def test_frames_hold_the_last_event_of_each_pixel_in_their_window(tmp_path: Path, params: dict[str, Any]) -> None:
    _, table, pixels = run(tmp_path, **params)
    for k in (0, 7, len(table) - 1):
        n, frame = by_definition(tmp_path, table["t_start_us"][k].as_py(), table["t_end_us"][k].as_py())
        assert table["n_events"][k].as_py() == n
        assert np.array_equal(pixels[k], frame)


def test_rgb_windows_give_one_event_frame_per_rgb_frame(tmp_path: Path) -> None:
    result, table, _ = run(tmp_path)
    assert len(table) == N_FRAMES == result["frames"]
    assert np.array_equal(table["t_end_us"].to_numpy(), TRUE.to_event_us(T_RGB))
    assert set(np.diff(table["t_end_us"].to_numpy())) <= {INTERVAL + 1, INTERVAL + 2}
    assert table["event_frame_index"].to_pylist() == list(range(N_FRAMES))


def test_periodic_windows_lie_on_the_grid_of_the_sdk(tmp_path: Path) -> None:
    _, table, _ = run(tmp_path, windows="periodic")
    shift = read_clock(tmp_path / "clock.json").t_shift_us
    end = table["t_end_us"].to_numpy()
    assert ((end - shift) % 33_000 == 0).all()
    assert end[-1] <= 18_100_000 < end[-1] + 33_000
    assert (end - table["t_start_us"].to_numpy() == 33_000).all()


def test_windows_outside_the_event_stream_have_no_events(tmp_path: Path) -> None:
    long = np.arange(100) * INTERVAL + 200_000
    result, table, pixels = run(tmp_path, long)
    outside = np.array(table["status"].to_pylist()) == "no_events"
    start, end = table["t_start_us"].to_numpy(), table["t_end_us"].to_numpy()
    assert np.array_equal(outside, (end <= 15_450_000) | (start > 18_100_000))
    assert 0 < outside.sum() == result["no_events"] < 100
    assert table["n_events"].to_numpy()[outside].sum() == 0
    assert (pixels[outside] == 128).all()
    # windows join, so every event is counted once, but those after the last window's end
    assert table["n_events"].to_numpy().sum() == 20_000


def test_the_crop_is_the_centred_square_and_area_is_averaged(tmp_path: Path) -> None:
    _, _, whole = run(tmp_path)
    _, table, cropped = run(tmp_path, crop="centre")
    assert np.array_equal(cropped, whole[:, :, 8:56])
    assert table["n_events"].to_pylist() == run(tmp_path)[1]["n_events"].to_pylist()
    _, _, small = run(tmp_path, crop="centre", size_px=24)
    assert small.shape[1:] == (24, 24)
    mean = cropped.reshape(-1, 24, 2, 24, 2).mean((2, 4))
    assert np.abs(small - mean).max() <= 0.5
    assert run(tmp_path, size_px=24)[2].shape[1:] == (24, 32)


def test_what_the_pixels_mean_is_in_the_metadata(tmp_path: Path) -> None:
    run(tmp_path, crop="centre", size_px=24)
    metadata = read_metadata(tmp_path / "event_frames.parquet")
    assert (metadata["shape"], metadata["dtype"]) == ([24, 24], "uint8")
    assert metadata["palette"] == {"negative": 0, "background": 128, "positive": 255}
    assert metadata["sensor"] == {"width": 64, "height": 48}
    assert metadata["crop"] == {"y0": 0, "y1": 48, "x0": 8, "x1": 56}
    assert metadata["event_file"]["format"] == "EVT3"
    assert (metadata["windows"], metadata["fingerprint"]) == ("rgb", "f")
    assert metadata["counts"] == {"ok": N_FRAMES, "no_events": 0}


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path)
    first = (tmp_path / "event_frames.parquet").read_bytes()
    run(tmp_path)
    assert (tmp_path / "event_frames.parquet").read_bytes() == first


def test_streams_too_short_for_a_frame_are_explained(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="'planted': events last 2650000 us, too short for one complete period"):
        run(tmp_path, windows="periodic", accumulation_us=5_000_000)
    with pytest.raises(SessionError, match="need two frames, found 1"):
        run(tmp_path, T_RGB[:1])
    assert not (tmp_path / "event_frames.parquet").exists()


def test_progress_counts_up_to_the_number_of_frames(tmp_path: Path) -> None:
    run(tmp_path)
    seen: list[tuple[int, int | None]] = []
    frames.run(
        session=tmp_path / "planted",
        landmarks=tmp_path / "landmarks.parquet",
        clock=tmp_path / "clock.json",
        event_frames=tmp_path / "again.parquet",
        params=FramesParams(),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(k + 1, N_FRAMES) for k in range(N_FRAMES)]
