"""Summaries as tables that people read: Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

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
}
PERCENT = {"top1", "top3", "top5", "macro_f1"}


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
    rows = [["videos (subjects)", *(f"{s['n_videos']} ({s['n_subjects']})" for s in summaries.values())]]
    if any("n_classified" in s for s in summaries.values()):
        known = [(s.get("n_classified"), s.get("n_subjects_classified")) for s in summaries.values()]
        rows.append(["of these with a class", *(f"{n} ({people})" if n else "" for n, people in known)])
    for key, word in WORDS.items():
        if any(key in s["overall"] for s in summaries.values()):
            name = f"{word}, %" if key in PERCENT else word
            rows.append([name, *(_interval(s["overall"].get(key), key in PERCENT) for s in summaries.values())])
        if key == "top1" and any("chance" in s for s in summaries.values()):
            rows.append(["always the most frequent class, %", *(_percent(s.get("chance")) for s in summaries.values())])
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


def _percent(x: float | None) -> str:
    return "" if x is None else f"{100 * x:.1f}"


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:.3g}"


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["" if x is None else x for x in row] for row in rows])
    return text.getvalue()
