"""How far refined faces are from the true ones, beside what they were made of and what a filter makes of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import deform
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.evaluation.mesh_error import MeshError, smoothed, surface_errors
from au3dmm.evaluation.mesh_rows import COARSE, REFINED, SMOOTHED, FaceMeasures, meshes_markdown
from au3dmm.io.atomic import write_bytes, write_json
from au3dmm.io.run_folder import RunFolder
from au3dmm.training.clips import Part
from au3dmm.training.evaluating import Trained, read_trained, rgb_cache
from au3dmm.training.mesh_asking import refined_clips
from au3dmm.training.mesh_clips import MeshClips
from au3dmm.training.mesh_controls import control_motion
from au3dmm.training.mesh_data import MeshData
from au3dmm.training.pictures import Scaling
from au3dmm.training.setup import read_part

Progress = Callable[[int, int | None], None]
_SURFACE_VERTICES = 400  # of the face, spread evenly: ICP and planes of more say the same, later


class NoTruth(ConfigError):
    """No true motion is known of what was to be measured: everything else of a network can be."""


class _Asked(NamedTuple):
    """A network, and the clips that it is asked about."""

    trained: Trained
    clips: MeshClips
    scaling: Scaling | None


def evaluate_meshes(
    checkpoint: Path | Sequence[Path],
    run: RunFolder,
    part: Part = "test",
    *,
    device: str = "cpu",
    batch: int = 0,
    window_us: int = 300_000,
    surfaces: int = 2,
    controls: Mapping[str, RunFolder] | None = None,
    cache: Path | None = None,
    dataset: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask a network for refined faces, and measure them against the truth.

    Faces are compared as motion from the neutral face, all put onto the basis' template: who somebody is, nothing here
    changes. Rows are ``coarse`` (the labels), `controls`, ``smoothed`` (the labels after a Savitzky-Golay filter at
    their own frame rate) and ``refined``. All rows count the same frames: those that each of them has a face for.

    Parameters
    ----------
    checkpoint : Path or sequence of Path
        Of ``au3dmm train --model au_d3dface``; several, of different folds: each on its own people, all in one table.
    run : RunFolder
        Labelled with the same basis.
    part : {"train", "val", "test"}
    device : str
        As in `train`.
    batch : int
        Clips at a time; 0: as in training.
    window_us : int
        Of the filter.
    surfaces : int
        Frames of each clip of which distances from the true surface are measured, after ICP; 0: none.
    controls : mapping of str to RunFolder, optional
        Other runs of the same recordings and basis, by the name of their row: the robust fit, say. Their values are
        taken at the times of these labels (`control_motion`).
    cache, dataset
        Of networks that see RGB frames; as in `evaluate`.
    progress : callable, optional
        Called with clips done and clips in all, of each checkpoint.

    Returns
    -------
    dict
        What `FaceMeasures.summary` returns, and ``window_us``. ``vertex_rms_mm`` counts ``beyond_space_mm``, of the
        true motion that the network's space cannot hold, the other numbers do not.

    Raises
    ------
    NoTruth
        If no true motion is known in this part.
    ConfigError
        If a network refines no faces, a control is of other recordings or another basis, or two checkpoints are asked
        about one person.
    SchemaError
        If files are damaged, or labels are not those that the network was trained for.
    """
    paths = [checkpoint] if isinstance(checkpoint, Path) else list(checkpoint)
    others = dict(controls or {})
    reserved = [name for name in others if name in (COARSE, SMOOTHED, REFINED)]
    if reserved:
        raise ConfigError(f"control {reserved[0]!r}: a row of this name is there already; call it otherwise: NAME=DIR")
    measures = FaceMeasures([COARSE, *others, SMOOTHED, REFINED])
    for path in paths:
        mine = FaceMeasures(measures.rows)
        asked = _asked(path, run, part, cache, dataset)
        _measure(asked, mine, others, device, batch, window_us, surfaces, progress)
        try:
            measures.join(mine)
        except SchemaError as err:
            raise ConfigError(f"{path}: {err}; give checkpoints of different folds") from err
    if not measures.sessions:
        lacking = max(measures.lacking.values())
        if lacking:
            name = max(measures.lacking, key=lambda one: measures.lacking[one])
            raise ConfigError(f"{run.path}: row {name!r} has no face for any frame of {part} whose true one is known")
        raise NoTruth(f"{run.path}: no true motion is known of any recording in {part}; see mesh.truth")
    return {**measures.summary(), "window_us": window_us}


def _asked(path: Path, run: RunFolder, part: Part, cache: Path | None, dataset: Path | None) -> _Asked:
    trained = read_trained(path)
    cache = cache or rgb_cache(run, path.parent)
    clips, scaling = read_part(run, path, trained.content, part, cache=cache, dataset=dataset)
    if not isinstance(clips, MeshClips):
        raise ConfigError(f"{path}: a network of {trained.params.model} refines no faces; expected au_d3dface")
    return _Asked(trained, clips, scaling)


def _measure(
    asked: _Asked,
    measures: FaceMeasures,
    others: Mapping[str, RunFolder],
    device: str,
    batch: int,
    window_us: int,
    surfaces: int,
    progress: Progress | None,
) -> None:
    trained, clips, scaling = asked
    mesh = clips.mesh
    sequences = {COARSE: coarse_motion(mesh)}
    sequences |= {name: control_motion(mesh, name, other) for name, other in others.items()}
    sequences[SMOOTHED] = _smoothed(mesh, sequences[COARSE], window_us)
    truth = np.where(mesh.known[:, None], mesh.target.astype(np.float64), np.nan)
    face = _face(mesh)
    for which, rows, motion in refined_clips(trained, clips, scaling, device=device, batch=batch, progress=progress):
        session = mesh.labels.sessions[which]
        said = np.where(mesh.labels.valid[rows][:, None], motion, np.nan)
        faces = {**{name: values[rows] for name, values in sequences.items()}, REFINED: said}
        taken = measures.add(session.subject_id, session.session_id, faces, truth[rows], mesh.beyond[rows])
        if taken is None or not surfaces:
            continue
        for name, values in taken[0].items():
            errors = _on_surface(mesh, values, taken[1], face, surfaces)
            measures.rows[name].surfaces.append(errors)


def write_mesh_evaluation(folder: Path, found: Mapping[str, Any]) -> None:
    """Write ``meshes.json`` and ``meshes.md``.

    Raises
    ------
    OutputError
        If `folder` cannot be written.
    """
    write_json(folder / "meshes.json", dict(found))
    write_bytes(folder / "meshes.md", meshes_markdown(found).encode())


def coarse_motion(mesh: MeshData) -> NDArray[np.float64]:
    """Return the motion (N, R) that labels say, NaN where they say nothing."""
    return np.where(mesh.labels.valid[:, None], mesh.labels.alpha @ mesh.space.of_alpha, np.nan)


def _smoothed(mesh: MeshData, motion: NDArray[np.float64], window_us: int) -> NDArray[np.float64]:
    out = motion.copy()
    for session in mesh.labels.sessions:
        if session.n:
            out[session.rows] = smoothed(motion[session.rows], mesh.labels.t_us[session.rows], window_us)
    return out


def _face(mesh: MeshData) -> NDArray[np.int64]:
    """Return vertices of the face, spread evenly: those that some unit moves, of those that move a part of it."""
    local = [mask for mask, source in zip(mesh.masks.masks, mesh.masks.sources, strict=True) if source != "head"]
    moved = np.flatnonzero(np.any(local, axis=0)) if local else np.arange(len(mesh.space.weights))
    return np.asarray(moved[:: max(1, len(moved) // _SURFACE_VERTICES)], np.int64)


def _on_surface(
    mesh: MeshData, motion: NDArray[np.float64], truth: NDArray[np.float64], face: NDArray[np.int64], n: int
) -> MeshError:
    """Return the errors of n frames of a clip, spread evenly, on the basis' template."""
    there = np.flatnonzero(np.isfinite(motion).all(1) & np.isfinite(truth).all(1))
    some = there[np.unique(np.linspace(0, len(there) - 1, n + 2).astype(int)[1:-1])] if len(there) else there
    meshes = [deform(mesh.bases.template, mesh.space.directions / 1e3, rows[some]) for rows in (motion, truth)]
    return surface_errors(meshes[0], meshes[1], mesh.bases.faces, vertices=face)
