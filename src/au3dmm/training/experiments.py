"""Experiments: several trainings and evaluations that make one table, from a file that names them all."""

from __future__ import annotations

import json
import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from au3dmm.config import read_toml, validate_toml
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.evaluation.mesh_rows import COARSE, REFINED, SMOOTHED
from au3dmm.evaluation.mesh_rows import WORDS as MESH_WORDS
from au3dmm.evaluation.tables import counted, markdown, seen_words
from au3dmm.io.atomic import write_bytes, write_json
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import read_index
from au3dmm.training.evaluating import evaluate, rgb_cache
from au3dmm.training.evaluation_files import write_evaluation
from au3dmm.training.experiment_plan import check_trained, of_seed, plan_runs, training_folder, training_params
from au3dmm.training.loop import BEST, LAST
from au3dmm.training.mesh_evaluating import NoTruth, evaluate_meshes, write_mesh_evaluation
from au3dmm.training.run import TrainOptions, train
from au3dmm.training_config import ExperimentParams, RunParams

log = logging.getLogger(__name__)
Event = Callable[[Mapping[str, Any]], None]
_WORDS = {
    "top1": "accuracy, %",
    "top3": "top 3, %",
    "top5": "top 5, %",
    "macro_f1": "F1, %",
    "alpha_mse": "alpha, squared error",
    "alpha_rmse": "alpha, rms error",
    "alpha_explained": "alpha explained",
    "f1": "F1 of frames, %",
    **MESH_WORDS,
    "occurrence_auc": "area under ROC",
}
_KEPT = ("n_videos", "n_subjects", "n_classified", "n_subjects_classified", "n_subjects_seen", "chance", "overall")
_SURFACES = {False: 2, True: 1}  # frames of a clip that are put onto the true surface, in full and reduced: ICP is slow
_NAMED = 3
_PERCENT = ("top1", "top3", "top5", "macro_f1", "f1")


@dataclass(frozen=True)
class ExperimentResult:
    """What came out.

    Attributes
    ----------
    out : Path
        The folder: ``table.md``, ``results.json``, and a folder per run and seed.
    table : str
        Markdown.
    results : list of dict
        Per run and seed: name, seed, and what `write_evaluation` returned.
    """

    out: Path
    table: str
    results: list[dict[str, Any]]


def read_experiment(path: Path) -> ExperimentParams:
    """Read an experiment file.

    Raises
    ------
    ConfigError
        If it is missing, not TOML, or a name or value in it is wrong; all trainings are tried, in both forms.
    """
    params = validate_toml(ExperimentParams, read_toml(path), path)
    for run in params.runs:
        for reduced in (False, True):
            try:
                training_params(params, run, params.seeds[0], reduced)
            except ConfigError as err:
                raise ConfigError(f"{path}: run {run.name!r}: {err}") from err
    return params


def run_experiment(
    params: ExperimentParams,
    runs: Callable[[RunParams], RunFolder],
    out: Path,
    *,
    reduced: bool = False,
    seeds: Sequence[int] = (),
    rows: Sequence[str] = (),
    options: TrainOptions | None = None,
    on_event: Event | None = None,
) -> ExperimentResult:
    """Train and evaluate runs with all seeds, and put a table together; what is there already is kept.

    Before anything is trained, labels and weights of all of them are looked for, and what was trained on labels or with
    values that have changed since is refused, unless it is to be trained anew. Without `rows`, those for whose
    classes no recording has a name are left out, which a warning and the table say.

    Parameters
    ----------
    params : ExperimentParams
        What to do.
    runs : callable
        Returns the labelled run that a run of the experiment learns from (its `dataset`, its `pipeline`).
    out : Path
        Folder to write.
    reduced : bool
        The small form, for a CPU.
    seeds : sequence of int
        Instead of the file's.
    rows : sequence of str
        Names of the runs that are wanted; none: all. Results of others stay in the table if they are there.
    options : TrainOptions, optional
        How trainings are run. With `init`, runs that begin with another's weights begin with that checkpoint; its path
        may hold ``{seed}``.
    on_event : callable, optional
        Told of what `train` tells, and ``{"event": "run", "name", "seed"}`` before each.

    Raises
    ------
    ConfigError
        If a row, a run of the dataset or a class is not there, or `init` is given and no run begins with weights.
    SchemaError
        If labels, or the weights to begin with, are missing or do not fit, or labels have changed since.
    """
    options = options or TrainOptions()
    tell = on_event or (lambda _: None)
    given = tuple(seeds) or params.seeds
    where, left_out = plan_runs(params, runs, rows, given, options.init, reduced)
    if not options.anew:
        check_trained(params, where, out, given, reduced)
    for name, why in left_out.items():
        log.warning("row %r is left out: %s", name, why)
    controls = _controls(params, runs)
    results = [r for r in _results_there(out, reduced) if r["name"] not in where or r["seed"] not in given]
    results = _of_these_labels(results, params, runs)
    for run in params.runs:
        for seed in given if run.name in where else ():
            tell({"event": "run", "stage": "experiment", "name": run.name, "seed": seed})
            found = _run(params, run, seed, where[run.name], controls, out, reduced, options, tell)
            results += [found] if found is not None else []
    names = [run.name for run in params.runs]
    results = sorted((r for r in results if r["name"] in names), key=lambda r: (names.index(r["name"]), r["seed"]))
    table = results_table(params, results, reduced)
    if left_out:
        table += "\nLeft out: " + "; ".join(f"{name} ({why})" for name, why in left_out.items()) + ".\n"
    write_json(out / "results.json", {"title": params.title, "reduced": reduced, "results": results})
    write_bytes(out / "table.md", table.encode())
    return ExperimentResult(out, table, results)


def _results_there(out: Path, reduced: bool) -> list[dict[str, Any]]:
    """Return what an earlier call left, if it was of the same form."""
    try:
        said = json.loads((out / "results.json").read_text())
        return list(said["results"]) if said["reduced"] == reduced else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _of_these_labels(
    results: Sequence[dict[str, Any]], params: ExperimentParams, runs: Callable[[RunParams], RunFolder]
) -> list[dict[str, Any]]:
    """Leave out, with a warning, what was measured on labels that have changed since: it is of another test."""
    kept = []
    for result in results:
        run = next((run for run in params.runs if run.name == result["name"]), None)
        said = result.get("labels_fingerprint")  # older results do not say
        if run is not None and said is not None:
            try:
                now = read_index(runs(run).index)[1].get("fingerprint")
            except (ConfigError, SchemaError):  # its labels were not given this time
                now = said
            if now != said:
                log.warning(
                    "row %r, seed %d, was measured on labels that have changed since, and is no longer in the table",
                    *(result["name"], result["seed"]),
                )
                continue
        kept.append(result)
    return kept


def _run(
    params: ExperimentParams,
    run: RunParams,
    seed: int,
    labels: RunFolder,
    controls: Mapping[str, RunFolder],
    out: Path,
    reduced: bool,
    options: TrainOptions,
    tell: Event,
) -> dict[str, Any] | None:
    folder = training_folder(out, run.name, seed)
    init = None if run.init is None else _checkpoint(training_folder(out, run.init, seed))
    if run.init is not None and options.init is not None:
        init = of_seed(options.init, seed)
    values = training_params(params, run, seed, reduced)
    cache = rgb_cache(labels, out)
    how = TrainOptions(**{**vars(options), "resume": True, "init": init, "cache": cache})
    trained = train(labels, values, folder, how, tell)
    if not run.table:
        return None
    checkpoint = _checkpoint(folder)
    outcome, model = evaluate(
        checkpoint,
        labels,
        params.split,
        device=options.device,
        workers=options.workers,
        cache=cache,
        dataset=options.dataset,
    )
    found = write_evaluation(folder / params.split, checkpoint, labels, params.split, outcome, model)
    kept: dict[str, Any] = {key: found[key] for key in _KEPT if key in found}
    kept["labels_fingerprint"] = found["labels"]["fingerprint"]
    kept["dataset"] = run.dataset
    kept["classes"] = {c["name"]: c["recall"] for c in found.get("classes", ())}
    if "mesh" in model.content["labels"] and set(params.metrics) & set(MESH_WORDS):
        where: dict[str, Any] = {"device": options.device, "cache": cache, "dataset": options.dataset}
        try:
            meshes = evaluate_meshes(
                checkpoint, labels, params.split, controls=controls, surfaces=_SURFACES[reduced], **where
            )
        except NoTruth as err:
            log.warning("row %r: %s", run.name, err)
        else:
            write_mesh_evaluation(folder / params.split, meshes)
            kept["meshes"] = {"labels": labels.path.name, "rows": meshes["rows"]}
    return {"name": run.name, "seed": seed, "n_parameters": trained.n_parameters, "steps": found["steps"], **kept}


def _controls(params: ExperimentParams, runs: Callable[[RunParams], RunFolder]) -> dict[str, RunFolder]:
    """Find the runs whose faces stand beside the refined ones, before anything is trained."""
    found = {}
    for name, pipeline in params.controls.items():
        try:
            found[name] = runs(RunParams(name=name, model=params.runs[0].model, pipeline=pipeline))
            read_index(found[name].index)
        except (ConfigError, SchemaError) as err:
            raise ConfigError(f"control {name!r}: {err}") from err
    return found


def results_table(params: ExperimentParams, results: Sequence[Mapping[str, Any]], reduced: bool) -> str:
    """Return the table: a row per run, mean and standard deviation over seeds, the paper's numbers beside them."""
    head = [""]
    for metric in params.metrics:
        head.append(_WORDS[metric])
        if any(metric in run.paper for run in params.runs):
            head.append("paper")
    rows = []
    for run in params.runs:
        mine = [r for r in results if r["name"] == run.name]
        if not mine:
            continue
        row = [run.name]
        for metric in params.metrics:
            values = [x for r in mine if (x := _measured(r, metric)) is not None]
            row.append(_mean(values, 100.0 if metric in _PERCENT else 1.0))
            if any(metric in other.paper for other in params.runs):
                row.append(f"{run.paper[metric]:g}" if metric in run.paper else "")
        rows.append(row)
    rows += _unrefined(params, results)
    seeds = sorted({int(r["seed"]) for r in results})
    form = "reduced form" if reduced else "full form"
    told = [_measured_on(r, params.split) for r in results]
    about = "; ".join(dict.fromkeys(told)) if len(set(told)) <= _NAMED else f"{told[0]}, and others"
    lines = [f"# {params.title}", "", f"{form}; {about}; seeds {', '.join(map(str, seeds))}.", ""]
    text = "\n".join(lines) + "\n" + markdown(head, rows) + (f"\n{params.note}\n" if params.note else "")
    for result in results:
        if seen := seen_words({**result, "split": params.split}):
            text += f"\n**{result['name']}, seed {result['seed']}: {seen}.**\n"
    return text + (_classes_table(params, results) if params.classes else "")


def _measured(result: Mapping[str, Any], metric: str, row: str = REFINED) -> float | None:
    """Return what was measured; of faces, of those that a network refined, or of another row."""
    if metric in MESH_WORDS:
        value = result.get("meshes", {}).get("rows", {}).get(row, {}).get(metric)
    else:
        value = result["overall"].get(metric, {}).get("value") if row == REFINED else None
    return None if value is None else float(value)


def _unrefined(params: ExperimentParams, results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return rows of faces that no network made: the labels learnt from, those after a filter, and controls."""
    rows = []
    for labels in dict.fromkeys(r["meshes"]["labels"] for r in results if "meshes" in r):
        first = next(r for r in results if r.get("meshes", {}).get("labels") == labels)
        words = {COARSE: f"coarse: {labels}", SMOOTHED: f"{labels}, Savitzky-Golay"}
        for name in first["meshes"]["rows"]:
            if name == REFINED:
                continue
            row = [words.get(name, name)]
            for metric in params.metrics:
                value = _measured(first, metric, name)
                row.append("" if value is None else f"{value:.3f}")
                if any(metric in run.paper for run in params.runs):
                    row.append("")
            rows.append(row)
    return rows


def _measured_on(result: Mapping[str, Any], part: str) -> str:
    of = "_classified" if "n_classified" in result else ""
    n, people = result.get("n_classified", result["n_videos"]), counted(result[f"n_subjects{of}"], "subject")
    chance = f", always the most frequent class {100 * result['chance']:.1f} %" if "chance" in result else ""
    return f"{counted(n, 'recording')} of {people} ({part}){chance}"


def _classes_table(params: ExperimentParams, results: Sequence[Mapping[str, Any]]) -> str:
    """Return the share found of each class, %, a column per run."""
    there = [run for run in params.runs if any(r["name"] == run.name for r in results)]
    rows = []
    for name in dict.fromkeys(name for r in results for name in r["classes"]):
        row = [name]
        for run in there:
            found = [x for r in results if r["name"] == run.name and (x := r["classes"].get(name)) is not None]
            row.append(_mean(found, 100.0))
        rows.append(row)
    return "\nAccuracy of each class, %:\n\n" + markdown(["", *(run.name for run in there)], rows)


def _mean(values: Sequence[float], scale: float) -> str:
    if not values:
        return ""
    digits = 1 if scale == 100.0 else 3
    mean = f"{scale * statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} +- {scale * statistics.stdev(values):.{digits}f}"


def _checkpoint(folder: Path) -> Path:
    best = folder / BEST
    return best if best.is_file() else folder / LAST
