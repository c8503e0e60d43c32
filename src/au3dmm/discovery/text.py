"""Write the commented `session.toml` of what was found in a folder."""

from __future__ import annotations

import json

from au3dmm.discovery.folder import Found
from au3dmm.discovery.recording import EventsFound, edges_told


def manifest_text(found: Found, session_id: str, subject_id: str) -> str:
    """Return the text of a commented `session.toml`."""
    lines = [
        "# What was recorded, where it lies, and how its clocks relate.",
        "# All names: `au3dmm schema session`. File names are relative to this file.",
        "schema_version = 1",
        "",
        "[session]",
        f"session_id = {_quote(session_id)}  # unique in a dataset: letters, digits, . _ -",
        f"subject_id = {_quote(subject_id)}  # the same for all recordings of a person",
        '# task = "smile"         # what the subject was asked to do',
        "",
        "[rgb]",
    ]
    source, key = (found.video, "file") if found.video is not None else (found.images, "folder")
    lines.append(f"{key} = {_quote(str(source))}")
    if found.timestamps is not None:
        lines.append(f"timestamps = {_quote(found.timestamps.as_posix())}")
    else:
        lines.append("# no CSV of timestamps was found: the times in the video file are used")
    lines += [
        'timestamp_convention = "exposure_midpoint"  # or exposure_start, exposure_end: which instant pts_us names',
        "# exposure_us = 8000      # length of the exposure, if the CSV does not say",
        "# focal_px = 600.0        # focal length in px; else guessed from a field of view",
    ]
    if found.events is None:
        lines += ["", "# no event file was found: labels will be of RGB frames", "# [events]"]
        lines += ['# file = "events.raw"']
    else:
        lines += ["", "[events]", f"file = {_quote(found.events.path.as_posix())}"]
        if found.events.format is not None:
            lines.append(f"format = {_quote(found.events.format)}  # as found; it is recognised by content anyway")
            if found.events.unreadable is not None:
                lines.append(f"# label will refuse it: {found.events.unreadable}")
            elif found.events.damage:
                lines.append(f"# damaged, lost: {found.events.damage}")
        else:
            lines += [
                f"# it could not be read: {found.events.unreadable}",
                "# width = 1280            # px, if it does not say",
                "# height = 720",
            ]
    if found.events is None:
        return "\n".join([*lines, "# with one, say how the clocks relate:", "# [sync]", '# method = "motion"']) + "\n"
    return "\n".join([*lines, "", *_sync_lines(found.events)]) + "\n"


def _sync_lines(seen: EventsFound) -> list[str]:
    if seen.trigger_ids:
        ids = ", ".join(map(str, seen.trigger_ids))
        others = {i: n for i, n in seen.edges.items() if i not in seen.trigger_ids}
        # stated even if it is the only one: edges of other inputs may appear, and label would have to ask
        chosen = f"trigger_id = {ids}" if len(seen.trigger_ids) == 1 else f"# trigger_id: {ids}; choose one"
        return [
            "[sync]",
            f'method = "trigger"       # the event file has edges of trigger input {ids}',
            *(["# edges that do not look like exposures: " + edges_told(others)] if others else []),
            chosen,
            'rising_edge = "exposure_start"',
            'falling_edge = "exposure_end"',
        ]
    why = seen.why_not_trigger()
    assert why is not None, "a recording with edges of exposures is told above"
    return [
        "[sync]",
        f"# Not by trigger: {why}.",
        "# motion: the clock is measured by what moves in both, to a few ms, or refused.",
        '# If the RGB times are on the clock of the event camera, write "shared" and the offset_us between them;',
        '# "start" says that both cameras started together, which is a guess.',
        'method = "motion"',
    ]


def _quote(text: str) -> str:
    # a JSON string is a TOML basic string, but for DEL
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
