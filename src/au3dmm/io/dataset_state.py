"""What is there of a run over a dataset, finished or not: the index where there is one, else what its folders tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from au3dmm.errors import SchemaError
from au3dmm.io.failures import read_failures
from au3dmm.io.run_folder import LEDGER, RunFolder
from au3dmm.io.sessions_index import IndexRow, index_order, read_index
from au3dmm.io.stage_numbers import StageNumbers, read_stage_numbers
from au3dmm.io.tables import read_metadata

_TABLES = ("labels", "coefficients", "landmarks")  # the one that tells most comes first


@dataclass(frozen=True)
class DatasetState:
    """A run, as far as it has come.

    Attributes
    ----------
    rows : list of IndexRow
        Every recording that is known of.
    metadata : dict
        Of the index; of some recording's table where there is none.
    failures : list of dict
        The lines of `failures.jsonl`.
    numbers : dict of str to StageNumbers
        What the stages of each recording reported.
    unfinished : dict of str to str
        Recordings that are not in the index, and how far each has come, in words.
    missing : tuple of str
        What is not there or cannot be read, in words.
    """

    rows: list[IndexRow]
    metadata: dict[str, Any]
    failures: list[dict[str, Any]]
    numbers: dict[str, StageNumbers]
    unfinished: dict[str, str]
    missing: tuple[str, ...]


def read_dataset_state(out: RunFolder) -> DatasetState:
    """Read what there is of a run; never fails because something is missing or damaged.

    Parameters
    ----------
    out : RunFolder
        The run.
    """
    missing: list[str] = []
    rows: list[IndexRow] = []
    metadata: dict[str, Any] = {}
    if not out.index.exists():
        missing.append("the labels of the sessions were not put together yet: au3dmm run does that, once all are done")
    else:
        try:
            rows, metadata = read_index(out.index)
        except SchemaError as err:
            missing.append(f"the index of sessions cannot be read: {_plain(err, out)}; au3dmm run writes it again")
        if metadata and not (out.dataset / LEDGER).is_file():
            missing.append("the labels were being put together when that was interrupted: au3dmm run finishes it")
    failures: list[dict[str, Any]] = []
    try:
        failures = read_failures(out.failures)
    except SchemaError as err:
        missing.append(f"why sessions failed cannot be read: {_plain(err, out)}")
    folders = out.sessions.iterdir() if out.sessions.is_dir() else ()
    there = sorted(path.name for path in folders if path.is_dir() and not path.name.startswith("."))
    known = {row.session_id for row in rows}
    numbers = read_stage_numbers(out, sorted({*there, *known}))
    failed = {str(one["session_id"]): one for one in failures if one["session_id"] not in known}
    unfinished: dict[str, str] = {}
    for name in there:
        if name not in known and name not in failed:
            row, words = _begun(out, name, numbers.get(name, StageNumbers()))
            unfinished[name] = words
            rows.append(row)
            metadata = metadata or _of_tables(out.session(name))
    rows += [_failed(one) for one in failed.values()]
    if unfinished and known:
        missing.append(
            f"{len(unfinished)} sessions were begun since the labels were put together: au3dmm run adds them"
        )
    return DatasetState(sorted(rows, key=index_order), metadata, failures, numbers, unfinished, tuple(missing))


def _begun(out: RunFolder, name: str, numbers: StageNumbers) -> tuple[IndexRow, str]:
    """Return the row of a recording that is not in the index, and how far it has come."""
    done = numbers.stages
    labelled = "align" in done and (out.session(name) / "labels.parquet").is_file()
    subject = _of_tables(out.session(name)).get("subject_id")
    row = IndexRow(
        name,
        str(subject) if subject else None,
        frames_rgb=numbers.frames,
        frames_face=numbers.faces,
        rmse_px_median=numbers.rmse_px,
        clock_method=numbers.clock_method,
        clock_uncertainty_us=numbers.clock_uncertainty_us,
    )
    if labelled:
        n, ok = numbers.rows or 0, numbers.rows_ok or 0
        row = replace(row, frames_event=n, frames_labelled=ok, label_rate=ok / n if n else None)
        return row, "labelled, not put together with the others yet"
    return row, f"not finished: done are {', '.join(done)}" if done else "not finished: no stage is done"


def _failed(said: Mapping[str, Any]) -> IndexRow:
    subject = said.get("subject_id")
    why = ": ".join(str(part) for part in (said.get("stage"), said.get("message")) if part)
    return IndexRow(str(said["session_id"]), str(subject) if subject else None, status="failed", failure=why)


def _of_tables(folder: Path) -> dict[str, Any]:
    for name in _TABLES:
        try:
            return read_metadata(folder / f"{name}.parquet")
        except SchemaError:
            continue
    return {}


def _plain(err: Exception, out: RunFolder) -> str:
    """Return a message without where the run lies on this machine."""
    return " ".join(str(err).replace(f"{out.path}/", "").split())
