"""Batches on their way: from clips, by processes that load them, to what a model takes on its device."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from au3dmm.errors import Au3dmmError
from au3dmm.training.clips import Clips, Item, collate
from au3dmm.training.order import Batches
from au3dmm.training.pictures import Scaling


def make_loader(clips: Clips, order: Batches, workers: int, *, pin: bool = False) -> DataLoader[Item]:
    """Return what loads the batches of `order` by so many processes; with `pin`, into memory that GPUs read faster."""
    workers = min(workers, len(clips))
    return DataLoader(
        clips,
        batch_sampler=order,  # it yields draws, not numbers
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        persistent_workers=workers > 0,
        generator=torch.Generator(),  # none of its own would draw from the one that dropout draws from
        worker_init_fn=_deaf_to_interrupts,
    )


def told_plainly(loader: DataLoader[Item]) -> Iterator[Item]:
    """Yield batches; what a loader's process found wrong is told in its own line, without its traceback."""
    try:
        yield from loader
    except Au3dmmError as err:
        kind = type(err)
        _, found, said = str(err).rpartition(f"{kind.__module__}.{kind.__name__}: ")
        if not (found and str(err).startswith("Caught ")):
            raise
        raise kind(" ".join(said.split())) from None


def _deaf_to_interrupts(_: int) -> None:
    """Leave Ctrl-C to the process that trains, which ends its loaders."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def to_device(batch: Item, device: torch.device, scaling: Scaling | None) -> Item:
    """Move a batch to a device and make ``x`` of it: what the model takes; ``pictures``, if it takes both."""
    moved = {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
    if scaling is not None:
        name = "pictures" if "coefficients" in moved else "x"
        moved[name] = scaling.apply(moved["pixels"], moved["gain"], moved["bias"], moved["padding"])
    if "coefficients" in moved:
        moved["x"] = moved["coefficients"]
    return moved
