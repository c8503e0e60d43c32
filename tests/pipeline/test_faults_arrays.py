"""Jobs of an array: they end at any time, together or not at all."""

import json
import multiprocessing
import threading

import pytest

from au3dmm.api import RunOptions, run_dataset
from au3dmm.errors import BusyError
from au3dmm.io.atomic import file_lock, folder_lock, patient_lock
from au3dmm.io.hash_cache import HashCache, read_cache, write_cache
from au3dmm.pipeline.failure import read_failure
from fault_runs import Bench, row_counts
from small_dataset import name, write_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    write_dataset(folder / "dataset")
    return folder


@pytest.fixture
def bench(made, tmp_path):
    return Bench(made / "dataset", tmp_path)


def label(bench, out, **options):
    options = RunOptions(**{"executor": "serial", **options})
    return run_dataset(bench.dataset, out=out, detector="precomputed", options=options)


def test_what_a_job_of_an_array_did_not_do_is_told_when_all_is_put_together(bench, tmp_path):
    label(bench, tmp_path / "run", shard=(1, 2))
    result = label(bench, tmp_path / "run", first="consolidate")
    assert result.exit_code == 3
    assert result.states == {
        name(0, 0): "labelled", name(0, 1): "labelled", name(1, 0): "not done", name(1, 1): "not done",
    }  # fmt: skip
    assert set(row_counts(tmp_path / "run")) == {name(0, 0), name(0, 1)}
    label(bench, tmp_path / "run", shard=(2, 2))
    result = label(bench, tmp_path / "run", first="consolidate")
    assert (result.exit_code, set(result.states.values())) == (0, {"labelled"})
    assert set(row_counts(tmp_path / "run")) == {name(i, j) for i in (0, 1) for j in (0, 1)}


def test_stages_can_be_shared_between_jobs_and_each_says_that_it_is_done(bench, tmp_path):
    for first, last in (("bases", "bases"), (None, "detect"), ("identity", "fit"), ("sync", None)):
        result = label(bench, tmp_path / "run", first=first, last=last)
        assert (result.exit_code, result.failures) == (0, ())
    assert len(row_counts(tmp_path / "run")) == 4
    assert not any(label(bench, tmp_path / "run").ran.values())


def test_a_session_that_killed_the_workers_of_a_job_is_named_by_the_others(bench, tmp_path):
    bad, out = name(0, 1), tmp_path / "run"
    fault = {"kind": "kill", "stage": "fit", "session": bad}
    assert bench.run(out, "--shard", "1/2", "--workers", "1", fault=fault).code == 3
    assert read_failure(out / "sessions" / bad).error == "WorkerDied"
    assert label(bench, out, shard=(2, 2)).exit_code == 0
    assert [json.loads(line)["session_id"] for line in (out / "failures.jsonl").read_text().splitlines()] == [bad]
    result = label(bench, out, first="consolidate")
    assert (result.exit_code, result.states[bad]) == (3, "failed")
    assert label(bench, out).exit_code == 0
    assert (out / "failures.jsonl").read_text() == ""


def _add(path, first):
    cache = HashCache()
    for i in range(first, first + 10):
        cache.add({f"key{j}": [1, 2, 3, 4, "x" * 64] for j in range(100 * i, 100 * (i + 1))})
        write_cache(path, cache)


def test_jobs_that_end_together_keep_what_all_of_them_learnt(tmp_path):
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=_add, args=(tmp_path / "hashes.json", 10 * i)) for i in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert len(read_cache(tmp_path / "hashes.json").entries) == 3000


def test_a_run_waits_for_the_one_that_puts_the_dataset_together(bench, tmp_path):
    out = tmp_path / "run"
    label(bench, out, last="align")
    results = []
    with folder_lock(out / "dataset"):
        waiting = threading.Thread(target=lambda: results.append(label(bench, out)))
        waiting.start()
        waiting.join(1.0)
        assert waiting.is_alive()
    waiting.join()
    assert results[0].exit_code == 0
    assert len(row_counts(out)) == 4


def test_a_lock_that_is_kept_too_long_is_told_and_none_is_left(tmp_path):
    path = tmp_path / "failures.jsonl"
    with file_lock(path), pytest.raises(BusyError, match="another au3dmm"), patient_lock(path, 0.1):
        pass
    with patient_lock(path, 0.1):
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
