"""`au3dmm synth`: recordings whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import click

from au3dmm.cli.output import print_json
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


def _was_made_here(folder: Path) -> bool:
    """Whether a session was rendered by us: a real recording is never replaced."""
    try:
        truth = json.loads((folder / "truth.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(truth, dict) and truth.get("simulated") is True and "movements" in truth
