"""Which tensors go into a TFLite model and come out of it, read off the file's bytes: no model is built or run.

The layout of the bytes is FlatBuffers' (flatbuffers.dev, internals), and the fields are those of TFLite's schema,
version 3. Every place is checked to lie within the file, so that whatever a file says costs little.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from au3dmm.errors import AssetError

_MAGIC = b"TFL3"
_SUBGRAPHS = 2  # field of Model
_TENSORS, _INPUTS, _OUTPUTS = 0, 1, 2  # fields of SubGraph
_SHAPE, _TYPE = 0, 1  # fields of Tensor
_FLOAT32 = 0
_MOST = 64  # inputs or outputs, and dimensions of each: a face model has a dozen


class Tensor(NamedTuple):
    """A tensor of a model's graph."""

    shape: tuple[int, ...]
    is_float32: bool


class Signature(NamedTuple):
    """What a model reads and gives, in its own order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_signature(content: bytes, name: str) -> Signature:
    """Return inputs and outputs of the first graph of a TFLite file.

    Parameters
    ----------
    content : bytes
        The file.
    name : str
        For the message.

    Raises
    ------
    AssetError
        If it is no TFLite file, or is damaged.
    """
    if content[4:8] != _MAGIC:
        raise AssetError(f"{name}: not a TFLite model: begins with {content[:8].hex()}, expected {_MAGIC.hex()} at 4")
    try:
        model = _follow(content, 0)
        graphs = _follow(content, _slot(content, model, _SUBGRAPHS))
        graph = _follow(content, graphs + 4)
        tensors = _follow(content, _slot(content, graph, _TENSORS))
        there = _u32(content, tensors)
        ends = []
        for field in (_INPUTS, _OUTPUTS):
            numbers = _vector(content, _slot(content, graph, field))
            if not all(0 <= number < there for number in numbers):
                raise ValueError(f"tensor {max(numbers)} of {there}")
            ends.append(tuple(_tensor(content, _follow(content, tensors + 4 + 4 * number)) for number in numbers))
    except (struct.error, ValueError) as err:
        raise AssetError(f"{name}: a damaged TFLite model: {err}") from err
    return Signature(*ends)


def _tensor(content: bytes, table: int) -> Tensor:
    at = _slot(content, table, _TYPE, optional=True)  # what is left out is 0
    kind = struct.unpack_from("<b", content, at)[0] if at else _FLOAT32
    return Tensor(_vector(content, _slot(content, table, _SHAPE)), kind == _FLOAT32)


def _u32(content: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", content, at)[0])


def _follow(content: bytes, at: int) -> int:
    return at + _u32(content, at)


def _slot(content: bytes, table: int, field: int, *, optional: bool = False) -> int:
    """Return where a field of a table is; 0 if it was left out and may be."""
    fields = table - int(struct.unpack_from("<i", content, table)[0])
    if fields < 0:
        raise ValueError(f"a table points before the file, to {fields}")
    at = fields + 4 + 2 * field
    inside = at < fields + int(struct.unpack_from("<H", content, fields)[0])
    away = int(struct.unpack_from("<H", content, at)[0]) if inside else 0
    if not away and not optional:
        raise ValueError(f"field {field} of a table is not there")
    return table + away if away else 0


def _vector(content: bytes, slot: int) -> tuple[int, ...]:
    at = _follow(content, slot)
    n = _u32(content, at)
    if n > _MOST:
        raise ValueError(f"{n} entries, expected {_MOST} at most")
    return struct.unpack_from(f"<{n}i", content, at + 4)
