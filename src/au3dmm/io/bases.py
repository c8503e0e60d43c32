"""`bases.npz`: a template with its two morphable models, without pickle.

Arrays: ``template`` (V, 3), ``faces`` (F, 3), ``components_id`` (K_id, V, 3), ``components_au`` (K_au, V, 3),
``stddev_id``, ``stddev_au``, ``landmark_face_index`` (68,), ``landmark_barycentric`` (68, 3), ``names_au`` (K_au,),
and ``info``, a JSON text with the format version, hashes, kind, licence and provenance. Where the places of a dense
detector's points are known, also ``dense_index`` (N,), ``dense_face_index`` (N,), ``dense_barycentric`` (N, 3) and
``dense_spread_m`` (N,). Where the head has mirror partners, ``mirror_au`` (K_au, K_au). Where codes are not negative,
``std_factor_au`` (K_au,). Where its corpora had tags of action units, ``intensity_units`` (A,), ``intensity_gram``
(2, A, A), ``intensity_products`` (2, A, K_au), ``intensity_residual`` (n, 2) and ``intensity_explained`` (n,).
"""

from __future__ import annotations

import io
import json
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from au3dmm.core.basis import Bases
from au3dmm.core.landmarks import LandmarkEmbedding
from au3dmm.core.mirror import basis_mirror
from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.atomic import write_bytes
from au3dmm.io.dense_arrays import dense_arrays, dense_info, read_dense
from au3dmm.io.hashing import sha256_file
from au3dmm.io.intensity_arrays import intensity_arrays, read_intensities

FORMAT_VERSION = 1
_MAX_BYTES = 4 * 2**30  # of one array; a basis has a few MB
_MAX_HEADER = 2**16  # of one array's description; 128 bytes as a rule
_MIRROR_LEAVES = 0.02  # of the mirrored components' energy: a matrix that leaves more is not worth carrying along
_END = 22  # bytes of the record that ends a zip's directory, before the comment
_KINDS = {"fiu": "numbers", "iu": "whole numbers", "U": "text"}
_ARRAYS = {
    "template": (2, "fiu"),
    "faces": (2, "iu"),
    "components_id": (3, "fiu"),
    "components_au": (3, "fiu"),
    "stddev_id": (1, "fiu"),
    "stddev_au": (1, "fiu"),
    "landmark_face_index": (1, "iu"),
    "landmark_barycentric": (2, "fiu"),
    "names_au": (1, "U"),
    "info": (0, "U"),
}
"""Axes and kinds (`numpy.dtype.kind`) of the arrays."""


def write_bases(path: Path, bases: Bases) -> None:
    """Write `bases` atomically; equal bases give equal bytes.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    info = {
        **bases.info,
        "format_version": FORMAT_VERSION,
        "topology_hash": bases.topology_hash(),
        "landmark_hash": bases.landmark_hash(),
    }
    info.pop("dense", None)
    if bases.dense is not None:
        info["dense"] = dense_info(bases.dense)
    write_npz(
        path,
        {
            "template": bases.template.astype(np.float32),
            "faces": bases.faces.astype(np.int32),
            "components_id": bases.components_id.astype(np.float32),
            "components_au": bases.components_au.astype(np.float32),
            "stddev_id": bases.stddev_id.astype(np.float64),
            "stddev_au": bases.stddev_au.astype(np.float64),
            "landmark_face_index": bases.embedding.face_index.astype(np.int32),
            "landmark_barycentric": bases.embedding.barycentric.astype(np.float64),
            "names_au": np.array(bases.names_au, dtype=np.str_),
            **(dense_arrays(bases.dense) if bases.dense is not None else {}),
            **({} if bases.mirror_au is None else {"mirror_au": bases.mirror_au.astype(np.float64)}),
            **({} if bases.std_factor_au is None else {"std_factor_au": bases.std_factor_au.astype(np.float64)}),
            **(intensity_arrays(bases.intensities) if bases.intensities is not None else {}),
            "info": np.array(json.dumps(info, sort_keys=True, ensure_ascii=False)),
        },
    )


def read_bases(path: str | Path) -> Bases:
    """Read a basis file and check that it is whole and what its hashes say.

    Raises
    ------
    SchemaError
        If the file is missing, cut short, of another format, or its hashes do not match its arrays.
    """
    path = Path(path)
    arrays = read_npz(path)
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise SchemaError(f"{path}: not a basis file of au3dmm: {', '.join(missing)} missing")
    for name, (ndim, kinds) in _ARRAYS.items():
        array = arrays[name]
        if array.ndim != ndim or array.dtype.kind not in kinds:
            raise SchemaError(
                f"{path}: {name} is {array.dtype} {array.shape}, expected {_KINDS[kinds]} in {ndim} dimensions"
            )
    info = _read_info(path, arrays["info"])
    if info.get("format_version") != FORMAT_VERSION:
        raise SchemaError(f"{path}: basis format {info.get('format_version')}, expected {FORMAT_VERSION}")
    names_au = tuple(_texts(path, "names_au", arrays["names_au"]))
    try:
        with np.errstate(all="ignore"):  # what is not finite is told by Bases
            bases = Bases(
                template=arrays["template"].astype(np.float64),
                faces=arrays["faces"].astype(np.int32),
                components_id=arrays["components_id"].astype(np.float64),
                components_au=arrays["components_au"].astype(np.float64),
                stddev_id=arrays["stddev_id"].astype(np.float64),
                stddev_au=arrays["stddev_au"].astype(np.float64),
                embedding=LandmarkEmbedding(
                    arrays["landmark_face_index"].astype(np.int32),
                    arrays["landmark_barycentric"].astype(np.float64),
                ),
                names_au=names_au,
                info=info,
                dense=read_dense(arrays, info.get("dense")),
                mirror_au=_optional(arrays, "mirror_au", 2),
                intensities=read_intensities(arrays),
                std_factor_au=_optional(arrays, "std_factor_au", 1),
            )
    except SchemaError as err:
        raise SchemaError(f"{path}: {err}") from err
    for name, found in (("topology_hash", bases.topology_hash()), ("landmark_hash", bases.landmark_hash())):
        if info.get(name) != found:
            raise SchemaError(
                f"{path}: {name} {found[:12]} of its arrays is not the {str(info.get(name))[:12]} it was written with;"
                " mesh, landmarks and components are of different topologies"
            )
    return bases


def _read_info(path: Path, array: np.ndarray[Any, Any]) -> dict[str, Any]:
    try:
        info = json.loads(_texts(path, "info", array)[0])
    except (ValueError, RecursionError) as err:
        raise SchemaError(f"{path}: info is not JSON: {err}; expected what write_bases writes") from err
    if not isinstance(info, dict):
        raise SchemaError(f"{path}: info is a JSON {type(info).__name__}, expected an object")
    return info


def _optional(arrays: Mapping[str, np.ndarray[Any, Any]], name: str, ndim: int) -> np.ndarray[Any, Any] | None:
    """Return an array that older files do not have, if there is one; its shape is checked by Bases."""
    found = arrays.get(name)
    if found is None:
        return None
    if found.ndim != ndim or found.dtype.kind not in "fiu":
        plural = "s" if ndim > 1 else ""
        raise SchemaError(f"{name} is {found.dtype} {found.shape}, expected numbers in {ndim} dimension{plural}")
    return found.astype(np.float64)


def _texts(path: Path, name: str, array: np.ndarray[Any, Any]) -> list[str]:
    native = np.ascontiguousarray(array.ravel(), array.dtype.newbyteorder("="))
    points = native.view(np.uint32) if native.size else np.zeros(0, np.uint32)
    wrong = points[(points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))]
    if len(wrong):  # numpy does not look, and Python cannot hold such text
        raise SchemaError(f"{path}: {name} holds U+{wrong[0]:X}, expected Unicode text")
    return [str(text) for text in native.tolist()]


def bases_fingerprint(path: Path) -> str:
    """Return the sha256 by which labels name the basis they were made with.

    Raises
    ------
    SchemaError
        If there is no such file.
    """
    try:
        return "sha256:" + sha256_file(path)
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err


def basis_metadata(path: Path, bases: Bases) -> dict[str, Any]:
    """Return what a table says of the basis it was made with."""
    return {
        "file_hash": bases_fingerprint(path),
        "kind": bases.kind,
        "is_flame_topology": bool(bases.info.get("is_flame_topology", False)),
        "topology_hash": bases.topology_hash(),
        "landmark_hash": bases.landmark_hash(),
        "k_id": bases.k_id,
        "k_au": bases.k_au,
        "names_au": list(bases.names_au),
        "action_units": _action_units(bases),
        "names_intensity": [] if bases.intensities is None else list(bases.intensities.names),
        "licence": bases.info.get("licence"),
        **_mirror_entries(bases),
    }


def _mirror_entries(bases: Bases) -> dict[str, Any]:
    """Return the mirror matrix as tables hold it; nothing if the head has no mirror partners, or it leaves much."""
    found = basis_mirror(bases)
    return {"mirror_au": _entries(found[0])} if found is not None and (found[1] or 0.0) < _MIRROR_LEAVES else {}


def _entries(matrix: np.ndarray[Any, Any]) -> list[list[float]]:
    """Return the entries of a matrix that are not 0, as row, column, value to seven digits."""
    return [[int(i), int(j), float(f"{matrix[i, j]:.7g}")] for i, j in zip(*np.nonzero(matrix), strict=True)]


def _action_units(bases: Bases) -> list[list[str]] | None:
    """Return the action units that each AU component goes with, best first; None where the file does not say."""
    entries = bases.info.get("components")
    try:
        found = [[str(a["au"]) for a in entry["action_units"] or ()] for entry in entries]  # type: ignore[union-attr]
    except (TypeError, KeyError):
        return None
    return found if len(found) == bases.k_au else None


def write_npz(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write arrays as a compressed npz whose bytes depend on nothing but the arrays (no time stamps, no pickle).

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as z:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o600 << 16
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)
            z.writestr(member, entry.getvalue())
    write_bytes(path, buffer.getvalue())


def read_npz(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read every array of an npz file; pickled objects are refused.

    `numpy.load` reserves memory for whatever an array's header declares; here it must fit the file first.

    Raises
    ------
    SchemaError
        If the file is missing, is not an npz, is cut short or damaged, or holds pickled objects.
    """
    try:
        with path.open("rb") as f, zipfile.ZipFile(f) as z:
            _check_directory(f, z)
            return dict(_read_member(z, member) for member in z.infolist())
    except FileNotFoundError as err:
        raise SchemaError(f"{path}: no such file") from err
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except _DAMAGE as err:
        reason = " ".join(str(err).split())[:200] or type(err).__name__
        raise SchemaError(f"{path}: not an npz file of plain arrays, or cut short: {reason}; write it anew") from err


# what zipfile, zlib and numpy raise at damaged bytes; RuntimeError: encrypted, or nested too deeply
_DAMAGE = (
    *(ValueError, SyntaxError, OverflowError, EOFError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)


def _check_directory(f: BinaryIO, z: zipfile.ZipFile) -> None:
    # a damaged length in one entry of the directory swallows those after it, and zipfile does not count
    f.seek(-_END - len(z.comment), io.SEEK_END)
    (listed,) = struct.unpack_from("<H", f.read(_END), 10)
    if listed != len(z.infolist()):
        raise ValueError(f"its directory lists {listed} arrays, {len(z.infolist())} are found")


def _read_member(z: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[str, np.ndarray[Any, Any]]:
    """Return the name and array of one member whose header declares the bytes that follow it."""
    name, dot, ending = member.filename.rpartition(".")
    if not dot or ending != "npy":
        raise ValueError(f"{member.filename!r} in it is no .npy array")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name!r} is compressed by method {member.compress_type}, which numpy does not write")
    with z.open(member) as f:
        head = io.BytesIO(f.read(_MAX_HEADER))
    version = np.lib.format.read_magic(head)
    if version not in _HEADERS:
        raise ValueError(f"{name!r} has npy version {version}, expected one of {', '.join(map(str, _HEADERS))}")
    shape, _, dtype = _HEADERS[version](head)
    if dtype.hasobject or (not dtype.itemsize and 0 not in shape):
        raise ValueError(f"{name!r} is of {dtype}, pickled or without size; expected numbers or text")
    declared, there = math.prod(shape) * dtype.itemsize, member.file_size - head.tell()
    if min(shape, default=0) < 0 or declared != there or declared > _MAX_BYTES:
        raise ValueError(
            f"{name!r} declares {dtype} {shape}, {declared} bytes, and has {there}; at most 4 GiB are read"
        )
    with z.open(member) as f:
        array: np.ndarray[Any, Any] = np.lib.format.read_array(f, allow_pickle=False)
        f.read()  # to the end, where the checksum is compared
    return name, array


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
