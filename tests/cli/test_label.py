import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import au3dmm as package
from au3dmm.io.bases import read_bases, write_bases
from au3dmm.io.tables import read_metadata
from small_recording import EXPOSURE_US, OFFSET_US, N

STAGES = ["detect", "identity", "fit", "sync", "frames", "align"]


def test_a_session_is_labelled_and_the_numbers_are_told(label, folder_of):
    answer = label()
    assert answer.code == 0, answer.err
    assert f"RGB frames    {N}, a face fitted in {N} (100.0 %)" in answer.out
    assert f"event frames  {N}, one row of labels each" in answer.out
    assert "trigger: offset 412345." in answer.out
    assert "of the outer eye distance" in answer.out
    assert f"au3dmm.read_labels('{folder_of / 'labels.parquet'}')" in answer.out
    assert f"frames file   {folder_of / 'event_frames.polarity.parquet'}" in answer.out
    assert "drift not measured (taken to be 0)" not in answer.out
    table = package.read_labels(folder_of)
    alpha, valid = package.vectors(table, "alpha_au")
    assert (len(table), valid.sum()) == (N, N)
    assert alpha.max() > 0.5


def test_the_second_run_is_up_to_date_and_rewrites_nothing(label, folder_of):
    label()
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder_of.iterdir()}
    answer = label()
    assert [line.split(":")[0] for line in answer.err if ": up to date" in line] == STAGES
    assert "s01 (subject p01): up to date" in answer.out
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder_of.iterdir()} == before


def test_json_is_one_object_on_stdout_with_the_documented_keys(label):
    answer = label("--json", "--progress", "none")
    result = json.loads(answer.out)
    wanted = "session_id outputs frames_rgb frames_face frames_event rmse_px_median rmse_iod_median clock seconds"
    assert set(wanted.split()) <= set(result)
    assert (result["frames_rgb"], result["frames_face"], result["frames_event"]) == (N, N, N)
    assert set(result["clock"]) == {
        "method",
        "offset_us",
        "drift_ppm",
        "drift_measured",
        "residual_us",
        "uncertainty_us",
    }
    assert abs(result["clock"]["offset_us"] - OFFSET_US) < 5
    assert set(result["stages"].values()) == {"ran"}
    assert answer.err == []


def test_the_noise_of_the_landmarks_and_a_check_by_a_second_detector_are_told(label, mediapipe_weights):
    answer = label("--check-with", "mediapipe")
    assert answer.code == 0, answer.err
    assert "landmarks     noise from frame to frame " in answer.out
    assert "checked       0 frames; no face for it in 3 more" in answer.out  # the recording shows noise, not faces
    assert any("a second detector sees another face, or none, in 3 of the 3 frames" in line for line in answer.err)
    told = json.loads(label("--check-with", "mediapipe", "--json").out)["landmarks"]
    assert set(told) == {"jitter_px", "jitter_iod", "flags", "check"}
    assert told["check"] == {"frames": 0, "median_iod": None, "disagree": 0, "missed": 3}


def test_a_changed_parameter_runs_only_what_depends_on_it(label, tmp_path):
    out = tmp_path / "out"
    label("--out", out)
    pipeline = tmp_path / "label.toml"
    pipeline.write_text("[align]\nmethod = 'nearest'\n")
    stages = json.loads(label("--out", out, "--pipeline", pipeline, "--json").out)["stages"]
    assert {name for name, state in stages.items() if state == "ran"} == {"align"}


def test_options_win_over_the_pipeline_file(label, tmp_path):
    pipeline = tmp_path / "mine.toml"
    pipeline.write_text("[detect]\ndetector = 'mediapipe'\n[sync]\nmethod = 'trigger'\n")
    answer = label("--pipeline", pipeline, "--sync", "start", "--json")
    assert json.loads(answer.out)["clock"]["method"] == "start"
    assert "derivatives/au3dmm/mine/" in answer.out


def test_progress_in_a_pipe_is_a_line_when_a_stage_starts_and_one_when_it_ends(label):
    lines = label().err
    for stage in STAGES:
        assert f"{stage}: started" in lines
        assert any(line.startswith(f"{stage}: done in ") for line in lines)
    assert f"{N} frames" in next(line for line in lines if line.startswith("detect: done"))


def test_json_progress_is_one_object_per_line(label, recording):
    answer = label("--progress", "json")
    events = [json.loads(line) for line in answer.err]
    assert [e["stage"] for e in events if e["event"] == "done"] == STAGES
    assert {"event": "progress", "stage": "detect", "done": N, "total": N} in events
    (recording / "rgb.mp4").unlink()
    last = json.loads(label("--progress=json").err[-1])
    assert (last["event"], last["class"], last["exit_code"]) == ("error", "SessionError", 4)


def test_labels_of_the_demo_basis_come_with_a_warning_nobody_overlooks(label, template, tmp_path):
    bases = read_bases(template.parent / "bases.npz")
    write_bases(tmp_path / "demo.npz", dataclasses.replace(bases, info={**bases.info, "basis_kind": "demo"}))
    answer = label("--bases", tmp_path / "demo.npz")
    assert any("DEMO BASIS: these labels are for trying out only" in line for line in answer.err)
    assert "(demo)" in answer.out
    assert not any("DEMO" in line for line in label().err)


def test_labels_say_with_which_basis_and_detector_they_were_made(label, folder_of):
    label()
    metadata = read_metadata(folder_of / "labels.parquet")
    assert metadata["basis"]["kind"] == "user"
    assert metadata["detector"]["name"] == "precomputed"


def test_what_label_wrote_is_valid_and_can_be_inspected(label, au3dmm, folder_of):
    label()
    answer = au3dmm("validate", folder_of.parents[1])
    assert (answer.code, answer.out.endswith("all is well\n")) == (0, True), answer.out
    for path in folder_of.iterdir():
        if path.suffix in (".parquet", ".json"):
            assert au3dmm("inspect", path).code == 0


def test_warnings_of_the_stages_are_printed_and_verbose_prints_more(label):
    quiet, verbose = label("--progress", "none"), label("--progress", "none", "-v", "--sync", "start")
    assert quiet.err == []
    assert any(line.startswith("info: sync s01: ") for line in verbose.err)


def test_a_session_without_events_gets_labels_of_its_rgb_frames(label, recording):
    text = (recording / "session.toml").read_text().replace('[events]\nfile = "events.raw"\n', "")
    (recording / "session.toml").write_text(text)
    answer = label("--json")
    result = json.loads(answer.out)
    assert (result["frames_event"], result["clock"]) == (result["frames_rgb"], None)
    assert any("names no [events]" in line for line in answer.err)
    answer = label()
    assert answer.code == 0
    assert "none; one row of labels per RGB frame" in answer.out


def test_the_stored_clock_speaks_of_exposure_midpoints(label, folder_of):
    label()
    table = package.read_labels(folder_of)
    ends = table["t_end_us"].to_numpy()
    assert abs(int(ends[0]) - (500_000 + OFFSET_US + EXPOSURE_US // 2)) < 5
    assert np.all(np.diff(ends) > 0)


def test_a_drift_that_nobody_measured_is_not_told_as_one(label):
    answer = label("--sync", "start")
    assert "drift not measured (taken to be 0), uncertainty unknown" in answer.out
    assert "drift +0.00 ppm" not in answer.out


def test_damage_is_told_in_words(label, recording):
    path = recording / "events.raw"
    path.write_bytes(path.read_bytes() + b"\0")  # half a word
    damage = [line for line in label().err if "is damaged" in line]
    assert len(damage) == 1
    assert "the event file is damaged (lost: 1 byte cut off at its end); `au3dmm events info` says where" in damage[0]


@pytest.mark.parametrize(
    ("given", "said"), [("\ntrigger_id = 5", "no trigger edges with id 5"), ("", "several inputs")]
)
def test_a_wrong_trigger_input_is_told_before_anything_is_detected(label, recording, folder_of, given, said):
    if not given:
        edges = package.read_triggers(recording / "events.raw")
        edges["id"][::2] = 3
        package.write_evt3(
            recording / "events.raw", package.read_events(recording / "events.raw"), edges, width=64, height=48
        )
    manifest = recording / "session.toml"
    manifest.write_text(manifest.read_text().replace('method = "trigger"', f'method = "trigger"{given}'))
    answer = label()
    assert said in answer.error
    assert not any("detect: started" in line for line in answer.err)
    assert not list(folder_of.glob("*.parquet"))


def test_a_library_that_prints_does_not_spoil_the_json(label, monkeypatch):
    from au3dmm.stages import fit

    real = fit.run

    def loud(**arguments):
        print("hello from a library")
        return real(**arguments)

    monkeypatch.setattr(fit, "run", loud)
    answer = label("--json")
    assert json.loads(answer.out)["frames_rgb"] == N
    assert "hello from a library" in answer.err


def test_an_interrupted_run_exits_with_130_and_continues_next_time(label, folder_of, monkeypatch):
    from au3dmm.stages import fit

    def interrupted(**_):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(fit, "run", interrupted)
        answer = label()
    assert answer.code == 130
    assert answer.error == "error: interrupted; the same command continues where it stopped"
    assert not list(folder_of.glob(".*.writing"))
    stages = json.loads(label("--json").out)["stages"]
    assert [stages[s] for s in ("detect", "identity", "fit")] == ["up to date", "up to date", "ran"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "0"], "'0': expected a number of processes from 1 on, or auto"),
        (["--workers", "many"], "'many': expected a number of processes from 1 on, or auto"),
        (["--device", "cuda:0,cpu"], "device 'cuda:0,cpu': devices of several kinds"),
        (["--device", "cuda:0,gpu"], "device 'gpu': expected cpu, cuda, cuda:N or mps"),
        (["--device", "cuda:0,cuda:1", "--workers", "1"], "1 workers for the 2 devices cuda:0,cuda:1"),
    ],
)
def test_processes_and_devices_that_make_no_sense_are_refused(label, folder_of, options, said):
    answer = label(*options)
    assert answer.code == 2
    assert said in answer.error
    assert not folder_of.exists()


@pytest.mark.parametrize(
    ("options", "workers"),
    [((), 1), (("--workers", "3"), 3), (("--workers", "auto"), len(os.sched_getaffinity(0)))]
    + [(("--device", "cuda:0,cuda:1", *more), 2) for more in ((), ("--workers", "auto"))],
)
def test_detection_gets_as_many_processes_as_were_asked_for_and_no_other_stage_knows(
    label, monkeypatch, options, workers
):
    from au3dmm.stages import detect

    asked, real = [], detect.run
    monkeypatch.setattr(detect, "run", lambda **how: asked.append(how["workers"]) or real(**how))
    assert label(*options).code == 0
    assert asked == [workers]
    assert set(json.loads(label("--json", "--workers", "2").out)["stages"].values()) == {"up to date"}


def test_a_bug_keeps_its_traceback_and_json_says_so(label, monkeypatch, capsys):
    from au3dmm.stages import fit

    def buggy(**_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(fit, "run", buggy)
    with pytest.raises(ZeroDivisionError):
        label("--json")
    assert json.loads(capsys.readouterr().out) == {
        "error": {"class": "ZeroDivisionError", "message": "a bug", "exit_code": 1}
    }


def test_the_installed_command_exits_with_the_code_and_uses_no_colour_in_a_pipe(recording, template):
    command = [sys.executable, "-m", "au3dmm", "label", "--session", str(recording), "--detector", "precomputed"]
    command += ["--bases", str(template.parent / "bases.npz")]
    environment = {**os.environ, "FORCE_COLOR": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "\x1b[" not in done.stdout + done.stderr
    (recording / "rgb.mp4").unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
