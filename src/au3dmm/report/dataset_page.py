"""One page that shows what became of a whole dataset: failures, what to look at, sessions, people, action units."""

from __future__ import annotations

import logging
import shlex
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from au3dmm.errors import Au3dmmError, BusyError, SchemaError
from au3dmm.io.atomic import folder_lock, write_bytes
from au3dmm.io.dataset_state import read_dataset_state
from au3dmm.io.evaluations import Evaluated, ExperimentTable, evaluations_in, experiments_in
from au3dmm.io.label_statistics import LabelStatistics, read_label_statistics
from au3dmm.io.neutral_faces import NeutralRow, neutral_faces
from au3dmm.io.run_folder import DERIVATIVES, RunFolder
from au3dmm.io.sessions_index import IndexRow, asked_for, frame_word, part_of
from au3dmm.io.stage_numbers import StageNumbers
from au3dmm.report.calibration import LIMITS
from au3dmm.report.dataset_charts import calibration_drawing, histograms, level_words, most_shown, spread_rows
from au3dmm.report.dataset_facts import (
    dataset_counts,
    dataset_facts,
    dataset_lead,
    dataset_provenance,
    failure_groups,
    failure_reasons,
    plural,
    split_note,
)
from au3dmm.report.dataset_map import component_units, unit_map
from au3dmm.report.dataset_outliers import Suspects, find_suspects
from au3dmm.report.dataset_table import session_table, subject_table, tally_table
from au3dmm.report.page_parts import embedded_json, page_environment
from au3dmm.report.session_files import PAGE
from au3dmm.report.trained_models import trained_models

log = logging.getLogger(__name__)
_WAIT_S, _TRIES = 0.5, 60
_SUSPECTS, _DOUBTFUL = 8, 20  # shown at once; the others open on demand
_SUSPECTS_MOST = 400
_TABLES = ("sessions", "people", "asked", "parts")
_MAP_DATA = ("row_names", "column_names", "units", "values")
_T = TypeVar("_T")


def write_dataset_page(out: RunFolder) -> None:
    """Write ``report.html`` of a run: one HTML file that needs no network. What is unfinished gets a page, too.

    Raises
    ------
    OutputError
        If the page cannot be written.
    """
    state = read_dataset_state(out)
    missing = list(state.missing)
    none: list[NeutralRow] = []
    neutral = _attempt(lambda: neutral_faces(out, state.rows), none, "neutral faces", missing, out)
    statistics = None
    if any(row.first_row is not None for row in state.rows):
        statistics = _attempt(
            lambda: read_label_statistics(out, state.rows, state.metadata), None, "labels", missing, out
        )
    html = dataset_page(
        state.rows,
        state.metadata,
        state.failures,
        again=retry_command(out),
        neutral=neutral,
        evaluations=evaluations_in(out),
        experiments=experiments_in(out),
        pages={row.session_id for row in state.rows if (out.session(row.session_id) / PAGE).is_file()},
        numbers=state.numbers,
        unfinished=state.unfinished,
        statistics=statistics,
        missing=missing,
        report=report_command(out),
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
    where = "--dataset ." if _inside(out) else "--dataset DATASET --out DIR"
    return f"au3dmm run {shlex.quote(out.path.name)} {where} --retry-failed"


def report_command(out: RunFolder) -> str:
    """Return the command that makes the page of a session, up to its name: in the dataset's folder, or the page's own.

    Equal runs have equal pages, so that a folder that somebody chose (``--out``) does not stand in them.

    Examples
    --------
    >>> report_command(RunFolder(Path("data/derivatives/au3dmm/label")))
    'au3dmm report . --pipeline label --session'
    """
    which = f" --pipeline {shlex.quote(out.path.name)}" if _inside(out) else ""
    return f"au3dmm report .{which} --session"


def _inside(out: RunFolder) -> bool:
    return out.path.parent.parts[-2:] == DERIVATIVES.parts


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
    numbers: Mapping[str, StageNumbers] | None = None,
    unfinished: Mapping[str, str] | None = None,
    statistics: LabelStatistics | None = None,
    missing: Sequence[str] = (),
    report: str = "au3dmm report . --session",
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
    numbers : mapping, optional
        What the stages reported, by session.
    unfinished : mapping, optional
        Sessions that are not in the index, and how far they have come.
    statistics : LabelStatistics, optional
        How far the labels spread.
    missing : sequence of str
        What is not there, in words.
    report : str
        The command that makes the page of a session, up to its name.
    """
    numbers, unfinished, told = numbers or {}, unfinished or {}, list(missing)
    counts, frames = dataset_counts(rows, unfinished), frame_word(rows)
    about, basis = metadata.get("dataset") or {}, metadata.get("basis") or {}
    intensity = None if statistics is None else statistics.intensity
    suspects = find_suspects([row for row in rows if row.session_id not in unfinished], numbers, neutral, intensity)
    reasons = failure_reasons(rows, failures)
    why_failed = {
        name: " ".join(filter(None, (one["stage"] and f"{one['stage']}:", one["why"]))) for name, one in reasons.items()
    }
    calibration = _attempt(lambda: calibration_drawing(metadata), None, "the check of the uncertainty", told, None)
    sessions = session_table(
        rows,
        numbers=numbers,
        unfinished=unfinished,
        why=suspects.why(),
        failures=why_failed,
        pages=pages,
        frames=frames,
        report=report,
    )
    tables = [
        sessions,
        subject_table(rows, neutral, suspects.sessions, frames),
        tally_table("asked", "units or tasks", "action unit or task", rows, asked_for, frames),
        tally_table("parts", "parts", "part", rows, part_of, frames),
    ]
    tables = [table for table in tables if table["columns"] and _length(table)]
    of = f"{plural(counts['sessions'], 'session')} of {plural(counts['subjects'], 'subject')}"
    title = f"{about.get('name', 'Dataset')}: {of}"
    units = component_units(() if statistics is None else statistics.alpha.names, basis)
    drawn = unit_map(rows, None if statistics is None else statistics.alpha, units)
    return (
        page_environment()
        .get_template("dataset.html.j2")
        .render(
            title=title,
            lead=dataset_lead(counts, frames),
            counts=counts,
            frames=frames,
            demo=basis.get("kind") == "demo",
            refined=metadata.get("source") == "refined",
            missing=told,
            failed=failure_groups(rows, reasons),
            again=again,
            facts=dataset_facts(counts, metadata, frames),
            suspects=_suspects(suspects, set(pages)),
            look_now=_SUSPECTS,
            histograms=histograms([row for row in rows if row.session_id not in unfinished], numbers, frames),
            tables=dict.fromkeys(_TABLES, 0) | {table["id"]: _length(table) for table in tables},
            data=embedded_json(tables),
            report=report,
            pages=len({row.session_id for row in rows} & set(pages)),
            split_note=split_note(metadata),
            spread=None if statistics is None else _spread(rows, statistics, numbers, units),
            map=drawn,
            map_data=None if drawn is None else embedded_json({key: drawn[key] for key in _MAP_DATA}),
            calibration=calibration,
            limits=LIMITS,
            neutral=neutral,
            doubtful=[one for one in neutral if one.doubtful],
            doubtful_now=_DOUBTFUL,
            trained=trained_models(evaluations, experiments, metadata.get("fingerprint")),
            problems=sorted((metadata.get("annotation_problems") or {}).items()),
            provenance=dataset_provenance(metadata),
            licences=(about.get("licence"), basis.get("licence")),
        )
    )


def _length(table: Mapping[str, Any]) -> int:
    """Return how many rows a table of the page has."""
    first = table["columns"][0]
    return len(first["at"] if "at" in first else first["values"])


def _attempt(read: Callable[[], _T], other: _T, what: str, missing: list[str], out: RunFolder | None) -> _T:
    """Read something; if it is damaged, say so and go on with something else."""
    try:
        return read()
    except SchemaError as err:
        text = str(err) if out is None else str(err).replace(f"{out.path}/", "")
        missing.append(f"{what}: {' '.join(text.split())}")
        return other


def _suspects(suspects: Suspects, pages: set[str]) -> dict[str, Any]:
    """Return what to look at as the template shows it."""
    return {
        "entries": [
            {
                "name": entry.subject_id or "unknown" if entry.person else entry.session_ids[0],
                "subject": entry.subject_id or "unknown",
                "person": entry.person,
                "sessions": len(entry.session_ids),
                "page": not entry.person and entry.session_ids[0] in pages,
                "reasons": [reason.words for reason in entry.reasons],
            }
            for entry in suspects.entries[:_SUSPECTS_MOST]
        ],
        "more": max(len(suspects.entries) - _SUSPECTS_MOST, 0),
        "n": len(suspects.sessions),
        "common": suspects.common,
    }


def _spread(
    rows: Sequence[IndexRow],
    statistics: LabelStatistics,
    numbers: Mapping[str, StageNumbers],
    units: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """Return how often action units and components are how strong."""
    hardly = Counter(name for row in rows for name in numbers.get(row.session_id, StageNumbers()).hardly_seen)
    goes = {
        name: ", ".join(unit for unit in said if unit != name)
        for name, said in zip(statistics.alpha.names, units, strict=False)
    }
    asked: dict[str, list[str]] = {}
    for row in rows:
        if row.au:
            asked.setdefault(row.au, []).append(row.session_id)
    intensity = None if statistics.intensity is None else spread_rows(statistics.intensity, hardly, {}, asked)
    alpha = spread_rows(statistics.alpha, {}, goes, asked)
    return {
        "intensity": intensity,
        "intensity_most": None if intensity is None else most_shown(intensity),
        "components": alpha["whole"] + alpha["sides"],
        "components_most": most_shown(alpha),
        "frames": int(statistics.alpha.frames.max(initial=0)),
        "sessions": len(statistics.alpha.peaks),
        "words": level_words(),
    }
