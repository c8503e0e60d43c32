"""Stage align of a recording without events: its RGB frames, as they are."""

import numpy as np
import pytest

from au3dmm.config import AlignParams
from au3dmm.core.alignment import SEVERITY
from au3dmm.errors import SchemaError
from au3dmm.io.table_schemas import labels_schema
from au3dmm.io.tables import read_metadata, read_table, vectors
from au3dmm.stages import align_frames
from timed_recording import EXPOSURE, INTERVAL, N_FRAMES, T_RGB, write_coefficients, write_session

ALPHA = np.stack([np.arange(N_FRAMES) * 0.1, np.abs(np.sin(np.arange(N_FRAMES) * 0.3))], 1)


def run(tmp_path, status=None, flags=None, **session):
    result = align_frames.run(
        session=write_session(tmp_path / "planted", events=False, **session),
        coefficients=write_coefficients(
            tmp_path / "coefficients.parquet", ALPHA, status or ["ok"] * N_FRAMES, flags or [[]] * N_FRAMES
        ),
        labels=tmp_path / "labels.parquet",
        params=AlignParams(method="pchip", label_at="end"),
        stamp={"fingerprint": "f"},
    )
    return result, read_table(tmp_path / "labels.parquet", "labels")


def test_every_rgb_frame_is_a_row_with_the_values_that_it_has(tmp_path):
    result, table = run(tmp_path, flags=[["small"]] * N_FRAMES)
    assert result == {"frames": N_FRAMES, "rgb_frames": N_FRAMES, "ok": N_FRAMES}
    assert table.schema.remove_metadata() == labels_schema(2)
    fitted = read_table(tmp_path / "coefficients.parquet", "coefficients")
    for name in ("alpha_au", "alpha_au_std", "rotation_vector", "scale_px_per_m", "translation_px", "confidence"):
        assert table[name].equals(fitted[name]), name
    assert table["t_label_us"].to_pylist() == T_RGB.tolist()
    assert table["rgb_frame_index"].to_pylist() == table["event_frame_index"].to_pylist() == [*range(N_FRAMES)]
    assert set(table["dt_us"].to_pylist()) == set(table["n_events"].to_pylist()) == {0}
    assert set(table["align"].to_pylist()) == {"exact"}
    assert table["flags"].to_pylist() == [["small"]] * N_FRAMES  # and not interpolated
    metadata = read_metadata(tmp_path / "labels.parquet")
    assert (metadata["clock"], metadata["windows"]) == (None, "frame")
    assert metadata["units"].startswith("times: us on the RGB clock")


def test_rows_keep_the_status_of_their_frames_and_have_no_values_then(tmp_path):
    status = ["no_face", *["ok"] * (N_FRAMES - 2), "decode_error"]
    result, table = run(tmp_path, status)
    assert result["ok"] == N_FRAMES - 2
    assert table["status"].to_pylist() == status
    assert set(status) <= set(SEVERITY)
    assert vectors(table, "alpha_au")[1].tolist() == [word == "ok" for word in status]
    assert table["align"].to_pylist()[0] == "none"


def test_windows_are_the_exposures_or_reach_halfway(tmp_path):
    _, table = run(tmp_path)
    length = table["t_end_us"].to_numpy() - table["t_start_us"].to_numpy()
    assert set(length.tolist()) == {EXPOSURE}
    _, table = run(tmp_path, rgb="")
    assert set((table["t_end_us"].to_numpy() - table["t_start_us"].to_numpy()).tolist()) == {INTERVAL}
    rows = "".join(f"{i},{t},{t - 500},{t + 500}\n" for i, t in enumerate(T_RGB.tolist()))
    _, table = run(tmp_path, rgb="", csv=f"frame_index,pts_us,exposure_start_us,exposure_end_us\n{rows}")
    assert set((table["t_end_us"].to_numpy() - table["t_start_us"].to_numpy()).tolist()) == {1000}


def test_timestamps_of_another_recording_are_refused(tmp_path):
    with pytest.raises(SchemaError, match=f"2 exposures for {N_FRAMES} RGB frames"):
        run(tmp_path, csv="frame_index,pts_us\n0,5\n1,9\n")
