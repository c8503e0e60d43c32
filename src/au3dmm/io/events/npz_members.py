"""The arrays in a zip: what their headers say, and their values piece by piece, past a wrong checksum.

`zipfile` reads the directory only: its own reader of members withholds the last values if the checksum is wrong, which
it knows only then; and numpy's parser repairs headers of Python 2 with a tokenizer, which fails in many ways.
"""

from __future__ import annotations

import ast
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError, OverflowError)
"""What opening a damaged zip, and the functions here, raise."""

_PIECE = 1 << 16  # bytes read at once
_LONGEST_HEADER = 10_000  # bytes, of an array; numpy's own limit
_ENCRYPTED = 1


@dataclass(frozen=True)
class ArrayMember:
    """One member of a zip that is an array.

    Attributes
    ----------
    name : str
        In the zip, without ``.npy``.
    info : ZipInfo
        Its entry in the directory.
    dtype : dtype
    shape : tuple of int
    header_bytes : int
        Where its values begin.
    """

    name: str
    info: zipfile.ZipInfo
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    header_bytes: int

    @property
    def stored(self) -> int:
        """Values that the member has room for, at most those that its shape promises."""
        room = max(self.info.file_size - self.header_bytes, 0) // max(self.dtype.itemsize, 1)
        return min(int(np.prod(self.shape, dtype=object)), room)


def array_members(archive: zipfile.ZipFile, file: BinaryIO) -> dict[str, ArrayMember]:
    """Return the arrays of a zip by name; reads nothing but their headers.

    Raises
    ------
    DAMAGE
        If one is damaged.
    """
    found = {}
    for info in archive.infolist():
        # numpy writes no other kinds of compression; the dictionaries of some may take gigabytes
        if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and info.filename.endswith(".npy"):
            bytes_of = MemberReader(file, info)
            dtype, shape = _parse_header(bytes_of)
            name = info.filename.removesuffix(".npy")
            found[name] = ArrayMember(name, info, dtype, shape, bytes_of.given)
    return found


def _parse_header(bytes_of: MemberReader) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return dtype and shape."""
    magic = bytes_of.read(8)
    major = magic[6] if magic[:6] == np.lib.format.MAGIC_PREFIX and len(magic) == 8 else 0
    size = int.from_bytes(bytes_of.read(2 if major == 1 else 4), "little")
    if major not in (1, 2, 3) or size > _LONGEST_HEADER:
        raise ValueError(f"the header of an array is of version {major} and {size} bytes")
    try:
        header = ast.literal_eval(bytes_of.read(size).decode("latin1" if major < 3 else "utf8"))
        dtype, shape = np.lib.format.descr_to_dtype(header["descr"]), tuple(header["shape"])
    except (SyntaxError, TypeError, LookupError, RecursionError, MemoryError) as err:
        raise ValueError(f"the header of an array cannot be read: {err}") from err
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"the header of an array says its shape is {shape}")
    return dtype, shape


class MemberReader:
    """Reads the bytes of one member from its start onwards.

    Attributes
    ----------
    given : int
        Bytes so far.
    wrong_checksum : bool
        Whether the bytes, all of them, are not those that were written.
    """

    def __init__(self, file: BinaryIO, info: zipfile.ZipInfo) -> None:
        if info.flag_bits & _ENCRYPTED:
            raise ValueError(f"{info.filename} is encrypted")
        if info.header_offset < 0:
            raise ValueError(f"{info.filename} is not where the zip's directory says")
        file.seek(info.header_offset)
        local = file.read(30)
        if len(local) < 30 or not local.startswith(b"PK\x03\x04"):
            raise ValueError(f"{info.filename} is not where the zip's directory says")
        self._file, self._info = file, info
        self._at = info.header_offset + 30 + sum(struct.unpack("<HH", local[26:]))
        self._left = info.compress_size
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == zipfile.ZIP_DEFLATED else None
        self._checksum = 0
        self.given = 0
        self.wrong_checksum = False

    def read(self, n_bytes: int) -> bytes:
        """Return up to that many bytes; less where the member ends or cannot be inflated."""
        n_bytes = min(n_bytes, self._info.file_size - self.given)
        pieces: list[bytes] = []
        missing = n_bytes
        while missing > 0 and (piece := self._piece(missing)):
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces)
        self.given += len(data)
        self._checksum = zlib.crc32(data, self._checksum)
        if self.given == self._info.file_size and self._checksum != self._info.CRC:
            self.wrong_checksum = True
        return data

    def _piece(self, most: int) -> bytes:
        if self._inflater is None:
            return self._stored(min(most, _PIECE))
        while not self._inflater.eof:
            source = self._inflater.unconsumed_tail or self._stored(_PIECE)
            try:
                piece = self._inflater.decompress(source, most)
            except zlib.error:
                return b""
            if piece or not source:
                return piece
        return b""

    def _stored(self, most: int) -> bytes:
        self._file.seek(self._at)
        data = self._file.read(min(most, self._left))
        self._at += len(data)
        self._left -= len(data)
        return data


def read_values(bytes_of: MemberReader, member: ArrayMember, n: int) -> NDArray[Any]:
    """Return the next values of a member, up to `n`; less where it ends or cannot be inflated."""
    data = bytes_of.read(n * member.dtype.itemsize)
    return np.frombuffer(data, member.dtype, len(data) // max(member.dtype.itemsize, 1))
