"""Eight float64 numbers that are added and multiplied at once, for numba kernels: one number per frame.

Small dense problems, one per frame, are too short for vector instructions; eight frames side by side are not. A lane
vector lies in eight neighbouring places of a float64 array. Compilers map it to whatever vectors the machine has.
The functions can be called from `numba.njit` code only.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic as _intrinsic
from numba.extending import models, register_model

LANES = 8
"""Frames in a lane vector."""

intrinsic: Any = _intrinsic  # numba's own type says that its first argument is still to be given

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_FUSED = ("contract",)  # a multiplication and an addition may become one instruction


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"lanes{LANES}")


_lanes = _Lanes()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _VECTOR)  # type: ignore[no-untyped-call]


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def load(typing_context, array, index):  # type: ignore[no-untyped-def]
    """Return ``array[index : index + 8]`` of a contiguous 1-D float64 array; the index is not checked."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        place = _place(context, builder, signature.args[0], args[0], args[1])
        return builder.load(place, align=8)

    return _lanes(array, types.intp), generate


@intrinsic
def store(typing_context, array, index, value):  # type: ignore[no-untyped-def]
    """Write ``array[index : index + 8] = value``; the index is not checked."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        builder.store(args[2], _place(context, builder, signature.args[0], args[0], args[1]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def splat(typing_context, number):  # type: ignore[no-untyped-def]
    """Return `number` in every lane."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        zero = ir.Constant(ir.IntType(32), 0)
        one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), args[0], zero)
        return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

    return _lanes(types.float64), generate


@intrinsic
def multiply(typing_context, a, b):  # type: ignore[no-untyped-def]
    """Return ``a * b``."""
    return _lanes(a, b), lambda context, builder, signature, args: builder.fmul(args[0], args[1], flags=_FUSED)


@intrinsic
def divide(typing_context, a, b):  # type: ignore[no-untyped-def]
    """Return ``a / b``."""
    return _lanes(a, b), lambda context, builder, signature, args: builder.fdiv(args[0], args[1])


@intrinsic
def add_product(typing_context, c, a, b):  # type: ignore[no-untyped-def]
    """Return ``c + a * b``."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.fadd(args[0], builder.fmul(args[1], args[2], flags=_FUSED), flags=_FUSED)

    return _lanes(c, a, b), generate


@intrinsic
def subtract_product(typing_context, c, a, b):  # type: ignore[no-untyped-def]
    """Return ``c - a * b``."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.fsub(args[0], builder.fmul(args[1], args[2], flags=_FUSED), flags=_FUSED)

    return _lanes(c, a, b), generate


@intrinsic
def square_root(typing_context, a):  # type: ignore[no-untyped-def]
    """Return the square root; NaN of negative numbers."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        name = f"llvm.sqrt.v{LANES}f64"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)  # type: ignore[no-untyped-call]

    return _lanes(a), generate


@intrinsic
def maximum(typing_context, a, b):  # type: ignore[no-untyped-def]
    """Return the larger of a and b in each lane; b where they cannot be compared."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[0], args[1])

    return _lanes(a, b), generate


@intrinsic
def any_nonzero(typing_context, a):  # type: ignore[no-untyped-def]
    """Say whether a lane is not 0."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        differs = builder.fcmp_unordered("!=", args[0], ir.Constant(_VECTOR, [0.0] * LANES))
        bits = builder.bitcast(differs, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(a), generate
