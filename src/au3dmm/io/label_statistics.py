"""How far the labels of a dataset spread, over recordings and over frames, read from the consolidated labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.label_spread import counts_between, peaks
from au3dmm.errors import SchemaError
from au3dmm.io.label_dataset import iter_labels, label_parts
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import IndexRow
from au3dmm.io.tables import read_footer, vectors

EDGES = (0.5, 1.0, 2.0, 3.0, 4.0)
"""Between which frames are counted: intensities, or standard deviations of a component."""
_COLUMNS = {"alpha_au": "names_au", "au_intensity": "names_intensity"}


@dataclass(frozen=True)
class Spread:
    """How far K components, or K intensities, spread.

    Attributes
    ----------
    names : tuple of str
        Of each.
    counts : (K, 6) int64 array
        Frames below, between and beyond `EDGES`.
    peaks : dict of str to (K,) array
        By recording: see `core.label_spread.peaks`.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]
    peaks: Mapping[str, NDArray[np.float64]]

    @property
    def frames(self) -> NDArray[np.int64]:
        """Frames with a value, of each."""
        return np.asarray(self.counts.sum(1))

    def share_from(self, edge: float) -> NDArray[np.float64]:
        """Return the share of frames from one of `EDGES` on; NaN where there is no frame."""
        n = self.frames
        return np.asarray(np.where(n > 0, self.counts[:, EDGES.index(edge) + 1 :].sum(1) / np.maximum(n, 1), np.nan))


@dataclass(frozen=True)
class LabelStatistics:
    """Of a dataset's labels: `alpha`, the coefficients; `intensity` in FACS-like units, None without."""

    alpha: Spread
    intensity: Spread | None


def middle(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each column without NaN; NaN where a column has nothing else.

    Examples
    --------
    >>> middle(np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])).tolist()
    [2.0, nan]
    """
    found = np.full(values.shape[1], np.nan)
    there = np.isfinite(values).any(0)
    if there.any():
        found[there] = np.nanmedian(values[:, there], axis=0)
    return found


def read_label_statistics(
    out: RunFolder, rows: Sequence[IndexRow], metadata: Mapping[str, Any]
) -> LabelStatistics | None:
    """Read how far labels spread; None where there are none.

    Parameters
    ----------
    out : RunFolder
        The run, put together.
    rows : sequence of IndexRow
        Its index.
    metadata : mapping
        Of the index: it names components and intensities.

    Raises
    ------
    SchemaError
        If the labels cannot be read, or are not those that the index tells of.
    """
    parts = label_parts(out.labels)
    if not parts:
        return None
    there = read_footer(parts[0])[0].schema.to_arrow_schema().names
    columns = [column for column in _COLUMNS if column in there]
    if "alpha_au" not in columns:
        raise SchemaError(f"{parts[0]}: no column alpha_au; expected consolidated labels; run again")
    labelled = sorted((row for row in rows if row.first_row is not None), key=lambda row: row.first_row or 0)
    sums: dict[str, NDArray[np.int64]] = {}
    found: dict[str, dict[str, NDArray[np.float64]]] = {column: {} for column in columns}
    waiting = iter(labelled)
    row = next(waiting, None)
    rest: dict[str, list[NDArray[np.float32]]] = {column: [] for column in columns}
    begins, read = 0, 0
    for table in iter_labels(out.labels, columns):
        for column in columns:
            values, _ = vectors(table, column)
            sums[column] = sums.get(column, 0) + counts_between(values, np.array(EDGES, np.float32))
            rest[column].append(values)
        read += len(table)
        if row is None or row.frames_event + begins > read:
            continue
        whole = {column: np.concatenate(rest[column]) for column in columns}
        first = read - len(whole["alpha_au"])
        while row is not None and begins + row.frames_event <= read:
            a = begins - first
            for column in columns:
                found[column][row.session_id] = peaks(whole[column][a : a + row.frames_event])
            begins += row.frames_event
            row = next(waiting, None)
        rest = {column: [whole[column][begins - first :]] for column in columns}
    expected = sum(one.frames_event for one in labelled)
    if read != expected:
        raise SchemaError(f"{out.labels}: {read} rows, expected the {expected} that the index tells of; run again")
    spreads = {column: _spread(column, sums[column], found[column], metadata) for column in columns if column in sums}
    return LabelStatistics(spreads["alpha_au"], spreads.get("au_intensity")) if "alpha_au" in spreads else None


def _spread(
    column: str, counts: NDArray[np.int64], found: Mapping[str, NDArray[np.float64]], metadata: Mapping[str, Any]
) -> Spread:
    names = (metadata.get("basis") or {}).get(_COLUMNS[column]) or []
    if len(names) != len(counts):
        names = [f"{column}[{i}]" for i in range(len(counts))]
    return Spread(tuple(str(name) for name in names), counts, found)
