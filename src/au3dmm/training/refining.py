"""A run's labels with the motion that a network refined in place of the fit's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError
from au3dmm.evaluation.tables import counted
from au3dmm.io.hashing import sha256_file
from au3dmm.io.kept_bases import find_bases, keep_bases
from au3dmm.io.relabelling import check_target, relabelled_mark, write_relabelled
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.tables import read_metadata
from au3dmm.training.evaluating import Trained, read_trained, rgb_cache, same_labels
from au3dmm.training.mesh_asking import refined_clips
from au3dmm.training.mesh_clips import MeshClips
from au3dmm.training.pictures import Scaling
from au3dmm.training.setup import read_part
from au3dmm.training_config import DataParams

log = logging.getLogger(__name__)
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Refined:
    """What came out.

    Attributes
    ----------
    out : RunFolder
        The run with refined labels.
    state : {"ran", "up to date"}
        Whether there was anything to do.
    recordings, rows : int
        Recordings that have labels, and rows with values.
    change_mm : float
        How far the refined faces are from the fit's: rms over vertices and rows.
    lost_mm : float
        How far the labels' faces are from the refined ones, as the basis cannot show all of them; the same.
    """

    out: RunFolder
    state: str
    recordings: int
    rows: int
    change_mm: float
    lost_mm: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "out": str(self.out.path)}


def refine_labels(
    checkpoint: Path,
    run: RunFolder,
    out: RunFolder,
    *,
    device: str = "auto",
    batch: int = 0,
    cache: Path | None = None,
    dataset: Path | None = None,
    progress: Progress | None = None,
) -> Refined:
    """Refine the faces of all recordings of a run, and write a run whose labels are those.

    Clips have the frames that they had in training; where only every n-th is seen, the network is asked n times, a
    frame later each time, so that every frame is refined. Of what several clips say of a frame the mean is taken. The
    refined motion is put onto the basis by least squares, without negative coefficients where the labels have none.

    Parameters
    ----------
    checkpoint : Path
        Of ``au3dmm train --model au_d3dface`` that has learnt from true motion or landmarks.
    run : RunFolder
        Labelled with the same basis.
    out : RunFolder
        Where to; see `write_relabelled`.
    device, batch, cache, dataset
        As in `evaluate`.
    progress : callable, optional
        Called with clips done and clips in all.

    Raises
    ------
    ConfigError
        If the network refines no faces, was not taught to, or sees events that a recording does not have; or if `out`
        must not be written to.
    SchemaError
        If files are damaged, or labels are not those that the network was trained for.
    OutputError
        If a file cannot be written.
    """
    trained = read_trained(checkpoint)
    if "mesh" not in trained.content["labels"]:
        raise ConfigError(f"{checkpoint}: a network of {trained.params.model} refines no faces; expected au_d3dface")
    if not (trained.params.loss.mesh or trained.params.loss.landmarks):
        raise ConfigError(
            f"{checkpoint}: trained with loss.mesh = 0 and loss.landmarks = 0: it was taught action units, and never"
            " where faces truly are; train with loss.mesh = 1 on recordings whose true motion is known, or with"
            " loss.landmarks"
        )
    check_target(run, out)
    about = {
        "checkpoint_sha256": sha256_file(checkpoint),
        "model": trained.content["model"]["name"],
        "steps": trained.content["progress"]["step"],
        "trained_fingerprint": trained.content["labels"].get("fingerprint"),
        "fold": trained.params.data.fold,
        "of_the_fit": "alpha_au_std, confidence, rmse_px, rmse_iod, dof, au_intensity_std: what refining changes in"
        " them is not known",
    }
    mark = relabelled_mark(run, about)
    cache = cache or rgb_cache(run, checkpoint.parent)
    clips, scaling = read_part(run, checkpoint, trained.content, None, cache=cache, dataset=dataset)
    assert isinstance(clips, MeshClips), "a network with a mesh has clips of meshes"
    looks = trained.content["labels"]["representation"] is not None and trained.params.data.modality == "events"
    blind = [session.session_id for session in clips.labels.sessions if session.n and not session.has_events]
    if looks and blind:
        raise ConfigError(
            f"{run.path}: {counted(len(blind), 'recording')}, {blind[0]!r} the first, have no events, which this"
            " network sees: they cannot be refined; take a network without appearance, or a run without them"
        )
    if not same_labels(trained, clips):
        log.warning(
            "%s: trained on other labels than those in %s now, or on another split of them", checkpoint, run.path
        )
    mesh = clips.mesh
    motion = _refined(trained, clips, scaling, device, batch, progress)
    valid = mesh.labels.valid
    coarse = mesh.labels.alpha @ mesh.space.of_alpha
    signed = bool((mesh.labels.alpha[valid] < 0).any())
    alpha = np.zeros(mesh.labels.alpha.shape)
    alpha[valid] = mesh.space.alpha(motion[valid], nonnegative=not signed)
    change = _rms(motion[valid] - coarse[valid])
    lost = _rms(motion[valid] - alpha[valid] @ mesh.space.of_alpha)
    current = out.index.is_file() and read_metadata(out.index).get("fingerprint") == mark
    if not current:
        by_session = {session.session_id: alpha[session.rows] for session in mesh.labels.sessions}
        write_relabelled(run, out, by_session, about, mesh.bases)
        keep_bases(
            out, find_bases(run, str(mesh.labels.described()["basis"]), trained.params.mesh.bases, or_elsewhere=True)
        )
    n = sum(session.n > 0 for session in mesh.labels.sessions)
    return Refined(out, "up to date" if current else "ran", n, int(valid.sum()), change, lost)


def refining_places(n: int, data: DataParams) -> list[tuple[int, int]]:
    """Return first frame and number of frames of clips that show every one of `n` event frames.

    Examples
    --------
    >>> refining_places(7, DataParams(n_frames=3, every=2)), refining_places(2, DataParams(n_frames=3, every=3))
    ([(0, 3), (2, 3), (1, 3)], [(0, 1), (1, 1)])
    """
    places = []
    for phase in range(min(n, data.every)):
        m = -(-(n - phase) // data.every)
        if m <= data.n_frames:
            places.append((phase, m))
            continue
        last = m - data.n_frames
        places += [(phase + i * data.every, data.n_frames) for i in (*range(0, last, data.n_frames), last)]
    return places


def _refined(
    trained: Trained,
    clips: MeshClips,
    scaling: Scaling | None,
    device: str,
    batch: int,
    progress: Progress | None,
) -> NDArray[np.float64]:
    """Return the refined motion (N, R) of every row of the labels, mm; 0 where no clip with any label shows it."""
    labels, data = clips.labels, trained.params.data
    clips.places = []
    for i, session in enumerate(labels.sessions):
        for first, count in refining_places(session.n, data):
            start = session.first + first
            if labels.valid[start : start + (count - 1) * data.every + 1 : data.every].any():
                clips.places.append((i, first, count))
    total = np.zeros((len(labels.alpha), clips.mesh.space.n_motion))
    times = np.zeros(len(total))
    for _, rows, motion in refined_clips(trained, clips, scaling, device=device, batch=batch, progress=progress):
        total[rows] += motion
        times[rows] += 1
    return np.asarray(total / np.maximum(times, 1)[:, None])


def _rms(motion: NDArray[np.float64]) -> float:
    return float(np.sqrt((motion**2).sum(1).mean())) if len(motion) else float("nan")
