"""Faces to measure refined ones beside: another run's labels of the same recordings, at the times of these."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError
from au3dmm.io.recording_marks import recording_mark
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.training_labels import TrainingLabels, read_training_labels
from au3dmm.training.mesh_data import MeshData


def at_times(
    values: NDArray[np.floating], t_us: NDArray[np.int64], wanted_us: NDArray[np.int64], interval_us: float
) -> NDArray[np.float64]:
    """Return a sequence at other times: linear between rows, exact where a row has that time.

    Parameters
    ----------
    values : (M, K) array
        Rows that are known.
    t_us : (M,) int64 array
        Their times, ascending.
    wanted_us : (N,) int64 array
        Where they are wanted.
    interval_us : float
        From one row to the next, where none is missing.

    Returns
    -------
    (N, K) array
        NaN where neighbours are more than two intervals apart; beyond the first or last row its values, for half an
        interval, then NaN.

    Examples
    --------
    >>> t = np.array([0, 10, 60])
    >>> at_times(np.array([[0.0], [1.0], [2.0]]), t, np.array([-4, 5, 10, 30, 70]), 10.0).ravel()
    array([0. , 0.5, 1. , nan, nan])
    """
    out = np.full((len(wanted_us), values.shape[1]), np.nan)
    if not len(t_us):
        return out
    after = np.clip(np.searchsorted(t_us, wanted_us), 0, len(t_us) - 1)
    before = np.where(t_us[after] <= wanted_us, after, np.maximum(after - 1, 0))
    after = np.where(t_us[before] >= wanted_us, before, after)
    span = (t_us[after] - t_us[before]).astype(np.float64)
    share = np.where(span > 0, (wanted_us - t_us[before]) / np.maximum(span, 1.0), 0.0)
    alone = before == after
    near = np.abs(wanted_us - t_us[before]) <= np.where(alone, 0.5 * interval_us, np.inf)
    there = near & (span <= 2 * interval_us + 2)  # times are whole us: 33 333 and 33 334
    found = (1 - share)[:, None] * values[before] + share[:, None] * values[after]
    return np.where(there[:, None], found, np.nan)


def control_motion(mesh: MeshData, name: str, run: RunFolder) -> NDArray[np.float64]:
    """Return the motion (N, R) that another run's labels say of the same recordings at the times of these labels.

    Both times are on the event camera's clock, so event frames need not be the same. NaN where the other run has no
    values near.

    Parameters
    ----------
    mesh : MeshData
        Whose frames.
    name : str
        What the other run is called, for messages.
    run : RunFolder
        Labelled with the same basis.

    Raises
    ------
    ConfigError
        If its basis is another, it has no values for any frame of any of these recordings, or a recording of the same
        name is of another film.
    SchemaError
        If its labels cannot be read.
    """
    labels = read_training_labels(run)
    said, wanted = (str(one.described()["basis"]) for one in (labels, mesh.labels))
    if said != wanted:
        raise ConfigError(
            f"control {name}: {run.path}: labelled with basis {_short(said)}, these labels with {_short(wanted)}; faces"
            " of one basis are compared: label both with it (--bases FILE)"
        )
    theirs = {session.session_id: session for session in labels.sessions}
    out = np.full((len(mesh.labels.alpha), mesh.space.n_motion), np.nan)
    common = 0
    for session in mesh.labels.sessions:
        other = theirs.get(session.session_id)
        if other is not None and session.n and other.n:
            marks = [recording_mark(one.folder) for one in (session, other)]
            if None not in marks and marks[0] != marks[1]:  # synthetic datasets, say, have the same names
                raise ConfigError(
                    f"control {name}: {run.path}: its recording {session.session_id!r} is another film than that of"
                    f" {mesh.labels.run.path}; give a run of the same dataset"
                )
            common += 1
            out[session.rows] = _of_session(labels, other.rows, mesh, mesh.labels.t_us[session.rows])
    if not common:
        raise ConfigError(
            f"control {name}: {run.path}: labels none of the {len(mesh.labels.sessions)} recordings of"
            f" {mesh.labels.run.path}; give a run of the same dataset"
        )
    if not np.isfinite(out).any():
        raise ConfigError(
            f"control {name}: {run.path}: has no values at the times of {mesh.labels.run.path}, though {common}"
            " recordings are in both: their clocks differ; run both pipelines with one [sync]"
        )
    return out


def _of_session(
    labels: TrainingLabels, rows: slice, mesh: MeshData, wanted_us: NDArray[np.int64]
) -> NDArray[np.float64]:
    t_us, valid = labels.t_us[rows], labels.valid[rows]
    interval = float(np.median(np.diff(t_us))) if len(t_us) > 1 else 0.0
    alpha = np.asarray(labels.alpha[rows][valid], np.float64)
    return at_times(alpha @ mesh.space.of_alpha, t_us[valid], wanted_us, interval)


def _short(basis: str) -> str:
    return basis.removeprefix("sha256:")[:12]
