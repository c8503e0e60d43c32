"""The README of an export: what it holds, what was left out, how to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from au3dmm.exports.selection import Selection
from au3dmm.io.front_matter import front_matter
from au3dmm.io.licences import hub_licence
from au3dmm.io.sessions_index import asked_for, frame_word, outcome_counts, part_of, tally

_READ = {
    "csv": """\
```python
import pandas as pd

labels = pd.read_csv("labels.csv")  # a row per event frame; a column per coefficient, empty where there is no value
alpha = labels[labels.status == "ok"].filter(regex="^alpha_au_(?!std)")
```""",
    "npz": """\
```python
import numpy as np

labels = np.load("labels.npz")  # arrays of one length: a row per event frame
alpha, valid = labels["alpha_au"], labels["valid"]  # (N, K) float32, NaN where valid (N,) is False
who = labels["subject_id_names"][labels["subject_id"]]  # words are numbers into a list of names; -1: none
```

Whole numbers that are missing are -1; `flags` has a bit for each of `flag_names`.""",
    "huggingface": """\
```python
from datasets import load_dataset

labels = load_dataset("path/to/this/folder", "labels")  # a row per event frame, a split per part
```""",
    "facemorphic": """\
```python
import numpy as np

clip = "recordings/SUBJECT/AU_12/frames_1"
alphas = np.load(f"{clip}/alphas32.npz")["alphas"]  # (T, K): a row per RGB frame, NaN where valid is False
boxes = np.load(f"{clip}/boxes.npz")["boxes"]  # (T, 4) x0, y0, x1, y1 px
```

Rows are RGB frames, as in FACEMORPHIC, where event frame i goes with RGB frame i. Coefficients are in standard
deviations of their components. `index.csv` says which session each folder is.""",
}


def export_card(selection: Selection, configs: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the README.

    Parameters
    ----------
    selection : Selection
        What was exported.
    configs : sequence of mapping
        For the head: which files make up which split.
    """
    options, counts, metadata = selection.options, outcome_counts(selection.rows), selection.metadata
    rows = frame_word(selection.rows)
    about = metadata.get("dataset") or {}
    name = str(about.get("name", "A dataset"))
    head = {
        "pretty_name": name,
        **hub_licence(about.get("licence")),
        "tags": ["event-camera", "facial-action-units", "3d-morphable-model", "au3dmm"],
        **({"configs": list(configs)} if configs else {}),
    }
    basis = metadata.get("basis") or {}
    demo = (
        ["**Made with the demo basis, for trying out only: not for research.**"] if basis.get("kind") == "demo" else []
    )
    of = f", split {selection.split} only" if selection.split else ""
    blocks = [
        front_matter(head).rstrip(),
        f"# {name}",
        f"Labels of {counts['rows_ok']} of {counts['rows']} {rows}, from {counts['ok']} of {counts['sessions']}"
        f" sessions of {counts['subjects']} subjects{of}."
        f" Failed, and without rows: {counts['failed']}.",
        *demo,
        *([str(about["description"])] if about.get("description") else []),
        "## What it holds",
        _holds(selection),
        "## Read it",
        _READ[options.form].replace("a row per event frame", f"a row per {rows[:-1]}"),
        "## Counts",
        _counts(selection),
        "## How it was made",
        _made(metadata),
        "## Licence",
        f"Recordings and labels: {about.get('licence') or 'not stated; ask the owner before you share anything'}."
        + (f" Basis of the labels: {basis['licence']}." if basis.get("licence") else ""),
    ]
    if about.get("citation"):
        blocks += ["## Citation", str(about["citation"])]
    return "\n\n".join(blocks) + "\n"


def _holds(selection: Selection) -> str:
    options = selection.options
    frames = options.form == "facemorphic"
    lines = [
        "Inside: names of subjects and sessions, action unit coefficients"
        + (", boxes of faces." if frames else ", head pose, times, and what people said of the sessions."),
        "",
        f"- Identity coefficients: {_is(options.identity, 'identity')}",
        f"- Landmarks of the face{'' if frames else ', and boxes'}: {_is(options.landmarks, 'landmarks')}",
        "- Pictures and events: not inside.",
        "",
        "How a face moves can identify a person, too, for someone who has other recordings of it.",
    ]
    return "\n".join(lines)


def _is(inside: bool, what: str) -> str:
    if inside:
        return "**inside; they identify people.** Share them only as the subjects agreed."
    return f"not inside, as they identify people (`au3dmm export --with-{what}` adds them)."


def _counts(selection: Selection) -> str:
    frames = frame_word(selection.rows)
    lines = [f"|  | sessions | failed | subjects | {frames} | with values |", "| --- " * 6 + "|"]
    for key in (part_of, asked_for):
        for t in tally(selection.rows, key):
            name = " ".join(t.name.split()).replace("|", "\\|")
            lines.append(f"| {name} | {t.sessions} | {t.failed} | {t.subjects} | {t.rows} | {t.rows_ok} |")
    return "\n".join(lines)


def _made(metadata: Mapping[str, Any]) -> str:
    basis, detector = metadata.get("basis") or {}, metadata.get("detector") or {}
    said = [
        f"Basis {basis.get('kind', 'unknown')}, {basis.get('k_au')} action unit components ({basis.get('file_hash')});",
        f"landmarks by {detector.get('name')}; {metadata.get('package')}; fingerprint {metadata.get('fingerprint')}.",
    ]
    leaks = (metadata.get("splits") or {}).get("leaking_subjects") or 0
    if leaks:
        said.append(f"**{leaks} subjects are in more than one part of the split.**")
    return " ".join(said)
