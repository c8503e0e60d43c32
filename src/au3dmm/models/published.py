"""Published weights from a file into a trunk, by name and shape; nothing in the file is executed."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor, nn


def load_trunk(trunk: nn.Module, path: str | Path, *, first: str, ignore: Collection[str]) -> None:
    """Copy published weights into `trunk`.

    Parameters
    ----------
    trunk : nn.Module
        With the names of the published network.
    path : str or Path
        A state dict as ``torch.save`` writes it; one inside ``{"state_dict": ...}`` and one of ``DataParallel``
        (names that begin with ``module.``) are understood.
    first : str
        Name of the first convolution's weight. Where `trunk` takes C channels and the file 3, each channel
        gets the sum over colours / C: a grey picture, given in all channels, is answered as before.
    ignore : collection of str
        Beginnings of names that the trunk does without (the classifier of the published network).

    Raises
    ------
    ValueError
        One line: the file cannot be read, a name is missing or unknown, a shape is another.
    """
    name = Path(path).name
    state = _read(Path(path))
    ours = trunk.state_dict()
    state = {key: value for key, value in state.items() if not key.startswith(tuple(ignore))}
    # weights published before PyTorch 0.4.1 lack these counters, which only batch norms without momentum read
    optional = {key for key in ours if key.endswith("num_batches_tracked")}
    missing = [key for key in ours if key not in state and key not in optional]
    unknown = [key for key in state if key not in ours]
    if missing or unknown:
        raise ValueError(
            f"{name} holds weights of another network: {_some(missing)} missing, {_some(unknown)} unknown; "
            f"expected the {len(ours)} names of {type(trunk).__name__}"
        )
    if first in state:
        state[first] = _for_channels(state[first], ours[first].shape)
    wrong = [key for key in state if state[key].shape != ours[key].shape]
    if wrong:
        key = wrong[0]
        raise ValueError(
            f"{name}: {key} has shape {tuple(state[key].shape)}, expected {tuple(ours[key].shape)}"
            + (f" (and {len(wrong) - 1} others)" if len(wrong) > 1 else "")
        )
    trunk.load_state_dict(state, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            # said of any pickle that torch.save did not write; what is wrong with one is said below
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as err:
        raise ValueError(f"{path} is not there; give the file with the published weights") from err
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as err:
        reason = (str(err).splitlines() or [type(err).__name__])[0]
        raise ValueError(f"{path.name} cannot be read as PyTorch weights ({reason}); expected a state dict") from err
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path.name} holds no state dict (names and tensors), but a {type(state).__name__}")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _for_channels(weight: Tensor, shape: torch.Size) -> Tensor:
    if weight.shape == shape or weight.ndim != len(shape) or weight.shape[1] != 3:
        return weight
    grey = weight.sum(dim=1, keepdim=True) / shape[1]
    return grey.expand(-1, shape[1], *(-1 for _ in shape[2:]))


def _some(names: list[str]) -> str:
    return f"{len(names)} ({names[0]}, ...)" if len(names) > 1 else f"{names[0]}" if names else "none"
