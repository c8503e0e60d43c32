"""The true motion of rendered recordings: what `au3dmm synth` wrote beside them, at the times of labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.label_dataset import iter_labels


@dataclass(frozen=True)
class SessionTruth:
    """What a rendered person did, in each of T RGB frames.

    Attributes
    ----------
    alpha_au : (T, K) float64 array
        Coefficients in the basis that was rendered, standard deviations.
    names_au : tuple of K str
        Of its components.
    alpha_id : (K_id,) float64 array
        Who it was.
    interval_us : float
        Between RGB frames.
    topology_hash : str
        Of the mesh that was rendered.
    """

    alpha_au: NDArray[np.float64]
    names_au: tuple[str, ...]
    alpha_id: NDArray[np.float64]
    interval_us: float
    topology_hash: str

    def check(self, bases: Bases, path: Path) -> None:
        """Refuse a basis that is not the rendered one.

        Raises
        ------
        SchemaError
            If its mesh or its components are others.
        """
        if bases.topology_hash() != self.topology_hash:
            raise SchemaError(
                f"{path}: rendered with a mesh of topology {self.topology_hash[:12]}, the basis has"
                f" {bases.topology_hash()[:12]}; give the basis that was rendered"
            )
        if bases.names_au != self.names_au or bases.k_id != len(self.alpha_id):
            raise SchemaError(
                f"{path}: rendered with {len(self.names_au)} action unit components ({', '.join(self.names_au[:3])},"
                f" ...), the basis has {bases.k_au} ({', '.join(bases.names_au[:3])}, ...); give the rendered one"
            )

    def at(self, frame_index: NDArray[np.integer], dt_us: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the coefficients (N, K) at so many us after RGB frames, linear between frames.

        NaN where there is no such frame (-1), or the time is before the first or after the last by more than an
        interval.
        """
        n = len(self.alpha_au)
        place = frame_index + np.asarray(dt_us, np.float64) / self.interval_us
        there = (frame_index >= 0) & (frame_index < n) & (place > -1) & (place < n)
        inside = np.clip(np.where(there, place, 0), 0, n - 1)
        before = np.minimum(inside.astype(np.int64), max(n - 2, 0))
        after = np.minimum(before + 1, n - 1)
        share = (inside - before)[:, None]
        found = (1 - share) * self.alpha_au[before] + share * self.alpha_au[after]
        return np.where(there[:, None], found, np.nan)


def read_session_truth(path: Path) -> SessionTruth:
    """Read the truth of a rendered recording.

    Raises
    ------
    SchemaError
        If the file cannot be read, or is no truth of `au3dmm synth`.
    """
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        alpha = np.array(data["alpha_au"], np.float64)
        names = tuple(str(name) for name in data["names_au"])
        n = len(alpha)
        span = float(data["rgb_last_pts_us"]) - float(data["rgb_first_pts_us"])
        truth = SessionTruth(
            alpha,
            names,
            np.array(data["alpha_id"], np.float64),
            span / (n - 1) if n > 1 else 1.0,
            str(data["basis"]["topology_hash"]),
        )
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except (ValueError, KeyError, TypeError) as err:
        raise SchemaError(f"{path}: not the truth of a rendered recording: {' '.join(str(err).split())[:120]}") from err
    if alpha.shape != (n, len(names)) or not np.isfinite(alpha).all() or not truth.interval_us > 0:
        raise SchemaError(f"{path}: alpha_au {alpha.shape} of {len(names)} components; expected finite (T, K)")
    return truth


def read_label_delays(folder: Path) -> NDArray[np.int64]:
    """Return how long after its nearest RGB frame each row of consolidated labels is (N,), us; 0 without a frame.

    Raises
    ------
    SchemaError
        If a file is not what it should be.
    """
    parts = [pc.fill_null(table["dt_us"], 0).to_numpy() for table in iter_labels(folder, ("dt_us",))]
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)
