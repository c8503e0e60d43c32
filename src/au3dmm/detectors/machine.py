"""What of a machine may change the last digits of landmarks: the kind of device, and versions of libraries."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from au3dmm.config import DetectParams

_LIBRARIES = ("ai-edge-litert", "av", "face-alignment", "numpy", "opencv-python", "opencv-python-headless", "torch")


def machine(params: DetectParams, device: str) -> dict[str, Any]:
    """Return what the frames of one recording must have in common, as plain values.

    Decoded pixels and sums differ a little between versions of FFmpeg (in ``av``), OpenCV, LiteRT and torch, and
    between a processor and a GPU. Processors of one architecture count as alike: so a cluster may go on with a
    recording on whichever node is free.

    Parameters
    ----------
    params : DetectParams
        Whether a detector uses torch at all.
    device : str
        Torch device, or several with commas between them.
    """
    uses_torch = "face_alignment" in (params.detector, params.check_with)
    kinds = sorted({_kind(one.strip()) for one in device.split(",")}) if uses_torch else ["cpu"]
    return {
        "devices": kinds,
        "architecture": platform.machine(),
        "versions": {name: found for name in _LIBRARIES if (found := _version(name)) is not None},
    }


def _kind(device: str) -> str:
    """Return the name of a GPU, which says more than its number; else what torch calls the kind of device."""
    kind = device.partition(":")[0]
    if kind != "cuda":
        return kind
    import torch

    try:
        return f"cuda {torch.cuda.get_device_name(device)}"
    except (AssertionError, RuntimeError, ValueError):  # not on this machine: told when the networks are built
        return kind


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
