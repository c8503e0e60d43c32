"""Several processes that train one model, as torchrun starts them; alone, everything here does nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

from au3dmm.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is, and its device."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def gather(self, mine: list[T]) -> list[T]:
        """Return what all processes have, in the order of their ranks."""
        if self.world == 1:
            return mine
        everything: list[list[T] | None] = [None] * self.world
        dist.all_gather_object(everything, mine)
        return [one for part in everything for one in part or ()]

    def wait(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def started_processes(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started (``WORLD_SIZE``), if it did.

    Parameters
    ----------
    device : str
        ``auto`` (cuda if there is one), ``cpu``, ``cuda``, ``cuda:1``; with several processes each takes a GPU of its
        own.

    Raises
    ------
    ConfigError
        If there is no such device.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", 0)) if world > 1 else None)
    if world == 1:
        yield Processes(0, 1, chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", rank=rank, world_size=world)
    try:
        yield Processes(rank, world, chosen)
    finally:
        dist.destroy_process_group()


def _device(name: str, local_rank: int | None) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as err:
        raise ConfigError(f"--device {name}: no such device; expected auto, cpu, cuda or cuda:0") from err
    if device.type == "cuda":
        n = torch.cuda.device_count()
        number = (device.index or 0) if local_rank is None else local_rank
        if number >= n:
            raise ConfigError(f"--device {name}: {n} CUDA devices found, number {number} asked for; try --device cpu")
        device = torch.device("cuda", number)
        torch.cuda.set_device(device)
    elif device.type not in ("cpu", "mps"):
        raise ConfigError(f"--device {name}: expected auto, cpu, cuda or mps")
    return device
