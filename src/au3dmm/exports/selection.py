"""What is exported: which rows of a run's consolidated labels, and what belongs to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from au3dmm.core.splits import SPLITS
from au3dmm.errors import ConfigError
from au3dmm.io.label_dataset import dataset_labels_schema, iter_labels, plain
from au3dmm.io.run_folder import LEDGER, RunFolder
from au3dmm.io.sessions_index import IndexRow, index_table, part_of, read_index
from au3dmm.io.tables import read_table

Form = Literal["csv", "npz", "huggingface", "facemorphic"]
FORMS: tuple[Form, ...] = ("csv", "npz", "huggingface", "facemorphic")

# messages hold paths of the machine that made them, and hashes say nothing without the files
_NOT_SHARED = ("failure", "labels_sha256", "annotations_sha256")
NO_PART = "unsplit"
FRAME_COLUMNS = ("frame_index", "t_rgb_us", "status", "box_px", "detection_score", "landmark_score", "landmarks_px")
PERSON_COLUMNS = ("alpha_id", "alpha_id_std", "rmse_px", "rmse_iod")


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Attributes
    ----------
    form : {"csv", "npz", "huggingface", "facemorphic"}
        How.
    split : str or None
        ``train``, ``val``, ``test`` or ``fold 3``; None: everything.
    identity, landmarks : bool
        Whether identity coefficients, and 68 landmarks with boxes, are in it: both identify people.
    """

    form: Form
    split: str | None = None
    identity: bool = False
    landmarks: bool = False


class Selection:
    """The part of a run that is exported.

    Parameters
    ----------
    run : RunFolder
        A run that is consolidated.
    options : ExportOptions
        What to take.

    Attributes
    ----------
    rows : list of IndexRow
        Its sessions, in the order of the labels.
    metadata : dict
        What the index says of the dataset.
    split : str or None
        The part, if one was asked for.
    """

    def __init__(self, run: RunFolder, options: ExportOptions) -> None:
        if not (run.dataset / LEDGER).is_file() or not run.index.is_file():
            raise ConfigError(
                f"{run.path}: not put together (no {run.dataset.name}/{LEDGER}), or only half; run `au3dmm run` first"
            )
        self.run, self.options = run, options
        everything, self.metadata = read_index(run.index)
        self.split = None if options.split is None else _split_name(options.split, everything)
        rows = [row for row in everything if self.split is None or part_of(row) == self.split]
        self.rows = with_first_rows(rows)

    @property
    def names_au(self) -> list[str]:
        """Names of the coefficients."""
        basis = self.metadata.get("basis") or {}
        return [str(name) for name in basis.get("names_au") or [f"{i + 1}" for i in range(basis.get("k_au") or 0)]]

    @property
    def names_intensity(self) -> list[str]:
        """Names of the intensities; none if the basis has none."""
        return [str(name) for name in (self.metadata.get("basis") or {}).get("names_intensity") or []]

    @property
    def label_fields(self) -> list[pa.Field]:
        """The columns of the labels."""
        n = len(self.names_intensity)
        return list(dataset_labels_schema(max(len(self.names_au), 1), n_intensity=n))

    @property
    def subjects(self) -> list[str]:
        """Everybody in it, sorted."""
        return sorted({row.subject_id for row in self.rows if row.subject_id is not None})

    def parts(self) -> dict[str, list[IndexRow]]:
        """Return the sessions by part, `NO_PART` where there is none; ``first_row`` counts within the part."""
        found: dict[str, list[IndexRow]] = {}
        for row in self.rows:
            found.setdefault(part_of(row) or NO_PART, []).append(row)
        order = {name: i for i, name in enumerate(SPLITS)}
        names = sorted(found, key=lambda name: (order.get(name, len(order)), name))
        return {name: with_first_rows(found[name]) for name in names}

    def labels(self, columns: Sequence[str] | None = None, part: str | None = None) -> Iterator[pa.Table]:
        """Read labels, a row group at a time; only those of `part`, or of the part that was asked for."""
        name = part or self.split
        if name == NO_PART:
            read = None if columns is None else [*columns, *(c for c in ("split", "fold") if c not in columns)]
            for table in iter_labels(self.run.labels, read):
                outside = pc.and_(pc.is_null(table["split"]), pc.is_null(table["fold"]))
                yield table.filter(outside).select(columns or table.column_names)
            return
        fold = re.fullmatch(r"fold (\d+)", name or "")
        split = name if fold is None else None
        yield from iter_labels(self.run.labels, columns, split, None if fold is None else int(fold[1]))

    def sessions_table(self, rows: Sequence[IndexRow] | None = None) -> pa.Table:
        """Return the index, without what only the run needs."""
        table = index_table(self.rows if rows is None else rows)
        return table.select([name for name in table.column_names if name not in _NOT_SHARED])

    def annotations_table(self) -> pa.Table:
        """Return what people said of these sessions, words as text."""
        table = plain(read_table(self.run.annotations, "annotations"))
        if self.split is None:
            return table
        names = pa.array([row.session_id for row in self.rows], pa.string())
        return table.filter(pc.is_in(table["session_id"], names))

    def landmarks(self, row: IndexRow) -> pa.Table:
        """Return boxes and landmarks of a session's RGB frames, words as text."""
        return plain(read_table(self.run.session(row.session_id) / "landmarks.parquet", "landmarks", FRAME_COLUMNS))

    def coefficients(self, row: IndexRow) -> pa.Table:
        """Return coefficients of a session's RGB frames, words as text."""
        path = self.run.session(row.session_id) / "coefficients.parquet"
        return plain(read_table(path, "coefficients", ["frame_index", "t_rgb_us", "status", "alpha_au"]))

    def identities(self) -> pa.Table:
        """Return identity coefficients, one row per person.

        Raises
        ------
        SchemaError
            If somebody's identity is not there.
        """
        tables = []
        for subject in self.subjects:
            labelled = [row for row in self.rows if row.subject_id == subject and row.status != "failed"]
            if labelled:
                table = read_table(self._identity_path(labelled[0]), "identity", ["subject_id", *PERSON_COLUMNS])
                tables.append(plain(table).replace_schema_metadata(None))
        return pa.concat_tables(tables) if tables else pa.table({"subject_id": pa.array([], pa.string())})

    def _identity_path(self, row: IndexRow) -> Path:
        alone = self.run.session(row.session_id) / "identity.parquet"
        pooled = self.run.subject(row.subject_id or "") / "identity.parquet"
        return alone if alone.is_file() and not pooled.is_file() else pooled


def with_first_rows(rows: Sequence[IndexRow]) -> list[IndexRow]:
    """Count ``first_row`` within these sessions."""
    found, at = [], 0
    for row in rows:
        found.append(replace(row, first_row=at if row.status == "ok" else None))
        at += row.frames_event
    return found


def _split_name(wanted: str, rows: Sequence[IndexRow]) -> str:
    number = re.fullmatch(r"(?:fold)?[ _-]?(\d+)", wanted.strip().lower())
    name = wanted.strip().lower() if number is None else f"fold {int(number[1])}"
    name = {"validation": "val"}.get(name, name)
    there = sorted({part for row in rows if (part := part_of(row)) is not None})
    if name not in there:
        raise ConfigError(f"split {wanted!r}: no session is in it; there are: {', '.join(there) or 'no splits'}")
    return name


def describe(options: ExportOptions) -> dict[str, Any]:
    """Return the options as plain values."""
    return {
        "form": options.form,
        "split": options.split,
        "identity": options.identity,
        "landmarks": options.landmarks,
    }
