"""The labels of a whole run as arrays: what training reads before anything else, and keeps in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from au3dmm.errors import SchemaError
from au3dmm.io.label_dataset import iter_labels, label_parts
from au3dmm.io.label_metadata import MergedMetadata, detector_key
from au3dmm.io.occurrence_codes import read_occurrence, unit_order
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import IndexRow, read_index
from au3dmm.io.tables import read_footer, read_table, vectors

_COLUMNS = (
    *("session_id", "event_frame_index", "t_label_us", "rgb_frame_index", "status"),
    *("alpha_au", "alpha_au_std"),
)
__all__ = ["TrainingLabels", "TrainingSession", "read_emotions", "read_training_labels", "unit_order"]

_EMOTION_OF = {"instructed": "emotion", "reported": "reported_emotion"}


@dataclass(frozen=True)
class TrainingSession:
    """One recording of a run, and where its rows are.

    Attributes
    ----------
    session_id, subject_id : str
        Which recording, and of whom.
    au, task : str or None
        What was asked for.
    split : str or None
        ``train``, ``val``, ``test``; None in k-fold.
    fold : int or None
        0 to k - 1, in k-fold.
    first, n : int
        Its rows are ``first`` to ``first + n - 1`` of the arrays of `TrainingLabels`.
    folder : Path
        Its folder in the run: event frames lie there.
    labels_sha256 : str or None
        Of the `labels.parquet` that the rows were taken from.
    emotion, reported_emotion : str or None
        What was to be shown or felt, and what the subject says of it; None if nobody said, or it was not read.
    has_events : bool
        Whether its rows are event frames; False: it has no events, and they are its RGB frames.
    """

    session_id: str
    subject_id: str
    au: str | None
    task: str | None
    split: str | None
    fold: int | None
    first: int
    n: int
    folder: Path
    labels_sha256: str | None = None
    emotion: str | None = None
    reported_emotion: str | None = None
    has_events: bool = True

    @property
    def rows(self) -> slice:
        """Where its rows are."""
        return slice(self.first, self.first + self.n)

    def event_frames(self, representation: str) -> Path:
        """Return the table of its event frames."""
        return self.folder / f"event_frames.{representation}.parquet"


@dataclass(frozen=True)
class TrainingLabels:
    """The labels of a run: N event frames of all recordings, one recording after another, K coefficients.

    Of recordings without events, RGB frames stand in their place.

    Attributes
    ----------
    alpha, alpha_std : (N, K) float32 arrays
        ``alpha_au`` and its standard deviations; 0 where `valid` is False, which says nothing.
    valid : (N,) bool array
        Whether the row has values (status ``ok``).
    frame_index : (N,) int32 array
        ``event_frame_index``: the frame's place in its recording's event frames.
    t_us : (N,) int64 array
        ``t_label_us``, on the event camera's clock.
    rgb_frame_index : (N,) int32 array
        The nearest RGB frame; -1 where there is none.
    occurrence : (N, A) float32 array
        Whether each of A action units was coded in the nearest RGB frame: 0 or 1, NaN where nobody said. Where only an
        intensity was coded, it counts from a threshold on.
    names_occurrence : tuple of str
        What the A columns are.
    sessions : tuple of TrainingSession
        The recordings that have labels, in the order of their rows.
    names_au : tuple of str
        What the K coefficients are called.
    mirror : (K, K) float32 array or None
        ``alpha @ mirror`` is alpha of the mirrored face; None if the basis has none.
    metadata : mapping
        What the consolidated labels say of themselves.
    run : RunFolder
        Where all of this was read.
    """

    alpha: NDArray[np.float32]
    alpha_std: NDArray[np.float32]
    valid: NDArray[np.bool_]
    frame_index: NDArray[np.int32]
    t_us: NDArray[np.int64]
    rgb_frame_index: NDArray[np.int32]
    occurrence: NDArray[np.float32]
    names_occurrence: tuple[str, ...]
    sessions: tuple[TrainingSession, ...]
    names_au: tuple[str, ...]
    mirror: NDArray[np.float32] | None
    metadata: Mapping[str, Any]
    run: RunFolder

    @property
    def k_au(self) -> int:
        """Number of coefficients."""
        return int(self.alpha.shape[1])

    def described(self) -> dict[str, Any]:
        """Return what a model trained on these labels must know of them: plain values, which its checkpoint keeps."""
        return {
            "k_au": self.k_au,
            "names_au": list(self.names_au),
            "basis": str((self.metadata.get("basis") or {}).get("file_hash", "no basis")),
            "detector": detector_key(self.metadata),
            "landmark_scheme": str(self.metadata.get("landmark_scheme")),
            "names_occurrence": list(self.names_occurrence),
        }


def read_training_labels(
    run: RunFolder, *, occurrence: bool = False, emotions: bool = False, occurrence_from: float = 2
) -> TrainingLabels:
    """Read the consolidated labels of a run.

    A null vector (a row whose status is not ``ok``) becomes zeros, and `valid` says so; no row is dropped.

    Parameters
    ----------
    run : RunFolder
        ``derivatives/au3dmm/<pipeline>``.
    occurrence : bool
        Whether to read frame-level action units (``frame_occurrence`` and ``frame_intensity`` of vocabulary ``au``)
        from the annotations, too.
    emotions : bool
        Whether to read what emotion recordings show (``video_class`` of vocabulary ``emotion``) from there, too.
    occurrence_from : float
        The intensity, 0 to 5, from which on a unit counts as there in recordings where no occurrence of it was coded.

    Raises
    ------
    SchemaError
        If there are no consolidated labels, they are not those of the index, or parts of them were made with different
        bases or detectors.
    """
    parts = label_parts(run.labels)
    if not parts:
        raise SchemaError(
            f"{run.labels}: no part-*.parquet in it; expected consolidated labels; au3dmm run writes them"
        )
    merged, n = MergedMetadata(), 0
    for path in parts:
        footer, metadata = read_footer(path)
        merged.add(path.name, metadata)
        n += footer.num_rows
    merged.check()
    metadata = read_footer(parts[0])[1]
    basis = metadata.get("basis") or {}
    index = [row for row in read_index(run.index)[0] if row.status == "ok"]
    index.sort(key=lambda row: -1 if row.first_row is None else row.first_row)
    arrays, names = _read_rows(run.labels, n)
    _check_index(run, index, names, n)
    felt = read_emotions(run) if emotions else {}
    sessions = tuple(_session(run, row, felt.get(row.session_id, {})) for row in index)
    units: tuple[str, ...] = ()
    said = np.empty((n, 0), np.float32)
    if occurrence:
        said, units = read_occurrence(run, sessions, arrays["rgb_frame_index"], occurrence_from)
    k = arrays["alpha"].shape[1]
    return TrainingLabels(
        **arrays,
        occurrence=said,
        names_occurrence=units,
        sessions=sessions,
        names_au=tuple(map(str, basis.get("names_au") or (f"c{i + 1:02d}" for i in range(k)))),
        mirror=_mirror(run, basis, k),
        metadata=metadata,
        run=run,
    )


def _read_rows(folder: Path, n: int) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Return the columns as arrays, and which recording begins at which row."""
    arrays: dict[str, Any] = {
        "valid": np.zeros(n, bool),
        "frame_index": np.zeros(n, np.int32),
        "t_us": np.zeros(n, np.int64),
        "rgb_frame_index": np.full(n, -1, np.int32),
    }
    names: list[tuple[str, int]] = []
    row = 0
    for table in iter_labels(folder, _COLUMNS):
        if not len(table):
            continue
        alpha, valid = vectors(table, "alpha_au")
        std, with_std = vectors(table, "alpha_au_std")
        if "alpha" not in arrays:
            arrays["alpha"] = np.zeros((n, alpha.shape[1]), np.float32)
            arrays["alpha_std"] = np.zeros((n, alpha.shape[1]), np.float32)
        if alpha.shape[1] != arrays["alpha"].shape[1]:
            raise SchemaError(
                f"{folder}: alpha_au of {arrays['alpha'].shape[1]} and of {alpha.shape[1]} coefficients; expected one"
                " number; run `au3dmm run` again over the whole dataset"
            )
        there = valid & with_std & np.asarray(pc.equal(table["status"].cast(pa.string()), "ok").to_numpy())
        at = slice(row, row + len(table))
        arrays["valid"][at] = there
        arrays["alpha"][at] = np.where(there[:, None], alpha, 0)
        arrays["alpha_std"][at] = np.where(there[:, None], std, 0)
        arrays["frame_index"][at] = table["event_frame_index"].to_numpy()
        arrays["t_us"][at] = table["t_label_us"].to_numpy()
        arrays["rgb_frame_index"][at] = pc.fill_null(table["rgb_frame_index"], -1).to_numpy()
        whose = np.asarray(table["session_id"].cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)
        changes = np.flatnonzero(np.r_[True, whose[1:] != whose[:-1]])
        for i in changes.tolist():
            if not names or names[-1][0] != whose[i]:
                names.append((str(whose[i]), row + i))
        row += len(table)
    if row != n or "alpha" not in arrays:
        raise SchemaError(f"{folder}: {row} rows, expected {max(n, 1)}; run `au3dmm run` again")
    return arrays, names


def _check_index(run: RunFolder, index: list[IndexRow], names: list[tuple[str, int]], n: int) -> None:
    """Refuse an index that is not that of the rows."""
    said = [(row.session_id, row.first_row) for row in index if row.frames_event]
    if said != names or sum(row.frames_event for row in index) != n:
        wrong = next((a[0] for a, b in zip(said, names, strict=False) if a != b), None)
        what = f"recording {wrong!r} begins at another row" if wrong else f"{len(said)} recordings, {len(names)} found"
        raise SchemaError(f"{run.index}: not the index of {run.labels}: {what}; run `au3dmm run` again")


def _session(run: RunFolder, row: IndexRow, felt: Mapping[str, str]) -> TrainingSession:
    return TrainingSession(
        row.session_id,
        str(row.subject_id),
        row.au,
        row.task,
        row.split,
        row.fold,
        int(row.first_row or 0),
        row.frames_event,
        run.session(row.session_id),
        row.labels_sha256,
        felt.get("emotion"),
        felt.get("reported_emotion"),
        row.has_events,
    )


def _mirror(run: RunFolder, basis: Mapping[str, Any], k: int) -> NDArray[np.float32] | None:
    entries = basis.get("mirror_au")
    if entries is None:
        return None
    matrix = np.zeros((k, k), np.float32)
    try:
        for i, j, value in entries:
            matrix[i, j] = value
    except (TypeError, ValueError, IndexError) as err:
        raise SchemaError(f"{run.labels}: mirror_au in the metadata is damaged: {err}; label again") from err
    return matrix


def read_emotions(run: RunFolder) -> dict[str, dict[str, str]]:
    """Return what emotion recordings show: by session, ``emotion`` (asked for) and ``reported_emotion``.

    The first statement of a recording counts.

    Raises
    ------
    SchemaError
        If the run's annotations are missing or damaged.
    """
    table = read_table(run.annotations, "annotations", ["session_id", "kind", "origin", "vocabulary", "label"])
    words = {name: table[name].cast(pa.string()) for name in table.column_names}
    wanted = pc.and_(pc.equal(words["kind"], "video_class"), pc.equal(words["vocabulary"], "emotion"))
    felt: dict[str, dict[str, str]] = {}
    rows = (words[name].filter(wanted).to_pylist() for name in ("session_id", "origin", "label"))
    for session, origin, label in zip(*rows, strict=True):
        if origin in _EMOTION_OF:
            felt.setdefault(session, {}).setdefault(_EMOTION_OF[origin], label)
    return felt
