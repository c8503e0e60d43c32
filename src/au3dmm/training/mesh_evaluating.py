"""How far refined faces are from the true ones, beside what they were made of and what a filter makes of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from au3dmm.core.basis import deform
from au3dmm.errors import ConfigError
from au3dmm.evaluation.mesh_error import MeshError, jitter, rest_jitter, smoothed, surface_errors
from au3dmm.io.atomic import write_bytes, write_json
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.training_labels import read_training_labels
from au3dmm.training.clips import Part
from au3dmm.training.evaluating import read_trained
from au3dmm.training.loading import make_loader, to_device, told_plainly
from au3dmm.training.mesh_clips import MeshClips
from au3dmm.training.mesh_data import MeshData
from au3dmm.training.order import Batches
from au3dmm.training.processes import started_processes
from au3dmm.training.setup import read_part

Progress = Callable[[int, int | None], None]
COARSE, SMOOTHED, REFINED = "coarse", "smoothed", "refined"
_SURFACE_VERTICES = 400  # of the face, spread evenly: ICP and planes of more say the same, later


@dataclass
class _Rows:
    """What was measured of one way to make faces."""

    squared: list[NDArray[np.float64]] = field(default_factory=list)
    jitter: list[tuple[float, int]] = field(default_factory=list)
    trembling: list[tuple[float, int]] = field(default_factory=list)
    at_rest: list[tuple[float, int]] = field(default_factory=list)
    surfaces: list[MeshError] = field(default_factory=list)

    def add(self, motion: NDArray[np.float64], truth: NDArray[np.float64], beyond: NDArray[np.float64]) -> None:
        """Take a clip: motion and truth (T, R), NaN where they are not known; mm^2 (T,) of truth that is not in R."""
        error = ((motion - truth) ** 2).sum(1) + beyond
        self.squared.append(error[np.isfinite(error)])
        for values, value in (
            (self.jitter, jitter(motion)),
            (self.trembling, jitter(motion, truth)),
            (self.at_rest, rest_jitter(motion, truth)),
        ):
            if np.isfinite(value):
                values.append((value, len(motion)))

    def summary(self) -> dict[str, float]:
        """Return the numbers, mm."""
        squared = np.concatenate(self.squared) if self.squared else np.zeros(0)
        found = {"vertex_rms_mm": float(np.sqrt(squared.mean())) if len(squared) else float("nan")}
        for name, values in (
            *(("jitter_mm", self.jitter), ("jitter_of_error_mm", self.trembling)),
            ("jitter_at_rest_mm", self.at_rest),
        ):
            total = sum(n for _, n in values)
            found[name] = float(np.sqrt(sum(v**2 * n for v, n in values) / total)) if total else float("nan")
        if self.surfaces:
            means = np.concatenate([error.mean_mm for error in self.surfaces])
            squares = np.concatenate([error.squared_mm2 for error in self.surfaces])
            whole = MeshError(means, squares, self.surfaces[0].n_vertices).summary()
            found |= {f"surface_{key}": whole[key] for key in ("mean_mm", "sd_mm")}
        return found


def evaluate_meshes(
    checkpoint: Path,
    run: RunFolder,
    part: Part = "test",
    *,
    device: str = "cpu",
    batch: int = 0,
    window_us: int = 300_000,
    surfaces: int = 2,
    others: Mapping[str, RunFolder] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask a network for refined faces, and measure them against the truth.

    Faces are compared as motion from the neutral face, all put onto the basis' template: who somebody is, nothing here
    changes. Rows are ``coarse`` (the labels), ``smoothed`` (those after a Savitzky-Golay filter at their own frame
    rate), ``refined``, and `others`.

    Parameters
    ----------
    checkpoint : Path
        Of ``au3dmm train --model au_d3dface``.
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
    others : mapping of str to RunFolder, optional
        Other runs of the same recordings and basis, by the name of their row: the robust fit, say.
    progress : callable, optional
        Called with clips done and clips in all.

    Returns
    -------
    dict
        ``rows``: name to ``vertex_rms_mm, jitter_mm, jitter_of_error_mm, jitter_at_rest_mm, surface_mean_mm,
        surface_sd_mm``; ``true_jitter_mm``: of the truth itself;
        ``beyond_space_mm``: of the true motion that the network's space cannot hold, which ``vertex_rms_mm`` counts and
        the others do not; ``by_subject``: subject to name to ``vertex_rms_mm``;
        ``gain``: share of ``coarse``'s that is gone, of each row; ``window_us``;
        ``clips, frames, recordings, subjects``.

    Raises
    ------
    ConfigError
        If the network refines no faces, or no true motion is known in this part.
    SchemaError
        If files are damaged, or labels are not those that the network was trained for.
    """
    trained = read_trained(checkpoint)
    clips, _ = read_part(run, checkpoint, trained.content, part, cache=checkpoint.parent)
    if not isinstance(clips, MeshClips):
        raise ConfigError(f"{checkpoint}: a network of {trained.params.model} refines no faces; expected au_d3dface")
    mesh = clips.mesh
    sequences = {COARSE: _coarse(mesh), **{name: _other(mesh, name, other) for name, other in (others or {}).items()}}
    sequences[SMOOTHED] = _smoothed(mesh, sequences[COARSE], window_us)
    measured, true = {name: _Rows() for name in (*sequences, REFINED)}, _Rows()
    by_subject: dict[str, dict[str, _Rows]] = {}
    truth = np.where(mesh.known[:, None], mesh.target.astype(np.float64), np.nan)
    face = _face(mesh)
    every, done, seen = trained.params.data.every, 0, set()
    with started_processes(device) as processes, torch.inference_mode():
        trained.model.to(processes.device)
        order = Batches(len(clips), batch or trained.params.optimise.batch, seed=0, shuffle=False)
        for some in told_plainly(make_loader(clips, order, 0)):
            moved = to_device(some, processes.device, None)
            motion = trained.model(moved["x"], moved["padding"]).motion
            assert motion is not None, "networks of mesh clips refine"
            refined = motion.double().cpu().numpy()
            for i, number in enumerate(some["number"].tolist()):
                which, first, count = clips.places[number]
                session = mesh.labels.sessions[which]
                start = session.first + first
                rows = slice(start, start + (count - 1) * every + 1, every)
                if not np.isfinite(truth[rows]).all(1).any():
                    continue
                seen.add(which)
                true.add(truth[rows], truth[rows], mesh.beyond[rows])
                said = np.where(mesh.labels.valid[rows][:, None], refined[i, refined.shape[1] - count :], np.nan)
                found = {**{name: values[rows] for name, values in sequences.items()}, REFINED: said}
                mine = by_subject.setdefault(session.subject_id, {name: _Rows() for name in measured})
                for name, values in found.items():
                    measured[name].add(values, truth[rows], mesh.beyond[rows])
                    mine[name].add(values, truth[rows], mesh.beyond[rows])
                    if surfaces:
                        measured[name].surfaces.append(_on_surface(mesh, values, truth[rows], face, surfaces))
            done += len(some["clip"])
            if progress is not None:
                progress(done, len(clips))
    if not seen:
        raise ConfigError(f"{run.path}: no true motion is known of any recording in {part}; see mesh.truth")
    summaries = {name: rows.summary() for name, rows in measured.items()}
    coarse = summaries[COARSE]
    return {
        "rows": summaries,
        "gain": {
            name: {key: 1 - value / coarse[key] for key, value in row.items() if coarse[key] > 0}
            for name, row in summaries.items()
        },
        "by_subject": {
            subject: {name: rows.summary()["vertex_rms_mm"] for name, rows in found.items()}
            for subject, found in sorted(by_subject.items())
        },
        "true_jitter_mm": true.summary()["jitter_mm"],
        "beyond_space_mm": true.summary()["vertex_rms_mm"],
        "clips": len(clips),
        "frames": int(sum(len(s) for s in measured[REFINED].squared)),
        "recordings": len(seen),
        "subjects": len(by_subject),
        "window_us": window_us,
    }


def write_mesh_evaluation(folder: Path, found: Mapping[str, Any]) -> None:
    """Write ``meshes.json`` and ``meshes.md``.

    Raises
    ------
    OutputError
        If `folder` cannot be written.
    """
    write_json(folder / "meshes.json", dict(found))
    write_bytes(folder / "meshes.md", meshes_markdown(found).encode())


def meshes_markdown(found: Mapping[str, Any]) -> str:
    """Return the numbers as a table, with the share of the coarse faces' error that is gone."""
    words = {
        "vertex_rms_mm": "vertices, rms mm",
        "surface_mean_mm": "surface, mean mm",
        "surface_sd_mm": "SD",
        "jitter_mm": "jitter, mm",
        "jitter_of_error_mm": "of the error, mm",
        "jitter_at_rest_mm": "at rest, mm",
    }
    there = [key for key in words if key in found["rows"][COARSE]]
    text = (
        f"{found['frames']} frames of {found['recordings']} recordings, subjects: {found['subjects']}; the true motion"
    )
    text += f" has a jitter of {found['true_jitter_mm']:.3f} mm; {found['beyond_space_mm']:.3f} mm (rms) of it lie"
    text += " beyond the network's space: vertices count them, surface and jitter do not\n\n"
    text += f"| faces | {' | '.join(words[key] for key in there)} |\n|{'---|' * (len(there) + 1)}\n"
    for name, row in found["rows"].items():
        cells = []
        for key in there:
            gone = found["gain"][name].get(key)
            more = "" if gone is None or name == COARSE else f" ({-100 * gone:+.0f} %)"
            cells.append(f"{row[key]:.3f}{more}")
        text += f"| {name} | {' | '.join(cells)} |\n"
    return text


def _coarse(mesh: MeshData, alpha: NDArray[np.floating] | None = None, valid: Any = None) -> NDArray[np.float64]:
    """Return the motion (N, R) that coefficients say, NaN where there are none."""
    alpha = mesh.labels.alpha if alpha is None else alpha
    valid = mesh.labels.valid if valid is None else valid
    return np.where(valid[:, None], alpha @ mesh.space.of_alpha, np.nan)


def _smoothed(mesh: MeshData, motion: NDArray[np.float64], window_us: int) -> NDArray[np.float64]:
    out = motion.copy()
    for session in mesh.labels.sessions:
        if session.n:
            out[session.rows] = smoothed(motion[session.rows], mesh.labels.t_us[session.rows], window_us)
    return out


def _other(mesh: MeshData, name: str, run: RunFolder) -> NDArray[np.float64]:
    """Return the motion (N, R) that another run's labels say of the same event frames."""
    labels = read_training_labels(run)
    if labels.described()["basis"] != mesh.labels.described()["basis"]:
        raise ConfigError(f"{name}: {run.path}: labelled with another basis than {mesh.labels.run.path}")
    places = {session.session_id: session for session in labels.sessions}
    out = np.full((len(mesh.labels.alpha), mesh.space.n_motion), np.nan)
    motion = _coarse(mesh, labels.alpha, labels.valid)
    for session in mesh.labels.sessions:
        theirs = places.get(session.session_id)
        if theirs is not None and theirs.n == session.n:
            out[session.rows] = motion[theirs.rows]
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
