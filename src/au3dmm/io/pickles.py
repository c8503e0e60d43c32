"""Read foreign pickles (FLAME, VOCASET, landmark embeddings) without running anything that is in them.

Those files are pickles of Python 2 dicts of numpy arrays, some with scipy, chumpy and torch objects. A pickle is a
program that may call any function; this one interpreter knows no function. Numpy arrays, sparse matrices and chumpy's
arrays are made by our own code (`io.pickled_calls`), torch's tensors become `Opaque`, all else is refused by name.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
import tokenize
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.pickled_calls import call, checked_key, known_name, set_state
from au3dmm.io.pickled_values import Allowance, Opaque, RefusedError, resolved

__all__ = ["Opaque", "read_object_npy", "read_pickle"]

_MAX_BYTES = 2**30  # FLAME's files have 50 to 100 MB, its relatives up to 500
_MAX_STEPS = 20_000_000  # VOCASET's index of frames takes 500 000
_GROWTH, _GROWTH_LEAST = 4, 2**26  # bytes that may be made, per byte of the file and in any case
_REFUSED = "expected a FLAME, VOCASET or landmark file: refused, nothing in it was run"

# what the interpreter meets in a file that is cut short, damaged or no pickle
_DAMAGE = (
    *(pickle.UnpicklingError, ValueError, LookupError, TypeError, AttributeError, EOFError, OverflowError),
    *(MemoryError, RecursionError, struct.error, AssertionError),
)


def read_pickle(path: Path) -> Any:
    """Read a pickle of arrays, dicts, lists, texts and numbers; Python 2's ``str`` is read as latin1.

    Returns
    -------
    Any
        As pickled, with ``chumpy.ch.Ch`` as its array, sparse matrices of scipy as such, OrderedDict as dict, and
        `Opaque` for tensors of torch and for expressions of chumpy.

    Raises
    ------
    SchemaError
        If the file is missing, cut short or no pickle, declares arrays that it does not hold, or names anything that
        is not an array. Nothing it names is run.
    """
    return _load(path, _read_bytes(path))


def read_object_npy(path: Path) -> Any:
    """Read a ``.npy`` file, also one of pickled objects (DECA's landmark embedding, RingNet's contour).

    Returns
    -------
    Any
        The array; the value itself if the file holds a 0-d array of one object.

    Raises
    ------
    SchemaError
        As for `read_pickle`, or if the file is no npy, or declares more than it holds.
    """
    data = _read_bytes(path)
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran, dtype = _HEADERS[version](file)
    except (ValueError, KeyError, SyntaxError, TypeError, RecursionError, tokenize.TokenError, EOFError) as err:
        raise SchemaError(f"{path}: not a .npy file, or cut short: {_line(err)}; copy or download it again") from err
    if dtype != np.dtype(object):
        there = len(data) - file.tell()
        declared = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or min(shape, default=0) < 0 or declared != there or (not dtype.itemsize and 0 not in shape):
            raise SchemaError(
                f"{path}: declares {dtype} {shape}, {declared} bytes, and has {there}; copy or download it again"
            )
        return np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C").copy()
    array = _load(path, data[file.tell() :])
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.size != math.prod(shape):
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
        raise SchemaError(f"{path}: declares objects {shape} and holds {found}; copy or download it again")
    return array.item() if shape == () else array.reshape(shape)


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _read_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise SchemaError(
                f"{path}: {size} bytes, expected at most {_MAX_BYTES}: no FLAME or landmark file is as large"
            )
        return path.read_bytes()
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err


def _load(path: Path, data: bytes) -> Any:
    allowance = Allowance(_GROWTH * len(data) + _GROWTH_LEAST)
    reader = _Reader(data, allowance)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of damaged escapes in text
            return resolved(reader.load(), allowance)
    except RefusedError as err:
        raise SchemaError(f"{path}: {_line(err)}; {_REFUSED}") from err
    except _DAMAGE as err:
        raise SchemaError(
            f"{path}: not a pickle, or cut short or damaged: {_line(err)}; copy or download it again"
        ) from err


def _line(err: BaseException) -> str:
    return " ".join(str(err).split())[:200] or type(err).__name__


class _Reader(pickle._Unpickler):
    """The standard library's interpreter of pickles in Python, less everything that could call a function.

    The one in C cannot be narrowed so: it calls what it is handed, and reserves memory for whatever memo a file
    declares.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]

    def __init__(self, data: bytes, allowance: Allowance) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False, encoding="latin1")
        self.allowance = allowance
        self.dispatch = _Steps(_STEPS)  # type: ignore[misc]  # one of its own, as it counts

    def find_class(self, module: str, name: str) -> Any:
        return known_name(module, name)

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedError("asks for an object outside the file")

    def _bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.stack.append(bytearray(self.read(length)))  # Python's own reserves `length` bytes first

    def _reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = made = call(self.stack[-1], args)
        self.allowance.charge(made)

    def _newobj_ex(self) -> None:
        if self.stack.pop():
            raise RefusedError("makes an object with named arguments, which is not an array")
        self._reduce()

    def _instantiate(self, cls: Any, args: list[Any]) -> None:
        self.stack.append(call(cls, tuple(args)))
        self.allowance.charge(self.stack[-1])

    def _build(self) -> None:
        state = self.stack.pop()
        set_state(self.stack[-1], state)

    def _dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._update(items)

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _setitems(self) -> None:
        self._update(self.pop_mark())

    def _update(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise RefusedError("sets items of something that is not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def _append(self) -> None:
        value = self.stack.pop()
        self._extend([value])

    def _appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise RefusedError("appends to something that is not a list")
        self.stack[-1].extend(items)

    def _additems(self) -> None:
        items = self.pop_mark()
        if type(self.stack[-1]) is not set:
            raise RefusedError("adds to something that is not a set")
        self.stack[-1].update(checked_key(item) for item in items)

    def _frozenset(self) -> None:
        items = self.pop_mark()
        self.stack.append({checked_key(item) for item in items})


_OWN: dict[bytes, Callable[[_Reader], None]] = {
    pickle.BYTEARRAY8: _Reader._bytearray8,
    pickle.REDUCE: _Reader._reduce,
    pickle.NEWOBJ: _Reader._reduce,
    pickle.NEWOBJ_EX: _Reader._newobj_ex,
    pickle.BUILD: _Reader._build,
    pickle.DICT: _Reader._dict,
    pickle.SETITEM: _Reader._setitem,
    pickle.SETITEMS: _Reader._setitems,
    pickle.APPEND: _Reader._append,
    pickle.APPENDS: _Reader._appends,
    pickle.ADDITEMS: _Reader._additems,
    pickle.FROZENSET: _Reader._frozenset,
}
# these only put values on the stack or the memo; `find_class` and `_instantiate` are ours. Not among them: persistent
# ids, the extension registry, and protocol 5's buffers, which all fetch something from outside the file
_HARMLESS = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK, pickle.DUP),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2),
    *(pickle.LONG, pickle.LONG1, pickle.LONG4, pickle.FLOAT, pickle.BINFLOAT, pickle.STRING, pickle.BINSTRING),
    *(pickle.SHORT_BINSTRING, pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8),
    *(pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.EMPTY_LIST, pickle.LIST),
    *(pickle.EMPTY_DICT, pickle.EMPTY_SET, pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2),
    *(pickle.TUPLE3, pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT),
    *(pickle.MEMOIZE, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.INST, pickle.OBJ),
)
_STEPS: dict[int, Any] = {
    **{code[0]: pickle._Unpickler.dispatch[code[0]] for code in _HARMLESS},
    **{code[0]: step for code, step in _OWN.items()},
}
_OPCODES = {opcode.code: opcode.name for opcode in pickletools.opcodes}


class _Steps(dict[int, Any]):
    """The interpreter's steps by opcode; counts them, so that a bomb ends, and refuses the rest by name."""

    left = _MAX_STEPS

    def __getitem__(self, code: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise RefusedError(f"takes more than {_MAX_STEPS} steps to read")
        return super().__getitem__(code)

    def __missing__(self, code: int) -> Any:
        name = _OPCODES.get(chr(code))
        if name is None:
            raise pickle.UnpicklingError(f"byte {code:#04x} is no step of a pickle")
        raise RefusedError(f"asks for {name}, an object outside the file")
