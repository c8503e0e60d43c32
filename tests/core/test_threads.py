import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from au3dmm.core.threads import blocks, ordered_map, single_threaded_blas


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_results_come_in_order_and_few_are_held(workers):
    held, most, lock = 0, 0, threading.Lock()

    def work(i):
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return i * i

    found = []
    for value in ordered_map(work, range(40), workers):
        found.append(value)
        with lock:
            held -= 1
    assert found == [i * i for i in range(40)]
    assert most <= workers + 1


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_reaches_the_caller(workers):
    def work(i):
        if i == 5:
            raise ValueError("five")
        return i

    with pytest.raises(ValueError, match="five"):
        list(ordered_map(work, range(20), workers))


def test_blas_is_held_to_one_thread():
    np.eye(3) @ np.eye(3)
    with single_threaded_blas():
        assert all(pool["num_threads"] == 1 for pool in threadpool_info() if pool["user_api"] == "blas")


def test_blocks_cover_every_row_once():
    assert [i for part in blocks(17, 5) for i in range(17)[part]] == list(range(17))
    assert blocks(0, 5) == []
