"""`au3dmm evaluate`: how good a trained model is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from au3dmm.cli.options import reporting_options
from au3dmm.cli.output import aligned, counted, number, print_json, say
from au3dmm.cli.progress import Mode, Reporter, logging_to, make_reporter
from au3dmm.errors import ConfigError
from au3dmm.evaluation import THRESHOLD
from au3dmm.evaluation.tables import PERCENT, WORDS, absent_words, seen_words

if TYPE_CHECKING:
    from au3dmm.io.run_folder import RunFolder

_NAMED = 5


@click.command("evaluate", short_help="Say how good a trained model is.")
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="best.pt of au3dmm train; several, of different folds: each on its own people, all in one table.",
)
@click.option("--labels", type=click.Path(path_type=Path), required=True, help="Labelled dataset, or folder of a run.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Default: evaluation/<split> beside the checkpoint.")
@click.option("--pipeline", help="Which run of the dataset, if it has several.")
@click.option(
    "--control",
    "controls",
    multiple=True,
    metavar="[NAME=]DIR",
    help="au_d3dface: another run of the same recordings, whose faces are measured, too; may be repeated.",
)
@click.option("--dataset", type=click.Path(path_type=Path), help="Where the videos are, for modality = rgb.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Processes that load clips.")
@click.option("--batch", type=click.IntRange(min=0), default=0, help="Clips at a time; default: as in training.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the resampled subjects.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=THRESHOLD,
    show_default=True,
    help="Probability from which on an action unit counts as said in a frame; choose another on val, not on test.",
)
@reporting_options
def evaluate(
    checkpoints: tuple[Path, ...],
    labels: Path,
    split: str,
    out: Path | None,
    pipeline: str | None,
    controls: tuple[str, ...],
    dataset: Path | None,
    device: str,
    workers: int,
    batch: int,
    seed: int,
    threshold: float,
    progress: Mode,
    as_json: bool,
    verbose: int,
) -> None:
    """Say how good a trained model is: accuracy, F1, confusion, errors of coefficients, with 95 % intervals.

    Subjects are resampled for the intervals, since videos of one person are alike. Writes metrics.json, metrics.md,
    predictions.csv; of a classifier classes.csv, confusion.csv and confusion.png; of frame-level action units
    occurrence.csv. The run's report.html shows the numbers, too.

    \b
    au3dmm evaluate --checkpoint DIR/best.pt --labels DATASET
    au3dmm evaluate --checkpoint A/best.pt --checkpoint B/best.pt --checkpoint C/best.pt --labels DATASET
    """  # noqa: D301
    from au3dmm.io.runs import one_run
    from au3dmm.report.dataset_page import refresh_dataset_page
    from au3dmm.training.evaluating import evaluate_folds
    from au3dmm.training.evaluation_files import evaluation_folder, write_evaluation, write_folds

    run = one_run(labels, pipeline)
    home = None if out is not None else _beside(checkpoints)
    beside = named_controls(controls)
    if controls:
        _check_refine(checkpoints, controls[0])
    reporter = make_reporter(progress)
    with reporter, logging_to(reporter, verbose):
        reporter({"event": "start", "stage": "evaluate"})
        outcome, each = evaluate_folds(
            checkpoints,
            run,
            split,  # type: ignore[arg-type]
            device=device,
            workers=workers,
            batch=batch,
            dataset=dataset,
            progress=lambda done, total: reporter(
                {"event": "progress", "stage": "evaluate", "done": done, "total": total}
            ),
        )
        models = [trained for _, trained in each]
        folder = out if home is None else evaluation_folder(home, checkpoints, run, split, models)
        assert folder is not None, "one of them is given"
        if len(each) > 1:
            how: dict[str, Any] = {"seed": seed, "threshold": threshold}
            found = write_folds(folder, checkpoints, run, split, outcome, each, **how)
        else:
            found = write_evaluation(
                folder, checkpoints[0], run, split, outcome, each[0][1], seed=seed, threshold=threshold
            )
        _draw(folder, found)
        refining = all("mesh" in trained.content["labels"] for _, trained in each)
        if refining:
            how = {"device": device, "batch": batch, "dataset": dataset, "controls": beside}
            found["meshes"] = _meshes(folder, checkpoints, run, split, reporter, how)
        refresh_dataset_page(_showing(run, folder), folder)
    if as_json:
        print_json({"out": str(folder), **found})
    else:
        say(summary(found, folder))


def _check_refine(checkpoints: Sequence[Path], control: str) -> None:
    """Refuse a control of networks that refine no faces, before anything is measured."""
    from au3dmm.training.checkpoints import read_checkpoint

    for path in checkpoints:
        content = read_checkpoint(path, mapped=True)
        if "mesh" not in content["labels"]:
            raise ConfigError(f"--control {control}: {content['model']['name']} refines no faces; leave it away")


def _beside(checkpoints: Sequence[Path]) -> Path:
    """Return the folder whose results these are: that of the one checkpoint, or one that is named after all.

    Examples
    --------
    >>> _beside([Path("m/f0/best.pt"), Path("m/f1/best.pt")]).as_posix()
    'm/f0+f1'
    """
    folders = [path.parent for path in checkpoints]
    names = [folder.name for folder in folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"--checkpoint: two in folders called {twice[0]!r}; expected folders of different names: say with --out DIR"
            " where to write"
        )
    return folders[0] if len(folders) == 1 else folders[0].parent / "+".join(names)


def _showing(run: RunFolder, folder: Path) -> RunFolder:
    """Return the run whose page shows results: the one that they lie in, which need not be that of the labels."""
    from au3dmm.io.run_folder import RunFolder

    homes = [path for path in folder.resolve().parents if RunFolder(path).index.is_file()]
    return RunFolder(homes[0]) if homes and homes[0] != run.path.resolve() else run


def named_controls(given: Sequence[str]) -> dict[str, RunFolder]:
    """Return the runs that --control names, by their row: NAME, or else the folder's name.

    Raises
    ------
    ConfigError
        If one is not there, or two have one name.
    """
    from au3dmm.io.runs import one_run

    found: dict[str, RunFolder] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or Path(text).exists():
            name, folder = "", text
        try:
            run = one_run(Path(folder))
        except ConfigError as err:
            said = str(err).replace("say which with --pipeline", "give the folder of one of them")
            raise ConfigError(f"--control {text}: {said}") from err
        name = name or run.path.resolve().name
        if name in found:
            raise ConfigError(f"--control {text}: {name!r} is there already; call it otherwise: NAME={folder}")
        found[name] = run
    return found


def _meshes(
    folder: Path,
    checkpoints: Sequence[Path],
    run: RunFolder,
    split: str,
    reporter: Reporter,
    how: Mapping[str, Any],
) -> dict[str, Any] | None:
    """Measure refined faces where true ones are known, and write tables of them."""
    from au3dmm.training.mesh_evaluating import NoTruth, evaluate_meshes, write_mesh_evaluation

    try:
        found = evaluate_meshes(checkpoints, run, split, **how)  # type: ignore[arg-type]
    except NoTruth as err:  # what was coded is measured all the same
        reporter.message("warning", str(err))
        return None
    write_mesh_evaluation(folder, found)
    return found


def _draw(folder: Path, found: Mapping[str, Any]) -> None:
    """Draw the confusion of classes, those of one part of the face side by side."""
    from au3dmm.io.atomic import write_bytes

    if "confusion" in found:
        write_bytes(folder / "confusion.png", confusion_picture(found))


def confusion_picture(found: Mapping[str, Any], **how: Any) -> bytes:
    """Return the picture of ``metrics.json`` that has a confusion; `how` goes to `draw_confusion`."""
    import numpy as np

    from au3dmm.evaluation.classification import GROUPS
    from au3dmm.report.confusion_picture import draw_confusion
    from au3dmm.training.evaluation_files import grouped_order

    table, classes = grouped_order(found)
    title = (
        f"{found['model']}, {found['split']}: {_people(found, True)}, accuracy {_value(found, 'top1')} (% of each row)"
    )
    return draw_confusion(np.array(table), classes, title, GROUPS, **how)


def _people(found: Mapping[str, Any], classified: bool = False) -> str:
    which = "classified" if classified and "n_classified" in found else ""
    n, people = (
        (found["n_classified"], found["n_subjects_classified"]) if which else (found["n_videos"], found["n_subjects"])
    )
    return f"{counted(n, 'recording')} of {counted(people, 'subject')}"


def _value(found: Mapping[str, Any], key: str) -> str:
    x = found["overall"][key]
    return f"{100 * x['value']:.1f} %" if key in PERCENT else number(x["value"], 3)


def summary(found: Mapping[str, Any], folder: Path) -> str:
    """Return what a person wants to know of an evaluation."""
    rows = []
    for key, word in WORDS.items():
        x = found["overall"].get(key)
        if x is None or x["value"] is None:
            continue
        ends = "no interval: one subject"
        if x["low"] is not None:
            scale, digits = (100.0, ".1f") if key in PERCENT else (1.0, ".3g")
            ends = f"{scale * x['low']:{digits}} to {scale * x['high']:{digits}}"
        if key == "top1":
            ends += f"   ({_people(found, True)}; always the most frequent class: {100 * found['chance']:.1f} %)"
        if key == "f1":
            frames = f"{counted(found['n_frames_coded'], 'frame')} of {counted(found['n_subjects_coded'], 'subject')}"
            ends += f"   ({frames}; every unit in every frame: {100 * found['f1_all_positive']:.1f} %)"
        rows.append((word, _value(found, key), ends))
    there = sorted((c["recall"], c["name"]) for c in found.get("classes", ()) if c["recall"] is not None)
    never = [c["name"] for c in found.get("classes", ()) if c["recall"] == 0]
    learnt = f"{counted(found['steps'], 'step')} of training"
    if "folds" in found:
        learnt = f"{len(found['folds'])} models together, {learnt}"
    title = f"{found['model']} on {found['split']}: {_people(found)}, {learnt}"
    text = f"{title}\n{aligned(rows)}"
    if len(never) > _NAMED:
        text += f"\n\n{len(never)} of {len(there)} classes are never found: {', '.join(never)}"
    elif there:
        text += "\n\nfound least\n" + aligned([(name, f"{100 * recall:.0f} %") for recall, name in there[:_NAMED]])
    units = sorted((u["f1"], u["f1_all_positive"], u["name"]) for u in found.get("units", ()) if u["f1"] is not None)
    if units:
        rows = [(name, f"{100 * f1:.0f} %", f"always: {100 * base:.0f} %") for f1, base, name in units[:_NAMED]]
        text += f"\n\nlowest F1 of frames\n{aligned(rows)}"
    if seen := seen_words(found):
        text += f"\n\n{seen}"
    if absent := absent_words(found):
        text += f"\n\n{absent}"
    if found.get("meshes"):
        faces = found["meshes"]["rows"].items()
        rows = [
            (name, f"{row['vertex_rms_mm']:.3f} mm", f"at rest {row['jitter_at_rest_mm']:.3f}") for name, row in faces
        ]
        text += f"\n\nfaces, rms distance of vertices from the true ones\n{aligned(rows)}"
    files = [("tables", str(folder / "metrics.md"))]
    if there:
        files.append(("picture", str(folder / "confusion.png")))
    return f"{text}\n\nfiles\n{aligned(files)}"
