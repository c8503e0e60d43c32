"""Reads the weight files of face-alignment without running anything that is in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from au3dmm.errors import AssetError, ConfigError

_PARALLEL = "module."  # what torch's DataParallel puts before every name
_AGAIN = "copy the published file there again"


def read_weights(path: Path) -> dict[str, Any]:
    """Return the tensors of a weight file by name, on the CPU.

    The depth network is published as a training checkpoint: its tensors lie under ``state_dict``, with ``module.``
    before their names, beside numbers of the training run. Torch's restricted unpickler reads all that; what else a
    file may hold is refused before it is made.

    Raises
    ------
    AssetError
        If the file is damaged or holds anything but tensors and numbers.
    """
    import torch

    with torch.serialization.safe_globals(_harmless()):
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, OSError) as err:
            raise AssetError(
                f"{path}: not loaded: holds something other than tensors, or is damaged ({_reason(err)}); {_AGAIN}"
            ) from err
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise AssetError(f"{path}: holds no table of tensors by name, expected a network's state; {_AGAIN}")
    return {str(name).removeprefix(_PARALLEL): value for name, value in found.items()}


def load_weights(network: Any, path: Path) -> Any:
    """Give a network the weights of a file, and return it.

    Raises
    ------
    AssetError
        As `read_weights`, or if they are those of another network.
    """
    weights = read_weights(path)
    try:
        network.load_state_dict(weights)
    except RuntimeError as err:
        own = set(network.state_dict())
        missing, surplus = sorted(own - set(weights)), sorted(set(weights) - own)
        what = f"lacks {missing[0]}" if missing else f"also has {surplus[0]}" if surplus else "other shapes"
        raise AssetError(
            f"{path}: weights of another network than {type(network).__name__} ({what}; {len(weights)} tensors,"
            f" expected {len(own)}); {_AGAIN}"
        ) from err
    return network


def folded(depth: Any) -> Any:
    """Fold the normalisations of the depth network into the convolutions before them, which saves a tenth of its time.

    Not for 3D-FAN, which normalises before it convolves.
    """
    from torch.nn import Identity, Sequential
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    depth.eval()
    for module in depth.modules():
        for convolution, normalisation in (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")):
            if hasattr(module, convolution) and hasattr(module, normalisation):
                both = (getattr(module, convolution), getattr(module, normalisation))
                setattr(module, convolution, fuse_conv_bn_eval(*both))
                setattr(module, normalisation, Identity())
        if isinstance(getattr(module, "downsample", None), Sequential):
            module.downsample = fuse_conv_bn_eval(*module.downsample)
    return depth


def _reason(err: Exception) -> str:
    """Return what torch found, without its advice to load the file unguarded."""
    text = str(err).rpartition("WeightsUnpickler error:")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].partition(" was not an allowed")[0] if lines else type(err).__name__


def _harmless() -> list[Any]:
    """What training checkpoints hold beside tensors: numpy scalars (by new and old names), an optimiser's dicts."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = [np.dtype(kind) for kind in ("f8", "f4", "i8", "i4", "?")]
    types = {type(kind) for kind in kinds}
    plain = [(dict, "builtins.dict"), (dict, "__builtin__.dict"), (_plain_dict, "collections.defaultdict")]
    return [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *types, *plain]


def _plain_dict(*_: Any) -> dict[Any, Any]:
    """Stand for a dict with defaults, which torch's restricted unpickler cannot fill."""
    return {}


def check_device(device: str) -> None:
    """Refuse a torch device that this machine has not.

    Raises
    ------
    ConfigError
        Names the device and what there is.
    """
    import torch

    have = ["cpu"]
    if torch.cuda.is_available():
        have += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        have.append("mps")
    if device not in have:
        raise ConfigError(
            f"device {device!r} is not on this machine for torch {torch.__version__}; use {', '.join(have)}"
        )
