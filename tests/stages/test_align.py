"""Stage align: labels on disk from planted coefficients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.config import AlignParams
from au3dmm.errors import SchemaError
from au3dmm.io.clock import Clock, write_clock
from au3dmm.io.intensity_columns import sparse_vector_array
from au3dmm.io.table_schemas import event_frames_schema, labels_schema
from au3dmm.io.tables import read_metadata, read_table, vectors, word_array, write_table
from au3dmm.stages import align
from timed_recording import INTERVAL, N_FRAMES, T_RGB, TRUE, write_coefficients, write_session

T_EVENT = TRUE.to_event_us(T_RGB)
ALPHA = np.stack([np.arange(N_FRAMES) * 0.1, np.abs(np.sin(np.arange(N_FRAMES) * 0.3))], 1)


def write_windows(path: Path, end_us: np.ndarray, length: int, status: list[str] | None = None) -> Path:
    n = len(end_us)
    table = pa.Table.from_arrays(
        [
            pa.array(np.arange(n), pa.int32()),
            pa.array(end_us - length, pa.int64()),
            pa.array(end_us, pa.int64()),
            pa.array(np.arange(n), pa.int64()),
            word_array(status or ["ok"] * n),
            pa.array([0] * n, pa.int32()),
            pa.array([b"abcd"] * n, pa.binary(4)),
        ],
        schema=event_frames_schema(4),
    )
    write_table(path, "event_frames", table, {"windows": "periodic"})
    return path


def run(
    tmp_path: Path,
    end_us: np.ndarray = T_EVENT,
    status: list[str] | None = None,
    flags: list[list[str]] | None = None,
    window_status: list[str] | None = None,
    length: int = INTERVAL,
    **params: Any,
) -> tuple[dict[str, Any], pa.Table]:
    clock = Clock("trigger", TRUE.offset_us, TRUE.drift_ppm, 0.3, 0.1, 1, 2, 3, 0, 0, 99_000_000)
    write_clock(tmp_path / "clock.json", clock, {})
    result = align.run(
        session=write_session(tmp_path / "planted"),
        coefficients=write_coefficients(
            tmp_path / "coefficients.parquet", ALPHA, status or ["ok"] * N_FRAMES, flags or [[]] * N_FRAMES
        ),
        clock=tmp_path / "clock.json",
        event_frames=write_windows(tmp_path / "event_frames.parquet", end_us, length, window_status),
        labels=tmp_path / "labels.parquet",
        params=AlignParams.model_validate(params),
        stamp={"fingerprint": "f"},
    )
    return result, read_table(tmp_path / "labels.parquet", "labels")


def test_labels_in_the_middle_lie_between_the_frames(tmp_path: Path) -> None:
    result, table = run(tmp_path)
    assert result == {"frames": N_FRAMES, "ok": N_FRAMES}
    assert table.schema.remove_metadata() == labels_schema(2)
    assert table["align"].to_pylist() == ["nearest"] + ["linear"] * (N_FRAMES - 1)
    alpha, valid = vectors(table, "alpha_au")
    assert valid.all()
    assert np.allclose(alpha[1:], (ALPHA[1:] + ALPHA[:-1]) / 2, atol=1e-4)
    assert np.allclose(alpha[0], ALPHA[0])
    assert np.allclose(vectors(table, "alpha_au_std")[0][1:], 0.5, atol=1e-4)
    assert np.allclose(vectors(table, "rotation_vector")[0][1:, 1], (np.arange(1, N_FRAMES) - 0.5) * 0.01, atol=1e-5)
    assert np.allclose(table["scale_px_per_m"].to_numpy()[1:], np.arange(1, N_FRAMES) - 0.5, atol=1e-3)
    assert np.allclose(table["landmark_score"].to_numpy(), 0.75)
    assert np.allclose(table["confidence"].to_numpy()[1:], (np.arange(1, N_FRAMES) - 0.5) / N_FRAMES, atol=1e-5)
    assert np.abs(np.abs(table["dt_us"].to_numpy()) - INTERVAL // 2).max() <= 2
    assert all(flags == ["interpolated"] for flags in table["flags"].to_pylist()[1:])
    assert set(table["session_id"].to_pylist()) == {"planted"}
    assert set(table["subject_id"].to_pylist()) == {"S1"}


def test_labels_at_the_end_of_rgb_windows_are_the_frames_themselves(tmp_path: Path) -> None:
    for method in ("linear", "pchip", "nearest", "none"):
        _, table = run(tmp_path, label_at="end", method=method)
        assert set(table["align"].to_pylist()) == {"exact"}
        assert np.array_equal(vectors(table, "alpha_au")[0], ALPHA.astype(np.float32))
        assert table["rgb_frame_index"].to_pylist() == list(range(N_FRAMES))
        assert set(table["dt_us"].to_pylist()) == {0}
        assert set(map(tuple, table["flags"].to_pylist())) == {()}


def test_index_takes_frames_by_number_and_their_times(tmp_path: Path) -> None:
    end = 15_500_000 + 33_000 * np.arange(N_FRAMES + 5)
    result, table = run(tmp_path, end, method="index")
    assert len(table) == len(end)
    assert result["no_rgb"] == 5
    assert table["t_label_us"].to_pylist()[:N_FRAMES] == T_EVENT.tolist()
    assert table["rgb_frame_index"].to_pylist() == [*range(N_FRAMES), *[None] * 5]
    assert table["dt_us"].to_pylist() == [0] * N_FRAMES + [None] * 5
    assert table["align"].to_pylist() == ["index"] * N_FRAMES + ["none"] * 5
    assert vectors(table, "alpha_au")[1].tolist() == [True] * N_FRAMES + [False] * 5


def test_frames_without_a_face_leave_null_labels_and_their_status(tmp_path: Path) -> None:
    status = ["ok"] * N_FRAMES
    status[10], status[20] = "no_face", "low_confidence"
    flags: list[list[str]] = [[] for _ in status]
    flags[9], flags[10], flags[30] = ["border"], ["small", "face_switched"], ["occluded"]
    result, table = run(tmp_path, status=status, flags=flags)
    assert result == {"frames": N_FRAMES, "ok": N_FRAMES - 4, "no_face": 2, "low_confidence": 2}
    found = table["status"].to_pylist()
    assert [i for i, word in enumerate(found) if word != "ok"] == [10, 11, 20, 21]
    for name in ("alpha_au", "alpha_au_std", "rotation_vector", "scale_px_per_m", "landmark_score", "confidence"):
        assert [i for i, valid in enumerate(table[name].is_valid().to_pylist()) if not valid] == [10, 11, 20, 21]
    assert table["align"].to_pylist()[10] == "none"
    assert table["flags"].to_pylist()[10] == ["border", "face_switched", "small"]
    assert table["flags"].to_pylist()[31] == ["occluded", "interpolated"]


@pytest.mark.parametrize("method", ["linear", "pchip", "nearest"])
def test_periodic_windows_beyond_the_video_are_gaps_and_those_without_events_say_so(
    tmp_path: Path, method: str
) -> None:
    end = T_EVENT[0] - 300_000 + 33_000 * np.arange(100)
    window_status = ["no_events"] * 3 + ["ok"] * 97
    result, table = run(tmp_path, end, window_status=window_status, method=method)
    status = np.array(table["status"].to_pylist())
    label = table["t_label_us"].to_numpy()
    near = np.maximum(T_EVENT[0] - label, label - T_EVENT[-1]) <= 100_000
    assert (status[:3] == "no_events").all()
    assert np.array_equal(status[3:] == "ok", near[3:])
    assert result["gap"] == (~near[3:]).sum() > 0
    # each value is that of the true time
    inside = (label > T_EVENT[0]) & (label < T_EVENT[-1]) & (status == "ok")
    place = np.interp(label[inside], T_EVENT, np.arange(N_FRAMES))
    if method == "nearest":
        place = np.round(place)
    assert np.allclose(vectors(table, "alpha_au")[0][inside, 0], 0.1 * place, atol=1e-4)


def test_pchip_labels_are_closer_to_a_smooth_curve(tmp_path: Path) -> None:
    place = np.arange(5, N_FRAMES - 5) - 0.5
    errors = {}
    for method in ("linear", "pchip"):
        _, table = run(tmp_path, method=method)
        found = vectors(table, "alpha_au")[0][5 : N_FRAMES - 5, 1]
        smooth = np.abs(np.sin(place * 0.3)) > 0.3  # away from the kinks of the planted curve
        errors[method] = np.abs(found - np.abs(np.sin(place * 0.3)))[smooth].mean()
        assert found.min() >= 0
    assert errors["pchip"] < 0.6 * errors["linear"]


def test_where_labels_come_from_is_in_the_metadata(tmp_path: Path) -> None:
    run(tmp_path)
    metadata = read_metadata(tmp_path / "labels.parquet")
    assert metadata["basis"] == {"basis_kind": "demo"}
    assert metadata["detector"] == {"name": "fake"}
    assert metadata["clock"]["method"] == "trigger"
    assert metadata["params"]["method"] == "linear"
    assert (metadata["windows"], metadata["fingerprint"], metadata["counts"]) == ("periodic", "f", {"ok": N_FRAMES})


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path)
    first = (tmp_path / "labels.parquet").read_bytes()
    run(tmp_path)
    assert (tmp_path / "labels.parquet").read_bytes() == first


def test_other_tables_are_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(SchemaError, match="this is a table of event_frames, expected coefficients"):
        align.run(
            session=tmp_path / "planted",
            coefficients=tmp_path / "event_frames.parquet",
            clock=tmp_path / "clock.json",
            event_frames=tmp_path / "event_frames.parquet",
            labels=tmp_path / "labels2.parquet",
            params=AlignParams(),
        )


def test_apertures_are_carried_over_and_null_where_a_neighbour_has_none(tmp_path: Path) -> None:
    _, table = run(tmp_path)
    assert np.allclose(table["aperture_left"].to_numpy()[1:], np.arange(1, N_FRAMES) - 0.5, atol=1e-3)
    path = tmp_path / "coefficients.parquet"
    frames, metadata = read_table(path, "coefficients"), read_metadata(path)
    eye = [None if i == 10 else float(i) for i in range(N_FRAMES)]
    place = frames.column_names.index("aperture_right")
    frames = frames.set_column(place, frames.schema.field(place), pa.array(eye, pa.float32()))
    write_table(path, "coefficients", frames, metadata)
    align.run(
        session=tmp_path / "planted" / "session.toml",
        coefficients=path,
        clock=tmp_path / "clock.json",
        event_frames=tmp_path / "event_frames.parquet",
        labels=tmp_path / "labels.parquet",
        params=AlignParams(),
    )
    table = read_table(tmp_path / "labels.parquet", "labels")
    assert set(table["status"].to_pylist()) == {"ok"}
    for name, lost in (("aperture_right", [10, 11]), ("aperture_left", []), ("mouth_open", [])):
        assert [i for i, valid in enumerate(table[name].is_valid().to_pylist()) if not valid] == lost, name


def test_labels_carry_intensities_between_frames_with_their_nulls_and_deviations(tmp_path: Path) -> None:
    run(tmp_path)
    path = tmp_path / "coefficients.parquet"
    frames, metadata = read_table(path, "coefficients"), read_metadata(path)
    n = len(frames)
    values = np.stack([np.linspace(0, 5, n), np.ones(n)], 1)
    known = np.array([True, False])
    ok = np.ones(n, bool)
    for name, numbers in (("au_intensity", values), ("au_intensity_std", np.full((n, 2), 0.5))):
        frames = frames.append_column(name, sparse_vector_array(numbers, ok, known))
    metadata["intensity"] = {"names": ["AU1", "AU25"], "observability": [0.9, 0], "states": ["observable", "x"]}
    write_table(path, "coefficients", frames, metadata)
    for method in ("linear", "pchip"):
        align.run(
            session=tmp_path / "planted" / "session.toml", coefficients=path, clock=tmp_path / "clock.json",
            event_frames=tmp_path / "event_frames.parquet", labels=tmp_path / "labels.parquet",
            params=AlignParams(method=method),
        )  # fmt: skip
        table = read_table(tmp_path / "labels.parquet", "labels")
        found, valid = vectors(table, "au_intensity")
        assert valid.sum() > n - 3
        step = 5 / (n - 1)
        assert np.allclose(np.diff(found[valid, 0][2:-2]), step, atol=1e-3)
        assert np.isnan(found[:, 1]).all()
        std, _ = vectors(table, "au_intensity_std")
        assert np.allclose(std[valid, 0], 0.5)
        assert read_metadata(tmp_path / "labels.parquet")["intensity"]["names"] == ["AU1", "AU25"]
