"""`au3dmm render`: a labelled session as a film."""

from __future__ import annotations

from pathlib import Path

import click

from au3dmm.cli.options import progress_option
from au3dmm.cli.output import amount, say
from au3dmm.cli.plot import BIOMETRIC, default_name, progress_of, session_options
from au3dmm.cli.progress import Mode, make_reporter


@click.command(short_help="Make a film of a labelled session.")
@session_options
@click.option("--out", type=click.Path(path_type=Path), help="The film, .mp4. Default: in the current folder.")
@click.option("--panel", default=360, show_default=True, type=click.IntRange(64, 1080), help="Side of a picture, px.")
@click.option("--fps", default=30.0, show_default=True, type=click.FloatRange(1, 1000), help="At most.")
@click.option(
    "--speed", default=1.0, show_default=True, type=click.FloatRange(0.001, 100), help="0.25: four times as slow."
)
@click.option("--start", "start_s", default=0.0, help="s from the first event frame.")
@click.option("--end", "end_s", type=float, help="s from the first event frame. Default: all.")
@click.option("--no-rgb", is_flag=True, help="No RGB frames, and the mean head instead of the person's.")
@progress_option
def render(
    session: Path,
    run: Path | None,
    bases: Path | None,
    out: Path | None,
    panel: int,
    fps: float,
    speed: float,
    start_s: float,
    end_s: float | None,
    no_rgb: bool,
    progress: Mode,
) -> None:
    """Make a film of a labelled session: RGB frame, event frame and fitted head side by side, curves below.

    Each film frame is an event frame at its own time, with the RGB frame nearest to it. The head is coloured by how far
    the coefficients move it from neutral. Faces are biometric data: the film shows one, also in its event frames.

    SESSION is a recording's folder (with session.toml) that was labelled, or the folder of its results.

    \b
    au3dmm render path/to/recording --out smile.mp4 --start 2 --end 4 --speed 0.25
    """  # noqa: D301
    from au3dmm.errors import ConfigError
    from au3dmm.io.labelled_session import find_labelled
    from au3dmm.report.render_video import render as write

    found = find_labelled(session, run, bases)
    path = out or default_name(found, "film.mp4")
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"{path}: films are written as .mp4; give --out NAME.mp4")
    reporter = make_reporter(progress)
    with reporter:
        n, seconds = write(
            found,
            path,
            panel_px=panel + panel % 2,
            fps=fps,
            speed=speed,
            start_s=start_s,
            end_s=end_s,
            rgb=not no_rgb,
            progress=progress_of(reporter, "render"),
        )
    shows = "Its event frames show a face, too: biometric data; ask before you share it." if no_rgb else BIOMETRIC
    say(f"{path} ({amount(path.stat().st_size)}): {n} frames, {seconds:.1f} s\n{shows}")
