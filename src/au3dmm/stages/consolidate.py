"""Stage consolidate: put the labels of all recordings of a dataset together, sorted, with an index and a split.

Unlike the other stages it reads as many files as there are recordings. Rows are streamed; what is in memory grows only
with the number of recordings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from au3dmm.config import SplitsParams
from au3dmm.core.splits import Part
from au3dmm.errors import SchemaError
from au3dmm.io.annotations import annotations_schema
from au3dmm.io.atomic import folder_lock, remove_leftovers
from au3dmm.io.dataset import Dataset
from au3dmm.io.hashing import fingerprint, sha256_json
from au3dmm.io.label_dataset import LabelSource, label_parts, write_label_parts
from au3dmm.io.label_metadata import MergedMetadata
from au3dmm.io.ledger import Ledger
from au3dmm.io.run_folder import LEDGER, RunFolder
from au3dmm.io.sessions_index import IndexRow, outcome_counts, read_index, write_index
from au3dmm.io.table_schemas import INTENSITIES
from au3dmm.io.tables import check_kind, read_footer, write_batches
from au3dmm.stages.recordings import (
    Annotations,
    Entry,
    Recording,
    coefficients_sha256,
    find_recordings,
    kept_recordings,
    labels_sha256,
    session_ledger,
)
from au3dmm.stages.splitting import Splitting, kept_splitting, plan_parts

__all__ = ["NAME", "READS", "VERSION", "WRITES", "Entry", "run", "summary", "why", "without"]

READS = ("sessions:labels", "sessions:session", "dataset")
WRITES = ("labels", "sessions", "annotations")
VERSION = 2  # 2: confidence; the check of the uncertainty
NAME = "consolidate"

Progress = Callable[[int, int | None], None]


def run(
    *,
    entries: Sequence[Entry],
    out: RunFolder,
    params: SplitsParams,
    stamp: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    dataset: Dataset | None = None,
) -> dict[str, Any]:
    """Write ``dataset/``: `labels/part-*.parquet`, `sessions.parquet`, `annotations.parquet`, and `stage.json` last.

    Parameters
    ----------
    entries : sequence of Entry
        Every recording of the dataset, in any order; failed ones are in the index, and in the split.
    out : RunFolder
        The run.
    params : SplitsParams
        How to split, if the dataset does not say.
    stamp : mapping, optional
        For the files' metadata.
    progress : callable, optional
        Called with recordings done and recordings in all.
    dataset : Dataset, optional
        Name, licence, and a split of its own.

    Returns
    -------
    dict
        ``sessions, ok, no_events, failed, subjects, rows, rows_ok``, ``splits`` (part: recordings), ``annotations``
        (rows), ``warnings``.

    Raises
    ------
    ConfigError
        If the dataset's own split is incomplete, or a subject is in two parts of it.
    SchemaError
        If labels are missing, or made with different bases or detectors.
    OutputError
        If a file cannot be written.
    """
    recordings = find_recordings(entries)
    splitting = plan_parts([recording.row for recording in recordings], params, dataset)
    return _write(recordings, splitting, out, params, _about(dataset), stamp, progress)


def why(
    *, entries: Sequence[Entry], out: RunFolder, params: SplitsParams, dataset: Dataset | None = None
) -> str | None:
    """Return why what is there is not what `run` would write, in words; None if it is.

    Raises
    ------
    ConfigError
        As `run`, for the split.
    SchemaError
        If two recordings have one name.
    """
    recordings = find_recordings(entries)
    splitting = plan_parts([recording.row for recording in recordings], params, dataset)
    read = _inputs(recordings, splitting, _about(dataset))
    values = params.model_dump(mode="json")
    ledger = _ledger(out)
    outputs = _outputs(out, label_parts(out.labels))
    said = ledger.entries.get(NAME, {}).get("outputs", {})
    if said and set(said) != set(outputs):
        return f"{min(set(said) ^ set(outputs))} is missing, or too many"
    return ledger.why(NAME, fingerprint(NAME, VERSION, values, read), VERSION, values, read, outputs)


def summary(out: RunFolder) -> dict[str, Any]:
    """Return the numbers that the last run reported; empty if none finished."""
    ledger = _ledger(out)
    return ledger.summary(NAME) if NAME in ledger.entries else {}


def without(
    *, subject_id: str, session_ids: Iterable[str], out: RunFolder, progress: Progress | None = None
) -> dict[str, Any]:
    """Write ``dataset/`` again without a person, from the run's own files: raw recordings are not needed.

    The bytes are those that `run` would write if the person had never been there, as long as the split is computed or
    given per subject.

    Returns
    -------
    dict
        As `run`, and ``moved``: how many other subjects are in another part now.

    Raises
    ------
    SchemaError
        If the run has no index, or the labels that it names are not there.
    """
    rows, metadata = read_index(out.index)
    gone = set(session_ids)
    params = SplitsParams.model_validate(metadata.get("params") or {})
    left = [row for row in rows if row.subject_id != subject_id and row.session_id not in gone]
    recordings = kept_recordings(out, left, metadata)
    before = {row.session_id: Part(row.split, row.fold) for row in left}
    splitting = kept_splitting([recording.row for recording in recordings], params, metadata["splits"], before)
    found = _write(recordings, splitting, out, params, metadata.get("dataset") or {}, None, progress)
    moved = {row.subject_id for row in left if splitting.part_of(row) != before[row.session_id]}
    return {**found, "moved": len(moved)}


def _about(dataset: Dataset | None) -> dict[str, Any]:
    if dataset is None:
        return {}
    said = dataset.manifest.dataset.model_dump(mode="json")
    return {key: value for key, value in said.items() if value not in (None, [], ())}


def _ledger(out: RunFolder) -> Ledger:
    return Ledger(out.dataset / LEDGER, (NAME,))


def _outputs(out: RunFolder, parts: Sequence[Path]) -> dict[str, Path]:
    return {"sessions": out.index, "annotations": out.annotations, **{f"labels/{path.name}": path for path in parts}}


def _inputs(recordings: Sequence[Recording], splitting: Splitting, about: Mapping[str, Any]) -> dict[str, str]:
    """Fingerprint what is read."""
    said = [
        [
            *(recording.row.session_id, recording.row.subject_id, recording.row.au, recording.row.task),
            *(recording.row.run, recording.row.simulated_events, recording.row.status, recording.row.failure),
            labels_sha256(recording.labels),
            None if recording.row.status == "failed" else coefficients_sha256(recording.folder),
            recording.said_mark,
        ]
        for recording in recordings
    ]
    parts = {name: [part.split, part.fold] for name, part in sorted(splitting.parts.items())}
    return {
        "sessions": sha256_json(said),
        "splits": sha256_json([splitting.told(), parts]),
        "dataset": sha256_json(dict(about)),
    }


def _write(
    recordings: Sequence[Recording],
    splitting: Splitting,
    out: RunFolder,
    params: SplitsParams,
    about: Mapping[str, Any],
    stamp: Mapping[str, Any] | None,
    progress: Progress | None,
) -> dict[str, Any]:
    read, values = _inputs(recordings, splitting, about), params.model_dump(mode="json")
    mark = fingerprint(NAME, VERSION, values, read)
    merged = MergedMetadata()
    rows: list[IndexRow] = []
    sources: list[LabelSource] = []
    k_au, n_intensity, at = 1, 0, 0
    for recording in recordings:
        part = splitting.part_of(recording.row)
        row = replace(recording.row, split=part.split, fold=part.fold, annotations_sha256=recording.said_mark)
        if row.status != "failed":
            row = _with_fit(row, recording.folder)
        if recording.labels is not None:
            n, k_au, intensities, metadata = _look(recording.labels, row.session_id)
            n_intensity = max(n_intensity, intensities)
            merged.add(row.session_id, metadata)
            row = _with_labels(row, n, metadata, recording.labels, at)
            at += n
            about_rows = (row.session_id, row.subject_id or "", row.au, row.task, row.split, row.fold)
            sources.append(LabelSource(recording.labels, n, *about_rows))
        rows.append(row)
    merged.check()
    counts = outcome_counts(rows)
    assert counts["rows"] == sum(source.rows for source in sources) == at, "every row of every recording, once"
    # who reads while this is written, or after it was killed, must see that it is not whole: stage.json comes last
    with folder_lock(out.dataset):
        ledger = _ledger(out)
        ledger.forget(NAME, out.dataset, _outputs(out, []))
        remove_leftovers(out.dataset)
        common = {
            **(stamp or {}),
            "stage": NAME,
            "stage_version": VERSION,
            "fingerprint": mark,
            "inputs": read,
            "params": values,
            "dataset": dict(about),
            **merged.merged(),
            "splits": splitting.told(),
            "counts": counts,
        }
        parts = write_label_parts(out.labels, sources, k_au, common, progress, n_intensity=n_intensity)
        said = Annotations(recordings)
        write_batches(out.annotations, "annotations", annotations_schema(), said.batches(), common)
        write_index(out.index, rows, {**common, "annotation_problems": said.problems})
        found = {
            **counts,
            "splits": dict(sorted(Counter(splitting.names()).items())),
            "annotations": said.rows,
            "warnings": [*splitting.warnings, *said.warnings()],
        }
        ledger.record(NAME, VERSION, mark, _outputs(out, parts), found, values, read)
    return found


def _look(path: Path, session_id: str) -> tuple[int, int, int, dict[str, Any]]:
    """Return rows, coefficients, intensities and metadata of a recording's labels."""
    try:
        footer, metadata = read_footer(path)
        check_kind(path, metadata, "labels")
    except SchemaError as err:
        raise SchemaError(
            f"{err}; expected the labels of session {session_id!r}, which did not fail; run again"
        ) from err
    schema = footer.schema.to_arrow_schema()
    at = schema.get_field_index(INTENSITIES[0])
    intensities = 0 if at < 0 else schema.field(at).type.list_size
    return footer.num_rows, schema.field("alpha_au").type.list_size, intensities, metadata


def _with_fit(row: IndexRow, folder: Path) -> IndexRow:
    """Add the numbers that the fit reported."""
    fitted = session_ledger(folder).get("fit", {}).get("summary", {})
    return replace(
        row,
        frames_rgb=fitted.get("frames"),
        frames_face=fitted.get("ok", 0) if fitted else None,
        rmse_px_median=fitted.get("rmse_px_median"),
    )


def _with_labels(row: IndexRow, n: int, metadata: Mapping[str, Any], path: Path, at: int) -> IndexRow:
    counts, clock = metadata.get("counts") or {}, metadata.get("clock") or {}
    ok = int(counts.get("ok", 0))
    return replace(
        row,
        frames_event=n,
        frames_labelled=ok,
        label_rate=ok / n if n else None,
        clock_method=clock.get("method"),
        clock_offset_us=clock.get("offset_us"),
        clock_uncertainty_us=clock.get("uncertainty_us"),
        first_row=at,
        labels_sha256=labels_sha256(path),
    )
