"""One page that shows what became of a whole dataset: failures first, then sessions, splits, action units, subjects."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from au3dmm.errors import Au3dmmError, BusyError
from au3dmm.io.atomic import folder_lock, write_bytes
from au3dmm.io.evaluations import Evaluated, ExperimentTable, evaluations_in, experiments_in
from au3dmm.io.failures import read_failures
from au3dmm.io.neutral_faces import NeutralRow, neutral_faces
from au3dmm.io.run_folder import DERIVATIVES, RunFolder
from au3dmm.io.sessions_index import IndexRow, Tally, asked_for, frame_word, outcome_counts, part_of, read_index, tally
from au3dmm.report.calibration import KINDS, LIMITS, calibration_of
from au3dmm.report.session_files import PAGE
from au3dmm.report.trained_models import trained_models

log = logging.getLogger(__name__)
_TEMPLATES = Path(__file__).with_name("templates")
_BINS = 10
_LEFT, _TOP, _SIDE = 46, 10, 260  # of the drawing of the uncertainty
_WAIT_S, _TRIES = 0.5, 60


def write_dataset_page(out: RunFolder) -> None:
    """Write ``report.html`` of a run that is consolidated: one HTML file that needs no network.

    Raises
    ------
    SchemaError
        If there is no index, or `failures.jsonl` is not what it should be.
    OutputError
        If the page cannot be written.
    """
    rows, metadata = read_index(out.index)
    people = neutral_faces(out, rows)
    html = dataset_page(
        rows,
        metadata,
        read_failures(out.failures),
        again=retry_command(out),
        neutral=people,
        evaluations=evaluations_in(out),
        experiments=experiments_in(out),
        pages={row.session_id for row in rows if (out.session(row.session_id) / PAGE).is_file()},
    )
    write_bytes(out.report, html.encode())


def refresh_dataset_page(out: RunFolder, results: Path) -> None:
    """Write ``report.html`` anew because of results of training, if they lie where it looks for them.

    Whoever holds the dataset's folder is waited for. Results stand by themselves: if the page cannot be written, that
    is only warned of.

    Parameters
    ----------
    out : RunFolder
        The run.
    results : Path
        The folder of the results.
    """
    places = [place.resolve() for place in (out.training, out.experiments)]
    if not any(place in results.resolve().parents for place in places) or not out.index.is_file():
        return
    for attempt in range(_TRIES):
        try:
            with folder_lock(out.dataset):
                write_dataset_page(out)
            return
        except BusyError as err:
            if attempt + 1 == _TRIES:
                log.warning("%s does not show these results: %s", out.report, err)
            else:
                time.sleep(_WAIT_S)
        except Au3dmmError as err:
            log.warning("%s does not show these results: %s", out.report, err)
            return


def retry_command(out: RunFolder) -> str:
    """Return the command that tries the failed sessions of a run again.

    Examples
    --------
    >>> retry_command(RunFolder(Path("data/derivatives/au3dmm/label")))
    'au3dmm run label --dataset . --retry-failed'
    """
    inside = out.path.parent.parts[-2:] == DERIVATIVES.parts
    where = "--dataset ." if inside else "--dataset DATASET --out DIR"
    return f"au3dmm run {shlex.quote(out.path.name)} {where} --retry-failed"


def dataset_page(
    rows: Sequence[IndexRow],
    metadata: Mapping[str, Any],
    failures: Sequence[Mapping[str, Any]],
    *,
    again: str,
    neutral: Sequence[NeutralRow] = (),
    evaluations: Sequence[Evaluated] = (),
    experiments: Sequence[ExperimentTable] = (),
    pages: Collection[str] = (),
) -> str:
    """Return the page as HTML; equal datasets give equal text.

    Parameters
    ----------
    rows : sequence of IndexRow
        Every session.
    metadata : mapping
        What the index says of the dataset.
    failures : sequence of mapping
        The lines of `failures.jsonl`: ``session_id, stage, error, message``.
    again : str
        The command that tries failed sessions again.
    neutral : sequence of NeutralRow
        How far the neutral faces can be believed.
    evaluations, experiments : sequence
        Of models trained on these labels.
    pages : collection of str
        Sessions that have a page of their own.
    """
    counts = outcome_counts(rows)
    about = metadata.get("dataset") or {}
    title = (
        f"{about.get('name', 'Dataset')}: {_n(counts['sessions'], 'session')} of {_n(counts['subjects'], 'subject')}"
    )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"count": _count, "percent": _percent, "number": _number}
    said = {str(failure["session_id"]): failure for failure in failures}
    failed = [_failure(row, said.get(row.session_id, {})) for row in rows if row.status == "failed"]
    basis = metadata.get("basis") or {}
    return environment.get_template("dataset.html.j2").render(
        title=title,
        counts=counts,
        frames=frame_word(rows),
        demo=basis.get("kind") == "demo",
        failed=failed,
        again=again,
        facts=_facts(counts, metadata, frame_word(rows)),
        rates=_histogram([row.label_rate for row in rows if row.label_rate is not None]),
        rows=[_session(row, row.session_id in pages) for row in rows],
        tables=[
            ("Split", "part", _tallies(rows, part_of)),
            ("What was asked for", "action unit or task", _tallies(rows, asked_for)),
            ("Subjects", "subject", _tallies(rows, lambda row: row.subject_id)),
        ],
        split_note=_split_note(metadata),
        calibration=_calibration(metadata),
        limits=LIMITS,
        neutral=neutral,
        doubtful=[one for one in neutral if one.doubtful],
        trained=trained_models(evaluations, experiments, metadata.get("fingerprint")),
        problems=sorted((metadata.get("annotation_problems") or {}).items()),
    )


def _calibration(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the check of the uncertainty with its curves in the units of the drawing; None if there is none."""
    found = calibration_of(metadata, "sessions.parquet")
    if found is None:
        return None

    def place(stated: float, share: float) -> tuple[float, float]:
        return round(_LEFT + _SIDE * stated, 1), round(_TOP + _SIDE * (1 - share), 1)

    curves = [
        {"kind": kind, "words": KINDS[kind], "shown": found.shown[kind], "points": [place(*point) for point in points]}
        for kind, points in found.curves.items()
    ]
    ticks = [{"at": place(i / 4, i / 4), "percent": 25 * i} for i in range(5)]
    return {"found": found, "curves": curves, "ticks": ticks, "corners": (place(0, 0), place(1, 1))}


def _failure(row: IndexRow, said: Mapping[str, Any]) -> dict[str, str]:
    stage = str(said.get("stage") or "")
    return {
        "session": row.session_id,
        "subject": row.subject_id or "unknown",
        "stage": stage,
        "error": str(said.get("error") or ""),
        "why": (row.failure or str(said.get("message") or "")).removeprefix(f"{stage}: "),
    }


def _session(row: IndexRow, page: bool) -> dict[str, Any]:
    return {
        "session": row.session_id,
        "link": f"sessions/{quote(row.session_id)}/{PAGE}" if page else "",
        "subject": row.subject_id or "unknown",
        "asked": asked_for(row),
        "status": {"ok": "labelled", "no_events": "no events", "failed": "failed"}[row.status]
        + (", RGB only" if row.status == "ok" and not row.has_events else ""),
        "part": part_of(row) or "",
        "rgb": row.frames_rgb,
        "events": row.frames_event if row.status == "ok" else None,
        "rate": row.label_rate,
        "rmse": row.rmse_px_median,
        "clock": row.clock_method or "",
        "uncertainty": None if row.clock_uncertainty_us is None else row.clock_uncertainty_us / 1000,
    }


def _tallies(rows: Sequence[IndexRow], key: Any) -> list[dict[str, Any]]:
    found: list[Tally] = tally(rows, key)
    most = max((t.rows_ok for t in found), default=0) or 1
    return [{"tally": t, "share": round(100 * t.rows_ok / most, 1)} for t in found]


def _facts(counts: Mapping[str, int], metadata: Mapping[str, Any], frames: str) -> list[tuple[str, str]]:
    basis, clock = metadata.get("basis") or {}, metadata.get("clock") or {}
    detector, about = metadata.get("detector") or {}, metadata.get("dataset") or {}
    worst = clock.get("uncertainty_us_max")
    rate = counts["rows_ok"] / counts["rows"] if counts["rows"] else None
    return [
        ("labelled", f"{_count(counts['ok'])} of {_n(counts['sessions'], 'session')}"),
        ("failed", _n(counts["failed"], "session")),
        ("without events", _n(counts["no_events"], "session")),
        (frames, _count(counts["rows"])),
        ("with values", f"{_count(counts['rows_ok'])} ({_percent(rate)})"),
        ("basis", f"{basis.get('kind') or 'unknown'}, {basis.get('k_au') or 'unknown'} AU components"),
        *([("source", str(metadata["source"]))] if "source" in metadata else []),
        ("landmarks", str(detector.get("name") or "unknown")),
        ("clocks", ", ".join(f"{name} {_count(n)}" for name, n in (clock.get("methods") or {}).items()) or "none"),
        ("clock uncertainty", "unknown" if worst is None else f"{_time(worst)} at most"),
        ("licence", str(about.get("licence") or "not stated")),
        ("made by", str(metadata.get("package") or "unknown")),
    ]


def _split_note(metadata: Mapping[str, Any]) -> str:
    splits = metadata.get("splits") or {}
    leaks = splits.get("leaking_subjects") or 0
    source = splits.get("source")
    text = f"by {splits.get('method')}" if source == "computed" else f"as {source} says"
    return f"{text}; {_n(leaks, 'subject')} in more than one part" if leaks else f"{text}; nobody is in two parts"


def _histogram(rates: Sequence[float]) -> list[dict[str, Any]]:
    counts = [0] * _BINS
    for rate in rates:
        counts[min(int(rate * _BINS), _BINS - 1)] += 1
    most = max(counts) or 1
    return [
        {
            "range": f"{100 * i // _BINS}\u2013{100 * (i + 1) // _BINS}\u202f%",
            "n": n,
            "height": round(100 * n / most, 1),
            "x": 8 + 58 * i,
        }
        for i, n in enumerate(counts)
    ]


def _n(n: int, thing: str) -> str:
    return f"{_count(n)} {thing}" + ("" if n == 1 else "s")


def _time(us: float) -> str:
    """Write a time in the unit that suits it.

    Examples
    --------
    >>> _time(0.08).split(), _time(1500.0).split()
    (['0.08', 'µs'], ['1.5', 'ms'])
    """
    return f"{us:.2g}\u202fµs" if us < 1000 else f"{us / 1000:.3g}\u202fms"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.3g}\u202f%"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
