import os
import signal
import time

import pytest

from au3dmm.errors import ConfigError, ExecutorError
from au3dmm.executors import Job, make_executor
from au3dmm.executors.base import parse_memory
from executor_jobs import die, eat, leave, say_slot, say_threads, sleep, square


def everything(executor, jobs, timeout_s=60):
    for job in jobs:
        executor.submit(job)
    outcomes, until = {}, time.monotonic() + timeout_s
    while len(outcomes) < len(jobs) and time.monotonic() < until:
        for outcome in executor.wait(0.2):
            assert outcome.key not in outcomes, "told twice"
            outcomes[outcome.key] = outcome
    return outcomes


@pytest.fixture(params=["serial", "processes", "dask"], scope="module")
def executor(request):
    made = make_executor(request.param, 2)
    yield made
    made.close()


def test_every_job_ends_once_with_its_value(executor):
    outcomes = everything(executor, [Job(f"n{i}", square, {"x": i}) for i in range(25)])
    assert {key: o.value for key, o in outcomes.items()} == {f"n{i}": i * i for i in range(25)}
    assert executor.wait(0.01) == []


@pytest.fixture(params=["processes", "dask"], scope="module")
def killable(request):
    made = make_executor(request.param, 2)
    yield made
    made.close()


@pytest.mark.filterwarnings("ignore")
def test_a_job_that_kills_its_worker_fails_alone(killable):
    jobs = [Job(f"n{i}", square, {"x": i}) for i in range(20)]
    jobs.insert(3, Job("killer", die, {"how": signal.SIGKILL}))
    jobs.insert(9, Job("leaver", leave, {"code": 3}))
    outcomes = everything(killable, jobs)
    assert {key for key, o in outcomes.items() if o.died} == {"killer", "leaver"}
    assert all(outcomes[f"n{i}"].value == i * i for i in range(20))
    assert "killed" in outcomes["killer"].died


def test_a_worker_process_has_one_thread_and_ends_with_its_executor():
    executor = make_executor("processes", 1)
    outcome = everything(executor, [Job("a", say_threads)])["a"]
    threads, pid = outcome.value
    assert threads == "1"
    executor.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_workers_are_numbered_and_who_replaces_one_has_its_number():
    executor = make_executor("processes", 2)
    first = everything(executor, [Job(f"n{i}", say_slot, {"seconds": 0.2}) for i in range(4)])
    assert {outcome.value for outcome in first.values()} == {0, 1}
    everything(executor, [Job("killer", die, {"how": signal.SIGKILL})])
    again = everything(executor, [Job(f"n{i}", say_slot, {"seconds": 0.2}) for i in range(4)])
    assert {outcome.value for outcome in again.values()} == {0, 1}
    executor.close()


def test_closing_at_once_does_not_wait_for_a_job():
    executor = make_executor("processes", 1)
    _, pid = everything(executor, [Job("who", say_threads)])["who"].value
    executor.submit(Job("long", sleep, {"seconds": 600}))
    began = time.monotonic()
    executor.close(at_once=True)
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_job_that_asks_for_more_than_the_limit_gets_a_memory_error():
    executor = make_executor("processes", 1, memory_limit=2 << 30)
    outcomes = everything(executor, [Job("eat", eat, {"n_bytes": 3 << 30}), Job("next", square, {"x": 3})])
    executor.close()
    assert (outcomes["eat"].value, outcomes["next"].value) == ("MemoryError", 9)


def test_an_unknown_executor_and_a_silent_scheduler_are_refused_with_what_to_do():
    with pytest.raises(ConfigError, match="executor 'slurm': expected serial, processes, dask"):
        make_executor("slurm", 2)
    with pytest.raises(ConfigError, match=r"executor tcp://127.0.0.1:9: no scheduler answers.*dask scheduler"):
        make_executor("tcp://127.0.0.1:9", 2)


@pytest.mark.parametrize(
    ("text", "size"), [("1000", 1000), ("1.5GiB", 3 << 29), ("2 GB", 2 * 10**9), ("4g", 4 * 10**9)]
)
def test_memory_is_read_with_its_unit(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-1", "3 XB"])
def test_memory_without_sense_is_refused(text):
    with pytest.raises(ConfigError, match="memory limit"):
        parse_memory(text)


def wait_for(executor, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        executor.wait(0.2)


def test_a_scheduler_that_vanishes_is_told_and_what_to_do():
    executor = make_executor("dask", 1)
    executor.submit(Job("long", sleep, {"seconds": 600}))
    executor._client.close()  # what a client does when its scheduler is gone
    with pytest.raises(ExecutorError, match=r"connection to the scheduler is lost.*run the same command again"):
        wait_for(executor, 20)
    executor.close(at_once=True)


def test_a_scheduler_that_vanishes_while_it_hands_an_answer_over_is_told_alike():
    class Answer:
        status = "finished"

        def result(self):
            raise ConnectionResetError(104, "Connection reset by peer")

    executor = make_executor("dask", 1)
    try:
        executor._jobs["one"] = Job("one", square, {"x": 2}), Answer()
        executor._done.put("one")
        with pytest.raises(ExecutorError, match="connection to the scheduler is lost"):
            executor.wait(5.0)
    finally:
        executor.close(at_once=True)
