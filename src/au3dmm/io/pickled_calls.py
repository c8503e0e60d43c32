"""What is done where a foreign pickle wants something called: an array described, a stand-in made, or a refusal.

Nothing a pickle names is ever imported or called. The few functions that arrays are pickled by are carried out here by
our own, which look at what they are given first; everything else is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from au3dmm.io.pickled_values import (
    SPARSE,
    Name,
    Opaque,
    PendingArray,
    PendingDtype,
    RefusedError,
    StandIn,
    array_of,
    top_module,
)

_CODES = re.compile(r"(?:[biufc](?:1|2|4|8|16)|[SU][1-9]\d{0,5}|O8?|b|\?)")
_ARRAYS = {("numpy", "ndarray"), ("numpy", "memmap")}
_PLAIN = {("builtins", name) for name in ("object", "dict", "list", "int", "float", "str")}


def known_name(module: str, name: str) -> Name:
    """Return the `Name` of something that arrays are made of.

    Raises
    ------
    RefusedError
        If it is anything else.
    """
    found = Name(module, name)
    if "." not in name and (found.key in _CALLS or found.key in _ARRAYS | _PLAIN or _is_object(found)):
        return found
    raise RefusedError(f"asks for {found}, which is not an array")


def call(name: Any, args: Any) -> Any:
    """Carry out what a pickle wants called.

    Raises
    ------
    RefusedError
        If that is not one of the few things by which arrays are made, or is called in another way than for that.
    """
    if not isinstance(name, Name) or not isinstance(args, tuple):
        raise RefusedError(f"calls {_kind(name)} with {_kind(args)}, which is not how arrays are made")
    if _is_object(name):  # arguments are dropped: torch's tensors carry their bytes there, as a pickle of their own
        return Opaque(str(name)) if top_module(name) == "torch" else StandIn(name)
    maker = _CALLS.get(name.key)
    if maker is None:
        raise RefusedError(f"calls {name}, which is not how arrays are made")
    try:
        return maker(*args)
    except (TypeError, ValueError, LookupError, AttributeError) as err:
        raise RefusedError(f"calls {name} in another way than for an array ({err})") from err


def set_state(made: Any, state: Any) -> None:
    """Tell an object that was made by `call` its content.

    Raises
    ------
    RefusedError
        If it is not such an object, or the content is not one it can have.
    """
    if isinstance(made, PendingArray):
        _fill(made, state)
    elif isinstance(made, PendingDtype):
        _set_dtype(made, state)
    elif isinstance(made, StandIn):
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)  # instance dict and slots
        for part in parts:
            if part is not None and not isinstance(part, dict):
                raise RefusedError(f"gives a {made.cls} {_kind(part)} for content, expected a dict")
            made.state.update(part or {})
    elif not isinstance(made, Opaque):
        raise RefusedError(f"sets the content of {_kind(made)}, which is not an array")


def checked_key(key: Any) -> Any:
    """Return a key of a dict, or a member of a set, once it is text or a number.

    Hashing anything deeper can be made to take for ever.

    Raises
    ------
    RefusedError
        If it is something else.
    """
    if type(key) is int and not -(2**63) <= key < 2**63:
        raise RefusedError("has a number beyond 64 bits for a key")  # many of one hash take for ever
    if type(key) in (str, bytes, int, float, bool, type(None)) or isinstance(key, np.number):
        return key
    raise RefusedError(f"has {_kind(key)} for a key, expected text or a number")


def _fill(made: PendingArray, state: Any) -> None:
    fields = state[-4:] if isinstance(state, tuple) and len(state) in (4, 5) else (None,) * 4
    shape, dtype, fortran, data = fields
    if isinstance(data, str):  # what Python 2 called str
        try:
            data = data.encode("latin1")
        except UnicodeEncodeError as err:
            raise RefusedError(f"has an array with text for its bytes ({err})") from err
    if not isinstance(dtype, PendingDtype) or not isinstance(data, (bytes, bytearray, list)):
        raise RefusedError(f"has an array made of {_kind(dtype)} and {_kind(data)}, expected a dtype and bytes")
    made.shape, made.dtype, made.order, made.data = _shape(shape), dtype, "F" if fortran else "C", data


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int) else shape
    if not isinstance(sizes, tuple) or len(sizes) > 32 or not all(isinstance(n, int) and 0 <= n < 2**48 for n in sizes):
        raise RefusedError(f"has an array whose shape is {_kind(shape)}, expected up to 32 sizes")
    return sizes


def _set_dtype(made: PendingDtype, state: Any) -> None:
    if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
        raise RefusedError("has an array of records, expected numbers or text")
    if state[1] not in ("<", ">", "=", "|"):
        raise RefusedError(f"has a dtype whose byte order is {_kind(state[1])}")
    made.order = state[1]


def _make_dtype(code: Any, align: Any = False, copy: Any = False) -> PendingDtype:
    text = code.decode("latin1") if isinstance(code, bytes) else code
    order = text[0] if isinstance(text, str) and text[:1] in tuple("<>=|") else "="
    bare = text.lstrip("<>=|") if isinstance(text, str) else ""
    if not _CODES.fullmatch(bare):
        raise RefusedError(
            f"has an array of {code if isinstance(code, str) else _kind(code)}, expected numbers or text"
        )
    return PendingDtype({"b": "b1", "O8": "O"}.get(bare, bare), order)


def _make_array(cls: Any, shape: Any, code: Any) -> PendingArray:
    if not isinstance(cls, Name) or cls.key not in _ARRAYS:
        raise RefusedError(f"makes an array of class {cls if isinstance(cls, Name) else _kind(cls)}")
    return PendingArray()


def _make_array_of(buffer: Any, dtype: Any, shape: Any, order: Any) -> PendingArray:
    made = PendingArray()
    _fill(made, (shape, dtype, order == "F", buffer))
    return made


def _make_scalar(dtype: Any, data: Any) -> Any:
    made = PendingArray()
    _fill(made, ((1,), dtype, False, data))
    return array_of(made, lambda item: item)[0]


def _make_object(cls: Any, base: Any, state: Any) -> Any:
    return call(cls, ())


def _make_bytes(text: str = "", codec: str = "latin1") -> bytes:
    if type(text) is not str or codec not in ("latin1", "latin-1"):
        raise RefusedError(f"encodes {_kind(text)} as {codec!r}, which is not how bytes are pickled")
    return text.encode("latin1")


def _make_empty_bytes() -> bytes:
    return b""


def _make_dict(pairs: Any = ()) -> dict[Any, Any]:
    if not isinstance(pairs, (list, tuple)):
        raise RefusedError(f"makes a dict of {_kind(pairs)}")
    return {checked_key(key): value for key, value in pairs}


def _make_default_dict(factory: Any = None) -> dict[Any, Any]:
    return {}


def _make_set(items: Any = ()) -> set[Any]:
    if not isinstance(items, (list, tuple)):
        raise RefusedError(f"makes a set of {_kind(items)}")
    return {checked_key(item) for item in items}


_CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy._core.multiarray", "_reconstruct"): _make_array,
    ("numpy._core.multiarray", "scalar"): _make_scalar,
    ("numpy._core.numeric", "_frombuffer"): _make_array_of,
    ("numpy", "dtype"): _make_dtype,
    ("_codecs", "encode"): _make_bytes,
    ("builtins", "bytes"): _make_empty_bytes,
    ("builtins", "set"): _make_set,
    ("builtins", "frozenset"): _make_set,
    ("collections", "OrderedDict"): _make_dict,
    ("collections", "defaultdict"): _make_default_dict,
    ("copyreg", "_reconstructor"): _make_object,
}
"""Everything a pickle may call, and what is done instead."""


def _is_object(name: Name) -> bool:
    return top_module(name) in ("chumpy", "torch") or name.key in SPARSE


def _kind(value: Any) -> str:
    if isinstance(value, (Name, Opaque)):
        return str(value) if isinstance(value, Name) else value.name
    if isinstance(value, StandIn):
        return f"an object of {value.cls}"
    return {PendingArray: "an array", PendingDtype: "a dtype"}.get(type(value), f"a {type(value).__name__}")
