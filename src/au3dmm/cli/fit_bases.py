"""`au3dmm fit-bases`: from corpora of registered heads to the two morphable models."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from au3dmm.cli.options import reporting_options
from au3dmm.cli.output import aligned, counted, number, print_json, program, say
from au3dmm.cli.progress import Mode, logging_to, make_reporter
from au3dmm.errors import ConfigError

if TYPE_CHECKING:
    from au3dmm.basis_building import BasesResult

_DEMO = ("DEMO BASIS: learnt from invented heads; it is for trying out only, not for science.",)


@click.command("fit-bases", short_help="Learn identity and action unit models from corpora of heads.")
@click.option(
    "--corpus",
    "corpora",
    multiple=True,
    default=("synthetic",),
    show_default=True,
    help="vocaset:DIR, d3dfacs:DIR, ict:FILE, meshes:DIR or synthetic[:SEED]; repeat it to join corpora.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("bases.npz"), show_default=True, help="The file.")
@click.option("--k-id", type=click.IntRange(min=1), help="Identity components; default: what the subjects give, <= 22.")
@click.option("--k-au", help="AU components; 16,32,64 makes three files in one run. Default: 32.")
@click.option(
    "--au-method",
    type=click.Choice(["dictionary", "localised", "pca"]),
    help="How AU components are learnt; localised: sparse over the head, too. Default: dictionary.",
)
@click.option("--codes", type=click.Choice(["nonnegative", "signed"]), help="Sign of the codes. Default: nonnegative.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the search. Default: 0.")
@click.option(
    "--pipeline", type=click.Path(path_type=Path), help="Pipeline file (TOML) with a section [bases]; options win."
)
@click.option("--head", help="Imported head that has the corpus' landmarks; default: the one that fits.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Where trees of meshes are converted, once; default: au3dmm.corpora beside OUT.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Threads; they change nothing. Default: one per core.")
@click.option("--no-pictures", is_flag=True, help="Do not draw the components.")
@click.option("--force", is_flag=True, help="Learn again what is up to date; replace a file of other corpora.")
@reporting_options
def fit_bases(
    corpora: tuple[str, ...],
    out: Path,
    k_id: int | None,
    k_au: str | None,
    au_method: str | None,
    codes: str | None,
    seed: int | None,
    pipeline: Path | None,
    head: str | None,
    cache: Path | None,
    workers: int | None,
    no_pictures: bool,
    force: bool,
    progress: Mode,
    as_json: bool,
    verbose: int,
) -> None:
    """Learn ID-3DMM and AU-3DMM from corpora of registered heads, and draw their components.

    \b
    au3dmm fit-bases --corpus ict:ict_facekit.npz --out bases.npz
    au3dmm fit-bases --corpus vocaset:trainingdata --corpus d3dfacs:d3dfacs_alignments --k-au 16,32,64
    """  # noqa: D301
    from au3dmm.api import fit_bases as fit

    given: dict[str, Any] = {"k_id": k_id, "method": au_method, "codes": codes, "seed": seed}
    if k_au is not None:
        given["k_au"] = _numbers(k_au)
    reporter = make_reporter(progress)
    with reporter, logging_to(reporter, verbose), contextlib.redirect_stdout(sys.stderr):
        result = fit(
            corpora,
            out,
            pipeline=pipeline,
            head=head,
            cache=cache,
            workers=workers,
            pictures=not no_pictures,
            force=force,
            on_event=reporter,
            **{name: value for name, value in given.items() if value is not None},
        )
    if result.summary["kind"] == "demo":
        reporter.banner(_DEMO)
    if as_json:
        print_json(result.to_dict())
    else:
        say(summary(result))


def _numbers(text: str) -> list[int]:
    """Read a list of numbers.

    Examples
    --------
    >>> _numbers("16,32, 64")
    [16, 32, 64]
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise ConfigError(f"--k-au {text!r}: expected numbers from 1 with commas between them, like 16,32,64")
    return [int(word) for word in words]


def summary(result: BasesResult) -> str:
    """Return what a person wants to know of new bases: numbers, files, what to do next."""
    told = result.summary
    did = "up to date" if result.state == "up to date" else "learnt"
    title = (
        f"bases from {counted(told['subjects'], 'subject')}, {counted(told['sequences'], 'sequence')},"
        f" {counted(told['frames'], 'frame')}: {did} in {result.seconds:.1f} s"
    )
    rows = [
        ("identity", counted(told["k_id"], "component")),
        ("motion", f"{number(told['rms_offset_mm'], 3)} mm (rms) away from neutral"),
    ]
    for k, path in result.bases.items():
        model = told["models"][k]
        rows.append(
            (
                f"K = {k}",
                f"{number(model['rms_mm'], 3)} mm (rms) left, {100 * model['variance_explained']:.1f} % explained,"
                f" {100 * model['sparsity']:.0f} % of codes zero: {path}",
            )
        )
    rows.append(("licence", told["licence"]))
    if result.lost:
        rows.append(("skipped", f"{len(result.lost)} of the corpora's files or frames, the first: {result.lost[0]}"))
    rows += [("look at", str(path)) for path in result.pictures]
    last = shlex.quote(str(list(result.bases.values())[-1]))
    steps = [
        ("what it holds", f"{program()} inspect {last}"),
        ("label with it", f"{program()} label --session DIR --bases {last} --overlay"),
    ]
    return f"{title}\n{aligned(rows)}\n\nnext\n{aligned(steps)}"
