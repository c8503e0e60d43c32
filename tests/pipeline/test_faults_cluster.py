"""A scheduler and workers that somebody else started: they come late, go away, or are not what they should be."""

import os
import signal

import pytest

from au3dmm.errors import ConfigError
from au3dmm.executors import make_executor
from fault_runs import Bench, Cluster, wait_for_outputs
from small_dataset import contents, write_dataset


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path / "cluster") as cluster:
        yield cluster


def test_workers_with_several_threads_are_refused(cluster):
    cluster.start(1, threads=2)
    with pytest.raises(ConfigError, match=r"worker tcp://.* runs 2 jobs at once.*--nthreads 1"):
        make_executor(cluster.address, 1)


def test_workers_that_come_later_get_work_too(cluster):
    cluster.start(1)
    executor = make_executor(cluster.address, 1)
    try:
        assert executor.n_workers == 1
        cluster.add_worker(2)
        for _ in range(50):
            executor.wait(0.2)
            if executor.n_workers == 2:
                break
        assert executor.n_workers == 2
    finally:
        executor.close()


def test_a_scheduler_that_vanishes_ends_the_run_and_another_one_finishes_it(cluster, tmp_path):
    write_dataset(tmp_path / "dataset")
    bench = Bench(tmp_path / "dataset", tmp_path / "runs")
    cluster.start(1)
    run = bench.start(bench.fresh(), "--executor", cluster.address, fault={"kind": "slow", "seconds": 0.2})
    assert wait_for_outputs(run, 5)
    cluster.kill()
    ended = run.end(120)
    assert ended.code == 3
    assert "the connection to the scheduler is lost; what was finished is kept" in ended.said["stopped"]
    assert ended.said["sessions"]["not done"] > 0
    cluster.start(1)
    assert bench.run(ended.out, "--executor", cluster.address).code == 0
    quiet = bench.run(bench.fresh(), "--executor", "serial")
    assert contents(ended.out) == contents(quiet.out)


def test_ctrl_c_leaves_dask_s_workers_to_the_run(tmp_path):
    write_dataset(tmp_path / "dataset")
    bench = Bench(tmp_path / "dataset", tmp_path / "runs")
    run = bench.start(bench.fresh(), "--executor", "dask", fault={"kind": "slow", "seconds": 0.5})
    assert wait_for_outputs(run, 2)
    os.killpg(run.process.pid, signal.SIGINT)  # a terminal tells workers, too
    ended = run.end(120)
    assert ended.code == 130
    assert ended.failed() == {}
    assert "Traceback" not in ended.stderr
    assert not run.orphans()
