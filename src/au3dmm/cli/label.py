"""`au3dmm label`: one session, end to end."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from au3dmm.cli.options import reporting_options
from au3dmm.cli.output import aligned, number, print_json, program, say
from au3dmm.cli.progress import Mode, Reporter, logging_to, make_reporter

if TYPE_CHECKING:
    from au3dmm.api import LabelResult

_DEMO = (
    "DEMO BASIS: these labels are for trying out only, not for science.",
    "Give a basis of your own with --bases FILE.",
)
_SHOWN = {
    "labels": "labels",
    "event_frames": "frames file",
    "coefficients": "coefficients",
    "overlay": "overlay",
    "calibration_picture": "calibration",
    "clock_picture": "clock picture",
}


def _workers(context: click.Context, parameter: click.Parameter, value: str | None) -> int | Literal["auto"] | None:
    if value is None:
        return None
    if value == "auto":
        return "auto"
    if not value.isdecimal() or not int(value):
        raise click.BadParameter(f"{value!r}: expected a number of processes from 1 on, or auto")
    return int(value)


@click.command(short_help="Label every event frame of a session.")
@click.option("--session", type=click.Path(path_type=Path), required=True, help="Folder that holds session.toml.")
@click.option("--bases", type=click.Path(path_type=Path), help="Basis file (.npz); default: the shipped demo basis.")
@click.option(
    "--pipeline",
    type=click.Path(path_type=Path),
    help="Pipeline file (TOML), or a shipped one by its name (facemorphic); default: label.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="The run's folder; default: SESSION/derivatives/au3dmm/<pipeline>."
)
@click.option(
    "--detector",
    type=click.Choice(["mediapipe", "face-alignment", "precomputed"]),
    help="Landmark detector; wins over the pipeline file.",
)
@click.option(
    "--check-with",
    type=click.Choice(["mediapipe", "face-alignment", "precomputed"]),
    help="A second detector, which checks the first on every tenth frame; wins over the pipeline file.",
)
@click.option(
    "--sync",
    type=click.Choice(["trigger", "motion", "shared", "start"]),
    help="How RGB and event clocks are related; wins over session.toml and the pipeline file.",
)
@click.option(
    "--device", default="cpu", show_default=True, help="Where networks run: cpu, cuda, cuda:1, mps; or cuda:0,cuda:1."
)
@click.option(
    "--workers",
    callback=_workers,
    metavar="N",
    help="Processes that detect landmarks; auto: one per core. They change no result. Default: 1, or one per GPU.",
)
@click.option("--weights-dir", type=click.Path(path_type=Path), help="Folder of detector weights.")
@click.option("--overlay", is_flag=True, help="Also draw overlay.png, calibration.png and clock.png.")
@click.option("--thumbnails", is_flag=True, help="report.html may show faces; otherwise it shows none.")
@reporting_options
def label(
    session: Path,
    bases: Path | None,
    pipeline: Path | None,
    out: Path | None,
    detector: str | None,
    check_with: str | None,
    sync: str | None,
    device: str,
    workers: int | Literal["auto"] | None,
    weights_dir: Path | None,
    overlay: bool,
    thumbnails: bool,
    progress: Mode,
    as_json: bool,
    verbose: int,
) -> None:
    """Label every event frame of a session; of one without events, every RGB frame.

    What is up to date is not computed again, and an interrupted run continues where it stopped.
    """
    reporter = make_reporter(progress)
    # stdout is for the result alone, whatever a library prints
    with reporter, logging_to(reporter, verbose), contextlib.redirect_stdout(sys.stderr):
        from au3dmm.api import label_session

        result = label_session(
            session,
            bases=bases,
            pipeline=pipeline,
            out=out,
            detector=detector,
            check_with=check_with,
            sync=sync,
            device=device,
            workers=workers,
            weights=weights_dir,
            overlay=overlay,
            report=True,
            thumbnails=thumbnails,
            on_event=reporter,
        )
    _warn(result, reporter)
    if as_json:
        print_json(result.to_dict())
    else:
        say(summary(result))


def _warn(result: LabelResult, reporter: Reporter) -> None:
    demo = result.basis["kind"] == "demo"
    for text in result.warnings:
        if not (demo and "DEMO" in text):  # the banner says it
            reporter.message("warning", text)
    if demo:
        reporter.banner(_DEMO)


def summary(result: LabelResult) -> str:
    """Return what a person wants to know of a finished session: numbers, files, what to do next."""
    did = "up to date" if set(result.stages.values()) == {"up to date"} else "labelled"
    rows = [("RGB frames", f"{result.frames_rgb}, a face fitted in {share(result.frames_face, result.frames_rgb)}")]
    rest = ", ".join(f"{n} {word}" for word, n in result.status.items() if word != "ok")
    labelled = f"with values in {share(result.frames_labelled, result.frames_event)}" + (f"; {rest}" if rest else "")
    if result.clock is not None:
        rows.append(("event frames", f"{result.frames_event}, one row of labels each, {labelled}"))
    else:
        rows.append(("event frames", f"none; one row of labels per RGB frame, {labelled}"))
    rows += _landmark_rows(result.summaries.get("detect", {}))
    if result.rmse_px_median is not None and result.rmse_iod_median is not None:
        percent = number(100 * result.rmse_iod_median, 3)
        rows.append(
            ("fit error", f"{number(result.rmse_px_median, 3)} px median, {percent} % of the outer eye distance")
        )
    fitted = result.summaries.get("fit", {})
    if "unobservable" in fitted:
        rows.append(("intensities", intensity_line(fitted["weak"], fitted["unobservable"])))
    if result.clock is not None:
        rows.append(("clock", clock_line(result.clock)))
    rows.append(("basis", f"{result.basis['path']} ({result.basis['kind']})"))
    rows += [(title, str(result.outputs[name])) for name, title in _SHOWN.items() if name in result.outputs]
    folder = next(iter(result.outputs.values())).parent
    rows.append(("all files", str(folder)))
    title = f"session {result.session_id} (subject {result.subject_id}): {did} in {result.seconds:.1f} s"
    return f"{title}\n{aligned(rows)}\n\n{_next(result, folder)}"


def _landmark_rows(detected: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say how noisy the landmarks are, and how far a second detector's lie."""
    rows = []
    if detected.get("jitter_px") is not None:
        share_of = number(100 * detected["jitter_iod"], 2)
        noise = f"{number(detected['jitter_px'], 2)} px, {share_of} % of the outer eye distance"
        rows.append(("landmarks", f"noise from frame to frame {noise}"))
    check = detected.get("check")
    if check is not None:
        text = f"{check['frames']} frames"
        if check["median_iod"] is not None:
            text += f", {number(100 * check['median_iod'], 2)} % of the outer eye distance apart (median)"
        text += f"; {check['disagree']} too far" if check["disagree"] else ""
        text += f"; no face for it in {check['missed']} more" if check["missed"] else ""
        rows.append(("checked", text))
    return rows


def _next(result: LabelResult, folder: Path) -> str:
    steps = [("check the files", f"{program()} validate {shlex.quote(str(folder))}")]
    if "labels" in result.outputs:
        path = str(result.outputs["labels"])
        steps = [
            ("read in Python", f"import au3dmm; table = au3dmm.read_labels({path!r})"),
            ("look inside", f"{program()} inspect {shlex.quote(path)}"),
            *steps,
        ]
    if "report" in result.outputs:
        steps.insert(0, ("look at", str(result.outputs["report"])))
    return "next\n" + aligned(steps)


def share(part: int, whole: int) -> str:
    """Write a part of a whole.

    Examples
    --------
    >>> share(470, 472), share(0, 0)
    ('470 (99.6 %)', '0')
    """
    return f"{part} ({100 * part / whole:.1f} %)" if whole else str(part)


def intensity_line(weak: Sequence[str], unobservable: Sequence[str]) -> str:
    """Say which action unit intensities are to be doubted here; the sides of a unit that is named are not.

    Examples
    --------
    >>> intensity_line(["AU7", "AU7_left"], ["AU5"]), intensity_line([], [])
    ('weak (see their std): AU7; not observable here, null: AU5', 'of all action units of the basis')
    """
    parts = []
    for title, names in (("weak (see their std)", weak), ("not observable here, null", unobservable)):
        told = [name for name in names if "_" not in name or name.partition("_")[0] not in names]
        if told:
            parts.append(f"{title}: {', '.join(told)}")
    return "; ".join(parts) or "of all action units of the basis"


def clock_line(clock: Mapping[str, Any]) -> str:
    """Write a clock in one line; what is not known is said to be so.

    Examples
    --------
    >>> clock = {"offset_us": 5.0, "drift_ppm": 0.0, "residual_us": None, "uncertainty_us": None}
    >>> clock_line({"method": "start", "drift_measured": False, **clock})
    'start: offset 5.0 us, drift not measured (taken to be 0), uncertainty unknown'
    """
    parts = [f"{clock['method']}: offset {float(clock['offset_us']):.1f} us"]
    measured = clock["drift_measured"]
    parts.append(f"drift {float(clock['drift_ppm']):+.2f} ppm" if measured else "drift not measured (taken to be 0)")
    if clock.get("residual_us") is not None:
        parts.append(f"residual {number(float(clock['residual_us']), 2)} us")
    doubt = clock.get("uncertainty_us")
    parts.append("uncertainty unknown" if doubt is None else f"uncertainty {number(float(doubt), 2)} us")
    return ", ".join(parts)
