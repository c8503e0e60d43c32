"""Asks a network that refines faces about clips, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from au3dmm.training.evaluating import Trained
from au3dmm.training.loading import make_loader, to_device, told_plainly
from au3dmm.training.mesh_clips import MeshClips
from au3dmm.training.order import Batches
from au3dmm.training.pictures import Scaling
from au3dmm.training.processes import started_processes


def refined_clips(
    trained: Trained,
    clips: MeshClips,
    scaling: Scaling | None,
    *,
    device: str,
    batch: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[int, slice, NDArray[np.float64]]]:
    """Yield what a network makes of each clip.

    Parameters
    ----------
    trained : Trained
    clips : MeshClips
    scaling : Scaling or None
        Of pictures, where the network sees them.
    device : str
    batch : int
        Clips at once; 0: as many as in training.
    progress : callable, optional
        Told how many clips are done, and of how many, when all of a batch have been taken.

    Yields
    ------
    which : int
        The recording, a place in ``clips.labels.sessions``.
    rows : slice
        The clip's n frames, as rows of the labels.
    motion : (n, R) float64
        The refined motion in the space of `clips`, mm.
    """
    every, done = trained.params.data.every, 0
    with started_processes(device) as processes:
        model = trained.model.to(processes.device)
        order = Batches(len(clips), batch or trained.params.optimise.batch, seed=0, shuffle=False)
        for some in told_plainly(make_loader(clips, order, 0)):
            with torch.inference_mode():
                moved = to_device(some, processes.device, scaling)
                motion = model(moved["x"], moved["padding"], *model.seen(moved)).motion
                assert motion is not None, "networks of mesh clips refine"
                found = motion.double().cpu().numpy()
            for i, number in enumerate(some["number"].tolist()):
                which, first, count = clips.places[number]
                start = clips.labels.sessions[which].first + first
                yield which, slice(start, start + (count - 1) * every + 1, every), found[i, found.shape[1] - count :]
            done += len(some["clip"])
            if progress is not None:
                progress(done, len(clips))
