"""`clock.json`: how the RGB clock of a session relates to its event clock, and how well that is known."""

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
from au3dmm.io.atomic import write_json

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Clock:
    """The clock of one session; all event times are on the unshifted event clock, us.

    Attributes
    ----------
    method : str
        ``trigger``, ``shared`` or ``start``.
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

    @property
    def model(self) -> ClockModel:
        """The clock as a function."""
        return ClockModel(self.offset_us, self.drift_ppm)

    def summary(self) -> dict[str, Any]:
        """Return what is carried in the metadata of everything made with this clock."""
        return dataclasses.asdict(self)


def write_clock(path: Path, clock: Clock, metadata: Mapping[str, Any]) -> None:
    """Write `clock` and what made it as one flat JSON object, atomically.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    stamp = {"schema_version": SCHEMA_VERSION, "package": f"au3dmm {au3dmm.__version__}"}
    write_json(path, {**stamp, **metadata, **clock.summary()})


def read_clock(path: Path) -> Clock:
    """Read `clock.json`.

    Raises
    ------
    SchemaError
        If the file is missing, not JSON, of another version, or lacks a value.
    """
    metadata = read_clock_metadata(path)
    values = {}
    for field in dataclasses.fields(Clock):
        if field.name not in metadata:
            raise SchemaError(f"{path}: no {field.name!r}; run the sync stage again")
        values[field.name] = metadata[field.name]
    for name in ("offset_us", "drift_ppm"):
        if not isinstance(values[name], int | float):
            raise SchemaError(f"{path}: {name} is {values[name]!r}, expected a number")
    return Clock(**values)


def read_clock_metadata(path: Path) -> dict[str, Any]:
    """Return all of `clock.json`: the clock and what made it.

    Raises
    ------
    SchemaError
        If the file is missing, not JSON, or of another version.
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
    if version != SCHEMA_VERSION:
        raise SchemaError(f"{path}: clock schema version {version}, but this au3dmm reads {SCHEMA_VERSION}")
    return dict(value)
