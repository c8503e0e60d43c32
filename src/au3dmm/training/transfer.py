"""Weights of a trained model for another one: what is taken over, what is learnt anew, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from au3dmm.errors import SchemaError
from au3dmm.models import MODELS, Network, make_model
from au3dmm.training.checkpoints import read_checkpoint

_SIZES = ("n_classes", "n_alpha", "n_occurrence", "n_frames", "image_px")
"""Options that may differ: they follow from labels and clips, and what depends on them is learnt anew."""


def take_weights(path: Path, model: Network, labels: Mapping[str, Any]) -> dict[str, list[str]]:
    """Give a model the weights of a checkpoint, but for those that mean something else in it.

    The last layer of a head is learnt anew where its classes, coefficients (basis, number) or units are others than
    the checkpoint's, even if there are as many; so are positions of clips and pictures of another size.

    Parameters
    ----------
    path : Path
        The checkpoint.
    model : Network
        As `make_model` made it; its weights are changed.
    labels : mapping
        What the labels are that it is wanted for (`Setup.described`).

    Returns
    -------
    dict
        Names of the tensors that are learnt anew, by why.

    Raises
    ------
    SchemaError
        If the checkpoint is of another network, or of one that reads coefficients of another basis.
    """
    content = read_checkpoint(path)
    check_transfer(path, content, model.config, labels)
    mine, theirs, said = model.state_dict(), content["state_dict"], content["labels"]
    anew: dict[str, list[str]] = {}
    for option, why in _others(said, labels).items():
        depending = _depending(model.config, option)
        if depending:
            anew[why] = depending
    told = {name for names in anew.values() for name in names}
    strange = [name for name in mine if name not in told and _shape(theirs, name) != mine[name].shape]
    if strange:
        anew["of another shape, or not in it"] = strange
    told.update(strange)
    model.load_state_dict({**mine, **{name: theirs[name] for name in mine if name not in told}})
    return anew


def check_transfer(path: Path, content: Mapping[str, Any], model: Mapping[str, Any], labels: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose weights are of no use to a model.

    Parameters
    ----------
    path, content : Path, mapping
        The checkpoint.
    model : mapping
        ``name`` and ``options`` of the model.
    labels : mapping
        ``basis`` and ``k_au`` of the labels that it is to learn from.

    Raises
    ------
    SchemaError
        Naming the first difference.
    """
    found, said = content["model"], content["labels"]
    if found["name"] != model["name"]:
        raise SchemaError(
            f"{path}: checkpoint of {found['name']}, expected one of {model['name']}; give another --init, or train"
            f" that model"
        )
    for key, value in model["options"].items():
        if key not in _SIZES and not key.endswith("dropout") and found["options"].get(key) != value:
            raise SchemaError(
                f"{path}: checkpoint of {found['name']} with {key} = {found['options'].get(key)}, expected {value}; set"
                f" options.{key} alike, or give another --init"
            )
    if MODELS[model["name"]].INPUT == "alpha":
        for key, word in (("k_au", "coefficients"), ("basis", "basis")):
            if said.get(key) != labels.get(key):
                raise SchemaError(
                    f"{path}: learnt from labels with {word} {said.get(key)}, these have {labels.get(key)};"
                    f" {model['name']} reads them: label both datasets with one basis"
                )


def _others(said: Mapping[str, Any], labels: Mapping[str, Any]) -> dict[str, str]:
    """Return which options speak of other things than in the checkpoint, and how people say so."""
    others = {}
    old, new = said.get("classes") or [], labels.get("classes") or []
    if old != new:
        others["n_classes"] = f"it tells {len(old)} classes apart ({_some(old)}), here are {len(new)} ({_some(new)})"
    if said.get("k_au") != labels.get("k_au"):
        others["n_alpha"] = f"its {said.get('k_au')} coefficients are others than these {labels.get('k_au')}"
    elif said.get("basis") != labels.get("basis"):
        others["n_alpha"] = f"its coefficients are of basis {said.get('basis')}, these of {labels.get('basis')}"
    if said.get("names_occurrence") != labels.get("names_occurrence"):
        others["n_occurrence"] = f"it speaks of other units ({_some(said.get('names_occurrence') or ['none'])})"
    return others


def _depending(config: Mapping[str, Any], option: str) -> list[str]:
    """Return the tensors of a network whose shape follows from an option, but for those that read coefficients."""
    options = config["options"]
    if not options.get(option) or (option == "n_alpha" and MODELS[config["name"]].INPUT == "alpha"):
        return []
    with torch.random.fork_rng(devices=[]):  # what is drawn here is drawn again
        here = make_model(config["name"], **options).state_dict()
        there = make_model(config["name"], **{**options, option: options[option] + 1}).state_dict()
    return [name for name in here if here[name].shape != there[name].shape]


def other_frames(content: Mapping[str, Any], labels: Mapping[str, Any]) -> str | None:
    """Say how the frames of a checkpoint differ from those of labels; None if they do not."""
    old, new = content["labels"].get("representation"), labels.get("representation")
    return None if old == new else f"learnt from frames of {old}, these are {new}"


def _shape(tensors: Mapping[str, Any], name: str) -> Any:
    return tensors[name].shape if name in tensors else None


def _some(names: Any) -> str:
    return ", ".join(map(str, list(names)[:3])) + (", ..." if len(names) > 3 else "")
