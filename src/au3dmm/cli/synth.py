"""`au3dmm synth`: recordings whose truth is known."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import click

from au3dmm.cli.output import counted, print_json
from au3dmm.cli.progress import make_reporter
from au3dmm.errors import ConfigError


@click.group()
def synth() -> None:
    """Make recordings whose truth is known."""


@synth.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write; made if needed.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, another person.")
@click.option("--seconds", type=click.FloatRange(min=0.2), default=3.0, show_default=True, help="Length, s.")
@click.option("--session-id", default="synthetic", show_default=True, help="Its name in session.toml.")
@click.option("--force", is_flag=True, help="Replace the session that is in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the truth as one JSON object.")
def session(out: Path, seed: int, seconds: float, session_id: str, force: bool, as_json: bool) -> None:
    """Write a session: a rendered face, its event stream, two clocks, and the truth about all of it.

    A folder that has session.toml is complete; label it with `au3dmm label --session DIR`.
    """
    from au3dmm.io.session import MANIFEST
    from au3dmm.synthetic.session import write_session

    if (out / MANIFEST).exists():
        if not _was_made_here(out):
            raise ConfigError(f"{out / MANIFEST}: a recording that synth did not make; choose another --out DIR")
        if not force:
            raise ConfigError(f"{out / MANIFEST}: a session is there already; --force replaces it")
    with make_reporter("auto") as reporter:
        reporter({"event": "start", "stage": "synth"})
        truth = write_session(
            out,
            seed=seed,
            seconds=seconds,
            session_id=session_id,
            progress=lambda done, total: reporter(
                {"event": "progress", "stage": "synth", "done": done, "total": total}
            ),
        )
    if as_json:
        print_json(truth)
    else:
        rows = (
            f"{truth['rgb_frames']} RGB frames, {truth['event_count']} events, {truth['trigger_edges']} trigger edges"
        )
        click.echo(f"{out}: {rows}")


@synth.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write; made if needed.")
@click.option("--subjects", type=click.IntRange(1, 9999), default=8, show_default=True, help="How many people.")
@click.option(
    "--aus",
    default="all",
    show_default=True,
    help="What they do, by commas: AU1 ... AU56, FREE (combinations), SPEECH, HAPPINESS and other emotions; units: the"
    " 24 action units; emotions: the 8; all: units, FREE and SPEECH.",
)
@click.option("--repetitions", type=click.IntRange(1, 99), default=2, show_default=True, help="Sessions per task.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, other people.")
@click.option("--seconds", type=click.FloatRange(0.5, 600), default=2.5, show_default=True, help="Length of each, s.")
@click.option("--head", default="demo", show_default=True, help="demo, or ict:FILE with the npz of ICT-FaceKit.")
@click.option("--small", is_flag=True, help="Pictures a quarter as large, for trying out.")
@click.option("--workers", type=click.IntRange(1, 512), default=None, help="Processes; as many as cores if not given.")
@click.option("--contact-sheet", is_flag=True, help="Also draw contact_sheet.png: a row per task.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
def dataset(
    out: Path,
    subjects: int,
    aus: str,
    repetitions: int,
    seed: int,
    seconds: float,
    head: str,
    small: bool,
    workers: int | None,
    contact_sheet: bool,
    as_json: bool,
) -> None:
    """Write a dataset of rendered faces: subjects who do each task several times, with the truth beside it.

    Only what is missing, or was made with other options, is made; sessions that are not of this dataset are left as
    they are.
    """
    from au3dmm.synthetic.dataset import write_dataset
    from au3dmm.synthetic.tasks import tasks_of

    tasks = list(tasks_of(aus.split(",")))
    began = time.monotonic()
    with make_reporter("auto") as reporter:
        reporter({"event": "start", "stage": "sessions"})
        result = write_dataset(
            out,
            subjects=subjects,
            tasks=tasks,
            repetitions=repetitions,
            seed=seed,
            seconds=seconds,
            head=head,
            small=small,
            workers=workers or _n_cores(),
            progress=lambda done, total: reporter(
                {"event": "progress", "stage": "sessions", "done": done, "total": total}
            ),
        )
        if contact_sheet:
            result["contact_sheet"] = str(_draw_sheet(out, subjects, tasks))
        for name in result["others"][:1]:
            n = counted(len(result["others"]), "session")
            reporter.message("warning", f"{out}: {n} of another dataset, such as {name}; left as it was")
    result["out"], result["seconds"] = str(out), round(time.monotonic() - began, 1)
    if as_json:
        print_json(result)
        return
    what = f"{counted(result['sessions'], 'session')} of {counted(subjects, 'subject')}"
    click.echo(f"{out}: {what}: {result['made']} made, {result['up_to_date']} up to date")


def _draw_sheet(out: Path, subjects: int, tasks: list[str]) -> Path:
    """Draw a strip per task, of one subject after another."""
    from au3dmm.io.images import write_image
    from au3dmm.report.event_picture import event_sheet
    from au3dmm.synthetic.contact_sheet import task_strip
    from au3dmm.synthetic.takes import session_files

    strips, captions = [], []
    for i, task in enumerate(tasks):
        folder, truth = session_files(i % subjects, task, 1)
        strips.append(task_strip(out / folder, out / truth))
        captions.append(f"{folder.name}: neutral, apex, events at onset")
    path = out / "contact_sheet.png"
    write_image(path, event_sheet(strips, captions, title=f"{out.name}: rendered heads, nobody was filmed", columns=2))
    return path


def _n_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _was_made_here(folder: Path) -> bool:
    """Whether a session was rendered by us: a real recording is never replaced."""
    try:
        truth = json.loads((folder / "truth.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(truth, dict) and truth.get("simulated") is True and "movements" in truth
