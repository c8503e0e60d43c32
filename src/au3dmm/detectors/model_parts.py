"""Cut a TFLite file into models that run on their own, by changing a few numbers in it.

LiteRT runs no custom operators from Python. A graph that has some is run in parts, and what the operators do is
computed between the parts. The layout of the bytes is FlatBuffers' (flatbuffers.dev, internals), and the fields are
those of TFLite's schema, version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_SUBGRAPHS, _METADATA, _SIGNATURES = 2, 6, 7  # fields of Model
_INPUTS, _OUTPUTS, _OPERATORS = 1, 2, 3  # fields of SubGraph
_READS, _WRITES = 1, 2  # fields of Operator


def part_of_model(content: bytes, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    """Return the model that computes some tensors of the first graph of a TFLite file from others.

    Parameters
    ----------
    content : bytes
        The file.
    inputs, outputs : sequence of int
        Numbers of tensors: given, and asked for.

    Returns
    -------
    bytes
        A TFLite file of the operators between them, in their old order, with the tensors' old numbers.
    """
    data = bytearray(content)
    model = _u32(data, 0)
    for field in (_METADATA, _SIGNATURES):  # they name tensors that may be gone
        _forget(data, model, field)
    graphs = _follow(data, _slot(data, model, _SUBGRAPHS))
    graph = _follow(data, graphs + 4)
    operators = _follow(data, _slot(data, graph, _OPERATORS))
    places = [_follow(data, operators + 4 + 4 * i) for i in range(_u32(data, operators))]
    kept = _between([(_numbers(data, p, _READS), _numbers(data, p, _WRITES)) for p in places], inputs, outputs)
    for i, old in enumerate(kept):  # a place is told as the way from its entry: entries move to the front, so it grows
        struct.pack_into("<I", data, operators + 4 + 4 * i, places[old] - (operators + 4 + 4 * i))
    struct.pack_into("<I", data, operators, len(kept))
    for field, numbers in ((_INPUTS, inputs), (_OUTPUTS, outputs)):
        data += bytes(-len(data) % 4)
        entry = _slot(data, graph, field)
        struct.pack_into("<I", data, entry, len(data) - entry)
        data += struct.pack(f"<I{len(numbers)}i", len(numbers), *numbers)
    return bytes(data)


def _between(
    operators: Sequence[tuple[Sequence[int], Sequence[int]]], inputs: Sequence[int], outputs: Sequence[int]
) -> list[int]:
    """Return which operators, told by what they read and write, are needed for `outputs`, given `inputs`."""
    wanted, given, kept = set(outputs), set(inputs), []
    for i in range(len(operators) - 1, -1, -1):
        reads, writes = operators[i]
        if (wanted - given) & set(writes):
            kept.append(i)
            wanted |= set(reads)
    return kept[::-1]


def _u32(data: bytearray, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


def _follow(data: bytearray, at: int) -> int:
    return at + _u32(data, at)


def _entry(data: bytearray, table: int, field: int) -> int:
    """Return where a table's list of fields says where `field` is; 0 if it is too short."""
    fields = table - int(struct.unpack_from("<i", data, table)[0])
    at = fields + 4 + 2 * field
    return at if at < fields + int(struct.unpack_from("<H", data, fields)[0]) else 0


def _slot(data: bytearray, table: int, field: int) -> int:
    at = _entry(data, table, field)
    away = int(struct.unpack_from("<H", data, at)[0]) if at else 0
    return table + away if away else 0


def _forget(data: bytearray, table: int, field: int) -> None:
    at = _entry(data, table, field)
    if at:
        struct.pack_into("<H", data, at, 0)


def _numbers(data: bytearray, table: int, field: int) -> tuple[int, ...]:
    slot = _slot(data, table, field)
    if not slot:
        return ()
    vector = _follow(data, slot)
    return struct.unpack_from(f"<{_u32(data, vector)}i", data, vector + 4)
