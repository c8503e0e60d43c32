"""`clock.json`: how the RGB clock of a session relates to its event clock, how well that is known, and why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import au3dmm
from au3dmm.core.clock import ClockModel
from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.atomic import write_bytes

# 1: without offset_std_us, drift_std_ppm, tie_broken_by, warnings and evidence
SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Clock:
    """The clock of one session; all event times are on the unshifted event clock, us.

    Attributes
    ----------
    method : str
        ``trigger``, ``motion``, ``shared`` or ``start``.
    offset_us, drift_ppm : float
        ``t_us = offset_us + (1 + drift_ppm * 1e-6) * t_rgb_us``.
    residual_us, uncertainty_us : float or None
        RMS of the matched edges, and standard error of the model at its worst within the recording; None where the
        method cannot know.
    n_matched, n_expected, n_edges : int or None
        Exposure instants that found their edge, exposure instants, edges; None without edges.
    t_shift_us : int
        What the vendor's SDK subtracts from event times.
    first_event_us, last_event_us : int
        Span of the event stream.
    offset_std_us, drift_std_ppm : float or None
        Standard errors of event times in the middle of the recording, and of the drift. None where the method cannot
        know.
    tie_broken_by : str or None
        ``motion``, if triggers alone could not tell between shifts by one exposure or more.
    warnings : tuple of str
        What a person should know.
    """

    method: str
    offset_us: float
    drift_ppm: float
    residual_us: float | None
    uncertainty_us: float | None
    n_matched: int | None
    n_expected: int | None
    n_edges: int | None
    t_shift_us: int
    first_event_us: int
    last_event_us: int
    offset_std_us: float | None = None
    drift_std_ppm: float | None = None
    tie_broken_by: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def model(self) -> ClockModel:
        """The clock as a function."""
        return ClockModel(self.offset_us, self.drift_ppm)

    @property
    def drift_measured(self) -> bool:
        """Whether the drift was found in the data; otherwise it is taken to be 0."""
        return self.method == "trigger" or (self.method == "motion" and self.drift_ppm != 0)

    def summary(self) -> dict[str, Any]:
        """Return what is carried in the metadata of everything made with this clock."""
        return {**dataclasses.asdict(self), "warnings": list(self.warnings)}


def write_clock(
    path: Path, clock: Clock, metadata: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
) -> None:
    """Write `clock`, what made it, and the evidence for it, as one JSON object, atomically.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    stamp = {"schema_version": SCHEMA_VERSION, "package": f"au3dmm {au3dmm.__version__}"}
    head = json.dumps({**stamp, **metadata, **clock.summary()}, indent=1, sort_keys=True, ensure_ascii=False)
    # thousands of numbers in a line of their own at the end: the rest stays a page to read
    tail = json.dumps(evidence, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    write_bytes(path, f'{head[:-2]},\n "evidence": {tail}\n}}\n'.encode())


def read_clock(path: Path) -> Clock:
    """Read `clock.json` of any version; what an older one does not hold is None.

    Raises
    ------
    SchemaError
        If the file is missing, not JSON, of an unknown version, or lacks a value.
    """
    metadata = read_clock_metadata(path)
    values = {}
    for field in dataclasses.fields(Clock):
        if field.name in metadata:
            values[field.name] = metadata[field.name]
        elif metadata["schema_version"] == SCHEMA_VERSION or field.default is dataclasses.MISSING:
            raise SchemaError(f"{path}: no {field.name!r}; run the sync stage again")
    for name in ("offset_us", "drift_ppm"):
        if not isinstance(values[name], int | float):
            raise SchemaError(f"{path}: {name} is {values[name]!r}, expected a number")
    return Clock(**{**values, "warnings": tuple(values.get("warnings") or ())})


def read_evidence(path: Path) -> dict[str, Any]:
    """Return the evidence that a clock was found by: its ``kind``, and what belongs to that.

    Raises
    ------
    SchemaError
        If the file is not a clock, or an old one without evidence.
    """
    evidence = read_clock_metadata(path).get("evidence")
    if not isinstance(evidence, dict) or "kind" not in evidence:
        raise SchemaError(f"{path}: no evidence in it, as in clocks before schema version 2; run the sync stage again")
    return evidence


def read_clock_metadata(path: Path) -> dict[str, Any]:
    """Return all of `clock.json`: the clock and what made it.

    Raises
    ------
    SchemaError
        If the file is missing, not JSON, or of an unknown version.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as err:
        raise SchemaError(f"{path}: no such file") from err
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except ValueError as err:
        raise SchemaError(f"{path}: not JSON, or cut short: {err}") from err
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version not in range(1, SCHEMA_VERSION + 1):
        raise SchemaError(f"{path}: clock schema version {version}, but this au3dmm reads 1 to {SCHEMA_VERSION}")
    return dict(value)
