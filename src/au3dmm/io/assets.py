"""Find the files that are shipped with au3dmm, in a source checkout or in an installed package, and read the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import topology_hash
from au3dmm.core.landmarks import LandmarkEmbedding
from au3dmm.errors import AssetError, ConfigError, SchemaError
from au3dmm.io.bases import read_npz
from au3dmm.io.landmark_embeddings import read_landmarks_json

HEAD_FOLDER = "flame_template"
DEMO_BASES = f"{HEAD_FOLDER}/demo_bases.npz"
REGION_PREFIX = "region_"
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class DefaultHead:
    """The shipped procedural head. It has FLAME's number of vertices, not FLAME's topology.

    Attributes
    ----------
    vertices : (5023, 3) float64 array
        m, y up, z out of the face; the origin is amid the head at eye height.
    faces : (F, 3) int32 array
        Triangles, counter-clockwise seen from outside.
    mirror : (5023,) int32 array
        Mirror partner of each vertex: ``vertices[mirror] * [-1, 1, 1] == vertices``.
    albedo : (5023, 3) uint8 array
        sRGB colour.
    regions : dict of str to int32 arrays
        Vertex indices of ``left_eyeball right_eyeball upper_lids lower_lids brows nostrils lips upper_lip lower_lip
        inner_mouth teeth ears scalp clothing neck face``.
    embedding : LandmarkEmbedding
        The 68 iBUG landmarks.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    mirror: NDArray[np.int32]
    albedo: NDArray[np.uint8]
    regions: dict[str, NDArray[np.int32]]
    embedding: LandmarkEmbedding


def asset_path(name: str) -> Path:
    """Return where a shipped file lies.

    Parameters
    ----------
    name : str
        Like ``flame_template/demo_bases.npz`` or ``pipelines/label.toml``.

    Raises
    ------
    AssetError
        If it is neither in the installed package nor in the checkout around it.

    Examples
    --------
    >>> asset_path("flame_template/demo_bases.npz").name
    'demo_bases.npz'
    """
    parts = PurePosixPath(name).parts
    checkout = _PACKAGE.parents[1]
    in_checkout = checkout if parts[:1] == ("pipelines",) else checkout / "assets"
    places = [_PACKAGE / "assets" / name, in_checkout / name]
    for place in places:
        if place.exists():
            return place
    looked = " and ".join(str(place) for place in places)
    raise AssetError(f"shipped file {name!r} is missing (looked for {looked}): install au3dmm again")


def pipeline_file(pipeline: str | Path | None) -> Path | None:
    """Return the file of a pipeline given by its path, or by the name of a shipped one.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if pipeline is None:
        return None
    folder = asset_path("pipelines/label.toml").parent
    # training files lie there, too
    shipped = {file.stem: file for file in sorted(folder.glob("*.toml")) if not file.stem.startswith("train_")}
    return shipped_or_own(Path(pipeline), shipped, "pipeline")


def training_file(training: Path) -> Path:
    """Return a training file given by its path, or by the name of a shipped one; raises like `pipeline_file`."""
    return shipped_or_own(training, shipped_trainings(), "training", prefix="train_")


def shipped_trainings() -> dict[str, Path]:
    """Return the training files that are shipped, by name without ``train_``."""
    folder = asset_path("pipelines/label.toml").parent
    return {file.stem.removeprefix("train_"): file for file in sorted(folder.glob("train_*.toml"))}


def experiment_file(experiment: Path) -> Path:
    """Return an experiment file given by its path, or by the name of a shipped one; raises like `pipeline_file`."""
    folder = asset_path("pipelines/label.toml").parent / "experiments"
    shipped = {file.stem: file for file in sorted(folder.glob("*.toml"))}
    return shipped_or_own(experiment, shipped, "experiment")


def shipped_or_own(given: Path, shipped: Mapping[str, Path], what: str, *, prefix: str = "") -> Path:
    """Return a file given by its path, or by the name of a shipped one; a folder of that name hides nothing.

    Raises
    ------
    ConfigError
        If it is neither.

    Examples
    --------
    >>> shipped_or_own(Path("label"), {"label": Path("/shipped/label.toml")}, "pipeline").name
    'label.toml'
    """
    if given.suffix or given.is_file():
        return given
    name = str(given).removeprefix(prefix)
    if name not in shipped:
        raise ConfigError(f"{given}: no such {what} file, nor one that is shipped ({', '.join(shipped)})")
    return shipped[name]


def read_default_head(folder: Path | None = None) -> DefaultHead:
    """Read the shipped head.

    Parameters
    ----------
    folder : Path, optional
        Where ``default_head.npz`` and ``landmarks68.json`` are; None means the shipped ones.

    Raises
    ------
    AssetError
        If the files are missing.
    SchemaError
        If they are damaged, or the landmarks belong to another mesh.
    """
    if folder is None:
        folder = asset_path(f"{HEAD_FOLDER}/default_head.npz").parent
    mesh_file, landmark_file = folder / "default_head.npz", folder / "landmarks68.json"
    for file in (mesh_file, landmark_file):
        if not file.is_file():
            raise AssetError(f"{file}: no such file; `python -m au3dmm.synthetic.make_assets --out {folder}` makes it")
    arrays = read_npz(mesh_file)
    missing = [name for name in ("vertices", "faces", "mirror", "albedo") if name not in arrays]
    if missing:
        raise SchemaError(f"{mesh_file}: not a head of au3dmm: {', '.join(missing)} missing")
    embedding, made_for = read_landmarks_json(landmark_file)
    mesh_hash = topology_hash(len(arrays["vertices"]), arrays["faces"])
    if made_for != mesh_hash:
        raise SchemaError(
            f"{landmark_file}: made for topology {str(made_for)[:12]}, but default_head.npz beside it is"
            f" {mesh_hash[:12]}"
        )
    regions = {
        name.removeprefix(REGION_PREFIX): index for name, index in arrays.items() if name.startswith(REGION_PREFIX)
    }
    return DefaultHead(
        vertices=arrays["vertices"].astype(np.float64),
        faces=arrays["faces"],
        mirror=arrays["mirror"],
        albedo=arrays["albedo"],
        regions=regions,
        embedding=embedding,
    )
