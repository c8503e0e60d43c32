"""Checkpoints: everything that a run needs to go on, and that a model needs to be made again; no code in them."""

from __future__ import annotations

import contextlib
import pickle
import struct
import sys
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from au3dmm.errors import ConfigError, SchemaError, os_reason
from au3dmm.io.atomic import atomic_path
from au3dmm.models import Network, make_model
from au3dmm.training_config import TrainParams

FORMAT_VERSION = 1
_MAY_CHANGE = {("optimise", "epochs"), ("optimise", "max_steps"), ("optimise", "patience")}
# arbitrary bytes are instructions to torch's own unpickler, whose stack may be empty when it wants something from it
_UNREADABLE = (
    *(RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(ArithmeticError, pickle.UnpicklingError, zipfile.BadZipFile, struct.error),
)
_GONE = (("mesh", "occurs_at"),)
"""Values of training files that older checkpoints have and nothing reads any more."""
_KEYS = ("format_version", "model", "state_dict", "progress", "config", "labels")


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_path(path) as tmp, tmp.open("wb") as file:
        torch.save(_canonical({"format_version": FORMAT_VERSION, **content}), file)


def _canonical(value: Any) -> Any:
    """Rebuild plain values so that equal ones are pickled alike: pickles tell one string from two equal ones."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, Mapping):
        return {_canonical(key): _canonical(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_canonical(each) for each in value)
    return value


def read_checkpoint(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """Read a checkpoint, on the CPU, without executing anything in it.

    Parameters
    ----------
    path : Path
        The file.
    mapped : bool
        Whether weights stay on the disk until they are used: for who wants to know what it says of itself.

    Raises
    ------
    SchemaError
        If it is missing, damaged, of something else, or of a newer version.
    """
    if path.is_dir():
        raise SchemaError(f"{path}: a folder; expected a checkpoint, such as best.pt or last.pt in it")
    try:
        path.open("rb").close()
    except FileNotFoundError as err:
        raise SchemaError(f"{path}: no such file; expected a checkpoint of au3dmm train") from err
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles of another protocol, which other bytes may look like
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except _UNREADABLE as err:
        raise SchemaError(
            f"{path}: not a checkpoint, or cut short: {_first_line(err)}; expected best.pt or last.pt"
        ) from err
    missing = [key for key in _KEYS if not isinstance(content, dict) or key not in content]
    if missing:
        raise SchemaError(f"{path}: not a checkpoint of au3dmm train: no {', '.join(missing)} in it")
    if content["format_version"] != FORMAT_VERSION:
        found = content["format_version"]
        raise SchemaError(f"{path}: checkpoint of format {found}, this au3dmm reads {FORMAT_VERSION}; update au3dmm")
    for section, key in _GONE:
        (content["config"].get(section) or {}).pop(key, None)
    return dict(content)


def model_of(path: Path, content: Mapping[str, Any]) -> Network:
    """Make the model of a checkpoint, with its weights.

    Raises
    ------
    SchemaError
        If there is no such model, or the weights are not its.
    """
    said = content["model"]
    try:
        model = make_model(said["name"], **said["options"])
    except ValueError as err:
        raise SchemaError(f"{path}: {err}") from err
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as err:
        raise SchemaError(f"{path}: weights do not fit {said['name']}: {_first_line(err)}") from err
    return model


def check_same(path: Path, content: Mapping[str, Any], model: Mapping[str, Any], labels: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that is not of this model and of labels like these.

    Parameters
    ----------
    path : Path
        The checkpoint's.
    content : mapping
        The checkpoint.
    model : mapping
        ``name`` and ``options`` of the model that it is wanted for.
    labels : mapping
        What the labels are that it is wanted for: ``k_au``, ``basis``, ``classes``, ...

    Raises
    ------
    SchemaError
        Naming the first difference.
    """
    found = content["model"]
    if found["name"] != model["name"]:
        raise SchemaError(
            f"{path}: checkpoint of {found['name']}, expected one of {model['name']}; train that model, or begin"
            " another with --out DIR"
        )
    check_labels(path, content, labels)
    if content["labels"].get("classes") != labels.get("classes"):
        old, new = content["labels"].get("classes") or [], labels.get("classes") or []
        raise SchemaError(f"{path}: trained for {len(old)} classes ({_some(old)}); these labels have {_some(new)}")
    changed = [key for key, value in model["options"].items() if found["options"].get(key) != value]
    if changed:
        key = changed[0]
        raise SchemaError(
            f"{path}: checkpoint of {found['name']} with {key} = {found['options'].get(key)}, expected"
            f" {model['options'][key]}"
        )


def check_labels(path: Path, content: Mapping[str, Any], labels: Mapping[str, Any]) -> None:
    """Refuse labels of another basis, number of coefficients, detector or landmarks than a checkpoint was trained on.

    Raises
    ------
    SchemaError
        Naming the first difference.
    """
    words = {
        "k_au": "{} coefficients",
        "basis": "basis {}",
        "detector": "detector {}",
        "landmark_scheme": "landmarks {}",
    }
    for key, word in words.items():
        old, new = content["labels"].get(key), labels.get(key)
        if old != new:
            if key == "basis":
                old, new = (str(one)[: len("sha256:") + 12] for one in (old, new))
            raise SchemaError(
                f"{path}: trained on labels with {word.format(old)}; these have {new}; it cannot be used with them:"
                " label these recordings alike, or train on these labels"
            )


def check_goes_on(
    path: Path,
    content: Mapping[str, Any],
    model: Mapping[str, Any],
    labels: Mapping[str, Any],
    params: TrainParams,
    init: str | None = None,
) -> None:
    """Refuse to go on from a checkpoint with other labels, values or first weights than it was begun with.

    Parameters
    ----------
    path, content, model, labels
        As in `check_same`.
    params : TrainParams
        The values that are wanted; how long to train may differ.
    init : str, optional
        Hash of the checkpoint that it is to begin with.

    Raises
    ------
    SchemaError, ConfigError
        Naming the first difference.
    """
    check_same(path, content, model, labels)
    check_unchanged(path, content, labels["fingerprint"], params)
    begun = content.get("init", init)  # older checkpoints do not say
    if init is not None and begun != init:
        raise ConfigError(
            f"{path}: begun with {'other' if begun else 'new'} weights, not with those of --init; begin another with"
            " --out DIR, or replace it with --anew"
        )


def check_unchanged(path: Path, content: Mapping[str, Any], fingerprint: object, params: TrainParams) -> None:
    """Refuse labels that have changed since a checkpoint was written, and other values; how long to train may differ.

    Parameters
    ----------
    path, content : Path, mapping
        The checkpoint.
    fingerprint : str or None
        Of the labels as they are now.
    params : TrainParams
        The values that are wanted.

    Raises
    ------
    SchemaError, ConfigError
        Naming the first difference.
    """
    if content["labels"].get("fingerprint") != fingerprint:
        raise SchemaError(
            f"{path}: the labels, or who is in which part, have changed since it was written; train anew with --anew,"
            " or begin another with --out DIR"
        )
    said = content["config"]
    with contextlib.suppress(ValueError):  # values that are newer than the checkpoint have their defaults
        said = TrainParams.model_validate(said).model_dump(mode="json")
    for section, values in params.model_dump(mode="json").items():
        old = said.get(section)
        if not isinstance(values, dict):
            values, old = {"": values}, {"": old}
        for key in sorted({*values, *(old or {})}):
            if (section, key) not in _MAY_CHANGE and (old or {}).get(key) != values.get(key):
                name = f"{section}.{key}".rstrip(".")
                found, wanted = (old or {}).get(key), values.get(key)
                raise ConfigError(
                    f"{path}: begun with {name} = {found}, now {wanted}; keep it, train anew with --anew, or begin"
                    " another with --out DIR"
                )


def _some(names: Any) -> str:
    return ", ".join(map(str, list(names)[:5])) + (", ..." if len(names) > 5 else "")


def _first_line(err: Exception) -> str:
    return " ".join(str(err).split())[:160]
