"""What a trained model says of a session: found beside the run's models, put at the times of the RGB frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import Au3dmmError
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.tables import read_metadata, read_table, vectors

_TABLE = "predictions.parquet"
_NEAR_US = 100_000  # a prediction farther away says nothing of an instant


@dataclass(frozen=True)
class Regressed:
    """Coefficients that a model read off the events.

    Attributes
    ----------
    model : str
        Which one, in words.
    t_us : (P,) int64 array
        Middle of each window, event clock.
    alpha : (P, K) float32 array
        NaN where nothing was said.
    """

    model: str
    t_us: NDArray[np.int64]
    alpha: NDArray[np.float32]

    def at(self, t_us: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the coefficients nearest to times, (N, K); NaN where none is near."""
        if not len(self.t_us) or not len(t_us):
            return np.full((len(t_us), self.alpha.shape[1]), np.nan, np.float32)
        right = np.clip(np.searchsorted(self.t_us, t_us), 0, len(self.t_us) - 1)
        left = np.maximum(right - 1, 0)
        nearest = np.where(np.abs(self.t_us[left] - t_us) <= np.abs(self.t_us[right] - t_us), left, right)
        found = self.alpha[nearest].copy()
        found[np.abs(self.t_us[nearest] - t_us) > _NEAR_US] = np.nan
        return found


def find_predictions(run: RunFolder, session_id: str) -> list[Path]:
    """Return the tables of predictions of a session that lie in a run, sorted.

    `au3dmm predict` writes them beside the checkpoint, to ``predictions/<session_id>``.
    """
    places = [
        run.session(session_id) / _TABLE,
        *run.training.glob(f"*/predictions/{session_id}/{_TABLE}"),
        *run.experiments.glob(f"*/*/predictions/{session_id}/{_TABLE}"),
    ]
    return sorted({path for path in places if path.is_file()})


def read_regressed(
    paths: Sequence[Path], names: Sequence[str], basis: str | None, where: Path
) -> tuple[Regressed | None, list[str]]:
    """Read the first table that has coefficients of the same basis, and say why others are not shown.

    Parameters
    ----------
    paths : sequence of Path
        Tables of predictions.
    names : sequence of str
        Of the components that the session was fitted with.
    basis : str or None
        Hash of the basis file.
    where : Path
        The run's folder, to which places are told.
    """
    notes: list[str] = []
    found: Regressed | None = None
    for path in paths:
        told = path.relative_to(where).as_posix() if path.is_relative_to(where) else path.name
        if found is not None:
            notes.append(f"{told} is not shown: one model at a time, the first by name")
            continue
        try:
            metadata = read_metadata(path)
            table = read_table(path, "predictions")
        except Au3dmmError as err:
            notes.append(f"{told} cannot be read: {' '.join(str(err).replace(f'{path}: ', '').split())}")
            continue
        about = metadata.get("basis") or {}
        if "alpha_au" not in table.column_names:
            notes.append(f"{told} has no coefficients: the model was not taught them")
            continue
        if tuple(about.get("names_au") or ()) != tuple(names) or (
            basis and about.get("file_hash") not in (None, basis)
        ):
            notes.append(f"{told} is not shown: its coefficients are of another basis")
            continue
        alpha, _ = vectors(table, "alpha_au")
        middle = (table["t_start_us"].to_numpy() + table["t_end_us"].to_numpy()) // 2
        name = str((metadata.get("model") or {}).get("name") or "model")
        folder = path.parent.parent.parent.name if path.parent.parent.name == "predictions" else ""
        found = Regressed(f"{folder} ({name})" if folder else name, middle, alpha)
    return found, notes
