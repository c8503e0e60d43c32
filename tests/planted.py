"""Planted recordings on disk: a small basis and landmarks.parquet whose coefficients are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial import Delaunay
from scipy.spatial.transform import Rotation

from au3dmm.core.basis import Bases, deform
from au3dmm.core.camera import focal_from_field_of_view, from_plane, principal_point
from au3dmm.core.landmarks import LandmarkEmbedding
from au3dmm.io.bases import write_bases
from au3dmm.io.table_schemas import landmarks_schema
from au3dmm.io.tables import scalar_array, vector_array, word_array, write_table
from faces import make_face, see_pinhole

WIDTH, HEIGHT = 640, 480


def small_bases(seed: int = 0, k_id: int = 8, k_au: int = 12) -> Bases:
    """A basis of 68 vertices in which every landmark is a vertex."""
    face = make_face(seed, k_id, k_au)
    triangles = Delaunay(face.template[:, :2]).simplices.astype(np.int32)
    index = np.array([int(np.argmax((triangles == v).any(1))) for v in range(68)], np.int32)
    bary = (triangles[index] == np.arange(68)[:, None]).astype(float)
    return Bases(
        template=face.template,
        faces=triangles,
        components_id=face.components_id,
        components_au=face.components_au,
        stddev_id=np.ones(k_id),
        stddev_au=np.ones(k_au),
        embedding=LandmarkEmbedding(index, bary),
        names_au=tuple(f"AU{k}" for k in range(k_au)),
        info={"basis_kind": "user", "licence": "test"},
    )


@dataclass(frozen=True)
class Planted:
    bases: Path
    landmarks: Path
    session: Path
    alpha: NDArray[np.float64]
    rotation: NDArray[np.float64]
    status: list[str]


def write_manifest(folder: Path, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "session.toml"
    path.write_text(
        '[session]\nsession_id = "s01"\nsubject_id = "p01"\n[rgb]\nfile = "rgb.mp4"\n'
        '[events]\nfile = "events.raw"\n' + ("" if "[sync]" in text else '[sync]\nmethod = "start"\n') + text
    )
    return path


def plant(folder: Path, n: int = 120, noise_px: float = 0.0, lost: tuple[int, ...] = (30, 31, 77)) -> Planted:
    """Write a session manifest, a basis and the landmarks of a face that rests, moves, and is lost sometimes."""
    bases = small_bases()
    rng = np.random.default_rng(5)
    neutral = deform(bases.template, bases.components_id, rng.normal(size=bases.k_id) * 0.7)
    active = np.maximum(np.sin(np.arange(n) / 14 - 1), 0)
    alpha = active[:, None] * np.abs(rng.normal(size=bases.k_au)) * 3 * (rng.random(bases.k_au) > 0.5)
    phase = np.arange(n)[:, None] / 25 + [0.0, 1.0, 2.5]
    rotation = Rotation.from_rotvec(np.radians(12) * np.sin(phase)).as_matrix()
    focal = focal_from_field_of_view(WIDTH, 60)
    place = np.array([0.02, -0.01, 0.55]) + 0.01 * np.sin(phase / 2)
    seen = see_pinhole(deform(neutral, bases.components_au, alpha), rotation, place, focal)
    seen += rng.normal(size=seen.shape) * noise_px
    points = np.concatenate([from_plane(seen, principal_point(WIDTH, HEIGHT)), np.zeros((n, 68, 1))], axis=2)
    status = ["no_face" if i in lost else "ok" for i in range(n)]
    ok = np.array([word == "ok" for word in status])
    write_bases(folder / "bases.npz", bases)
    t_us = np.arange(n, dtype=np.int64) * 33_333 + 500_000
    table = pa.Table.from_arrays(
        [
            pa.array(np.arange(n), pa.int32()),
            pa.array(t_us),
            word_array(status),
            pa.array([["border"] if i == 3 else [] for i in range(n)], pa.list_(pa.string())),
            pa.array(ok.astype(np.int16)),
            scalar_array(np.zeros(n), ok, pa.int16()),
            vector_array(np.zeros((n, 4)), ok),
            scalar_array(np.ones(n), ok, pa.float32()),
            scalar_array(np.full(n, 0.9), ok, pa.float32()),
            vector_array(points, ok),
        ],
        schema=landmarks_schema(),
    )
    metadata = {"stage": "detect", "image": {"width": WIDTH, "height": HEIGHT}}
    write_table(folder / "landmarks.parquet", "landmarks", table, metadata)
    return Planted(folder / "bases.npz", folder / "landmarks.parquet", write_manifest(folder), alpha, rotation, status)
