"""Look into the files of a proposal: what the event file says of itself, and, if asked, whether it has triggers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from au3dmm.adapters.proposal import Proposal
from au3dmm.discovery.recording import are_exposures, look_at_events
from au3dmm.errors import SessionError
from au3dmm.io.events import TRIGGER_DTYPE, EventFile, open_events

Look = Literal["none", "header", "start", "whole"]
_CHUNKS = 2  # of an event file, for "start": some millions of events

TRIGGER: dict[str, Any] = {"method": "trigger", "rising_edge": "exposure_start", "falling_edge": "exposure_end"}


def looked_into(proposal: Proposal, look: Look, sync: str | None) -> Proposal:
    """Return a proposal with what its event file shows.

    Parameters
    ----------
    proposal : Proposal
        One without events, or whose clocks the layout relates (``[rgb] clock = "event"``), is returned as it is but
        for sensor and format.
    look : {"none", "header", "start", "whole"}
        How far into the file: not at all; what it says of itself; its first events, for trigger edges; all of it.
    sync : str or None
        What the user wants of the clock; then no triggers are looked for.
    """
    events = proposal.sections.get("events")
    if events is None:
        return proposal
    method = proposal.sections.get("sync", {}).get("method")
    open_question = sync is None and method in (None, "motion") and proposal.sections["rgb"].get("clock") != "event"
    found: dict[str, Any] = {}
    notes: list[str] = []
    clock: dict[str, Any] = {"method": sync} if sync is not None else {}
    if look != "none":
        path = Path(events["file"])
        group = events.get("group")
        try:
            file = open_events(path if group is None else f"{path}#{group}", events.get("width"), events.get("height"))
            found = {"format": file.format, "width": file.width, "height": file.height}
            if open_question and look in ("start", "whole"):
                clock = _triggers(path, file, look, notes)
        except SessionError as err:
            notes.append(f"events cannot be read: {' '.join(str(err).split())}")
    # HDF5 does not always say what its sensor is; a guess is none of the manifest's business
    if found.get("format") == "HDF5":
        found = {"format": "HDF5"}
    sections = dict(proposal.sections)
    sections["events"] = {**events, **{key: value for key, value in found.items() if events.get(key) is None}}
    if clock or (method is None and sections["rgb"].get("clock") != "event"):
        sections["sync"] = {**sections.get("sync", {}), **(clock or {"method": "motion"})}
    return replace(proposal, sections=_in_order(sections), notes=(*proposal.notes, *notes))


def _triggers(path: Path, file: EventFile, look: Look, notes: list[str]) -> dict[str, Any]:
    """Return the ``[sync]`` of a file with trigger edges that may be a camera's; nothing if there are none."""
    if look == "whole":
        seen = look_at_events(path, None)
        if seen.unreadable is not None:
            notes.append(f"events cannot be used: {seen.unreadable}")
        elif seen.damage:
            notes.append(f"events are damaged: {seen.damage}")
        ids = seen.trigger_ids
    else:
        edges = [chunk.triggers.copy() for _, chunk in zip(range(_CHUNKS), file.stream(), strict=False)]
        triggers = np.concatenate(edges) if edges else np.zeros(0, TRIGGER_DTYPE)
        ids = tuple(
            int(i) for i in np.unique(triggers["id"]) if are_exposures(triggers[triggers["id"] == i], None)
        )  # fmt: skip
    if len(ids) > 1:
        notes.append(f"trigger inputs {', '.join(map(str, ids))} all have edges: say which with [sync] trigger_id")
    return {**TRIGGER, **({"trigger_id": ids[0]} if len(ids) == 1 else {})} if ids else {}


def _in_order(sections: dict[str, Any]) -> dict[str, Any]:
    order = ("schema_version", "session", "rgb", "events", "sync", "landmarks", "annotations", "source", "notes")
    return {name: sections[name] for name in order if name in sections}
