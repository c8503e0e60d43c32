"""What a foreign pickle may hold: names, and descriptions of arrays that become arrays once all has been read.

Nothing here runs what a pickle says: a `Name` is two texts, and arrays, sparse matrices and chumpy's arrays are made
from descriptions whose sizes were compared with the bytes that are there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy import sparse

_DEPTH = 100  # levels of nesting; FLAME's files have three
_MOVED = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "numpy.core.memmap": "numpy",
    "scipy.sparse.csc": "scipy.sparse._csc",
    "scipy.sparse.csr": "scipy.sparse._csr",
    "scipy.sparse.coo": "scipy.sparse._coo",
}
"""Modules whose name changed with Python 3, numpy 2 or scipy 1.8."""

SPARSE = {
    (f"scipy.sparse._{kind}", f"{kind}_{form}"): getattr(sparse, f"{kind}_{form}")
    for kind in ("csc", "csr", "coo")
    for form in ("matrix", "array")
}
"""Classes of sparse matrices that are rebuilt."""
_SCALARS = (str, bytes, int, float, complex, bool, type(None), np.number, np.bool_, np.str_, np.bytes_)


class RefusedError(Exception):
    """What a pickle asks for and does not get, in words."""


@dataclass(frozen=True)
class Name:
    """Something a pickle names, like ``numpy.ndarray``; never the thing itself."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def key(self) -> tuple[str, str]:
        """Module and name as they are called today."""
        return _MOVED.get(self.module, self.module), self.name


@dataclass(frozen=True)
class Opaque:
    """Stands for a value that was not read: a torch tensor, or a chumpy expression.

    Attributes
    ----------
    name : str
        Its class or function, like ``torch._utils._rebuild_tensor_v2``.
    """

    name: str


@dataclass(eq=False)
class PendingDtype:
    """A numpy dtype that may still be given its byte order."""

    code: str
    order: str = "="

    def get(self) -> np.dtype[Any]:
        """Return it as numpy's own."""
        order: Literal["<", ">", "="] = "<" if self.order == "<" else ">" if self.order == ">" else "="
        return np.dtype(self.code).newbyteorder(order)


@dataclass(eq=False)
class PendingArray:
    """An array that is made, and may not be filled yet."""

    shape: tuple[int, ...] = (0,)
    dtype: PendingDtype | None = None
    order: str = "C"
    data: bytes | bytearray | list[Any] = b""


@dataclass(eq=False)
class StandIn:
    """An object of chumpy, scipy or torch: what was said of it, and no behaviour."""

    cls: Name
    state: dict[str, Any] = field(default_factory=dict)


class Allowance:
    """How much may be made of a file: what a file mentions once it may use often, and each use is a copy."""

    def __init__(self, n_bytes: int) -> None:
        self._left = n_bytes

    def charge(self, made: Any) -> None:
        """Count what was made.

        Raises
        ------
        RefusedError
            If it is more than is allowed.
        """
        if isinstance(made, PendingArray):
            self._left -= len(made.data) * (8 if isinstance(made.data, list) else 1)
        elif isinstance(made, (bytes, bytearray)):
            self._left -= len(made)
        elif isinstance(made, (dict, set, frozenset)):
            self._left -= 64 * len(made)  # about what an entry takes
        if self._left < 0:
            raise RefusedError("makes far more of its content than a file of its size holds")


def resolved(value: Any, allowance: Allowance) -> Any:
    """Return a loaded value with arrays for what describes arrays, and `Opaque` for what cannot be read.

    Raises
    ------
    RefusedError
        If an array's shape does not fit its bytes, the value holds itself or is nested beyond 100 levels, or all of it
        is more than `allowance`.
    """
    return _resolve(value, 0, {}, allowance)


_PENDING = object()


def _resolve(value: Any, depth: int, done: dict[int, Any], allowance: Allowance) -> Any:
    if isinstance(value, _SCALARS):
        return value
    found = done.get(id(value), done)
    if found is _PENDING:
        raise RefusedError("holds a value inside itself")
    if found is not done:
        return found
    if depth > _DEPTH:
        raise RefusedError(f"is nested beyond {_DEPTH} levels")
    done[id(value)] = _PENDING
    allowance.charge(value)
    made = _resolve_inside(value, lambda part: _resolve(part, depth + 1, done, allowance))
    done[id(value)] = made
    return made


def _resolve_inside(value: Any, inner: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: inner(item) for key, item in value.items()}
    if isinstance(value, list):
        return [inner(item) for item in value]
    if isinstance(value, tuple):
        return tuple(inner(item) for item in value)
    if isinstance(value, PendingArray):
        return array_of(value, inner)
    if isinstance(value, StandIn):
        return _object(value, inner)
    if isinstance(value, (Name, PendingDtype)):
        return Opaque(str(value) if isinstance(value, Name) else f"numpy.dtype {value.code}")
    assert isinstance(value, (Opaque, bytearray, set, frozenset)), "nothing else is ever made"
    return value


def array_of(pending: PendingArray, inner: Callable[[Any], Any]) -> np.ndarray[Any, Any]:
    """Return the array that was described.

    Parameters
    ----------
    pending : PendingArray
        Its description.
    inner : callable
        Resolves the elements of an array of objects.

    Raises
    ------
    RefusedError
        If shape and dtype do not fit the bytes that are there.
    """
    shape, data = pending.shape, pending.data
    dtype = pending.dtype.get() if pending.dtype else np.dtype(np.float64)
    if isinstance(data, list):
        if not dtype.hasobject or len(data) != math.prod(shape):
            raise RefusedError(f"declares an array of {dtype} {shape} and has {len(data)} values")
        flat = np.empty(len(data), object)
        for i, item in enumerate(data):
            flat[i] = inner(item)
        return flat.reshape(shape, order="F" if pending.order == "F" else "C")
    declared = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or declared != len(data):
        raise RefusedError(f"declares an array of {dtype} {shape}, {declared} bytes, and has {len(data)}")
    try:
        array = np.frombuffer(data, dtype) if data else np.zeros(0, dtype)
        array = array.reshape(shape, order="F" if pending.order == "F" else "C").copy()
    except (ValueError, OverflowError) as err:
        raise RefusedError(f"declares an array of {dtype} {shape}: {err}") from err
    if dtype.kind == "U" and array.size and array.astype(dtype.newbyteorder("=")).view(np.uint32).max() > 0x10FFFF:
        raise RefusedError("holds text that is not Unicode")
    return array


def _object(made: StandIn, inner: Callable[[Any], Any]) -> Any:
    if top_module(made.cls) == "scipy":
        return _sparse(made, {key: inner(item) for key, item in made.state.items()})
    if top_module(made.cls) == "chumpy":
        return _chumpy(made, inner)
    return Opaque(str(made.cls))


def _sparse(made: StandIn, state: dict[str, Any]) -> Any:
    """Rebuild a sparse matrix by its constructor and its own full check, not from the state as it stands."""
    try:
        shape = tuple(int(n) for n in state["_shape" if "_shape" in state else "shape"])
        coo = "coo" in made.cls.name
        if coo:
            parts = tuple(state["coords"]) if "coords" in state else (state["row"], state["col"])
        else:
            parts = (state["indices"], state["indptr"])
        if not all(isinstance(part, np.ndarray) and part.dtype.kind in "biuf" for part in (state["data"], *parts)):
            raise RefusedError(f"has a {made.cls} that is not made of arrays")
        matrix = SPARSE[made.cls.key]((state["data"], parts) if coo else (state["data"], *parts), shape=shape)
        if not coo:
            matrix.check_format(full_check=True)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as err:
        raise RefusedError(f"has a {made.cls} that does not fit together ({err})") from err
    return matrix


def _chumpy(made: StandIn, inner: Callable[[Any], Any]) -> Any:
    """Read the array of chumpy's two leaves: ``Ch`` holds it as `x`, ``Select`` picks places out of another."""
    if isinstance(made.state.get("x"), (PendingArray, StandIn, float, int)):
        value = inner(made.state["x"])
        return value if isinstance(value, Opaque) else np.asarray(value)
    if made.cls.name == "Select" and {"a", "idxs"} <= made.state.keys():
        source, picks = inner(made.state["a"]), inner(made.state["idxs"])
        if isinstance(source, np.ndarray) and isinstance(picks, np.ndarray):
            try:
                picked = source.ravel()[picks]
                shape = inner(made.state.get("preferred_shape"))
                return picked.reshape([int(n) for n in shape]) if shape is not None else picked
            except (IndexError, ValueError, TypeError) as err:
                raise RefusedError(f"has a {made.cls} that does not fit together ({err})") from err
    return Opaque(str(made.cls))


def top_module(name: Name) -> str:
    """Return the library that something is named of.

    Examples
    --------
    >>> top_module(Name("scipy.sparse._csc", "csc_matrix"))
    'scipy'
    """
    return name.module.partition(".")[0]
