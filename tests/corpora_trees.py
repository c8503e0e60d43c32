"""Small corpora in the exact on-disk formats of the real ones, and the pickles that Python 2 wrote."""

import struct
from pathlib import Path

import numpy as np

from au3dmm.io.mesh import Mesh, write_mesh

RINGS, AROUND = 6, 9


def head_mesh() -> Mesh:
    """An egg of 56 vertices, 0.2 m high, without a symmetry: each vertex is where no other could be."""
    up = np.linspace(-1, 1, RINGS + 2)[1:-1]
    angle = np.arange(AROUND) * 2 * np.pi / AROUND
    rings = [
        np.stack([np.cos(angle) * r, np.full(AROUND, y), np.sin(angle) * r], axis=1)
        for y in up
        for r in [np.sqrt(1 - y**2) * (1 + 0.2 * y)]
    ]
    vertices = np.concatenate([*rings, [[0, -1.1, 0], [0.1, 1.2, 0.1]]]) * 0.1
    vertices *= 1 + 0.15 * np.sin(np.arange(len(vertices)))[:, None]
    faces = []
    for k in range(RINGS - 1):
        for j in range(AROUND):
            a, b = k * AROUND + j, k * AROUND + (j + 1) % AROUND
            faces += [[a, b, a + AROUND], [b, b + AROUND, a + AROUND]]
    top, bottom, last = RINGS * AROUND + 1, RINGS * AROUND, (RINGS - 1) * AROUND
    for j in range(AROUND):
        faces += [[bottom, (j + 1) % AROUND, j], [top, last + j, last + (j + 1) % AROUND]]
    return Mesh(vertices, np.array(faces, np.int32))


FACES = head_mesh().faces


def heads(n: int, seed: int = 0, neutral: np.ndarray | None = None) -> np.ndarray:
    """Return (n, V, 3) float32: a person's neutral head with up to a few mm of expression, m."""
    rng = np.random.default_rng(seed)
    base = person(seed) if neutral is None else neutral
    return (base + rng.normal(0, 1e-3, (n, *base.shape))).astype(np.float32)


def person(seed: int) -> np.ndarray:
    """Return a neutral head (V, 3), m; every seed is another person."""
    vertices = head_mesh().vertices
    return vertices * np.random.default_rng(1000 + seed).uniform(0.9, 1.1, 3)


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray | None = None) -> None:
    """Write binary PLY as MPI's mesh package does, or OBJ, with the faces of `head_mesh` unless others are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    faces = FACES if faces is None else np.asarray(faces, np.int32).reshape(-1, 3)
    if path.suffix != ".ply":
        write_mesh(path, Mesh(np.asarray(vertices, float), faces))
        return
    rows = np.zeros(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, faces
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz")
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    path.write_bytes(head.encode() + np.asarray(vertices, "<f4").tobytes() + rows.tobytes())


def write_tree(
    root: Path, takes: dict[str, np.ndarray], first: int = 1, name: str = "{sequence}.{frame:06d}.ply"
) -> None:
    """Write ``<subject>/<sequence>/<name>`` for every ``"subject/sequence": (n, V, 3)``."""
    for take, frames in takes.items():
        sequence = take.split("/")[-1]
        for k, frame in enumerate(frames, first):
            write_ply(root / take / name.format(sequence=sequence, frame=k), frame)


class Chumpy:
    """Stands for a ``chumpy.ch.Ch`` of `x` in `python2_pickle`."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x


def write_files(root: Path, n: int) -> tuple[np.ndarray, list[Path]]:
    """Write n meshes into one folder; return their frames and paths."""
    frames = heads(n)
    for k, frame in enumerate(frames):
        write_ply(root / f"{k:05d}.ply", frame)
    return frames, sorted(root.glob("*.ply"))


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files in a folder, less its lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def python2_pickle(value: object) -> bytes:
    """Return what Python 2's cPickle wrote with protocol 2: strings are latin1 bytes, arrays raw bytes."""
    return b"\x80\x02" + _encode(value) + b"."


def python2_text_pickle(value: object) -> bytes:
    """Return what Python 2's pickle wrote with protocol 0, for dicts, strings and whole numbers."""
    return _encode_text(value) + b"."


def _encode(value: object) -> bytes:
    match value:
        case str():
            raw = value.encode("latin1")
            return b"U" + bytes([len(raw)]) + raw
        case bytes():
            return b"T" + struct.pack("<i", len(value)) + value
        case int():
            return b"J" + struct.pack("<i", value)
        case dict():
            return b"}(" + b"".join(_encode(k) + _encode(v) for k, v in value.items()) + b"u"
        case Chumpy():
            return b"cchumpy.ch\nCh\n)\x81" + _encode({"x": value.x}) + b"b"
        case np.ndarray():
            kind = value.dtype.str[1:]
            dtype = (
                b"cnumpy\ndtype\n"
                + _encode(kind)
                + b"K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            )
            shape = b"(" + b"".join(_encode(n) for n in value.shape) + b"t"
            made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
            return made + b"(K\x01" + shape + dtype + b"\x89" + _encode(value.tobytes()) + b"tb"
    raise TypeError(type(value))


def _encode_text(value: object) -> bytes:
    match value:
        case str():
            return b"S" + repr(value.encode("latin1"))[1:].encode("ascii") + b"\n"
        case int():
            return b"I%d\n" % value
        case dict():
            return b"(d" + b"".join(_encode_text(k) + _encode_text(v) + b"s" for k, v in value.items())
    raise TypeError(type(value))


def write_training_data(
    folder: Path,
    takes: dict[str, np.ndarray],
    templates: dict[str, np.ndarray],
    *,
    dtype: str = "<f4",
    text: bool = False,
    chumpy: bool = False,
) -> dict[str, list[int]]:
    """Write VOCASET's training data with its rows shuffled; return the rows of each take in order of time."""
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(len(frames) for frames in takes.values())
    free = iter(np.random.default_rng(0).permutation(total).tolist())
    array = np.zeros((total, *head_mesh().vertices.shape), dtype)
    index: dict[str, dict[str, dict[int, int]]] = {}
    rows: dict[str, list[int]] = {}
    for take, frames in takes.items():
        subject, sequence = take.split("/")
        rows[take] = [next(free) for _ in frames]
        array[rows[take]] = frames
        # a Python 2 dict had no order: the last frame comes first
        backwards = dict(reversed(list(enumerate(rows[take], 1))))
        index.setdefault(subject, {})[sequence] = backwards
    np.save(folder / "data_verts.npy", array)
    dump = python2_text_pickle if text else python2_pickle
    (folder / "subj_seq_to_idx.pkl").write_bytes(dump(index))
    kept = {name: Chumpy(head) if chumpy else head for name, head in templates.items()}
    (folder / "templates.pkl").write_bytes(python2_pickle(kept))
    return rows
