"""Event recordings: one file per format, recognised by content."""

from __future__ import annotations

from au3dmm.io.events.evt2_writer import Evt2Writer, write_evt2
from au3dmm.io.events.evt3_writer import Evt3Writer, write_evt3
from au3dmm.io.events.npz_writer import NpzWriter
from au3dmm.io.events.open import open_events
from au3dmm.io.events.reading import read_events, read_triggers, slice_events
from au3dmm.io.events.report import DamageSpan, EventFileReport, EventFileWarning
from au3dmm.io.events.stream import EVENT_DTYPE, TRIGGER_DTYPE, Chunk, EventFile, EventStream
from au3dmm.io.events.writer import EventWriter

__all__ = [
    "EVENT_DTYPE",
    "TRIGGER_DTYPE",
    "Chunk",
    "DamageSpan",
    "EventFile",
    "EventFileReport",
    "EventFileWarning",
    "EventStream",
    "EventWriter",
    "Evt2Writer",
    "Evt3Writer",
    "NpzWriter",
    "open_events",
    "read_events",
    "read_triggers",
    "slice_events",
    "write_evt2",
    "write_evt3",
]
