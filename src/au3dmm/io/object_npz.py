"""Read npz files whose arrays are pickled Python objects (FACEMORPHIC's landmarks), without running what is in them."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.pickles import read_object_npy

_MAX_BYTES = 2**28
# what zipfile and zlib raise at damaged bytes; RuntimeError: encrypted
_DAMAGE = (zipfile.BadZipFile, ValueError, EOFError, RuntimeError, NotImplementedError, OverflowError)


def read_object_npz(path: Path, name: str = "arr_0") -> Any:
    """Read one array of an npz file, also one of pickled objects.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        The array; ``arr_0`` is what `numpy.savez` calls the first one without a name.

    Returns
    -------
    Any
        The array; the value itself if it is a 0-d array of one object, such as a dict.

    Raises
    ------
    SchemaError
        If the file is missing, no npz, cut short, has no such array, or is more than arrays, dicts, lists, texts and
        numbers. Nothing in it is run.
    """
    try:
        with path.open("rb") as f, zipfile.ZipFile(f) as z:
            members = {info.filename: info for info in z.infolist()}
            info = members.get(f"{name}.npy")
            if info is None:
                there = ", ".join(sorted(member.removesuffix(".npy") for member in members)) or "nothing"
                raise SchemaError(f"{path}: no array {name!r}; found {there}")
            if info.file_size > _MAX_BYTES:
                raise SchemaError(f"{path}: {name} says it has {info.file_size} bytes, expected at most {_MAX_BYTES}")
            data = z.read(info)
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except _DAMAGE as err:
        raise SchemaError(f"{path}: not an npz file, or cut short: {' '.join(str(err).split())[:200]}") from err
    with tempfile.TemporaryDirectory() as folder:
        member = Path(folder, f"{name}.npy")
        member.write_bytes(data)
        try:
            return read_object_npy(member)
        except SchemaError as err:
            raise SchemaError(str(err).replace(str(member), f"{path}: {name}")) from err
