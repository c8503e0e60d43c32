"""Summaries as tables that people read: Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

PER_UNIT = ("precision", "recall", "accuracy", "auc", "calibration_error", "brier", "f1_all_positive")
UNIT_KEYS = ("name", "positives", "negatives", "f1", "f1_low", "f1_high", *PER_UNIT)
"""What is told of each unit, in order."""
WORDS = {
    "top1": "accuracy",
    "top3": "top-3 accuracy",
    "top5": "top-5 accuracy",
    "macro_f1": "F1, mean over classes",
    "calibration_error": "calibration error",
    "brier": "Brier score",
    "alpha_mse": "squared error of alpha per frame",
    "alpha_rmse": "rms error of a coefficient, std",
    "alpha_explained": "variance of alpha explained",
    "f1": "F1 of frames, mean over units",
    "occurrence_auc": "area under ROC, mean over units",
    "occurrence_accuracy": "frames told right, mean over units",
    "occurrence_calibration_error": "calibration error, mean over units",
    "occurrence_brier": "Brier score, mean over units",
}
PERCENT = {"top1", "top3", "top5", "macro_f1", "f1", "occurrence_accuracy"}
BASELINES = {"chance": "always the most frequent class", "f1_all_positive": "every unit in every frame"}
"""What needs no model, and the number that it stands beside: `top1` and `f1`."""
_BESIDE = {"top1": "chance", "f1": "f1_all_positive"}


def overall_markdown(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table with a row per metric and a column per model, 95 % intervals over subjects in brackets.

    Examples
    --------
    >>> one = {"n_videos": 4, "n_subjects": 2, "chance": 0.5,
    ...        "overall": {"top1": {"value": 0.75, "low": 0.5, "high": 1.0}}}
    >>> print(overall_markdown({"st_vit": one}), end="")
    | | st_vit |
    |---|---|
    | videos (subjects) | 4 (2) |
    | accuracy, % | 75.0 [50.0, 100.0] |
    | always the most frequent class, % | 50.0 |
    """
    rows = [["videos (subjects)", *(_counts(s["n_videos"], s["n_subjects"]) for s in summaries.values())]]
    if any("n_classified" in s for s in summaries.values()):
        known = [(s.get("n_classified"), s.get("n_subjects_classified")) for s in summaries.values()]
        rows.append(["of these with a class", *(_counts(n, people) for n, people in known)])
    for key, word in WORDS.items():
        if any(key in s["overall"] for s in summaries.values()):
            name = f"{word}, %" if key in PERCENT else word
            rows.append([name, *(_interval(s["overall"].get(key), key in PERCENT) for s in summaries.values())])
        base = _BESIDE.get(key, "")
        if any(s.get(base) is not None for s in summaries.values()):
            rows.append([f"{BASELINES[base]}, %", *(_percent(s.get(base)) for s in summaries.values())])
    return markdown(["", *summaries], rows)


def classes_markdown(summary: Mapping[str, Any]) -> str:
    """Return a table with a row per class: videos, recall (the paper's accuracy per action unit), precision, F1, %."""
    rows = [
        [c["name"], str(c["support"]), _percent(c["recall"]), _percent(c["precision"]), _percent(c["f1"])]
        for c in summary["classes"]
    ]
    return markdown(["class", "videos", "accuracy, %", "precision, %", "F1, %"], rows)


def confusion_markdown(confusion: Mapping[str, Any]) -> str:
    """Return a confusion as a table in % of each true class (row)."""
    rows = []
    for name, line in zip(confusion["names"], confusion["table"], strict=True):
        total = sum(line)
        rows.append([f"{name} ({total})", *(f"{100 * x / total:.0f}" if total else "" for x in line)])
    return markdown(["true \\ said", *confusion["names"]], rows)


def units_markdown(summary: Mapping[str, Any]) -> str:
    """Return a table with a row per action unit, their average below: frames, F1, precision, recall, ...

    Units that never occur have no F1 and are not in the average; a line below names them.
    """
    rows = []
    for u in summary["units"]:
        f1 = {"value": u["f1"], "low": u["f1_low"], "high": u["f1_high"]}
        percents = [_percent(u[key]) for key in ("f1_all_positive", "precision", "recall", "accuracy")]
        rest = [_number(u[key]) for key in ("auc", "calibration_error")]
        rows.append([u["name"], str(u["positives"]), str(u["negatives"]), _interval(f1, True), *percents, *rest])
    said = summary["overall"]
    means = [_percent(summary["f1_all_positive"]), "", "", _interval(said["occurrence_accuracy"], True)]
    means += [_interval(said[key], False) for key in ("occurrence_auc", "occurrence_calibration_error")]
    rows.append(["average", "", "", _interval(said["f1"], True), *means])
    head = ["unit", "frames with", "without", "F1, %", "F1 of saying it always, %", "precision, %", "recall, %"]
    text = markdown([*head, "accuracy, %", "area under ROC", "calibration error"], rows)
    absent = absent_words(summary)
    return text + (f"\n{absent}.\n" if absent else "")


def units_csv(summary: Mapping[str, Any]) -> str:
    """Return the numbers of each action unit as CSV; empty where there is none."""
    return _csv([list(UNIT_KEYS), *([u[key] for key in UNIT_KEYS] for u in summary["units"])])


def classes_csv(summary: Mapping[str, Any]) -> str:
    """Return the numbers of each class as CSV; empty where there is none."""
    keys = ["name", "support", "recall", "precision", "f1"]
    return _csv([keys, *([c[key] for key in keys] for c in summary["classes"])])


def confusion_csv(confusion: Mapping[str, Any]) -> str:
    """Return a confusion as CSV: a row per true class, a column per class said, numbers of videos."""
    lines = zip(confusion["names"], confusion["table"], strict=True)
    return _csv([["", *confusion["names"]], *([name, *line] for name, line in lines)])


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(cells).strip() + " |\n" for cells in (head, *rows)]
    return lines[0] + "|---" * len(head) + "|\n" + "".join(lines[1:])


def _interval(x: Mapping[str, float | None] | None, percent: bool) -> str:
    if x is None or x["value"] is None:
        return ""
    show = _percent if percent else _number
    ends = "" if x["low"] is None else f" [{show(x['low'])}, {show(x['high'])}]"
    return show(x["value"]) + ends


def _counts(n: int | None, people: int | None) -> str:
    return f"{n} ({people})" if n else ""


def _percent(x: float | None) -> str:
    return "" if x is None else f"{100 * x:.1f}"


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:.3g}"


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["" if x is None else x for x in row] for row in rows])
    return text.getvalue()


def counted(n: int, thing: str) -> str:
    """Write how many things there are.

    Examples
    --------
    >>> counted(1, "subject"), counted(2, "subject")
    ('1 subject', '2 subjects')
    """
    return f"{n} {thing}" + ("" if n == 1 else "s")


def unlabelled_words(n: int, thing: str) -> str:
    """Say that some things without labels do not count.

    Examples
    --------
    >>> unlabelled_words(1, "clip"), unlabelled_words(2, "clip")
    ('1 clip has no frame with a label and is left out', '2 clips have no frame with a label and are left out')
    """
    verb, rest = ("has", "is") if n == 1 else ("have", "are")
    return f"{counted(n, thing)} {verb} no frame with a label and {rest} left out"


def seen_words(summary: Mapping[str, Any]) -> str:
    """Say how many of the people measured on a model has learnt from; empty if from none, or that is not known.

    Examples
    --------
    >>> seen_words({"split": "test", "n_subjects": 5, "n_subjects_seen": 2})
    'the model has learnt from 2 of these 5 people: numbers are too good for people it does not know'
    >>> seen_words({"split": "train", "n_subjects": 5, "n_subjects_seen": 5})
    ''
    """
    n, people = summary.get("n_subjects_seen"), summary["n_subjects"]
    if not isinstance(n, int) or n < 1 or summary.get("split") == "train":
        return ""
    whom = f"{n} of these {people} people" if n < people else f"all of these {n} people"
    whom = "this person" if people == 1 else whom
    return f"the model has learnt from {whom}: numbers are too good for people it does not know"


def absent_words(summary: Mapping[str, Any]) -> str:
    """Say which units are not in the averages, and why; empty if all are.

    Examples
    --------
    >>> absent_words({"units_absent": ["AU1", "AU2"], "units": [{}, {}, {}]})
    '2 of 3 units never occur in these recordings and are in no average: AU1, AU2'
    """
    absent = summary.get("units_absent") or []
    if not absent:
        return ""
    n = len(summary["units"])
    verb = "occurs in these recordings and is" if len(absent) == 1 else "occur in these recordings and are"
    return f"{len(absent)} of {n} units never {verb} in no average: {', '.join(absent)}"
