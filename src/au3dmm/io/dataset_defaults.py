"""What `dataset.toml` says once for all sessions below it: found from a session, checked, merged under it."""

from __future__ import annotations

import json
import os
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, create_model

from au3dmm.config import Params, read_toml, validate_toml
from au3dmm.io.hash_cache import file_state, is_settled

DATASET = "dataset.toml"
SAID_ONCE = frozenset({"session_id", "subject_id"})
"""Names of `[session]` that no default can give."""
_NO_DEFAULTS = frozenset({"schema_version", "annotations"})
_OPTIONAL = ("events", "landmarks")
_EITHER = {"file": "folder", "folder": "file"}


def with_defaults(manifest: type[BaseModel], data: dict[str, Any], dataset: Path | None) -> dict[str, Any]:
    """Put the defaults of a `dataset.toml` under what a session says.

    Section by section, a name that the session gives wins. ``file`` and ``folder`` of ``[rgb]`` stand for one thing:
    a session that gives one does not get the other. ``[defaults.events]`` and ``[defaults.landmarks]`` without a
    ``file`` apply to sessions that have such a section.

    Parameters
    ----------
    manifest : type of pydantic model
        The model of `session.toml`, which says what names there are.
    data : dict
        What `session.toml` holds.
    dataset : Path or None
        The `dataset.toml`, see `nearest_dataset`; None: there are no defaults.

    Returns
    -------
    dict
        A new one; `data` itself if nothing is merged.

    Raises
    ------
    ConfigError
        If `dataset.toml` is not TOML, or a name or value in its ``[defaults]`` is wrong; told against that file.
    """
    if dataset is None:
        return data
    defaults = read_defaults(manifest, dataset)
    return _merge(defaults, data) if defaults else data


def nearest_dataset(folder: Path) -> Path | None:
    """Return the `dataset.toml` in `folder` or the nearest folder above it that has one."""
    for place in (folder, *folder.parents):
        candidate = os.path.join(place, DATASET)
        if os.path.isfile(candidate):
            return Path(candidate)
    return None


def read_defaults(manifest: type[BaseModel], path: Path) -> dict[str, Any]:
    """Return the checked ``[defaults]`` of a `dataset.toml`; a file that did not change is not read again.

    Raises
    ------
    ConfigError
        See `with_defaults`.
    """
    state = file_state(path)
    if state is None or not is_settled(state):
        return _read.__wrapped__(manifest, path, "")
    return _read(manifest, path, json.dumps(state))


def check_defaults(manifest: type[BaseModel], defaults: Any, path: Path) -> None:
    """Check ``[defaults]`` against the sections of `session.toml`, where everything is optional here.

    Raises
    ------
    ConfigError
        In one line, with a "did you mean" for a wrong name.
    """
    validate_toml(_holder(manifest), {"defaults": defaults}, path)


@lru_cache(maxsize=64)
def _read(manifest: type[BaseModel], path: Path, _state: str) -> dict[str, Any]:
    defaults: dict[str, Any] = read_toml(path).get("defaults", {})
    check_defaults(manifest, defaults, path)
    return defaults


@cache
def _holder(manifest: type[BaseModel]) -> type[BaseModel]:
    sections: dict[str, Any] = {}
    for name, field in manifest.model_fields.items():
        if name in _NO_DEFAULTS:
            continue
        section = next((part for part in (field.annotation, *get_args(field.annotation)) if _is_model(part)), None)
        sections[name] = (field.annotation, {}) if section is None else (_partial(section), None)
    inside = create_model("Defaults", __base__=Params, **sections)
    return create_model("DatasetWithDefaults", __base__=Params, defaults=(inside, ...))


def _partial(section: type[BaseModel]) -> type[BaseModel]:
    """Return the section's model with every name optional; what must hold between names is checked after merging."""
    fields: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        if name not in SAID_ONCE:
            limits = tuple(field.metadata)
            kind: Any = Annotated[(field.annotation, *limits)] if limits else field.annotation
            fields[name] = (kind | None, None)
    return create_model(section.__name__, __base__=Params, **fields)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _merge(defaults: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    merged = dict(data)
    for name, default in defaults.items():
        own = data.get(name)
        if own is None and name in _OPTIONAL and "file" not in default:
            continue
        if own is None:
            merged[name] = default
        elif isinstance(own, dict):  # what is no table is explained by the session's own check
            hidden = {_EITHER[key] for key in own if name == "rgb" and key in _EITHER}
            merged[name] = {**{key: value for key, value in default.items() if key not in hidden}, **own}
    return merged
