import json
import os
import signal
import subprocess
import sys
import time

import pytest

from small_dataset import contents, name, replace_file, write_dataset

RUN = "derivatives/au3dmm/label"


@pytest.fixture
def dataset(tmp_path):
    write_dataset(tmp_path / "d")
    return tmp_path / "d"


@pytest.fixture
def run(au3dmm, dataset):
    def call(*argv):
        return au3dmm("run", "--dataset", dataset, "--executor", "serial", "--detector", "precomputed", *argv)

    return call


def test_a_dataset_is_labelled_and_the_numbers_are_told(run, dataset):
    answer = run()
    assert answer.code == 0, answer.err
    assert "4 sessions: 4 labelled" in answer.out
    assert f"96 rows, 96 with values: {dataset / RUN / 'dataset/labels'}" in answer.out
    again = run()
    assert "4 sessions: 4 up to date" in again.out


def test_a_failed_session_is_named_on_both_streams_and_in_the_exit_code(run, dataset):
    replace_file(dataset / "rawdata" / name(0, 1) / "rgb.mp4", b"no video")
    answer = run()
    assert answer.code == 3
    assert "4 sessions: 3 labelled, 1 failed" in answer.out
    assert "S000_1: detect: " in answer.out
    assert "--retry-failed" in answer.out
    assert answer.error.startswith("error: S000_1: detect: ")


def test_what_comes_next_is_told_of_where_the_results_are(run, dataset, tmp_path):
    out = tmp_path / "run"
    assert run().out.rstrip().endswith(f"validate --dataset {dataset}")
    assert (
        run("--out", out, "--limit", "2").out.rstrip().endswith(f"--dataset {dataset} --out {out} --only consolidate")
    )
    assert run("--out", out).out.rstrip().endswith(f"validate --dataset {out}")


def test_json_is_one_object_on_stdout(run):
    answer = run("--json", "--progress", "json")
    said = json.loads(answer.out)
    assert said["sessions"] == {"labelled": 4}
    events = [json.loads(line) for line in answer.err]
    assert sum(event["event"] == "session" for event in events) == 4


def test_a_plan_is_told_in_words_and_as_json(run, dataset):
    answer = run("--dry-run", "-v")
    assert answer.code == 0
    assert "detect       4 sessions: 4 not done yet" in answer.out
    assert "S000_0  detect (not done yet); fit" in answer.out
    assert not (dataset / "derivatives").exists()
    said = json.loads(run("--dry-run", "--json").out)
    assert [one["session_id"] for one in said["sessions"]] == ["S000_0", "S000_1", "S001_0", "S001_1"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--shard", "3"], "'3': expected I/N"),
        (["--shard", "3/2"], "shard 3/2"),
        (["--only", "fit", "--from", "sync"], "--only names the one stage"),
        (["--from", "align", "--until", "fit"], "none; fit comes first"),
        (["--memory-limit", "lots"], "memory limit 'lots'"),
        (["--executor", "slurm"], "executor 'slurm': expected serial, processes, dask"),
        (["--device", "gpu"], "device 'gpu'"),
        (["--limit", "0"], "--limit"),
        (["nopipeline"], "no such pipeline file"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_in_one_line(run, argv, message):
    answer = run(*argv)
    assert answer.code == 2
    assert message in answer.error


def test_a_folder_that_is_no_dataset_is_refused(au3dmm, tmp_path):
    assert au3dmm("run", "--dataset", tmp_path / "none").code == 2
    answer = au3dmm("run", "--dataset", tmp_path)
    assert "no session.toml below it" in answer.error


def start(dataset, *argv):
    code = "import sys; from au3dmm.cli import main; sys.argv[0] = 'au3dmm'; sys.exit(main())"
    argv = ["run", "--dataset", str(dataset), "--detector", "precomputed", "--workers", "2", *argv]
    return subprocess.Popen([sys.executable, "-c", code, *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(path, seconds=60):
    until = time.monotonic() + seconds
    while not list(path.parent.glob(path.name)) and time.monotonic() < until:
        time.sleep(0.02)


def test_ctrl_c_stops_in_good_order_and_the_same_command_continues(tmp_path):
    write_dataset(tmp_path / "d", 3, 4)
    process = start(tmp_path / "d")
    wait_for(tmp_path / "d" / RUN / "sessions/*")
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 130, out
    assert "stopped" in out
    assert "Traceback" not in out
    assert not list((tmp_path / "d").rglob(".*.writing"))
    process = start(tmp_path / "d")
    out = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 0, out
    write_dataset(tmp_path / "other", 3, 4)
    process = start(tmp_path / "other", "--executor", "serial")
    process.communicate(timeout=300)
    assert contents(tmp_path / "d" / RUN) == contents(tmp_path / "other" / RUN)
    assert os.listdir(tmp_path / "d" / RUN / ".state") == ["hashes.json"]
