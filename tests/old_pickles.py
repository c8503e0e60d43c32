"""Write pickles as Python 2 wrote them: byte strings, numpy's old paths and chumpy, like FLAME's and VOCASET's."""

import io
import pickle
import sys
import types
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
from scipy import sparse


class _Pickler2(pickle._Pickler):
    """Protocols 0 and 2 with Python 2's `str` for texts and bytes."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_str2(self, obj):
        text = obj.decode("latin1") if isinstance(obj, bytes) else obj
        raw = text.encode("latin1")
        if not self.bin:
            self.write(pickle.STRING + ascii_repr(raw) + b"\n")
        elif len(raw) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(raw)]) + raw)
        else:
            self.write(pickle.BINSTRING + len(raw).to_bytes(4, "little") + raw)
        self.memoize(obj)

    dispatch[str] = save_str2
    dispatch[bytes] = save_str2


def ascii_repr(raw: bytes) -> bytes:
    return repr(raw)[1:].encode("ascii")


def dumps2(value, protocol=2) -> bytes:
    """Return what `cPickle.dumps(value, protocol)` of Python 2 with numpy 1 would."""
    out = io.BytesIO()
    with _importable(Ch, Select, Sum):
        _Pickler2(out, protocol, fix_imports=True).dump(value)
    old = out.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")
    for kind in (b"csc", b"csr", b"coo"):
        old = old.replace(b"cscipy.sparse._" + kind, b"cscipy.sparse." + kind)
    return old


class Ch:
    """An object of `chumpy.ch.Ch` as it is pickled: the array in `x`, and housekeeping."""

    def __init__(self, x):
        self.x, self._dirty_vars, self._itr, self._depends_on_deps = x, {"x"}, None, False


class Select:
    """`chumpy.reordering.Select`: places picked out of another object."""

    def __init__(self, a, idxs, preferred_shape=None):
        self.a, self.idxs, self.preferred_shape = a, idxs, preferred_shape


class Sum:
    """Any other expression of chumpy."""

    def __init__(self, a):
        self.a = a


Ch.__module__, Select.__module__, Sum.__module__ = "chumpy.ch", "chumpy.reordering", "chumpy.ch_ops"


@contextmanager
def _importable(*classes):
    """Let pickle find the classes under chumpy's names while it writes."""
    made = {}
    for cls in classes:
        module = made.setdefault(cls.__module__, types.ModuleType(cls.__module__))
        setattr(module, cls.__qualname__, cls)
    made["chumpy"] = types.ModuleType("chumpy")
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


def flame_model(vertices, faces, *, chumpy=True):
    """Return the dict of `generic_model.pkl`: its keys, dtypes and classes, on any mesh."""
    n = len(vertices)
    shapes = np.zeros((n, 3, 4))
    return {
        "f": np.asarray(faces, np.uint32),
        "v_template": np.asarray(vertices, np.float64),
        "shapedirs": Ch(shapes) if chumpy else shapes,
        "posedirs": np.zeros((n, 3, 36)),
        "J_regressor": sparse.csc_matrix(np.eye(5, n)),
        "J": np.zeros((5, 3)),
        "weights": np.zeros((n, 5)),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32).astype(np.int64),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }
