"""What is written of an evaluation: numbers for programs, tables for people, a row per recording."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from au3dmm.errors import ConfigError, OutputError, os_reason
from au3dmm.evaluation import THRESHOLD
from au3dmm.evaluation.classification import GROUPS
from au3dmm.evaluation.intervals import RESAMPLES
from au3dmm.evaluation.summary import Outcome, summarise
from au3dmm.evaluation.tables import (
    classes_csv,
    classes_markdown,
    confusion_csv,
    confusion_markdown,
    counted,
    overall_markdown,
    seen_words,
    units_csv,
    units_markdown,
)
from au3dmm.io.atomic import write_bytes, write_json
from au3dmm.io.hashing import sha256_file
from au3dmm.io.recording_marks import recording_mark
from au3dmm.io.run_folder import DERIVATIVES, RunFolder
from au3dmm.io.sessions_index import read_index
from au3dmm.training.evaluating import Trained
from au3dmm.training_config import folder_name

_GROUPED = tuple(unit for units in GROUPS.values() for unit in units)


def write_evaluation(
    folder: Path,
    checkpoint: Path,
    run: RunFolder,
    part: str,
    outcome: Outcome,
    trained: Trained,
    *,
    seed: int = 0,
    threshold: float = THRESHOLD,
) -> dict[str, Any]:
    """Write ``metrics.json``, ``metrics.md`` and ``predictions.csv``; of a classifier, ``classes.csv`` and
    ``confusion.csv``; where action units were coded frame by frame, ``occurrence.csv``.

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
    summary = _summary(run, part, outcome, seed, threshold, faces=_refines([trained]))
    found = {
        "model": trained.content["model"]["name"],
        "checkpoint_sha256": sha256_file(checkpoint),
        "split": part,
        "steps": trained.content["progress"]["step"],
        "seed": trained.params.seed,
        "labels": _labels(run, [checkpoint], [trained]),
        "n_subjects_seen": _count(trained),
        **summary,
    }
    _write(folder, found, outcome, _page(found["model"], found))
    return found


def write_folds(
    folder: Path,
    checkpoints: Sequence[Path],
    run: RunFolder,
    part: str,
    outcome: Outcome,
    each: Sequence[tuple[Outcome, Trained]],
    *,
    seed: int = 0,
    threshold: float = THRESHOLD,
) -> dict[str, Any]:
    """Write the same of several models whose answers were put together, with the numbers of each beside them.

    Parameters
    ----------
    outcome, each
        What `evaluate_folds` returned.
    folder, checkpoints, run, part, seed, threshold
        As in `write_evaluation`.

    Returns
    -------
    dict
        What is in ``metrics.json``: ``folds`` in place of ``checkpoint_sha256``, ``steps`` of all of them together, and
        ``mean_over_folds``, which papers report, too.

    Raises
    ------
    ConfigError
        If nothing of these recordings, or of those of one model, can be measured.
    OutputError
        If `folder` cannot be written.
    """
    faces = _refines([trained for _, trained in each])
    summary = _summary(run, part, outcome, seed, threshold, faces=faces)
    folds, models = [], [trained for _, trained in each]
    for path, (one, trained) in zip(checkpoints, each, strict=True):
        alone = _summary(run, f"{path}: {part}", one, seed, threshold, resamples=0, faces=faces)
        folds.append(
            {
                "checkpoint_sha256": sha256_file(path),
                "fold": trained.params.data.fold,
                "steps": trained.content["progress"]["step"],
                "seed": trained.params.seed,
                "n_subjects_seen": _count(trained),
                **{key: alone[key] for key in _OF_FOLD if key in alone},
                "overall": {key: {**x, "low": None, "high": None} for key, x in alone["overall"].items()},
            }
        )
    found = {
        "model": " + ".join(sorted({trained.content["model"]["name"] for _, trained in each})),
        "split": part,
        "steps": sum(one["steps"] for one in folds),
        "labels": _labels(run, checkpoints, models),
        "n_subjects_seen": _sum([_count(one) for one in models]),
        "folds": folds,
        "mean_over_folds": {key: _mean([one["overall"][key]["value"] for one in folds]) for key in summary["overall"]},
        **summary,
    }
    columns: dict[str, Mapping[str, Any]] = {"all": summary}
    for i, fold in enumerate(folds):
        columns[f"model {i + 1}" if fold["fold"] is None else f"fold {fold['fold']}"] = fold
    if len(columns) < 1 + len(folds):  # two of one number would be one column
        columns = {"all": summary, **{f"model {i + 1}": fold for i, fold in enumerate(folds)}}
    means = {key: {"value": x, "low": None} for key, x in found["mean_over_folds"].items()}
    columns["mean of these"] = {"n_videos": None, "n_subjects": None, "overall": means}
    text = f"\n## Folds\n\nEach model on the people that were kept from it.\n\n{overall_markdown(columns)}"
    _write(folder, found, outcome, _page(f"{found['model']}, {counted(len(folds), 'model')}", found) + text)
    return found


_SOMETIMES = ("classes.csv", "confusion.csv", "confusion.png", "occurrence.csv", "meshes.json", "meshes.md")
_OF_FOLD = (
    *("n_videos", "n_subjects", "n_classified", "n_subjects_classified", "chance"),
    *("n_frames_coded", "n_subjects_coded", "units_absent", "f1_all_positive"),
)


def _summary(
    run: RunFolder,
    part: str,
    outcome: Outcome,
    seed: int,
    threshold: float,
    resamples: int = RESAMPLES,
    *,
    faces: bool,
) -> dict[str, Any]:
    try:
        return summarise(outcome, seed=seed, threshold=threshold, resamples=resamples, faces=faces)
    except ValueError as err:
        raise ConfigError(f"{run.path}: {part}: {err}") from err


def _refines(models: Sequence[Trained]) -> bool:
    return all("mesh" in trained.content["labels"] for trained in models)


def evaluation_folder(
    home: Path, checkpoints: Sequence[Path], run: RunFolder, part: str, models: Sequence[Trained]
) -> Path:
    """Return where results go: ``evaluation/<split>``, on other labels than the models' own ``<split>_on_<labels>``.

    Parameters
    ----------
    home : Path
        The models' folder.
    checkpoints, run, part, models
        As given to `write_folds`.
    """
    other = _other_labels(run, checkpoints, models)
    return home / "evaluation" / (part if other is None else f"{part}_on_{other}")


def _other_labels(run: RunFolder, checkpoints: Sequence[Path], models: Sequence[Trained]) -> str | None:
    """Return the name of labels that are not the models' own; None if they are, whatever has changed in them since."""
    now = read_index(run.index)[1].get("fingerprint")
    if all(_own(run, now, path, one.content) for path, one in zip(checkpoints, models, strict=True)):
        return None
    folder = run.path.resolve()
    inside = folder.parent.parts[-2:] == DERIVATIVES.parts
    return folder_name(f"{folder.parents[2].name} {folder.name}" if inside else folder.name)


def _own(run: RunFolder, now: object, checkpoint: Path, content: Mapping[str, Any]) -> bool:
    if content["labels"].get("fingerprint") == now:
        return True
    homes = [path for path in checkpoint.resolve().parents if RunFolder(path).index.is_file()]
    if homes:
        return homes[0] == run.path.resolve()
    learnt = content.get("learnt")  # of a model in no run's folder, older ones do not say
    if learnt is None:
        return True
    marks = {recording_mark(run.session(row.session_id)) for row in read_index(run.index)[0]}
    return bool(learnt["run"] == run.path.name and not marks.isdisjoint(learnt["recordings"]))


def _labels(run: RunFolder, checkpoints: Sequence[Path], models: Sequence[Trained]) -> dict[str, Any]:
    """Return what models were trained for, and which labels they were measured on; of the first whose differ."""
    now = read_index(run.index)[1].get("fingerprint")
    learnt = [one.content["labels"] for one in models]
    said = next((labels for labels in learnt if labels.get("fingerprint") != now), learnt[0])
    return {
        **{key: said.get(key) for key in ("basis", "detector", "representation")},
        "fingerprint": now,
        "trained_fingerprint": said.get("fingerprint"),
        "others": _other_labels(run, checkpoints, models),
    }


def _count(trained: Trained) -> int | None:
    return None if trained.seen is None else trained.seen.count


def _sum(counts: Sequence[int | None]) -> int | None:
    there = [n for n in counts if n is not None]
    return sum(there) if len(there) == len(counts) or any(there) else None


def _write(folder: Path, found: dict[str, Any], outcome: Outcome, page: str) -> None:
    for name in _SOMETIMES:  # an earlier model's, of what this one may not say
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as err:
            raise OutputError(f"{folder / name}: cannot be removed: {os_reason(err)}") from err
    if "classes" in found:
        write_bytes(folder / "classes.csv", classes_csv(found).encode())
        write_bytes(folder / "confusion.csv", confusion_csv(found["confusion"]).encode())
    if "units" in found:
        write_bytes(folder / "occurrence.csv", units_csv(found).encode())
    write_bytes(folder / "predictions.csv", predictions_csv(outcome).encode())
    write_bytes(folder / "metrics.md", page.encode())
    write_json(folder / "metrics.json", found)


def _mean(values: Sequence[float | None]) -> float | None:
    there = [x for x in values if x is not None]
    return statistics.fmean(there) if there else None


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


def _page(name: str, summary: dict[str, Any]) -> str:
    videos = f"{counted(summary['n_videos'], 'recording')} of {counted(summary['n_subjects'], 'subject')}"
    if summary.get("n_classified", summary["n_videos"]) != summary["n_videos"]:
        videos += f", {summary['n_classified']} with a class"
    where = summary["split"] + (f" of other labels, {other}" if (other := summary["labels"]["others"]) else "")
    text = f"# {name} on {where}: {videos}\n\n"
    text += "95 % intervals over resampled subjects in brackets; none for one subject.\n\n"
    if seen := seen_words(summary):
        text += f"**{seen[0].upper()}{seen[1:]}.**\n\n"
    text += overall_markdown({name: summary})
    if "classes" in summary:
        text += f"\n## Classes\n\n{classes_markdown(summary)}"
        text += f"\n## Parts of the face\n\n% of each row.\n\n{confusion_markdown(summary['groups'])}"
    if "units" in summary:
        people = counted(summary["n_subjects_coded"], "subject")
        frames = f"{counted(summary['n_frames_coded'], 'coded frame')} of {people}"
        said = f"a unit counts as said from a probability of {summary['threshold']:g} on"
        text += f"\n## Action units, frame by frame\n\n{frames}; {said}.\n\n{units_markdown(summary)}"
    return text
