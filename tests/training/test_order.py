"""The order: every clip once, by seed and epoch, from any batch on, shared by processes."""

import pytest

from au3dmm.training.order import Batches


def drawn(order):
    return [number for batch in order for _, number in batch]


def test_every_clip_is_seen_once_in_an_order_of_the_epoch():
    order = Batches(23, 4, 5, shuffle=True)
    first = drawn(order)
    assert sorted(first) == list(range(23))
    assert first == drawn(order)
    order.epoch = 1
    assert sorted(drawn(order)) == list(range(23))
    assert drawn(order) != first
    assert drawn(Batches(23, 4, 6, shuffle=True)) != first


def test_going_on_in_the_middle_gives_the_rest():
    whole = list(Batches(23, 4, 5, shuffle=True))
    order = Batches(23, 4, 5, shuffle=True)
    order.first = 2
    assert list(order) == whole[2:]
    assert (len(order), order.total) == (4, 6)


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_each_batch_and_take_equally_many_steps(world):
    alone = list(Batches(22, 4, 5, shuffle=True))
    shares = [list(Batches(22, 4, 5, shuffle=True, rank=rank, world=world)) for rank in range(world)]
    assert {len(share) for share in shares} == {6}
    for step, batch in enumerate(alone):
        together = [draw for share in shares for draw in share[step]]
        assert set(batch) <= set(together)
        assert len({len(share[step]) for share in shares}) == 1


def test_evaluation_sees_no_clip_twice_whatever_the_number_of_processes():
    shares = [drawn(Batches(5, 4, 0, shuffle=False, rank=rank, world=3)) for rank in range(3)]
    assert sorted(number for share in shares for number in share) == [0, 1, 2, 3, 4]
