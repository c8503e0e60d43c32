"""What the files of consolidated labels say of themselves: one basis and one detector, or a refusal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from au3dmm.core.self_check import merge_checks
from au3dmm.errors import SchemaError

_NAMED = 3
_PLURAL = {
    "basis": "bases",
    "detector": "detectors",
    "landmark scheme": "landmark schemes",
    "alignment": "alignments",
    "source": "sources",
}


class MergedMetadata:
    """Collects the metadata of the labels of all recordings, and refuses what must not be mixed.

    Raises
    ------
    SchemaError
        By `add`: if two recordings were labelled with different bases, detectors, landmarks or ways of alignment.
    """

    def __init__(self) -> None:
        self._sides: dict[str, dict[str, list[str]]] = {name: {} for name in _MUST_AGREE}
        self._first: dict[str, Any] = {}
        self._versions: set[str] = set()
        self._clocks: Counter[str] = Counter()
        self._uncertainty: list[float] = []
        self._checks: list[Mapping[str, Any]] = []

    def add(self, session_id: str, metadata: Mapping[str, Any]) -> None:
        """Take the metadata of one recording's labels."""
        for name, key_of in _MUST_AGREE.items():
            self._sides[name].setdefault(key_of(metadata), []).append(session_id)
        clock = metadata.get("clock") or {}
        if not self._first or (clock and not self._first.get("clock")):  # of event frames, if there are any
            self._first = dict(metadata)
        detector = metadata.get("detector") or {}
        self._versions.add(_canonical(detector.get("versions")))
        if metadata.get("uncertainty"):
            self._checks.append(metadata["uncertainty"])
        if clock:
            self._clocks[str(clock.get("method"))] += 1
        if isinstance(clock.get("uncertainty_us"), int | float):
            self._uncertainty.append(float(clock["uncertainty_us"]))

    def check(self) -> None:
        """Refuse a mixture.

        Raises
        ------
        SchemaError
            Naming recordings on each side.
        """
        for name, sides in self._sides.items():
            if len(sides) > 1:
                raise SchemaError(
                    f"labels of {len(sides)} {_PLURAL[name]} cannot be one dataset: {_told(sides)}; run"
                    " `au3dmm run` again over the whole dataset, so that all are made alike"
                )

    def merged(self) -> dict[str, Any]:
        """Return what holds for all recordings; call `check` first."""
        first = self._first
        detector = {k: v for k, v in (first.get("detector") or {}).items() if k not in _OF_A_FILE}
        versions = [json.loads(text) for text in sorted(self._versions) if text != "null"]
        if versions:
            detector["versions"] = versions[0] if len(versions) == 1 else versions
        return {
            "basis": first.get("basis"),
            "detector": detector or None,
            "landmark_scheme": first.get("landmark_scheme"),
            "align": first.get("params"),
            "windows": first.get("windows"),
            "clock": {
                "methods": dict(sorted(self._clocks.items())),
                "uncertainty_us_max": max(self._uncertainty, default=None),
            },
            "uncertainty": merge_checks(self._checks),
            "units": first.get("units"),
            **{key: first[key] for key in ("source", "refined") if key in first},
        }


_OF_A_FILE = ("versions", "file", "sha256")
"""What a detector's description says of one run or one file, and not of the detector."""


def basis_key(metadata: Mapping[str, Any]) -> str:
    """Name the basis that a table was made with.

    Examples
    --------
    >>> basis_key({"basis": {"file_hash": "sha256:" + 64 * "a"}}), basis_key({})
    ('sha256:aaaaaaaaaaaa', 'no basis')
    """
    said = (metadata.get("basis") or {}).get("file_hash")
    return "no basis" if said is None else str(said)[:19]


def detector_key(metadata: Mapping[str, Any]) -> str:
    """Name the detector that a table was made with: its weights and values, not the versions of libraries.

    Examples
    --------
    >>> detector_key({"detector": {"name": "precomputed", "file": "a.npz", "sha256": "1", "format": "au3dmm"}})
    'precomputed (format au3dmm)'
    """
    detector = dict(metadata.get("detector") or {"name": "no detector"})
    name = str(detector.pop("name", "unnamed"))
    rest = {key: value for key, value in sorted(detector.items()) if key not in _OF_A_FILE and key != "has_z"}
    said = ", ".join(f"{key} {_short(value)}" for key, value in rest.items())
    return f"{name} ({said})" if said else name


def alignment_key(metadata: Mapping[str, Any]) -> str:
    """Name the way in which labels were put at the times of event frames."""
    params = metadata.get("params") or {}
    said = ", ".join(f"{key} {value}" for key, value in sorted(params.items()))
    return said or "unknown"


def source_key(metadata: Mapping[str, Any]) -> str:
    """Name what coefficients are: of the fit, or refined by which network.

    Examples
    --------
    >>> source_key({}), source_key({"source": "refined", "refined": {"checkpoint_sha256": "0123456789abcdef"}})
    ('fit', 'refined (checkpoint 0123456789ab)')
    """
    source = str(metadata.get("source", "fit"))
    mark = (metadata.get("refined") or {}).get("checkpoint_sha256")
    return source if mark is None else f"{source} (checkpoint {str(mark)[:12]})"


def _scheme_key(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("landmark_scheme"))


_MUST_AGREE: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "basis": basis_key,
    "detector": detector_key,
    "landmark scheme": _scheme_key,
    "alignment": alignment_key,
    "source": source_key,
}


def _told(sides: Mapping[str, list[str]]) -> str:
    return ", ".join(f"{key} in {_names(names)}" for key, names in sides.items())


def _names(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return "/".join(_short(each) for _, each in sorted(value.items()))
    text = str(value)
    return text[:12] if len(text) >= 40 else text


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)
