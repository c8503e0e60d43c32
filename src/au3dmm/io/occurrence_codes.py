"""Which action units people coded in the frames of a run: occurrence, or intensity where nobody coded occurrence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from au3dmm.io.run_folder import RunFolder
from au3dmm.io.tables import read_table

_COLUMNS = ("session_id", "kind", "vocabulary", "label", "frame_index", "value")


class Rows(Protocol):
    """A recording, and where its rows are among those of all."""

    @property
    def session_id(self) -> str:
        """Which."""

    @property
    def rows(self) -> slice:
        """Where its rows are."""


def read_occurrence(
    run: RunFolder,
    sessions: Sequence[Rows],
    rgb_frame_index: NDArray[np.int32],
    intensity_from: float = 2,
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Read the codes of the nearest RGB frames.

    Where a recording has a unit's intensities and no occurrence of it, the unit counts as there from `intensity_from`
    on; where it has both, occurrence counts. The first source to speak of a frame counts.

    Parameters
    ----------
    run : RunFolder
        Whose ``dataset/annotations.parquet`` is read.
    sessions : sequence
        The recordings of the N rows.
    rgb_frame_index : (N,) int32 array
        The RGB frame nearest to each row; -1 where there is none.
    intensity_from : float
        On the scale of 0 to 5.

    Returns
    -------
    occurrence : (N, A) float32 array
        0 or 1; NaN where nobody said.
    names : tuple of str
        The A units, as people count.

    Raises
    ------
    SchemaError
        If the annotations are missing or damaged.
    """
    table = read_table(run.annotations, "annotations", list(_COLUMNS))
    words = {name: table[name].cast(pa.string()) for name in ("session_id", "kind", "vocabulary", "label")}
    wanted = pc.is_in(words["kind"], pa.array(["frame_occurrence", "frame_intensity"]))
    wanted = pc.and_(pc.and_(wanted, pc.equal(words["vocabulary"], "au")), pc.is_valid(table["value"]))
    label = words["label"].filter(wanted)
    units = tuple(sorted(pc.unique(label).to_pylist(), key=unit_order))
    out = np.full((len(rgb_frame_index), len(units)), np.nan, np.float32)
    whose = _places(words["session_id"].filter(wanted), [session.session_id for session in sessions])
    unit = _places(label, units)
    frame = table["frame_index"].filter(wanted).to_numpy()
    value = table["value"].filter(wanted).to_numpy()
    graded = pc.equal(words["kind"].filter(wanted), "frame_intensity").to_numpy(zero_copy_only=False).astype(bool)
    there = np.where(graded, value >= intensity_from, value > 0)
    both = np.zeros((len(sessions), len(units)), bool)  # occurrence was coded there
    both[whose[~graded & (whose >= 0)], unit[~graded & (whose >= 0)]] = True
    kept = np.flatnonzero((whose >= 0) & ~(graded & both[whose, unit]))
    kept = kept[np.argsort(whose[kept], kind="stable")]
    ends = np.searchsorted(whose[kept], np.arange(len(sessions) + 1))
    for i, session in enumerate(sessions):
        mine, near = kept[ends[i] : ends[i + 1]], rgb_frame_index[session.rows]
        if not len(mine) or not len(near):
            continue
        mine = mine[::-1]  # the first wins: it is written last
        codes = np.full((max(int(frame[mine].max()), int(near.max())) + 2, len(units)), np.nan, np.float32)
        codes[frame[mine], unit[mine]] = there[mine]
        out[session.rows] = codes[near]  # -1, no RGB frame, is the last row, which nobody wrote
    return out, units


def _places(words: pa.ChunkedArray, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of each word among names, -1 if it is none of them."""
    found = pc.fill_null(pc.index_in(words, value_set=pa.array(list(names), pa.string())), -1)
    return np.asarray(found.to_numpy(), np.int64)


def unit_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which action units stand as people count.

    Examples
    --------
    >>> sorted(["AU12", "AU2", "AU1"], key=unit_order)
    ['AU1', 'AU2', 'AU12']
    """
    pieces = re.split(r"(\d+)", name)
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces]
