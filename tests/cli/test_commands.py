"""The commands beside `label`, and what all of them share."""

import json
import os
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest

import au3dmm as package
from au3dmm import cli
from au3dmm.cli import inspect as inspect_command
from au3dmm.cli.output import aligned
from run_folder import write_run

COMMANDS = [
    *(
        "label",
        "run",
        "report",
        "plot",
        "render",
        "view",
        "init",
        "validate",
        "export",
        "forget",
        "train",
        "evaluate",
        "predict",
        "refine",
        "experiment",
        "inspect",
        "events",
    ),
    *("fit-bases", "assets", "doctor", "weights", "schema", "synth"),
]
HEAVY = ("numpy", "scipy", "numba", "pyarrow", "cv2", "av", "torch", "pydantic", "rich", "ai_edge_litert")


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["label", "--help"], ["label", "--foo"]])
def test_help_imports_nothing_heavy(argv):
    program = (
        "import sys; from au3dmm.cli import run; code = run(sys.argv[1:]);"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]; sys.exit(', '.join(heavy) or code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == (2 if "--foo" in argv else 0), done.stderr


def test_one_thread_is_used_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    for name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(SystemExit) as done:
        cli.main(["--version"])
    assert done.value.code == 0
    assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("1", "3")
    monkeypatch.delenv("OMP_NUM_THREADS")


def test_help_lists_every_command_in_the_order_of_use_and_fits_80_columns(au3dmm):
    out = au3dmm("--help").out
    assert [line.split()[0] for line in out.split("Commands:")[1].splitlines()[1 : len(COMMANDS) + 1]] == COMMANDS
    assert "..." not in out.split("Commands:")[1]  # no summary is cut off
    for command in COMMANDS:
        text = au3dmm(command, "--help").out
        assert max(map(len, text.splitlines())) <= 110
    assert au3dmm("--version").out == f"au3dmm, version {package.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["label"], "Missing option '--session' (see 'au3dmm label --help')"),
        (["label", "--sesion", "x"], "No such option '--sesion'. (Did you mean one of: "),
        (["lable"], "No such command 'lable'"),
        (["label", "--session", "x", "--detector", "best"], "'best' is not one of 'mediapipe', 'face-alignment'"),
        (["init"], "give either DIR or --glob PATTERN"),
        (["init", "--glob", "*", "--session-id", "s"], "--session-id is for one DIR"),
        (["synth", "session", "--out", "x", "--seconds", "0"], "Invalid value for '--seconds'"),
    ],
)
def test_a_wrong_command_line_gets_one_line_and_exit_code_2(au3dmm, argv, said):
    answer = au3dmm(*argv)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.error
    assert json.loads(au3dmm(*argv, "--json").out)["error"]["exit_code"] == 2


def test_without_a_command_the_help_is_shown(au3dmm):
    answer = au3dmm()
    assert answer.code == 2
    assert any(line.startswith("Usage: au3dmm") for line in answer.err)


def test_validate_prints_a_line_per_problem_and_exits_with_4(au3dmm, tmp_path):
    folder = write_run(tmp_path)
    answer = au3dmm("validate", tmp_path)
    assert (answer.code, answer.err) == (0, [])
    assert answer.out == f"{tmp_path}: 1 session, 7 files, 25 rows of tables: all is well\n"
    (folder / "clock.json").unlink()
    answer = au3dmm("validate", tmp_path)
    assert answer.code == 4
    assert f"{folder / 'clock.json'}: no such file; expected the output of stage sync; run au3dmm label" in answer.out
    assert answer.out.endswith("1 problem\n")
    report = json.loads(au3dmm("validate", folder, "--json").out)
    assert (report["ok"], report["sessions"], len(report["problems"])) == (False, ["s01"], 1)
    assert set(report["problems"][0]) == {"file", "found", "expected", "advice"}


def test_validate_of_a_folder_that_is_no_run_exits_with_2(au3dmm, tmp_path):
    answer = au3dmm("validate", tmp_path, "--json")
    assert answer.code == 2
    assert "not a run" in answer.error
    assert json.loads(answer.out)["error"]["class"] == "ConfigError"


def test_inspect_shows_columns_units_counts_metadata_and_rows(au3dmm, tmp_path):
    folder = write_run(tmp_path)
    out = au3dmm("inspect", folder / "coefficients.parquet", "--rows", "2").out
    assert "table of coefficients, schema version 3, 6 rows" in out
    assert re.search(r"alpha_au +float\[3\] +standard deviations +1", out)
    assert "status  ok 5, no_face 1" in out
    assert "file_hash: sha256:bbbbbbbbbbbb..." in out
    assert "b" * 20 not in out
    assert [line.split() for line in out.splitlines() if line.startswith("t_rgb_us")] == [["t_rgb_us", "1000", "34333"]]
    report = json.loads(au3dmm("inspect", folder / "labels.parquet", "--json", "--rows", "1").out)
    assert len(report["first_rows"][0]["alpha_au"]) == 3
    assert au3dmm("inspect", folder / "clock.json").out.startswith(f"{folder / 'clock.json'}: clock, ")
    assert "first rows" not in au3dmm("inspect", folder / "labels.parquet", "--rows", "0").out


def test_long_vectors_are_abbreviated():
    assert inspect_command._short(list(range(204)), 28) == "[0 1 2 3 4 5 6 7 8 9 10 ... 204 values]"


def test_inspect_of_a_foreign_file_says_what_was_found(au3dmm, tmp_path):
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    answer = au3dmm("inspect", tmp_path / "picture.jpg")
    assert answer.code == 2
    assert "picture.jpg: not a file of au3dmm: it starts with ff d8 ff e0; expected a table" in answer.error


@pytest.mark.parametrize("which", ["session", "pipeline"])
def test_schema_prints_a_json_schema(au3dmm, which):
    schema = json.loads(au3dmm("schema", which).out)
    assert schema["additionalProperties"] is False
    assert ("rgb" if which == "session" else "fit") in schema["properties"]


def test_init_writes_a_manifest_that_label_reads_and_touches_nothing_else(au3dmm, recording, label):
    (recording / "session.toml").unlink()
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in recording.iterdir()}
    dry = au3dmm("init", recording, "--dry-run")
    assert not (recording / "session.toml").exists()
    answer = au3dmm("init", recording, "--subject-id", "p01")
    assert answer.code == 0, answer.err
    assert "session s01, subject p01, rgb rgb.mp4, events events.raw, sync trigger" in answer.out
    text = (recording / "session.toml").read_text()
    assert text.replace('"p01"', '"s01"') in dry.out
    assert tomllib.loads(text)["rgb"]["timestamps"] == "times.csv"
    assert {n: v for n, v in _state(recording).items() if n != "session.toml"} == before
    with (recording / "session.toml").open("a") as f:
        f.write('[landmarks]\nfile = "landmarks.npz"\n')
    assert label().code == 0


def test_init_says_on_the_terminal_what_it_could_not_read(au3dmm, recording):
    (recording / "session.toml").unlink()
    (recording / "events.raw").write_bytes(b"nonsense, not events")
    answer = au3dmm("init", recording)
    assert answer.code == 0
    warning = f"warning: {recording / 'events.raw'}: cannot be read: not a known event format"
    assert any(line.startswith(warning) for line in answer.err)
    assert "sync motion, as the event file cannot be used as it is, so nobody knows" in answer.out
    assert "No trigger edges" not in answer.out + (recording / "session.toml").read_text()


def test_inspect_of_an_event_recording_points_to_events_info(au3dmm, recording, tmp_path):
    answer = au3dmm("inspect", recording / "events.raw")
    assert answer.code == 2
    assert f"events.raw: an event recording, not a file of au3dmm; `au3dmm events info {recording}" in answer.error
    events = {name: np.zeros(3, int) for name in "txyp"}
    np.savez(tmp_path / "events.npz", **events, width=9, height=9)
    np.savez(tmp_path / "other.npz", q=np.zeros(3))
    assert "an event recording" in au3dmm("inspect", tmp_path / "events.npz").error
    assert "not a basis file" in au3dmm("inspect", tmp_path / "other.npz").error


def _state(folder):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_init_overwrites_nothing_without_force(au3dmm, recording):
    before = (recording / "session.toml").read_bytes()
    answer = au3dmm("init", recording)
    assert answer.code == 2
    assert "session.toml: there already; --force overwrites it" in answer.error
    assert (recording / "session.toml").read_bytes() == before
    assert au3dmm("init", recording, "--force").code == 0
    assert (recording / "session.toml").read_bytes() != before


def test_init_refuses_an_id_before_it_writes(au3dmm, recording):
    (recording / "session.toml").unlink()
    answer = au3dmm("init", recording, "--session-id", "a/b")
    assert answer.code == 2
    assert "use letters, digits" in answer.error
    assert not (recording / "session.toml").exists()


def test_init_with_a_glob_describes_many_folders_and_tells_of_those_it_cannot(au3dmm, tmp_path):
    for name in ("S01", "S02", "S03"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "face.mp4").touch()
    pattern = f"{tmp_path}/*/"
    (tmp_path / "S02" / "other.mp4").touch()
    answer = au3dmm("init", "--glob", pattern)
    assert answer.code == 3
    assert "S02: 2 could be the video: face.mp4, other.mp4" in answer.error
    assert "1 of 3 folders could not be described" in answer.err
    assert tomllib.loads((tmp_path / "S03" / "session.toml").read_text())["session"]["session_id"] == "S03"
    (tmp_path / "S02" / "other.mp4").unlink()
    answer = au3dmm("init", "--glob", pattern)
    assert answer.code == 0
    assert answer.out.count("there already, left as it is") == 2
    assert "no folder matches" in au3dmm("init", "--glob", f"{tmp_path}/none*/").error


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names must be Unicode there")
def test_init_tells_in_one_line_of_names_that_are_not_utf8(au3dmm, tmp_path):
    odd = os.fsdecode(b"K\xf6ln")
    for name in ("S01", odd, f"{odd}2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "face.mp4").touch()
    (tmp_path / "S01" / "face.mp4").rename(tmp_path / "S01" / f"{odd}.mp4")
    answer = au3dmm("init", tmp_path / "S01")
    assert answer.code == 2
    assert "S01/K\\udcf6ln.mp4': the name is not UTF-8" in answer.error
    assert not (tmp_path / "S01" / "session.toml").exists()
    assert "K\\udcf6ln': the name is not UTF-8" in au3dmm("init", tmp_path / odd).error
    for name in (odd, f"{odd}2"):
        (tmp_path / name / "session.toml").touch()
    answer = au3dmm("init", "--glob", f"{tmp_path}/K*/")
    assert answer.code == 0
    assert answer.out.count("there already, left as it is") == 2


def test_doctor_says_whether_label_can_run_and_what_to_do(au3dmm, monkeypatch, tmp_path):
    from au3dmm import doctor

    monkeypatch.setattr(doctor, "devices", lambda: {"found": [{"device": "cpu", "name": "processor"}]})
    monkeypatch.setenv("AU3DMM_WEIGHTS", str(tmp_path / "none"))
    answer = au3dmm("doctor")
    assert answer.code == 5
    assert "NOT ready" in answer.out
    assert "run `au3dmm weights get mediapipe`" in answer.out
    assert json.loads(au3dmm("doctor", "--json").out)["ready"] is False


def test_weights_status_names_every_file_and_its_place(au3dmm, monkeypatch, tmp_path):
    monkeypatch.setenv("AU3DMM_WEIGHTS", str(tmp_path))
    found = json.loads(au3dmm("weights", "status", "--json").out)["weights"]
    assert {w["state"] for w in found if w["detector"] == "mediapipe"} == {"missing"}
    assert f"mediapipe       missing  {tmp_path}" in au3dmm("weights", "status").out


def test_weights_get_refuses_a_file_that_is_not_the_wheel(au3dmm, tmp_path):
    (tmp_path / "wheel.whl").write_bytes(b"not a zip")
    answer = au3dmm("weights", "get", "mediapipe", "--wheel", tmp_path / "wheel.whl", "--weights-dir", tmp_path / "w")
    assert answer.code == 5
    assert "wheel.whl: not a wheel, or damaged" in answer.error
    assert not (tmp_path / "w").exists()


def test_aligned_copes_with_rows_of_different_lengths():
    assert aligned([("a", "b", "c"), ("long",)], indent="") == "a     b  c\nlong"
    assert aligned([]) == ""


def test_synth_session_writes_a_session_that_is_read_back(au3dmm, monkeypatch, tmp_path):
    from au3dmm.io.session import read_session
    from au3dmm.synthetic import session

    monkeypatch.setattr(session, "Setup", lambda: session.TINY)
    answer = au3dmm("synth", "session", "--out", tmp_path / "rec", "--seconds", "0.2", "--session-id", "s9")
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{tmp_path / 'rec'}: 6 RGB frames, ")
    assert read_session(tmp_path / "rec").session_id == "s9"
    again = au3dmm("synth", "session", "--out", tmp_path / "rec", "--seconds", "0.2")
    assert again.code == 2
    assert "a session is there already; --force replaces it" in again.error
    assert au3dmm("synth", "session", "--out", tmp_path / "rec", "--seconds", "0.2", "--force").code == 0
