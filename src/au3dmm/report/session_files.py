"""What a run has left of one session, as arrays: whatever is there is read, and what is missing is said."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import Au3dmmError
from au3dmm.io.clock import Clock, read_clock, read_clock_metadata
from au3dmm.io.ledger import Ledger
from au3dmm.io.run_folder import LEDGER, RunFolder
from au3dmm.io.tables import action_units, read_metadata, read_table, vectors

PAGE = "report.html"
FAILURE = "failure.json"
_T = TypeVar("_T")


@dataclass(frozen=True)
class FittedFrames:
    """N RGB frames and what was fitted to them.

    Attributes
    ----------
    frame_index : (N,) int array
        Their numbers.
    t_rgb_us : (N,) int64 array
        Exposure midpoints, RGB clock.
    status : list of N str
        See docs/formats.md.
    alpha, alpha_std : (N, K) float32 arrays
        Coefficients and their standard deviations; NaN where status is not ok.
    rmse_px, rmse_iod, confidence : (N,) float arrays
        NaN where there is none.
    landmarks_px : (N, 68, 3) array or None
        As detected, NaN where no face was found; None if that table is not there.
    """

    frame_index: NDArray[np.int64]
    t_rgb_us: NDArray[np.int64]
    status: list[str]
    alpha: NDArray[np.float32]
    alpha_std: NDArray[np.float32]
    rmse_px: NDArray[np.float64]
    rmse_iod: NDArray[np.float64]
    confidence: NDArray[np.float64]
    landmarks_px: NDArray[np.float32] | None


@dataclass(frozen=True)
class EventRows:
    """M event frames.

    Attributes
    ----------
    index : (M,) int array
        Their numbers.
    start_us, end_us, label_us : (M,) int64 arrays
        Window, and the instant that the label speaks of, event clock.
    n_events : (M,) int64 array
        Events in the window.
    status : list of M str
        Of the label, or of the event frame where there are no labels.
    labelled : bool
        Whether these are rows of labels.parquet.
    """

    index: NDArray[np.int64]
    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    label_us: NDArray[np.int64]
    n_events: NDArray[np.int64]
    status: list[str]
    labelled: bool


@dataclass(frozen=True)
class SessionFiles:
    """All that is known of a session.

    Attributes
    ----------
    folder : Path
        The run's folder of it.
    session_id, subject_id : str
        Whose; the subject is empty where nothing says it.
    fitted, rows, clock : or None
        None where that is not there, or cannot be read.
    evidence : dict
        What the clock was found by; empty if unknown.
    names : tuple of str
        Of the K components.
    units : list of list of str
        Action units that go with each.
    metadata : dict
        Of the latest table: basis, detector, versions.
    identity : dict
        Of identity.parquet what identifies nobody: trust in the neutral face.
    shape : (V?,) arrays or None
        ``alpha_id`` of the person, which is shown only if that is asked for.
    summaries : dict
        What each stage reported.
    outputs : list of (str, str)
        Files and their sha256, as the ledger says.
    missing : tuple of str
        What is not there or cannot be read, in words.
    failure : str
        Why it was not finished; empty if nothing says so.
    """

    folder: Path
    session_id: str
    subject_id: str
    fitted: FittedFrames | None
    rows: EventRows | None
    clock: Clock | None
    evidence: Mapping[str, Any]
    names: tuple[str, ...]
    units: list[list[str]]
    metadata: Mapping[str, Any]
    identity: Mapping[str, Any]
    shape: NDArray[np.float64] | None = field(repr=False)
    summaries: Mapping[str, Mapping[str, Any]]
    outputs: list[tuple[str, str]]
    missing: tuple[str, ...]
    failure: str

    @property
    def event_frames(self) -> Path | None:
        """The table of event frames, if there is one."""
        return next(iter(sorted(self.folder.glob("event_frames.*.parquet"))), None)

    def session_us(self, t_rgb_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return times of the RGB clock on the session clock; unchanged where no clock is known."""
        return t_rgb_us if self.clock is None else self.clock.model.to_event_us(t_rgb_us)


def read_session_files(folder: Path) -> SessionFiles:
    """Read what a run has left of a session; never fails because something is missing or damaged.

    Parameters
    ----------
    folder : Path
        ``RUN/sessions/<session_id>``.
    """
    missing: list[str] = []
    ledger = Ledger(folder / LEDGER, ())
    events_expected = "sync" in ledger.entries or (folder / "clock.json").is_file()

    def attempt(name: str, read: Callable[[Path], _T], why: str) -> _T | None:
        path = folder / name
        if not path.exists():
            if why:
                missing.append(f"{name} is not there: {why}")
            return None
        try:
            return read(path)
        except Au3dmmError as err:
            missing.append(f"{name} cannot be read: {' '.join(str(err).replace(f'{path}: ', '').split())}")
            return None

    begun = (folder / "coefficients.parquet").exists()
    why = "where faces were seen is not known" if begun else "no RGB frame was looked at yet"
    landmarks = attempt("landmarks.parquet", _landmarks, why)
    fitted = attempt("coefficients.parquet", lambda path: _fitted(path, landmarks), "no face was fitted yet")
    clock = attempt("clock.json", read_clock, "the clocks of RGB and events were not related" * events_expected)
    about = attempt("clock.json", read_clock_metadata, "") if clock is not None else None
    rows = attempt("labels.parquet", _label_rows, "no label was made" * events_expected)
    if rows is None and (frames := next(iter(sorted(folder.glob("event_frames.*.parquet"))), None)) is not None:
        rows = attempt(frames.name, _frame_rows, "")
    names, units, metadata = _names(folder)
    if metadata.get("windows") == "frame":
        rows = None  # rows of RGB frames, not of event frames, with the values that coefficients have
        missing.append("no events: the recording has none; its labels are of the RGB frames")
    elif not events_expected:
        missing.append("no events: the recording has none, or they were not looked at; coefficients are all there is")
    subject = str(metadata.get("subject_id") or "")
    failed = _failure(folder)
    why = f"{failed.get('stage')}: {failed.get('message')}" if failed else ""
    # the dataset or the recording that the run lies in: what is told does not depend on where that is
    for root in folder.absolute().parents[4:5]:
        why = why.replace(f"{root}/", "")
    identity, shape = _identity(folder, subject)
    return SessionFiles(
        folder=folder,
        session_id=folder.name,
        subject_id=subject or str(failed.get("subject_id") or ""),
        fitted=fitted,
        rows=rows,
        clock=clock,
        evidence=(about or {}).get("evidence") or {},
        names=names,
        units=units,
        metadata=metadata,
        identity=identity,
        shape=shape,
        summaries={name: ledger.summary(name) for name in ledger.entries},
        outputs=[
            (str(said.get("file")), str(said.get("sha256")))
            for entry in ledger.entries.values()
            for said in entry["outputs"].values()
        ],
        missing=tuple(missing),
        failure=why,
    )


def _landmarks(path: Path) -> NDArray[np.float32]:
    values, _ = vectors(read_table(path, "landmarks", ["landmarks_px"]), "landmarks_px")
    return values.reshape(len(values), -1, 3)


def _fitted(path: Path, landmarks: NDArray[np.float32] | None) -> FittedFrames:
    table = read_table(path, "coefficients")
    alpha, _ = vectors(table, "alpha_au")
    std, _ = vectors(table, "alpha_au_std")
    n = len(table)

    def column(name: str) -> NDArray[np.float64]:
        if name not in table.column_names:
            return np.full(n, np.nan)
        return np.asarray(table[name].to_numpy(zero_copy_only=False), np.float64)

    return FittedFrames(
        table["frame_index"].to_numpy().astype(np.int64),
        table["t_rgb_us"].to_numpy(),
        [str(word) for word in table["status"].to_pylist()],
        alpha,
        std,
        column("rmse_px"),
        column("rmse_iod"),
        column("confidence"),
        landmarks if landmarks is not None and len(landmarks) == n else None,
    )


def _label_rows(path: Path) -> EventRows:
    return _rows(path, "labels", "t_label_us")


def _frame_rows(path: Path) -> EventRows:
    return _rows(path, "event_frames", None)


def _rows(path: Path, kind: str, instant: str | None) -> EventRows:
    names = ["event_frame_index", "t_start_us", "t_end_us", "n_events", "status", *([instant] if instant else [])]
    table = read_table(path, kind, names)
    start, end = table["t_start_us"].to_numpy(), table["t_end_us"].to_numpy()
    return EventRows(
        table["event_frame_index"].to_numpy().astype(np.int64),
        start,
        end,
        table[instant].to_numpy() if instant else (start + end) // 2,
        table["n_events"].to_numpy(),
        [str(word) for word in table["status"].to_pylist()],
        instant is not None,
    )


def _names(folder: Path) -> tuple[tuple[str, ...], list[list[str]], dict[str, Any]]:
    """Return the names of the components, the action units of each, and the metadata of the table that tells most."""
    metadata: dict[str, Any] = {}
    for name in ("landmarks", "coefficients", "labels"):
        try:
            metadata |= read_metadata(folder / f"{name}.parquet")
        except Au3dmmError:
            continue
    names = tuple(str(name) for name in (metadata.get("basis") or {}).get("names_au") or ())
    units: list[list[str]] = [[] for _ in names]
    with contextlib.suppress(Au3dmmError):
        units = action_units(read_table(folder / "coefficients.parquet", "coefficients", ["frame_index"]))
    return names, units, metadata


def _identity(folder: Path, subject: str) -> tuple[dict[str, Any], NDArray[np.float64] | None]:
    """Return what is said of the neutral face, and the identity's coefficients."""
    shared = RunFolder(folder.parent.parent).subject(subject) if subject else folder
    for path in (folder / "identity.parquet", shared / "identity.parquet"):
        try:
            table = read_table(path, "identity")
            alpha, valid = vectors(table, "alpha_id")
        except Au3dmmError:
            continue
        row = table.select([n for n in table.column_names if n.startswith("neutral_") and not n.endswith("_m")])
        said = row.to_pylist()[0] if len(table) else {}
        said.pop("neutral_frames", None)
        return said, alpha[0].astype(np.float64) if len(alpha) and valid[0] else None
    return {}, None


def _failure(folder: Path) -> dict[str, Any]:
    try:
        said: Any = json.loads((folder / FAILURE).read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
