"""Work on blocks by a few threads, with results in order: sums over them do not depend on the number of threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Yield ``function(item)`` in the order of `items`, computed by `workers` threads.

    No more than `workers` + 1 results exist at a time, so that memory stays bounded. Only code that releases the GIL
    (numpy's products, our compiled loops) gains from it.

    Examples
    --------
    >>> list(ordered_map(abs, [-3, 1, -2], workers=2))
    [3, 1, 2]
    """
    if workers <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS to one thread: its sums depend on their number, and ours are the threads that work on blocks."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def blocks(n: int, size: int) -> list[slice]:
    """Cut n rows into slices of `size`; the borders depend on nothing else.

    Examples
    --------
    >>> blocks(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
