"""What is written of an evaluation: numbers for programs, tables for people, a row per recording."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from au3dmm.errors import ConfigError
from au3dmm.evaluation.classification import GROUPS
from au3dmm.evaluation.summary import Outcome, summarise
from au3dmm.evaluation.tables import (
    classes_csv,
    classes_markdown,
    confusion_csv,
    confusion_markdown,
    overall_markdown,
)
from au3dmm.io.atomic import write_bytes, write_json
from au3dmm.io.hashing import sha256_file
from au3dmm.io.run_folder import RunFolder
from au3dmm.training.evaluating import Trained

_GROUPED = tuple(unit for units in GROUPS.values() for unit in units)


def write_evaluation(
    folder: Path, checkpoint: Path, run: RunFolder, part: str, outcome: Outcome, trained: Trained, *, seed: int = 0
) -> dict[str, Any]:
    """Write ``metrics.json``, ``metrics.md`` and ``predictions.csv`` and, of a classifier, ``classes.csv`` and
    ``confusion.csv``.

    Returns
    -------
    dict
        What is in ``metrics.json``.

    Raises
    ------
    ConfigError
        If nothing of these recordings can be measured.
    OutputError
        If `folder` cannot be written.
    """
    try:
        summary = summarise(outcome, seed=seed)
    except ValueError as err:
        raise ConfigError(f"{run.path}: {part}: {err}") from err
    name = trained.content["model"]["name"]
    found = {
        "model": name,
        "checkpoint_sha256": sha256_file(checkpoint),
        "split": part,
        "steps": trained.content["progress"]["step"],
        "seed": trained.params.seed,
        "labels": {key: trained.content["labels"].get(key) for key in ("basis", "detector", "representation")},
        **summary,
    }
    write_json(folder / "metrics.json", found)
    write_bytes(folder / "metrics.md", _page(name, part, summary).encode())
    write_bytes(folder / "predictions.csv", predictions_csv(outcome).encode())
    if "classes" in summary:
        write_bytes(folder / "classes.csv", classes_csv(summary).encode())
        write_bytes(folder / "confusion.csv", confusion_csv(summary["confusion"]).encode())
    return found


def predictions_csv(outcome: Outcome) -> str:
    """Return a row per recording: who, what was asked for, what was said, and the probability of each class."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    classifies = outcome.probabilities is not None
    head = ["session_id", "subject_id", "true"]
    head += ["said", *(f"p_{name}" for name in outcome.classes)] if classifies else []
    head += ["frames", "alpha_rmse"] if outcome.alpha is not None else []
    rows.writerow(head)
    for i, (session, subject) in enumerate(zip(outcome.sessions, outcome.subjects, strict=True)):
        label = int(outcome.labels[i])
        row: list[object] = [session, subject, outcome.classes[label] if label >= 0 else ""]
        if outcome.probabilities is not None:
            p = outcome.probabilities[i]
            row += [outcome.classes[int(p.argmax())], *(f"{x:.6f}" for x in p)]
        if outcome.alpha is not None:
            n = outcome.alpha.n[i]
            row += [int(n), f"{(outcome.alpha.error[i].mean() / n) ** 0.5:.6f}" if n else ""]
        rows.writerow(row)
    return text.getvalue()


def grouped_order(summary: Mapping[str, Any]) -> tuple[list[list[int]], list[str]]:
    """Return the confusion with the classes in the order of the parts of the face, others last."""
    names, table = summary["confusion"]["names"], summary["confusion"]["table"]
    order = sorted(range(len(names)), key=lambda i: (_GROUPED.index(names[i]) if names[i] in _GROUPED else 999, i))
    return [[table[i][j] for j in order] for i in order], [names[i] for i in order]


def _page(name: str, part: str, summary: dict[str, Any]) -> str:
    videos = f"{summary['n_videos']} recordings of {summary['n_subjects']} subjects"
    if summary.get("n_classified", summary["n_videos"]) != summary["n_videos"]:
        videos += f", {summary['n_classified']} with a class"
    text = (
        f"# {name} on {part}: {videos}\n\n95 % intervals over resampled subjects in brackets; none for one subject.\n\n"
    )
    text += overall_markdown({name: summary})
    if "classes" in summary:
        text += f"\n## Classes\n\n{classes_markdown(summary)}"
        text += f"\n## Parts of the face\n\n% of each row.\n\n{confusion_markdown(summary['groups'])}"
    return text
