"""`au3dmm view`: a labelled session in the Rerun viewer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from au3dmm.cli.options import progress_option
from au3dmm.cli.output import amount, say
from au3dmm.cli.plot import BIOMETRIC, default_name, progress_of, session_options
from au3dmm.cli.progress import Mode, make_reporter


@click.command(short_help="Look at a labelled session in the Rerun viewer.")
@session_options
@click.option("--save", type=click.Path(path_type=Path), help="Write this .rrd, and do not open it.")
@click.option("--open/--no-open", "opens", default=None, help="Whether to open it; default: yes, without --save.")
@click.option("--mesh-fps", type=click.FloatRange(0.1, 1000), help="Heads a second; default: all that go into 300 MB.")
@click.option("--no-rgb", is_flag=True, help="No RGB frames, and the mean head instead of the person's.")
@progress_option
def view(
    session: Path,
    run: Path | None,
    bases: Path | None,
    save: Path | None,
    opens: bool | None,
    mesh_fps: float | None,
    no_rgb: bool,
    progress: Mode,
) -> None:
    """Look at a labelled session in the Rerun viewer: frames, events, landmarks, head and curves on one clock.

    Writes a recording (.rrd) and opens it; any viewer of Rerun of the same version shows it, too. Needs the extra
    `rerun`: pip install 'au3dmm[rerun]'.

    SESSION is a recording's folder (with session.toml) that was labelled, or the folder of its results.
    """
    from au3dmm.errors import ConfigError
    from au3dmm.io.labelled_session import find_labelled
    from au3dmm.report.rerun_recording import rerun_module, write_recording

    rerun_module()  # before any work
    found = find_labelled(session, run, bases)
    path = save or default_name(found, "view.rrd")
    if path.suffix.lower() != ".rrd":
        raise ConfigError(f"{path}: Rerun's recordings end in .rrd; give --save NAME.rrd")
    reporter = make_reporter(progress)
    with reporter:
        n = write_recording(found, path, mesh_fps=mesh_fps, rgb=not no_rgb, progress=progress_of(reporter, "view"))
    lines = [f"{path} ({amount(path.stat().st_size)}): {n} frames"]
    if not no_rgb:
        lines.append(BIOMETRIC)
    if opens if opens is not None else save is None:
        lines.append(_open(path))
    say("\n".join(lines))


def _open(path: Path) -> str:
    """Start the viewer, which outlives this command, and say what happened."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return f"no screen here: rerun {path} opens it on a machine with one, rerun --web-viewer {path} in a browser"
    subprocess.Popen(
        [sys.executable, "-m", "rerun", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return "opened in the Rerun viewer"
