"""ECF: chunks as Prophesee's own encoder writes them, round trips of every packing, and damage."""

from __future__ import annotations

import numpy as np
import pytest

from au3dmm.io.events.ecf import MOST_EVENTS, decode_chunk
from container_files import encode_ecf, random_events

# what the reference encoder (hdf5_ecf) makes of a few events: (t, x, y, p)
REFERENCE = [
    (
        "16000000e8030000000000000211ff01f8f7fdf0f101120b7000ffff30000000007f000185160000000000000000",
        [(1000, 5, 7, 1), (1000, 9, 3, 0), (1001, 2047, 2047, 1), (1016, 0, 0, 0), (70000, 640, 360, 1)],
    ),
    (
        "19000000e8030000000000000211ff01f8f7fdf0f102e5000101b80029700600155000010000",
        [(1000, 5, 7, 1), (1000, 900, 7, 0), (1001, 20, 7, 1), (1016, 3, 7, 0), (70000, 640, 7, 1), (70000, 10, 8, 1)],
    ),
    (
        "64000000e803000000000000053f1400e5001401be008a024a030a04ca048a054a0608078514",
        [*((1000, 5 + i, 7, 1) for i in range(5)), *((1003, 20 + 2 * i, 8, 0) for i in range(20))],
    ),
    (
        "b004000005000000000000000f2c017f002c011f00df009f015f021f03df039f045f051f06df069f075f081f09df099f0a5f0b1f0cdf0c"
        "9f0d5f0e1f0fdf0f9f105f111f12df129f135f141f15df159f165f171f18df189f195f1a1f1bdf1b9f1c5f1d1f1edf1e9f1f5f201f21df"
        "219f225f231f24df247fc800e4",
        [(5, i, 3, i // 200) for i in range(300)],
    ),
]


def decode(chunk: bytes) -> list[tuple[int, ...]] | None:
    columns = decode_chunk(np.frombuffer(chunk, np.uint8))
    return None if columns is None else list(zip(*(column.tolist() for column in columns), strict=True))


def rows(events: np.ndarray) -> list[tuple[int, ...]]:
    return list(zip(*(events[name].tolist() for name in "txyp"), strict=True))


@pytest.mark.parametrize(("chunk", "events"), REFERENCE)
def test_chunks_of_the_reference_encoder_are_read(chunk: str, events: list[tuple[int, ...]]) -> None:
    assert decode(bytes.fromhex(chunk)) == events


@pytest.mark.parametrize("packing", [0, 1, 2])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 1000, 1001])
def test_every_packing_round_trips(packing: int, n: int) -> None:
    events = random_events(n, mean_step_us=40)
    events["t"][n // 2 :] += 10**9
    assert decode(encode_ecf(events, packing)) == rows(events)


@pytest.mark.parametrize("packing", [0, 1, 2])
def test_long_runs_and_the_largest_chunk_round_trip(packing: int) -> None:
    events = random_events(MOST_EVENTS)
    for name, at in (("t", 40_000), ("y", 2_000), ("p", 300)):
        events[name][at : at + 20_000] = events[name][at]
    events["t"] = np.maximum.accumulate(events["t"])
    assert decode(encode_ecf(events, packing)) == rows(events)


@pytest.mark.parametrize("packing", [0, 1, 2])
def test_a_chunk_that_ends_early_is_refused_wherever_it_ends(packing: int) -> None:
    chunk = encode_ecf(random_events(63), packing)
    assert decode(chunk) is not None
    assert [decode(chunk[:n]) for n in range(len(chunk))] == [None] * len(chunk)


def test_a_chunk_of_too_many_events_is_refused() -> None:
    assert decode((MOST_EVENTS + 1 << 2).to_bytes(4, "little") + bytes(1 << 20)) is None
    assert decode((2**30 - 1 << 2).to_bytes(4, "little") + bytes(1 << 20)) is None


def test_an_empty_chunk_holds_nothing() -> None:
    assert decode(bytes(12)) == []


def test_runs_without_events_end() -> None:
    # steps and rows that no event has: an encoder writes none, but they must not be read for ever
    assert decode((5 << 2).to_bytes(4, "little") + bytes(8 + 1000)) is None


def test_mutated_chunks_give_whole_columns_of_possible_values_or_nothing() -> None:
    rng = np.random.default_rng(0)
    given = 0
    for trial in range(1_500):
        chunk = bytearray(encode_ecf(random_events(int(rng.integers(1, 60)), trial), trial % 3))
        for _ in range(int(rng.integers(1, 4))):
            chunk[int(rng.integers(0, len(chunk)))] ^= 1 << int(rng.integers(0, 8))
        columns = decode_chunk(np.frombuffer(bytes(chunk), np.uint8))
        if columns is None:
            continue
        given += 1
        t, x, y, p = columns
        assert len(t) == len(x) == len(y) == len(p) == int.from_bytes(chunk[:4], "little") >> 2
        assert not len(t) or (x.min() >= 0 and x.max() < 2048 + 5 and y.min() >= 0 and y.max() < 2048)
        assert not len(t) or (p.min() >= 0 and p.max() <= 1)
    assert 200 < given < 1_500
