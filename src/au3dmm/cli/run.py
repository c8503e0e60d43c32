"""`au3dmm run`: a whole dataset."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from au3dmm.cli.options import progress_option
from au3dmm.cli.output import aligned, counted, print_json, program, say
from au3dmm.cli.progress import Mode, logging_to
from au3dmm.cli.run_progress import left, make_run_reporter

if TYPE_CHECKING:
    from au3dmm.api import DatasetPlan, DatasetResult, RunOptions

_DEMO = (
    "DEMO BASIS: these labels are for trying out only, not for science.",
    "Give a basis of your own with --bases FILE, or in dataset.toml.",
)
# how the identity stage begins what it says of neutral faces that cannot be believed
_DOUBTS = ("neutral face of ", "two people ")
_STAGES = ["bases", "detect", "identity", "fit", "sync", "frames", "align", "consolidate"]
_NAMED = 5


@click.command("run", short_help="Label every session of a dataset, and put the labels together.")
@click.argument("pipeline", required=False, type=click.Path(path_type=Path))
@click.option("--dataset", type=click.Path(path_type=Path), required=True, help="Folder with sessions below it.")
@click.option(
    "--bases", type=click.Path(path_type=Path), help="Basis file; default: dataset.toml's, or the demo basis."
)
@click.option("--out", type=click.Path(path_type=Path), help="Default: DATASET/derivatives/au3dmm/<pipeline>.")
@click.option("--dry-run", is_flag=True, help="Print what would run and why; write nothing.")
@click.option("--from", "first", type=click.Choice(_STAGES), help="First stage to run.")
@click.option("--until", "last", type=click.Choice(_STAGES), help="Last stage to run.")
@click.option("--only", type=click.Choice(_STAGES), help="The one stage to run.")
@click.option("--force", is_flag=True, help="Run those stages even where they are up to date.")
@click.option("--retry-failed", is_flag=True, help="Also try what failed before and has not changed since.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N sessions, rounded up to whole subjects.")
@click.option("--shard", metavar="I/N", help="Part I of N, for array jobs: whole subjects; nothing is put together.")
@click.option(
    "--executor",
    default="processes",
    show_default=True,
    help="serial, processes, dask, or a Dask scheduler (tcp://host:8786).",
)
@click.option("--workers", type=click.IntRange(min=1), help="Default: one per core.")
@click.option("--memory-limit", metavar="SIZE", help="Per worker, such as 3GiB; a job that needs more fails alone.")
@click.option(
    "--detector",
    type=click.Choice(["mediapipe", "face-alignment", "precomputed"]),
    help="Wins over the pipeline file.",
)
@click.option(
    "--sync", type=click.Choice(["trigger", "motion", "shared", "start"]), help="Wins over session.toml and pipeline."
)
@click.option("--device", default="cpu", show_default=True, help="Where networks run: cpu, cuda, cuda:1, mps.")
@click.option("--weights-dir", type=click.Path(path_type=Path), help="Folder of detector weights.")
@click.option("--overlay", is_flag=True, help="Draw overlay.png, calibration.png and clock.png of every session.")
@click.option("--session-pages", is_flag=True, help="Also write report.html of every session.")
@click.option("--thumbnails", is_flag=True, help="Those pages may show faces; otherwise they show none.")
@progress_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on stdout.")
@click.option("-v", "--verbose", count=True, help="Also what stages warn of; with --dry-run every session.")
def run(
    pipeline: Path | None,
    dataset: Path,
    bases: Path | None,
    out: Path | None,
    dry_run: bool,
    first: str | None,
    last: str | None,
    only: str | None,
    force: bool,
    retry_failed: bool,
    limit: int | None,
    shard: str | None,
    executor: str,
    workers: int | None,
    memory_limit: str | None,
    detector: str | None,
    sync: str | None,
    device: str,
    weights_dir: Path | None,
    overlay: bool,
    session_pages: bool,
    thumbnails: bool,
    progress: Mode,
    as_json: bool,
    verbose: int,
) -> int:
    """Label every session of a dataset, and put the labels together.

    PIPELINE is a pipeline file (TOML), or a shipped one by its name (facemorphic); default: label. What is up to date
    is not computed again. A session that fails is named and stops no other (exit code 3). Ctrl-C stops in good order,
    a second one at once; the same command continues.
    """
    from au3dmm.api import RunOptions, plan_dataset, run_dataset
    from au3dmm.executors.base import parse_memory

    if only is not None and (first or last):
        raise click.UsageError("--only names the one stage; leave --from and --until away")
    if thumbnails and not session_pages:
        raise click.UsageError("--thumbnails is for the pages of sessions; give --session-pages, too")
    options = RunOptions(
        first=only or first,
        last=only or last,
        force=force,
        retry_failed=retry_failed,
        limit=limit,
        shard=None if shard is None else _shard(shard),
        executor=executor,
        workers=workers,
        memory_limit=None if memory_limit is None else parse_memory(memory_limit),
        device=device,
        weights=None if weights_dir is None else str(weights_dir),
        overlay=overlay,
        session_pages=session_pages,
        thumbnails=thumbnails,
    )
    what: dict[str, Any] = {"pipeline": pipeline, "bases": bases, "out": out, "detector": detector, "sync": sync}
    reporter = make_run_reporter(progress)
    with reporter, logging_to(reporter.reporter, 0), contextlib.redirect_stdout(sys.stderr):
        if dry_run:
            plan = plan_dataset(dataset, options=options, **what)
        else:
            result = run_dataset(dataset, options=options, on_event=reporter, **what)
    if dry_run:
        if as_json:
            print_json(plan.to_dict())
        else:
            say(planned(plan, verbose))
        return 0
    for name, texts in result.warnings.items() if verbose else ():
        for text in texts:
            reporter.reporter.message("warning", f"{name}: {text}")
    if result.basis["kind"] == "demo":
        reporter.reporter.banner(_DEMO)
    if as_json:
        print_json(result.to_dict())
    else:
        say(summary(result, options))
    return result.exit_code


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise click.BadParameter(f"{text!r}: expected I/N, such as 3/16", param_hint="--shard")
    return int(match[1]), int(match[2])


def summary(result: DatasetResult, options: RunOptions) -> str:
    """Return what a person wants to know of a finished run: how many, what failed and why, what to do next."""
    counts = Counter(result.states.values())
    did = ", ".join(
        f"{counts[word]} {word}" for word in ("labelled", "up to date", "failed", "not done") if counts[word]
    )
    title = (
        f"dataset {result.dataset}: {counted(len(result.states), 'session')}: {did or 'none'}; {left(result.seconds)}"
    )
    rows = []
    if result.stopped:
        rows.append(("stopped", result.stopped))
    for failure in result.failures[:_NAMED]:
        rows.append(("failed", f"{failure.session_id}: {failure.stage}: {failure.message}"))
    if len(result.failures) > _NAMED:
        rows.append(("", f"and {len(result.failures) - _NAMED} more: {result.folder.failures}"))
    if result.excluded:
        rows.append(("left out", f"{counted(len(result.excluded), 'session')}: {next(iter(result.excluded.values()))}"))
    if result.consolidated:
        told = result.consolidated
        splits = ", ".join(f"{name} {n}" for name, n in told.get("splits", {}).items())
        rows.append(("labels", f"{told['rows']} rows, {told['rows_ok']} with values: {result.folder.labels}"))
        rows.append(("splits", f"{splits} (sessions)"))
    doubtful = [text for texts in result.warnings.values() for text in texts if text.startswith(_DOUBTS)]
    if doubtful:
        rows.append(("doubtful", doubtful[0]))
    if len(doubtful) > 1:
        rows.append(("", f"and {len(doubtful) - 1} more: {result.folder.report} shows them, -v prints them"))
    n_warnings = sum(map(len, result.warnings.values()))
    if n_warnings:
        rows.append(("warnings", f"{n_warnings} of stages; -v prints them"))
    busy = sum(result.work_s.values())
    if busy:
        slowest = max(result.work_s, key=lambda name: result.work_s[name])
        rows.append(
            (
                "work",
                f"{left(busy)} over {counted(result.n_workers, 'worker')}, {100 * result.work_s[slowest] / busy:.0f} %"
                f" of it {slowest}",
            )
        )
    rows.append(("basis", f"{result.basis['path']} ({result.basis['kind']})"))
    rows += [("look at", str(path)) for path in (result.folder.report,) if path.exists()]
    rows.append(("all files", str(result.folder.path)))
    return f"{title}\n{aligned(rows)}\n\nnext\n{aligned(_next(result, options))}"


def _next(result: DatasetResult, options: RunOptions) -> list[tuple[str, str]]:
    from au3dmm.io.run_folder import DERIVATIVES

    dataset, out = shlex.quote(str(result.dataset)), shlex.quote(str(result.folder.path))
    inside = (result.dataset / DERIVATIVES) in result.folder.path.parents
    again = f"{program()} run --dataset {dataset}" + ("" if inside else f" --out {out}")
    where = dataset if inside else out
    steps = []
    if result.stopped:
        steps.append(("go on", "the same command"))
    if result.failures:
        steps.append(("mend them, then", "the same command; what has not changed is tried again with --retry-failed"))
    if options.limit is not None:
        steps.append(("look at", str(result.folder.sessions)))
        steps.append(("put these together", f"{again} --only consolidate"))
    if options.shard is not None:
        steps.append(("when all parts are done", f"{again} --only consolidate"))
    if result.consolidated:
        path = str(result.folder.path)
        steps.append(("read in Python", f"import au3dmm; table = au3dmm.read_labels({path!r}, split='train')"))
        steps.append(("check everything", f"{program()} validate --dataset {where}"))
    return steps or [("look at", str(result.folder.path))]


def planned(plan: DatasetPlan, verbose: int) -> str:
    """Return a plan for people: how many sessions each stage would run for, and why."""
    whys: dict[str, Counter[str]] = {}
    for session in plan.sessions:
        for stage, why in session.why.items():
            whys.setdefault(stage, Counter())[why] += 1
    for why in plan.subjects.values():
        whys.setdefault("identity", Counter())[why] += 1
    rows = [("bases", plan.bases)] if plan.bases else []
    for stage in _STAGES:
        if stage in whys:
            things = "subject" if stage == "identity" and plan.subjects else "session"
            reasons = "; ".join(f"{n} {why}" for why, n in whys[stage].most_common(_NAMED))
            rows.append((stage, f"{counted(sum(whys[stage].values()), things)}: {reasons}"))
    if plan.consolidate:
        rows.append(("consolidate", plan.consolidate))
    stay = [session for session in plan.sessions if session.failure is not None]
    current = sum(not session.why and session.failure is None for session in plan.sessions)
    rows.append(("up to date", counted(current, "session")))
    if stay:
        rows.append(("failed before", f"{counted(len(stay), 'session')}, not tried again without --retry-failed"))
    rows += [("cannot be used", f"{f.path}: {f.message}") for f in plan.broken]
    if plan.excluded:
        rows.append(("left out", f"{counted(len(plan.excluded), 'session')}: {next(iter(plan.excluded.values()))}"))
    lines = []
    for session in plan.sessions if verbose else ():
        if session.failure is not None:
            lines.append((session.session_id, f"failed before: {session.failure.stage}: {session.failure.message}"))
        elif session.why:
            lines.append((session.session_id, "; ".join(f"{stage} ({why})" for stage, why in session.why.items())))
    title = f"would do in {plan.folder.path}: {counted(len(plan.sessions), 'session')}"
    return "\n".join([title, aligned(rows), *([aligned(lines)] if lines else [])])
