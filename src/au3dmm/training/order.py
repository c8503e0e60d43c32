"""The order in which clips are seen: a function of seed and epoch, cut into batches, from any batch on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

Draw = tuple[int, int]
"""An epoch and the number of a clip: all that a clip's changes depend on, beside the seed."""


class Batches(Sampler[list[Draw]]):
    """The batches of one process, for an epoch at a time.

    All processes see a batch together: each takes every `world`-th clip of it. Where the last batch is too short to
    give each process one clip, or unequal numbers, clips of the epoch's beginning are seen once more.

    Parameters
    ----------
    n : int
        Clips in all.
    batch : int
        Clips of a batch, over all processes.
    seed : int
        Another seed, another order.
    shuffle : bool
        Whether to mix them; otherwise they come as they are, and none is seen twice.
    rank, world : int
        Which of how many processes.

    Attributes
    ----------
    epoch : int
        Set it before iterating.
    first : int
        Batches that are left out at the beginning: they were seen before a run was stopped.

    Examples
    --------
    >>> order = Batches(5, 2, seed=0, shuffle=False)
    >>> list(order)
    [[(0, 0), (0, 1)], [(0, 2), (0, 3)], [(0, 4)]]
    >>> order.epoch, order.first = 3, 2
    >>> list(order)
    [[(3, 4)]]
    """

    def __init__(self, n: int, batch: int, seed: int, *, shuffle: bool, rank: int = 0, world: int = 1) -> None:
        assert batch % world == 0 or not shuffle, "every process has its share of a batch"
        self._n, self._batch, self._seed, self._shuffle = n, batch, seed, shuffle
        self._rank, self._world = rank, world
        self.epoch = self.first = 0

    @property
    def total(self) -> int:
        """Batches of an epoch."""
        return -(-self._n // self._batch)

    def __len__(self) -> int:
        return self.total - self.first

    def __iter__(self) -> Iterator[list[Draw]]:
        order = np.arange(self._n)
        if self._shuffle:
            order = np.random.default_rng([2, self._seed, self.epoch, 0]).permutation(self._n)
            order = np.resize(order, -(-self._n // self._world) * self._world)
        for number in range(self.first, self.total):
            some = order[number * self._batch : (number + 1) * self._batch]
            mine = [(self.epoch, int(i)) for i in some[self._rank :: self._world]]
            if mine:
                yield mine
