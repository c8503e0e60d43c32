"""The networks, by name; one per file, made of torch alone."""

from __future__ import annotations

import inspect
import json
from typing import Any

from au3dmm.models.alpha_lstm import AlphaLSTM
from au3dmm.models.alpha_transformer import AlphaTransformer
from au3dmm.models.au_d3dface import AUD3DFace
from au3dmm.models.i3d import I3D
from au3dmm.models.mdhr import MDHR
from au3dmm.models.network import Network
from au3dmm.models.prediction import Prediction
from au3dmm.models.resnet_lstm import ResNetLSTM
from au3dmm.models.resnet_transformer import ResNetTransformer
from au3dmm.models.st_vit import SpatioTemporalTransformer

__all__ = ["MODELS", "Network", "Prediction", "make_model"]

MODELS: dict[str, type[Network]] = {
    "st_vit": SpatioTemporalTransformer,
    "resnet18_lstm": ResNetLSTM,
    "resnet18_transformer": ResNetTransformer,
    "i3d": I3D,
    "mdhr": MDHR,
    "alpha_transformer": AlphaTransformer,
    "alpha_lstm": AlphaLSTM,
    "au_d3dface": AUD3DFace,
}


def make_model(name: str, **options: Any) -> Network:
    """Make a network with new weights.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    **options
        Arguments of its class; what is not given has the paper's value.

    Returns
    -------
    Network
        In training mode. Its `config` holds the name and all options, those not given, too: a checkpoint that keeps
        it rebuilds the same network even after a default has changed.

    Raises
    ------
    ValueError
        An unknown name or option, or a value that the network refuses; one line.

    Examples
    --------
    >>> import torch
    >>> model = make_model("alpha_lstm", n_alpha=8, n_frames=10, hidden=16)
    >>> model(torch.zeros(2, 10, 8)).logits.shape
    torch.Size([2, 24])
    >>> make_model(model.config["name"], **model.config["options"]).config == model.config
    True
    """
    if name not in MODELS:
        raise ValueError(f"there is no model {name!r}; there are {', '.join(MODELS)}")
    kind = MODELS[name]
    known = inspect.signature(kind).parameters
    for option in options:
        if option not in known:
            raise ValueError(f"{name} has no option {option!r}; it has {', '.join(known)}")
    whole = {key: options.get(key, parameter.default) for key, parameter in known.items()}
    for option, value in whole.items():
        _check(name, option, value, known[option].default)
    try:
        model = kind(**whole)
    except RuntimeError as err:  # torch's word for sizes that make no layer
        raise ValueError(f"{name}: {str(err).splitlines()[0]}") from err
    model.config = {"name": name, "options": json.loads(json.dumps(whole))}
    return model


def _check(name: str, option: str, value: object, default: object) -> None:
    """Refuse a value of another type than the default's, sizes below 1 and probabilities outside of 0 to 1."""
    # JSON has lists alone, so a list is as good as a tuple
    kinds = {float: (int, float), tuple: (list, tuple)}.get(type(default), (type(default),))
    good = isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)
    if good and isinstance(default, float):
        good = 0 <= float(str(value)) < 1
    elif good and isinstance(value, int) and not isinstance(value, bool):
        is_head = option == "n_occurrence" or (option == "n_alpha" and MODELS[name].INPUT == "frames")
        good = value >= (0 if is_head else 1)
    if not good:
        raise ValueError(f"{name}: {option} is {value!r}, expected something like {default!r}")
