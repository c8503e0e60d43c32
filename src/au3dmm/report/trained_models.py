"""The section of the dataset's page that tells of the models trained on its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from au3dmm.io.evaluations import PAGE, TABLE, Evaluated, ExperimentTable

_NAMED = 3
# key, heading, whether in %, and the number that needs no model with its words
_COLUMNS: tuple[tuple[str, str, bool, str, str], ...] = (
    ("top1", "accuracy, %", True, "chance", "most frequent class"),
    ("top3", "top 3, %", True, "", ""),
    ("macro_f1", "F1 of classes, %", True, "", ""),
    ("f1", "F1 of frames, %", True, "f1_all_positive", "every unit always"),
    ("alpha_explained", "alpha explained", False, "", ""),
)


def trained_models(
    evaluations: Sequence[Evaluated], experiments: Sequence[ExperimentTable], fingerprint: object = None
) -> dict[str, Any] | None:
    """Return what the template shows; None if there is nothing.

    Parameters
    ----------
    evaluations, experiments
        What was found in the run's folder.
    fingerprint : str, optional
        Of the labels as they are now: older evaluations are marked.
    """
    if not evaluations and not experiments:
        return None
    columns = [one for one in _COLUMNS if any(row.number(one[0]) for row in evaluations)]
    return {
        "heads": [heading for _, heading, _, _, _ in columns],
        "rows": [_row(row, columns, fingerprint) for row in evaluations],
        "tables": [{"name": one.name, "link": _link(one.place, TABLE), **_parsed(one)} for one in experiments],
    }


def _row(row: Evaluated, columns: Sequence[tuple[str, str, bool, str, str]], fingerprint: object) -> dict[str, Any]:
    labels = row.metrics.get("labels")
    said = labels.get("fingerprint") if isinstance(labels, Mapping) else None
    others = labels.get("others") if isinstance(labels, Mapping) else None
    problem = row.problem
    if not problem and row.outdated:
        problem = "of an earlier state of the model; evaluate again"
    if not problem and others is None and said is not None and fingerprint is not None and said != fingerprint:
        problem = "of labels that have changed since; evaluate again"
    learnt = labels.get("trained_fingerprint") if isinstance(labels, Mapping) else None
    part, seen, asked = str(row.metrics.get("split") or row.part), row.plain("n_subjects_seen"), row.plain("n_subjects")
    if not problem and part != "train" and seen and asked:
        problem = f"has learnt from {seen:.0f} of these {asked:.0f} people: numbers are too good; train anew"
    if not problem and part != "train" and seen is None and learnt is not None and learnt != said:
        problem = "trained on other labels, or on another split of them: it may know these people; train anew"
    folds = row.metrics.get("folds")
    n, people = row.plain("n_videos"), row.plain("n_subjects")
    return {
        "name": row.name,
        "model": str(row.metrics.get("model") or ""),
        "part": (row.part if others is None else f"{part} of {others}")
        + (f", {len(folds)} models" if isinstance(folds, list) else ""),
        "n": "" if n is None or people is None else f"{n:.0f} ({people:.0f})",
        "cells": [_cell(row, *one) for one in columns],
        "links": [
            {"name": "tables" if name == PAGE else "confusion", "to": _link(row.place, name)} for name in row.files
        ],
        "problem": problem,
    }


def _cell(row: Evaluated, key: str, heading: str, percent: bool, base: str, words: str) -> dict[str, str]:
    found = row.number(key)
    if found is None:
        return {"value": "", "ends": "", "base": ""}
    value, low, high = (None if x is None else _told(x, percent) for x in found)
    without = row.plain(base) if base else None
    return {
        "value": str(value),
        "ends": "" if low is None or high is None else f"{low} to {high}",
        "base": "" if without is None else f"{words}: {_told(without, percent)}",
    }


def _told(x: float, percent: bool) -> str:
    return f"{100 * x:.1f}" if percent else f"{x:.3g}"


def _link(*parts: str) -> str:
    """Return a relative address; ``./`` keeps a colon in a name from being taken for a scheme."""
    return "./" + quote("/".join(parts))


def _parsed(one: ExperimentTable) -> dict[str, Any]:
    """Return the blocks of a Markdown file that `au3dmm experiment` wrote: a title, paragraphs and tables."""
    title, blocks = "", []
    lines: list[str] = []
    for line in [*one.text.splitlines(), ""]:
        if line.strip():
            lines.append(line)
            continue
        if lines and lines[0].startswith("# ") and not title:
            title, lines = lines[0][2:], lines[1:]
        for group in _grouped(lines):
            if group[0].startswith("|"):
                cells = [[cell.strip() for cell in text.strip().strip("|").split("|")] for text in group]
                blocks.append({"head": cells[0], "rows": cells[2:], "text": ""})
            else:
                blocks.append({"head": [], "rows": [], "text": " ".join(group)})
        lines = []
    return {"title": title or one.name, "blocks": blocks, "problem": one.problem, "outdated": _outdated(one)}


def _outdated(one: ExperimentTable) -> str:
    if not one.outdated:
        return ""
    some, more = "; ".join(one.outdated[:_NAMED]), len(one.outdated) - _NAMED
    some += f"; and {more} more" if more > 0 else ""
    return f"{one.name}: of labels that have changed since: {some}; make the experiment again, with --anew"


def _grouped(lines: Sequence[str]) -> list[list[str]]:
    """Part lines of tables from others."""
    groups: list[list[str]] = []
    for line in lines:
        if groups and groups[-1][0].startswith("|") == line.startswith("|"):
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups
