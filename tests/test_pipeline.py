"""The whole chain on a tiny synthetic recording that the real detector sees."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import au3dmm
from au3dmm.config import PipelineParams, load_pipeline
from au3dmm.errors import AssetError, Au3dmmError, ConfigError, SessionError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases, write_bases
from au3dmm.io.images import read_image
from au3dmm.io.tables import read_metadata, read_table

STAGES = ["detect", "identity", "fit", "sync", "frames", "align"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def labelled(tiny_session, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, au3dmm.label_session(tiny_session, out=out)


def test_every_event_frame_gets_its_row_and_the_clock_its_truth(tiny_session, labelled):
    _, result = labelled
    truth = json.loads((tiny_session / "truth.json").read_text())
    table = au3dmm.read_labels(result.labels)
    assert len(table) == result.frames_event == result.frames_rgb
    assert table["event_frame_index"].to_pylist() == list(range(len(table)))
    assert result.frames_face == result.frames_rgb
    assert result.clock["method"] == "trigger"
    assert abs(result.clock["offset_us"] - 1e6 * truth["offset_raw_s"]) < 50
    alpha, valid = au3dmm.vectors(table, "alpha_au")
    assert valid.mean() > 0.9
    assert np.isfinite(alpha[valid]).all()
    assert (alpha[valid] >= 0).all()
    assert list(result.stages) == STAGES
    assert set(result.stages.values()) == {"ran"}
    assert any("DEMO basis" in w for w in result.warnings)


def test_the_result_prints_as_json_with_the_documented_keys(labelled):
    _, result = labelled
    said = json.loads(json.dumps(result.to_dict()))
    assert set(said) >= {
        "session_id", "outputs", "frames_rgb", "frames_face", "frames_event", "rmse_px_median", "rmse_iod_median",
        "clock", "seconds",
    }  # fmt: skip
    assert set(said["clock"]) == {"method", "offset_us", "drift_ppm", "drift_measured", "residual_us", "uncertainty_us"}


def test_a_second_run_says_up_to_date_and_rewrites_nothing(tiny_session, labelled):
    out, _ = labelled
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file() and p.name != ".lock"}
    said = []
    again = au3dmm.label_session(tiny_session, out=out, on_event=said.append)
    assert set(again.stages.values()) == {"up to date"}
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file() and p.name != ".lock"} == before
    assert [e["stage"] for e in said if e["event"] == "done" and e["state"] == "up to date"] == STAGES


def test_labels_say_what_made_them(labelled):
    _, result = labelled
    metadata = read_metadata(result.labels)
    assert metadata["basis"]["kind"] == "demo"
    assert metadata["basis"]["is_flame_topology"] is False
    ledger = json.loads((result.labels.parent / "stage.json").read_text())
    assert metadata["fingerprint"] == ledger["stages"]["align"]["fingerprint"]


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"align": {"method": "nearest"}}, "align"),
        ({"fit": {"sigma_px": 1.4}}, "fit"),
        ({"frames": {"size_px": 32}}, "frames"),
    ],
)
def test_a_changed_parameter_reruns_its_stage_and_what_reads_it_and_no_more(tiny_session, tmp_path, changes, first):
    au3dmm.label_session(tiny_session, out=tmp_path)
    again = au3dmm.label_session(tiny_session, out=tmp_path, pipeline=PipelineParams.model_validate(changes))
    ran = [name for name, state in again.stages.items() if state == "ran"]
    assert ran == {"align": ["align"], "fit": ["fit", "align"], "frames": ["frames", "align"]}[first]


def test_changing_a_parameter_back_gives_the_first_bytes_again(tiny_session, tmp_path):
    first = contents(au3dmm.label_session(tiny_session, out=tmp_path).labels.parent)
    au3dmm.label_session(tiny_session, out=tmp_path, pipeline=PipelineParams.model_validate({"preset": "paper"}))
    assert contents(au3dmm.label_session(tiny_session, out=tmp_path).labels.parent) == first


def test_an_output_that_was_edited_or_lost_is_made_again(tiny_session, tmp_path):
    result = au3dmm.label_session(tiny_session, out=tmp_path)
    before = contents(result.labels.parent)
    coefficients = result.outputs["coefficients"]
    coefficients.write_bytes(coefficients.read_bytes()[:-1])
    result.outputs["clock"].unlink()
    again = au3dmm.label_session(tiny_session, out=tmp_path)
    assert [n for n, s in again.stages.items() if s == "ran"] == ["fit", "sync"]
    assert contents(result.labels.parent) == before


def test_a_damaged_ledger_only_costs_time(tiny_session, tmp_path):
    result = au3dmm.label_session(tiny_session, out=tmp_path)
    before = contents(result.labels.parent)
    (result.labels.parent / "stage.json").write_text("{")
    again = au3dmm.label_session(tiny_session, out=tmp_path)
    assert set(again.stages.values()) == {"ran"}
    assert contents(result.labels.parent) == before


def test_a_run_into_another_folder_gives_the_same_bytes(tiny_session, labelled, tmp_path):
    out, _ = labelled
    au3dmm.label_session(tiny_session, out=tmp_path / "elsewhere")
    assert contents(tmp_path / "elsewhere") == contents(out)


def test_another_basis_reruns_identity_and_fit_but_not_detection(tiny_session, tmp_path):
    shipped = read_bases(asset_path(DEMO_BASES))
    write_bases(tmp_path / "b.npz", replace(shipped, components_au=1.1 * shipped.components_au))
    au3dmm.label_session(tiny_session, out=tmp_path / "run")
    again = au3dmm.label_session(tiny_session, out=tmp_path / "run", bases=tmp_path / "b.npz")
    assert [n for n, s in again.stages.items() if s == "ran"] == ["identity", "fit", "align"]


def test_a_focal_length_stated_later_does_not_repeat_the_detection(tiny_session, tmp_path):
    folder = copy_of(tiny_session, tmp_path / "session")
    au3dmm.label_session(folder, out=tmp_path / "run")
    manifest = folder / "session.toml"
    manifest.write_text(manifest.read_text().replace("[rgb]\n", "[rgb]\nfocal_px = 280.0\n"))
    again = au3dmm.label_session(folder, out=tmp_path / "run")
    assert [n for n, s in again.stages.items() if s == "ran"] == ["identity", "fit", "align"]


def test_killing_a_run_at_any_moment_and_running_again_gives_the_same_files(tiny_session, labelled, tmp_path):
    out, _ = labelled
    expected = contents(out)
    code = "import sys, au3dmm; au3dmm.label_session(sys.argv[1], out=sys.argv[2]); print('finished')"
    command = [sys.executable, "-c", code, str(tiny_session), str(tmp_path)]
    rng = random.Random(0)
    killed = 0
    for attempt in range(8):
        # numba compiles and libraries load for a while; then every stage takes a fraction of a second
        with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}) as run:
            folder = tmp_path / "sessions" / "tiny"
            deadline = time.monotonic() + 60
            while not folder.exists() and run.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.15 * (attempt + 1)))
            run.send_signal(signal.SIGKILL)
            run.wait()
            killed += run.returncode == -signal.SIGKILL
    assert killed >= 3
    au3dmm.label_session(tiny_session, out=tmp_path)
    assert contents(tmp_path) == expected


def test_a_stage_that_fails_leaves_what_was_finished_and_nothing_half_written(tiny_session, tmp_path, monkeypatch):
    from au3dmm.io import tables

    class FullDisk(tables.pq.ParquetWriter):
        def write_table(self, table, row_group_size=None):
            super().write_table(table, row_group_size)
            if "t_label_us" in table.column_names:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tables.pq, "ParquetWriter", FullDisk)
    with pytest.raises(Au3dmmError, match=r"labels.parquet: cannot be written: No space left on device"):
        au3dmm.label_session(tiny_session, out=tmp_path)
    folder = tmp_path / "sessions" / "tiny"
    assert not (folder / "labels.parquet").exists()
    assert not list(folder.glob(".*writing"))
    monkeypatch.undo()
    again = au3dmm.label_session(tiny_session, out=tmp_path)
    assert [n for n, s in again.stages.items() if s == "ran"] == ["align"]


def copy_of(session, folder, manifest=lambda text: text):
    """A session folder of its own that links to the files of another."""
    folder.mkdir()
    for path in session.iterdir():
        if path.name != "session.toml":
            (folder / path.name).symlink_to(path)
    (folder / "session.toml").write_text(manifest((session / "session.toml").read_text()))
    return folder


def test_a_recording_that_lost_its_events_gets_labels_of_its_rgb_frames(tiny_session, tmp_path):
    def without_events(text):
        return "\n[".join(part for part in text.split("\n[") if not part.startswith(("events]", "sync]")))

    au3dmm.label_session(tiny_session, out=tmp_path / "run")
    folder = copy_of(tiny_session, tmp_path / "session", without_events)
    result = au3dmm.label_session(folder, out=tmp_path / "run")
    assert result.stages == {"detect": "up to date", "identity": "up to date", "fit": "up to date", "align": "ran"}
    fitted = read_table(result.outputs["coefficients"])
    assert len(fitted) == result.frames_rgb == result.frames_event
    assert any("no [events]: labels are of RGB frames" in w for w in result.warnings)
    assert result.clock is None
    labels = read_table(result.labels, "labels")
    assert labels["alpha_au"].equals(fitted["alpha_au"])
    # what the events gave is of another recording now
    assert not list(result.labels.parent.glob("event_frames*"))
    assert not (result.labels.parent / "clock.json").exists()
    again = au3dmm.label_session(folder, out=tmp_path / "run")
    assert set(again.stages.values()) == {"up to date"}
    assert au3dmm.label_session(tiny_session, out=tmp_path / "run").stages["align"] == "ran"


def test_a_guessed_clock_is_called_a_guess(tiny_session, tmp_path):
    result = au3dmm.label_session(tiny_session, out=tmp_path, sync="start")
    assert any("the clock is a guess" in w and "36 trigger edges: try --sync trigger" in w for w in result.warnings)


def test_rows_without_values_are_counted_and_warned_of(tiny_session, tmp_path):
    params = PipelineParams.model_validate({"align": {"max_gap_us": 1000}})
    result = au3dmm.label_session(tiny_session, out=tmp_path, pipeline=params)
    assert sum(result.status.values()) == result.frames_event
    assert result.status["gap"] > 0.8 * result.frames_event
    assert any("have values" in w and "align.max_gap_us" in w for w in result.warnings)


@pytest.mark.parametrize("entries", ["[]", '{"detect": 3}', '{"detect": {"fingerprint": "x", "outputs": [1]}}', "null"])
def test_a_ledger_of_another_shape_only_costs_time(tiny_session, labelled, tmp_path, entries):
    out, _ = labelled
    folder = tmp_path / "sessions" / "tiny"
    folder.mkdir(parents=True)
    (folder / "stage.json").write_text(f'{{"format_version": 1, "stages": {entries}}}')
    assert set(au3dmm.label_session(tiny_session, out=tmp_path).stages.values()) == {"ran"}
    assert contents(tmp_path) == contents(out)


def test_a_shipped_pipeline_is_known_by_its_name(tiny_session, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(AssetError, match="3DFAN4"):
        # it is the published method, whose detector's weights are not on this machine
        au3dmm.label_session(tiny_session, out=tmp_path, pipeline="facemorphic")
    with pytest.raises(
        ConfigError, match=r"facemorphik: no such pipeline file, nor one that is shipped \(facemorphic, "
    ):
        au3dmm.label_session(tiny_session, out=tmp_path, pipeline="facemorphik")


def test_the_overlay_is_a_picture_of_the_session_drawn_once(tiny_session, tmp_path):
    result = au3dmm.label_session(tiny_session, out=tmp_path, overlay=True)
    picture = read_image(result.outputs["overlay"])
    assert picture.shape[0] > 300
    assert picture.std() > 20
    assert au3dmm.label_session(tiny_session, out=tmp_path, overlay=True).stages["overlay"] == "up to date"
    # not asked for, but it still shows what was fitted
    assert "overlay" not in au3dmm.label_session(tiny_session, out=tmp_path).stages
    assert result.outputs["overlay"].exists()


def test_frames_of_another_representation_take_the_place_of_the_first(tiny_session, tmp_path):
    first = au3dmm.label_session(tiny_session, out=tmp_path).outputs["event_frames"]
    params = load_pipeline(None, frames={"representation": "tbr"})
    second = au3dmm.label_session(tiny_session, out=tmp_path, pipeline=params).outputs["event_frames"]
    assert (first.name, second.name) == ("event_frames.polarity.parquet", "event_frames.tbr.parquet")
    assert second.exists()
    assert not first.exists()


def test_a_damaged_event_file_is_told_in_the_result_and_in_the_labels(tiny_session, tmp_path):
    copy = tmp_path / "session"
    shutil.copytree(tiny_session, copy)
    with (copy / "events.raw").open("ab") as f:
        f.write(b"\x05")
    result = au3dmm.label_session(copy, out=tmp_path / "out")
    (warning,) = [text for text in result.warnings if "damaged" in text]
    assert "1 byte cut off at its end" in warning
    table = au3dmm.read_labels(result.labels)
    assert json.loads(table.schema.metadata[b"au3dmm"])["event_file"]["truncated"] is True


def test_an_overlay_that_no_longer_shows_the_fit_is_removed(tiny_session, tmp_path):
    result = au3dmm.label_session(tiny_session, out=tmp_path, overlay=True)
    au3dmm.label_session(tiny_session, out=tmp_path, pipeline=PipelineParams.model_validate({"fit": {"l1": 1.0}}))
    assert not result.outputs["overlay"].exists()


def test_a_missing_event_file_is_found_before_anything_is_computed(tiny_session, tmp_path):
    folder = copy_of(tiny_session, tmp_path / "session")
    (folder / "events.raw").unlink()
    with pytest.raises(SessionError, match=r"events.raw: no such file"):
        au3dmm.label_session(folder, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_basis_without_dense_places_is_told_before_anything_is_detected(tiny_session, tmp_path):
    dense = {"landmarks": "dense"}
    params = PipelineParams.model_validate({"detect": {"detector": "precomputed"}, "identity": dense, "fit": dense})
    with pytest.raises(ConfigError, match="it has no places of dense points; `au3dmm assets place-landmarks"):
        au3dmm.label_session(tiny_session, out=tmp_path / "out", pipeline=params)
    assert not (tmp_path / "out").exists()
