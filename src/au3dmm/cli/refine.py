"""`au3dmm refine`: labels of refined faces, for other networks to learn from."""

from __future__ import annotations

from pathlib import Path

import click

from au3dmm.cli.options import reporting_options
from au3dmm.cli.output import aligned, counted, print_json, say
from au3dmm.cli.progress import Mode, logging_to, make_reporter


@click.command("refine", short_help="Put what au_d3dface refined in place of the fit's labels.")
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True, help="best.pt of a trained au_d3dface.")
@click.option("--labels", type=click.Path(path_type=Path), required=True, help="Labelled dataset, or folder of a run.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: <run>-refined beside the run.")
@click.option("--pipeline", help="Which run of the dataset, if it has several.")
@click.option("--dataset", type=click.Path(path_type=Path), help="Where the videos are, for modality = rgb.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--batch", type=click.IntRange(min=0), default=0, help="Clips at a time; default: as in training.")
@reporting_options
def refine(
    checkpoint: Path,
    labels: Path,
    out: Path | None,
    pipeline: str | None,
    dataset: Path | None,
    device: str,
    batch: int,
    progress: Mode,
    as_json: bool,
    verbose: int,
) -> None:
    """Write a run whose alpha_au are those of refined faces, for other networks to learn from.

    All else is as in the run of --labels, and stays there; files that do not change are linked. The tables' metadata
    says source = "refined" and by which checkpoint. Recordings that the network learnt from are refined better than
    others: keep to the same split.

    \b
    au3dmm refine --checkpoint DIR/best.pt --labels DATASET --pipeline label
    au3dmm train --labels DATASET --pipeline label-refined
    """  # noqa: D301
    from au3dmm.io.run_folder import RunFolder
    from au3dmm.io.runs import one_run
    from au3dmm.report.dataset_card import write_dataset_card
    from au3dmm.report.dataset_page import write_dataset_page
    from au3dmm.training.refining import refine_labels

    run = one_run(labels, pipeline)
    folder = RunFolder(out or run.path.resolve().with_name(f"{run.path.resolve().name}-refined"))
    reporter = make_reporter(progress)
    with reporter, logging_to(reporter, verbose):
        reporter({"event": "start", "stage": "refine"})
        found = refine_labels(
            checkpoint,
            run,
            folder,
            device=device,
            batch=batch,
            dataset=dataset,
            progress=lambda done, total: reporter(
                {"event": "progress", "stage": "refine", "done": done, "total": total}
            ),
        )
        write_dataset_card(folder)
        write_dataset_page(folder)
    if as_json:
        print_json(found.to_dict())
        return
    rows = [
        ("labels", f"{counted(found.rows, 'row')} of {counted(found.recordings, 'recording')} ({found.state})"),
        ("moved", f"{found.change_mm:.3f} mm (rms over vertices) from the fit"),
        ("lost", f"{found.lost_mm:.3f} mm of the refined faces, which the basis cannot show"),
        ("folder", str(folder.path)),
    ]
    say(aligned(rows))
