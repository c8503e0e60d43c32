"""`au3dmm plot`: pictures for papers and for a look, as PNG, SVG or PDF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from au3dmm.cli.output import amount, say
from au3dmm.cli.progress import make_reporter

if TYPE_CHECKING:
    from au3dmm.io.labelled_session import LabelledSession

_F = TypeVar("_F", bound=Callable[..., Any])
BIOMETRIC = "It shows the person's face, which is biometric data: ask before you share it."


@click.group(short_help="Draw a session, a basis or a confusion, for papers.")
def plot() -> None:
    """Draw pictures, for papers and for a look.

    The suffix of --out says what is written: .png (300 dpi), .svg or .pdf, with text and lines as vectors. Colours can
    be told apart by colour-blind readers, and equal inputs give equal bytes.

    SESSION is a recording's folder (with session.toml) that was labelled, or the folder of its results
    (RUN/sessions/ID).
    """


def _picture_options(default_width: str | None) -> Callable[[_F], _F]:
    """Add --out, --width and --dpi."""
    shown = default_width or "what it needs"

    def add(command: _F) -> _F:
        for option in (
            click.option("--dpi", type=click.IntRange(50, 1200), default=300, show_default=True, help="Of bitmaps."),
            click.option(
                "--width",
                default=default_width,
                metavar="W",
                help=f"single (85 mm), double (175 mm), or a number of mm. Default: {shown}.",
            ),
            click.option(
                "--out",
                type=click.Path(path_type=Path),
                help="The picture: .png, .svg or .pdf. Default: a PNG in the current folder.",
            ),
        ):
            command = option(command)
        return command

    return add


def session_options(command: _F) -> _F:
    """Add SESSION, --run and --bases: arguments `session`, `run` and `bases`."""
    for option in (
        click.option("--bases", type=click.Path(path_type=Path), help="The basis, if it is not beside the labels."),
        click.option(
            "--run", type=click.Path(path_type=Path), help="The run's folder (label --out), if it is not beside."
        ),
        click.argument("session", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


def default_name(session: LabelledSession, what: str) -> Path:
    """Return a name in the current folder."""
    return Path(f"{session.session_id}_{what}")


def _write(path: Path, picture: bytes, *notes: str) -> None:
    from au3dmm.io.atomic import write_bytes

    write_bytes(path, picture)
    _told(path, *notes)


def _told(path: Path, *notes: str) -> None:
    say("\n".join([f"{path} ({amount(path.stat().st_size)})", *notes]))


@plot.command()
@click.argument("basis", type=click.Path(path_type=Path), required=False)
@click.option("--identity", is_flag=True, help="The identity components instead.")
@_picture_options(None)
def components(basis: Path | None, identity: bool, out: Path | None, width: str | None, dpi: int) -> None:
    """Draw what each component of a basis does: where it moves the face, how far, and which way.

    Default BASIS: the shipped demo basis. A dataset's learnt one is RUN/bases.npz.
    """
    from au3dmm.io.assets import DEMO_BASES, asset_path
    from au3dmm.io.bases import read_bases
    from au3dmm.report.component_sheet import write_component_sheet, write_identity_sheet
    from au3dmm.report.plots_style import suffix_of, width_inches

    source = basis or asset_path(DEMO_BASES)
    path = out or Path(f"{source.stem}_{'identity' if identity else 'components'}.png")
    suffix_of(path)
    wide = None if width is None else width_inches(width)
    (write_identity_sheet if identity else write_component_sheet)(path, read_bases(source), dpi=dpi, width=wide)
    _told(path)


@plot.command()
@session_options
@click.option("-n", "--frames", type=click.IntRange(1, 60), default=6, show_default=True, help="How many.")
@_picture_options("double")
def fit(
    session: Path, run: Path | None, bases: Path | None, frames: int, out: Path | None, width: str, dpi: int
) -> None:
    """Draw frames of a session with their landmarks, and the fitted mesh over the face.

    The quietest frame, the one that fits worst, and the most active ones.
    """
    from au3dmm.io.labelled_session import find_labelled
    from au3dmm.report.plots_fit import draw_fit
    from au3dmm.report.plots_style import suffix_of, width_inches

    found = find_labelled(session, run, bases)
    path = out or default_name(found, "fit.png")
    suffix, wide = suffix_of(path), width_inches(width)
    reporter = make_reporter("auto")
    with reporter:
        picture = draw_fit(found, wide, suffix, dpi, n=frames, progress=progress_of(reporter, "plot"))
    _write(path, picture, BIOMETRIC)


@plot.command()
@session_options
@click.option("-n", "--curves", type=click.IntRange(1, 60), default=6, show_default=True, help="How many.")
@click.option("--only", multiple=True, metavar="NAME", help="A component (c10) or action unit (AU12); repeatable.")
@click.option("--intensities", is_flag=True, help="FACS-like intensities instead of coefficients.")
@_picture_options("double")
def coefficients(
    session: Path,
    run: Path | None,
    bases: Path | None,
    curves: int,
    only: tuple[str, ...],
    intensities: bool,
    out: Path | None,
    width: str,
    dpi: int,
) -> None:
    """Draw the coefficients of a session that vary most over time, each with its uncertainty.

    Where nothing has a value, the ground is grey.
    """
    from au3dmm.io.labelled_session import find_labelled
    from au3dmm.report.plots_coefficients import draw_coefficients, read_curves
    from au3dmm.report.plots_style import suffix_of, width_inches

    found = find_labelled(session, run, bases)
    path = out or default_name(found, "intensities.png" if intensities else "coefficients.png")
    suffix, wide = suffix_of(path), width_inches(width)
    events = found.recording is None or found.recording.manifest.events is not None
    with_events = events and ((found.folder / "labels.parquet").is_file() or found.recording is not None)
    read = read_curves(found.file("labels" if with_events else "coefficients"), intensities=intensities)
    chosen = read.named(only) if only else read.strongest(curves)
    _write(path, draw_coefficients(read, chosen, wide, suffix, dpi))


@plot.command()
@session_options
@_picture_options("254")
def clock(session: Path, run: Path | None, bases: Path | None, out: Path | None, width: str, dpi: int) -> None:
    """Draw the evidence for a session's clock: trigger edges, or what moves in both recordings."""
    from au3dmm.errors import ConfigError
    from au3dmm.io.clock import read_clock, read_evidence
    from au3dmm.io.labelled_session import find_labelled
    from au3dmm.report.clock_picture import draw_clock
    from au3dmm.report.plots_style import suffix_of, width_inches

    found = find_labelled(session, run, bases)
    path = out or default_name(found, "clock.png")
    suffix, wide = suffix_of(path), width_inches(width)
    if wide < 6:
        raise ConfigError(f"width {width!r}: the picture of a clock has two panels; expected 153 mm or more, or double")
    file = found.file("clock")
    picture = draw_clock(
        read_clock(file), read_evidence(file), found.session_id, str(file), suffix=suffix, dpi=dpi, width=wide
    )
    _write(path, picture)


@plot.command()
@session_options
@click.option("-n", "--frames", type=click.IntRange(1, 20), default=6, show_default=True, help="How many instants.")
@click.option("--at", "at_s", type=float, multiple=True, metavar="S", help="An instant, s; repeatable.")
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="predictions.parquet of a trained model: one more row, of what it says.",
)
@click.option("--no-rgb", is_flag=True, help="No RGB frames, and the mean head instead of the person's.")
@_picture_options("double")
def frames(
    session: Path,
    run: Path | None,
    bases: Path | None,
    frames: int,
    at_s: tuple[float, ...],
    predictions: Path | None,
    no_rgb: bool,
    out: Path | None,
    width: str,
    dpi: int,
) -> None:
    """Draw RGB frame, event frame and the head coloured by displacement at the same instants.

    The instants are the quietest and the most active ones, or those of --at, in seconds from the first event frame.
    """
    from au3dmm.io.labelled_session import find_labelled
    from au3dmm.report.plots_frames import draw_frames
    from au3dmm.report.plots_style import suffix_of, width_inches

    found = find_labelled(session, run, bases)
    path = out or default_name(found, "frames.png")
    suffix, wide = suffix_of(path), width_inches(width)
    reporter = make_reporter("auto")
    with reporter:
        picture = draw_frames(
            found,
            wide,
            suffix,
            dpi,
            n=frames,
            at_s=at_s,
            predictions=predictions,
            rgb=not no_rgb,
            progress=progress_of(reporter, "plot"),
        )
    _write(path, picture, *([] if no_rgb else [BIOMETRIC]))


@plot.command()
@click.argument("evaluation", type=click.Path(path_type=Path))
@_picture_options(None)
def confusion(evaluation: Path, out: Path | None, width: str | None, dpi: int) -> None:
    """Draw what the videos of each class were taken for.

    EVALUATION is the folder that au3dmm evaluate wrote (with metrics.json), or one of an experiment.
    """
    from au3dmm.cli.evaluate import confusion_picture
    from au3dmm.report.plots_style import suffix_of, width_inches

    path = out or Path("confusion.png")
    suffix = suffix_of(path)
    how = {"suffix": suffix, "dpi": dpi, "width": None if width is None else width_inches(width)}
    _write(path, confusion_picture(_metrics(evaluation), **how))


def _metrics(folder: Path) -> Mapping[str, Any]:
    """Read ``metrics.json`` of an evaluation that has a confusion."""
    import json

    from au3dmm.errors import SchemaError, os_reason

    path = folder / "metrics.json" if folder.is_dir() else folder
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SchemaError(f"{path}: no such file; au3dmm evaluate makes it") from None
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except (ValueError, RecursionError) as err:
        raise SchemaError(f"{path}: not JSON; evaluate again") from err
    needed = ("confusion", "model", "split", "overall")
    if not isinstance(found, dict) or not isinstance(found.get("confusion"), dict):
        raise SchemaError(f"{path}: no confusion in it: its model tells no classes apart, or none were known")
    missing = [name for name in needed if name not in found]
    if missing:
        raise SchemaError(f"{path}: no {', '.join(missing)} in it; evaluate again")
    return found


def progress_of(reporter: Callable[[Mapping[str, Any]], None], stage: str) -> Callable[[int, int | None], None]:
    """Return what tells a reporter how far a stage is, which begins now."""
    reporter({"event": "start", "stage": stage})
    return lambda done, total: reporter({"event": "progress", "stage": stage, "done": done, "total": total})
