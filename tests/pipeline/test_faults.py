"""Runs that are harmed: run again, they end with the bytes of a run that nothing disturbed.

The long version, with its table, is `benchmarks/faults.py`.
"""

import errno
import json
import os
import random
import shutil
import signal
import time

import pytest

from au3dmm.api import RunOptions, run_dataset
from au3dmm.errors import OutputError
from fault_runs import Bench, raw_state, row_counts, wait_for_outputs
from small_dataset import contents, name, replace_file, write_dataset

BAD = name(0, 1)
ROWS = {name(i, j): 24 for i in (0, 1) for j in (0, 1)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    write_dataset(folder / "dataset")
    return Bench(folder / "dataset", folder / "runs")


@pytest.fixture(scope="module")
def quiet(bench):
    """What a run leaves that nothing disturbs."""
    ended = here(bench)
    assert ended.exit_code == 0
    return contents(ended.folder.path)


def here(bench, out=None, dataset=None, **options):
    """Run in this process."""
    options = RunOptions(**{"executor": "serial", **options})
    return run_dataset(dataset or bench.dataset, out=out or bench.fresh(), detector="precomputed", options=options)


def check(quiet, out):
    assert row_counts(out) == ROWS
    assert contents(out) == quiet


# kills


@pytest.mark.parametrize("who", ["parent", "worker", "all"])
def test_a_run_that_is_killed_is_finished_by_the_next(bench, quiet, who):
    before = raw_state(bench.dataset)
    run = bench.start(bench.fresh())
    assert wait_for_outputs(run, random.Random(who).randint(1, 20))
    assert run.kill(who) > 0
    ended = run.end()
    assert (ended.code == 0) == (who == "worker")
    assert not run.orphans()
    assert here(bench, ended.out).exit_code == 0
    check(quiet, ended.out)
    assert raw_state(bench.dataset) == before


def test_a_session_that_kills_its_workers_is_named_and_stops_no_other(bench, quiet):
    out = bench.fresh()
    ended = bench.run(out, fault={"kind": "kill", "stage": "fit", "session": BAD})
    assert ended.code == 3
    assert list(ended.failed()) == [BAD]
    assert "killed by SIGKILL, as the system does when memory runs out, twice" in ended.failed()[BAD]
    assert row_counts(out) == {session: n for session, n in ROWS.items() if session != BAD}
    assert json.loads((out / "failures.jsonl").read_text())["session_id"] == BAD
    assert here(bench, out).exit_code == 0
    check(quiet, out)


def test_a_stage_that_needs_more_memory_than_the_limit_fails_alone(bench, quiet):
    fault = {"kind": "memory", "stage": "fit", "session": BAD, "n_bytes": 1 << 42}
    ended = bench.run(bench.fresh(), "--memory-limit", "2GiB", fault=fault)
    assert ended.code == 3
    assert ended.failed() == {BAD: "fit: out of memory; give workers more, or run fewer of them"}
    assert here(bench, ended.out).exit_code == 0
    check(quiet, ended.out)


# Ctrl-C


@pytest.mark.parametrize(
    ("numbers", "executor"),
    [((signal.SIGINT,), "processes"), ((signal.SIGINT, signal.SIGINT), "processes"), ((signal.SIGTERM,), "serial")],
)
def test_a_run_stops_when_told_and_leaves_nothing_behind(bench, numbers, executor):
    run = bench.start(bench.fresh(), "--executor", executor, fault={"kind": "slow", "seconds": 0.5})
    assert wait_for_outputs(run, 2)
    for number in numbers:
        os.killpg(run.process.pid, number)  # as a terminal does: workers hear it, too
        time.sleep(0.1)
    ended = run.end(60)
    assert ended.code == 130
    assert "Traceback" not in ended.stderr
    assert not run.orphans()


# disk full


@pytest.mark.parametrize("at", [1, 2, 9, 25, 45])
def test_a_full_disk_stops_the_run_and_loses_nothing(bench, quiet, monkeypatch, at):
    out, calls, flush = bench.fresh(), [], os.fsync

    def full(fd):
        calls.append(fd)
        if len(calls) >= at:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        try:
            told = here(bench, out).stopped
        except OutputError as err:  # not even what failed could be written down
            told = str(err)
    assert "the disk is full; make room" in told or "No space left on device; " in told
    assert here(bench, out).exit_code == 0
    check(quiet, out)


# bad data

SPOILT = {
    "rgb.mp4": (b"no video at all", "detect: ", "rgb.mp4: cannot be read as a video"),
    "times.csv": (b"", "detect: ", "times.csv"),
    "landmarks.npz": (b"PK\x03\x04", "detect: ", "landmarks.npz"),
    "events.raw": (bytes(range(256)), "detect: ", "events.raw"),
    "session.toml": (b"[session\n", "session: ", "session.toml"),
}


def test_whatever_is_spoilt_of_a_session_it_is_named_and_mended_it_is_as_if_nothing_had_been(bench, tmp_path):
    folder, sick = tmp_path / "dataset", {name(i, 1): file for i, file in enumerate(SPOILT)}
    write_dataset(folder, len(SPOILT), 2)
    good = {session: (folder / "rawdata" / session / file).read_bytes() for session, file in sick.items()}
    reference = contents(here(bench, tmp_path / "quiet", folder).folder.path)
    for session, file in sick.items():
        replace_file(folder / "rawdata" / session / file, SPOILT[file][0])
    before = raw_state(folder)
    result = here(bench, tmp_path / "run", folder)
    assert result.exit_code == 3
    assert {f.session_id for f in result.failures} == set(sick)
    for failure in result.failures:
        _, stage, words = SPOILT[sick[failure.session_id]]
        assert words in failure.message
        assert f"{failure.stage}: " == stage
        assert not failure.details, "a bug"
    assert set(row_counts(tmp_path / "run")) == {name(i, 0) for i in range(len(SPOILT))}
    assert raw_state(folder) == before
    for session, file in sick.items():
        replace_file(folder / "rawdata" / session / file, good[session])
    assert here(bench, tmp_path / "run", folder).exit_code == 0
    assert contents(tmp_path / "run") == reference


# other surroundings


def test_raw_folders_that_nobody_can_write_to_are_enough(bench, quiet, tmp_path):
    folder = tmp_path / "dataset"
    shutil.copytree(bench.dataset, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = raw_state(folder)
    try:
        result = here(bench, tmp_path / "run", folder)
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert result.exit_code == 0
    check(quiet, tmp_path / "run")
    assert before == {
        path: (time_ns, mode & ~0o222, size, data) for path, (time_ns, mode, size, data) in raw_state(folder).items()
    }


def test_a_run_that_can_write_nowhere_says_so_in_one_line(bench, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".state").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be written: Not a directory; choose another folder with --out DIR"):
        here(bench, tmp_path / "run")


@pytest.mark.parametrize("by_s", [-86_400, 31_536_000])
def test_a_clock_that_jumps_changes_nothing(bench, quiet, monkeypatch, by_s):
    seconds, nanoseconds, calls = time.time, time.time_ns, []

    def later():
        calls.append(1)
        return by_s if len(calls) > 5 else 0  # in the middle of the run

    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: seconds() + later())
        patch.setattr(time, "time_ns", lambda: nanoseconds() + later() * 10**9)
        result = here(bench)
    assert len(calls) > 5
    assert result.exit_code == 0
    check(quiet, result.folder.path)
    again = here(bench, result.folder.path)
    assert not any(again.ran.values())


def test_recordings_from_the_future_are_recordings(bench, quiet, tmp_path):
    folder, then = tmp_path / "dataset", time.time() + 400 * 86_400
    shutil.copytree(bench.dataset, folder)
    for path in folder.rglob("*"):
        os.utime(path, (then, then))
    result = here(bench, tmp_path / "run", folder)
    check(quiet, tmp_path / "run")
    for path in folder.rglob("*"):
        os.utime(path)
    assert result.exit_code == 0
    assert not any(here(bench, tmp_path / "run", folder).ran.values()), "a touched file was taken for a new one"


def test_runs_at_once_with_different_parameters_do_not_mix(bench, quiet, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text('[detect]\ndetector = "precomputed"\n[fit]\nl1 = 3.0\n[identity]\nsigma_px = 0.5\n')
    out = bench.fresh()
    runs = [bench.start(out, "--executor", "serial"), bench.start(out, str(other), "--executor", "serial")]
    for ended in [run.end() for run in runs]:
        assert ended.code in (0, 3)
        assert "Traceback" not in ended.stderr
    assert here(bench, out).exit_code == 0
    check(quiet, out)
