"""Stage frames: windows and pictures on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.config import FramesParams
from au3dmm.core.event_frames import sliding_windows
from au3dmm.core.representations import REPRESENTATIONS
from au3dmm.errors import SessionError
from au3dmm.io.clock import Clock, read_clock, write_clock
from au3dmm.io.event_frame_table import read_clip
from au3dmm.io.events import open_events
from au3dmm.io.tables import read_metadata, read_table
from au3dmm.stages import frames
from naive_event_frames import Shown, frame
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
    return result, table, read_clip(out, 0, len(table))


def events_of(folder: Path) -> np.ndarray:
    return np.concatenate([chunk.events.unpack() for chunk in open_events(folder / "events.raw").stream()])


@pytest.mark.parametrize("name", REPRESENTATIONS)
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"windows": "periodic", "accumulation_us": 90_000, "fps": 30.0, "size_px": 20},
        {"windows": "sliding", "accumulation_us": 40_000, "step_us": 7_000, "crop": "centre", "size_px": 31},
        {"windows": "periodic", "accumulation_us": 5_000, "fps": 30.0, "crop": "centre", "size_px": 100},
    ],
    ids=["rgb", "overlap", "sliding", "holes"],
)
def test_frames_are_those_of_the_formula_whatever_the_windows(
    tmp_path: Path, name: str, params: dict[str, Any]
) -> None:
    params = {"representation": name, "bins": 3, "tau_us": 7_000.0, "tbr_bits": 11} | params
    _, table, pixels = run(tmp_path, **params)
    metadata, events = read_metadata(tmp_path / "event_frames.parquet"), events_of(tmp_path / "planted")
    box = tuple(metadata["crop"][edge] for edge in ("y0", "y1", "x0", "x1"))
    shown = Shown(box, tuple(metadata["shape"][1:]), bins=3, tau_us=7_000.0, tbr_bits=11)
    for k in (0, 7, len(table) - 1):
        start, end = table["t_start_us"][k].as_py(), table["t_end_us"][k].as_py()
        n, expected, saturated = frame(name, events, start, end, shown)
        assert (table["n_events"][k].as_py(), table["n_saturated"][k].as_py()) == (n, saturated)
        assert pixels.dtype == expected.dtype
        np.testing.assert_array_equal(pixels[k], expected)


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


def test_sliding_windows_are_whole_and_lie_on_the_same_grid(tmp_path: Path) -> None:
    _, table, _ = run(tmp_path, windows="sliding", accumulation_us=50_000, step_us=1_000, size_px=4)
    expected = sliding_windows(15_450_000, 18_100_000, read_clock(tmp_path / "clock.json").t_shift_us, 50_000, 1_000)
    assert np.array_equal(table["t_start_us"].to_numpy(), expected.start_us)
    assert np.array_equal(table["t_end_us"].to_numpy(), expected.end_us)
    assert len(table) == 2_600
    assert set(table["status"].to_pylist()) == {"ok"}


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


def test_the_crop_is_the_centred_square_and_cuts_no_count(tmp_path: Path) -> None:
    _, table, whole = run(tmp_path)
    result, cut, cropped = run(tmp_path, crop="centre")
    assert np.array_equal(cropped, whole[:, :, :, 8:56])
    assert cut["n_events"].to_pylist() == table["n_events"].to_pylist()
    assert {key: result[key] for key in ("channels", "height", "width")} == {"channels": 1, "height": 48, "width": 48}
    assert run(tmp_path, size_px=24)[2].shape[1:] == (1, 24, 32)


def test_what_the_pixels_mean_is_in_the_metadata(tmp_path: Path) -> None:
    run(tmp_path, crop="centre", size_px=24)
    metadata = read_metadata(tmp_path / "event_frames.parquet")
    assert (metadata["shape"], metadata["dtype"]) == ([1, 24, 24], "uint8")
    assert (metadata["zero"], metadata["scale"]) == (128, 1 / 128)
    assert metadata["representation"]["channels"] == ["polarity"]
    assert "the last event of the pixel" in metadata["representation"]["formula"]
    assert metadata["sensor"] == {"width": 64, "height": 48}
    assert metadata["crop"] == {"y0": 0, "y1": 48, "x0": 8, "x1": 56}
    assert metadata["event_file"]["format"] == "EVT3"
    assert (metadata["windows"], metadata["fingerprint"]) == ("rgb", "f")
    assert metadata["counts"] == {"ok": N_FRAMES, "no_events": 0}
    run(tmp_path, representation="voxel", bins=4, windows="sliding")
    metadata = read_metadata(tmp_path / "event_frames.parquet")
    assert (metadata["shape"], metadata["dtype"], metadata["params"]["bins"]) == ([4, 48, 64], "float16", 4)
    assert (metadata["windows"], metadata["params"]["step_us"]) == ("sliding", 10_000)


def test_values_too_large_to_be_stored_are_counted(tmp_path: Path) -> None:
    result, table, pixels = run(
        tmp_path, representation="count", size_px=1, windows="periodic", accumulation_us=100_000
    )
    rows = table["n_saturated"].to_numpy()
    assert result["saturated"] == rows.sum() > 0
    assert np.array_equal(rows, (pixels == 255).sum((1, 2, 3)))


def test_a_file_that_is_too_damaged_makes_no_table(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "event_frames.parquet").unlink()
    path = tmp_path / "planted" / "events.raw"
    data = bytearray(path.read_bytes())
    header = data.index(b"% end\n") + 6
    words = np.frombuffer(data, "<u2", offset=header).copy()
    rows = words >> 12 == 0
    words[np.flatnonzero(rows)[::2]] |= 0x400  # every other row lies below the sensor
    data[header:] = words.tobytes()
    path.write_bytes(data)
    for name in ("polarity", "count"):
        with pytest.raises(SessionError, match=r"too damaged: .* events lie outside the 64x48 sensor"):
            frames.run(
                session=tmp_path / "planted",
                landmarks=tmp_path / "landmarks.parquet",
                clock=tmp_path / "clock.json",
                event_frames=tmp_path / "event_frames.parquet",
                params=FramesParams(representation=name),
            )
        assert not [p for p in tmp_path.iterdir() if "event_frames" in p.name]


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path)
    first = (tmp_path / "event_frames.parquet").read_bytes()
    run(tmp_path)
    assert (tmp_path / "event_frames.parquet").read_bytes() == first


def test_streams_too_short_for_a_frame_are_explained(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="'planted': events last 2650000 us, too short for one complete window"):
        run(tmp_path, windows="periodic", accumulation_us=5_000_000)
    with pytest.raises(SessionError, match="too short for one complete window; choose a shorter accumulation_us"):
        run(tmp_path, windows="sliding", accumulation_us=2_700_000)
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
