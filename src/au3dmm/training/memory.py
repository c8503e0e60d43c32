"""When memory runs out: which batch would fit."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import torch

from au3dmm.errors import FitError
from au3dmm.training.clips import Item

_WORDS = ("not enough memory", "DefaultCPUAllocator", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(err: BaseException) -> bool:
    """Say whether an error is about memory: PyTorch has a class for GPUs, and only words for the rest."""
    return isinstance(err, torch.OutOfMemoryError) or (
        isinstance(err, RuntimeError | MemoryError) and any(word in str(err) for word in _WORDS)
    )


def fitting_batch(batch: Item, attempt: Callable[[Item], Any]) -> int:
    """Return how many clips of a batch can be computed at a time, found by halving; 0 if not even one can.

    Parameters
    ----------
    batch : dict
        The batch that did not fit.
    attempt : callable
        Does with a batch what training does, and leaves nothing behind.
    """
    n = len(batch["clip"]) // 2
    while n:
        _tidy()
        try:
            attempt({name: value[:n] for name, value in batch.items()})
        except (RuntimeError, MemoryError) as err:
            if not is_out_of_memory(err):
                raise
            n //= 2
        else:
            return n
    return 0


def too_large(clips: int, fitting: int, device: torch.device, option: str) -> FitError:
    """Return what to raise when a batch does not fit.

    Parameters
    ----------
    clips, fitting : int
        Of the batch, and how many would fit; 0: not even one.
    device : torch.device
        Whose memory it is.
    option : str
        What sets the size of a batch, as typed.
    """
    what = f"a batch of {clips} clips does not fit in the memory of {device}"
    if fitting:
        return FitError(f"{what}; {fitting} would: {option}{fitting}")
    return FitError(f"{what}, nor does one clip; take fewer frames (data.n_frames) or smaller ones (data.image_px)")


def _tidy() -> None:
    gc.collect()  # the traceback of the error holds what did not fit
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
