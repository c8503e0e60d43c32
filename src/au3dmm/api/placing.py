"""Find the places of MediaPipe's dense points on a basis' template or on a head, and keep them in its file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import DenseEmbedding, LandmarkEmbedding
from au3dmm.errors import ConfigError
from au3dmm.io.bases import read_bases, write_bases
from au3dmm.io.heads import HEAD_FILE, SHIPPED, heads_folder, read_head, write_head
from au3dmm.io.images import write_image
from au3dmm.stages.placement import place_mediapipe, placement_fingerprint


@dataclass(frozen=True)
class PlacedLandmarks:
    """What `place_landmarks` did.

    Attributes
    ----------
    file : Path
        The basis or head file that has the places now.
    picture : Path or None
        Drawing of the head with all points.
    state : str
        ``ran`` or ``up to date``.
    kept : int
        Points that have a place.
    spread_mm : float
        Median over them of how far the views disagree, mm.
    info : mapping
        How they were found: views, detector, fingerprint.
    """

    file: Path
    picture: Path | None
    state: str
    kept: int
    spread_mm: float
    info: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with the keys that ``--json`` prints."""
        return {
            "file": str(self.file),
            "picture": None if self.picture is None else str(self.picture),
            "state": self.state,
            "kept": self.kept,
            "spread_mm": self.spread_mm,
            **self.info,
        }


def place_landmarks(
    *,
    bases: str | Path | None = None,
    head: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    picture: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> PlacedLandmarks:
    """Draw a neutral head from several sides, run MediaPipe on the drawings, and cast its points back onto the mesh.

    Nobody's table of correspondences is needed. What is up to date is not done again.

    Parameters
    ----------
    bases : path, optional
        A basis file: its template is drawn.
    head : str, optional
        The name of an imported head, instead.
    out : path, optional
        Where the basis with the places is written; default: `bases` itself.
    force : bool
        Find the places again; replace those of another origin (a head that came with a file of them), and `out`.
    picture : bool
        Also draw the head with its points: ``<out>.dense.png``, or ``dense.png`` in the head's folder.
    progress : callable, optional
        Told views done, and their number.

    Raises
    ------
    Au3dmmError
        What went wrong, in one line.
    """
    if (bases is None) == (head is None):
        raise ConfigError("give one thing to place landmarks on: --bases FILE, or --head NAME for an imported head")
    if bases is not None:
        path = Path(bases)
        target = path if out is None else Path(out)
        if target.suffix != ".npz":
            raise ConfigError(f"{target}: a basis file ends in .npz")
        if target.exists() and not force and not (path.exists() and target.samefile(path)):
            raise ConfigError(f"{target}: there already; --force replaces it")
        model = read_bases(path)
        found, state = _places(model.template, model.faces, model.embedding, model.dense, force, progress, path)
        if state == "ran" or target != path:
            write_bases(target, dataclasses.replace(model, dense=found))
        drawn = target.with_suffix(".dense.png")
        mesh, marks, title = model.template, model.landmarks()[0], path.name
        return _result(target, drawn if picture else None, state, found, mesh, model.faces, marks, title)
    assert head is not None, "one of them was given"
    if out is not None:
        raise ConfigError("--out is for a basis file; a head keeps its places in its own folder")
    if head == SHIPPED:
        raise ConfigError(f"{head}: the shipped head cannot be changed; place landmarks on a basis file instead")
    known = read_head(head)
    file = heads_folder() / head / HEAD_FILE
    found, state = _places(known.vertices, known.faces, known.embedding, known.dense, force, progress, file)
    if state == "ran":
        write_head(dataclasses.replace(known, dense=found))
    drawn = file.with_name("dense.png")
    return _result(
        file, drawn if picture else None, state, found, known.vertices, known.faces, known.landmarks(), known.name
    )


def _places(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    embedding: LandmarkEmbedding,
    there: DenseEmbedding | None,
    force: bool,
    progress: Callable[[int, int], None] | None,
    path: Path,
) -> tuple[DenseEmbedding, str]:
    if there is not None and not force:
        if there.info.get("fingerprint") == placement_fingerprint(vertices, faces, embedding):
            return there, "up to date"
        if "fingerprint" not in there.info:
            raise ConfigError(
                f"{path}: has places of {len(there.landmark_index)} dense points from a file of them; --force replaces"
                " them by places found on drawings"
            )
    return place_mediapipe(vertices, faces, embedding, progress=progress), "ran"


def _result(
    file: Path,
    picture: Path | None,
    state: str,
    dense: DenseEmbedding,
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    marks: NDArray[np.float64],
    title: str,
) -> PlacedLandmarks:
    assert dense.spread_m is not None, "placed by us"
    spread_mm = round(1e3 * float(np.median(dense.spread_m)), 3)
    if picture is not None and (state == "ran" or not picture.is_file()):
        from au3dmm.core.landmarks import landmark_positions
        from au3dmm.report.head_picture import head_picture

        notes = [
            f"small dots: {len(dense.landmark_index)} of MediaPipe's {dense.info.get('points', 468)} points",
            f"views disagree by {spread_mm:.1f} mm (median)",
        ]
        points = landmark_positions(vertices, faces, dense.embedding)
        ascii_title = title.encode("ascii", "replace").decode()
        write_image(picture, head_picture(vertices, faces, marks, dense=points, title=ascii_title, notes=notes))
    return PlacedLandmarks(file, picture, state, len(dense.landmark_index), spread_mm, dense.info)
