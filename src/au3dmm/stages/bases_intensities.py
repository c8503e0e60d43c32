"""Learn to read action unit intensities off a basis, from the tags of its corpora."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import BasesParams
from au3dmm.core.intensity_learning import LearntUnits, TaggedRows, learn_intensities
from au3dmm.core.offset_space import ReducedOffsets
from au3dmm.core.regions import vertex_sides
from au3dmm.stages.bases_rows import OffsetRows

_MIDDLE_M = 0.02  # across the middle of the face, what is left fades into what is right
_SCALE = (
    "0 to 5 and beyond, linear in the displacement from the neutral face; 5 is the 95 % quantile of the peaks of the"
    " sequences that show the unit; learnt from tags, not a FACS coder's judgement"
)


def bases_intensities(
    rows: OffsetRows,
    reduced: ReducedOffsets,
    components: NDArray[np.float64],
    stddev: NDArray[np.float64],
    params: BasesParams,
    head: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> LearntUnits | None:
    """Learn how intensities are read off the codes of a basis; None if its corpora have no tags.

    Parameters
    ----------
    rows : OffsetRows
        Takes and their tags.
    reduced : ReducedOffsets
        Their offsets.
    components : (K, V, 3) array
        m per standard deviation.
    stddev : (K,) array
        What unit atoms were multiplied by.
    params : BasesParams
        Values of ``[bases]``.
    head : tuple of (V, 3) and (68, 3) arrays
        Template and its landmarks, m.

    Raises
    ------
    SchemaError
        If a tag is no action unit.
    """
    tagged = [take for take in rows.takes if take.action_units]
    if not tagged:
        return None
    dictionary = params.method != "pca"
    coordinates, directions = reduced.unweighted()
    scale = float(np.sqrt(reduced.energy / rows.n_rows))
    return learn_intensities(
        TaggedRows(
            coordinates,
            directions,
            np.clip(0.5 + vertex_sides(*head) / _MIDDLE_M, 0, 1),
            tuple(take.rows for take in tagged),
            tuple(take.action_units for take in tagged),
            tuple(take.owner for take in tagged),
        ),
        components,
        stddev,
        l1=params.l1 * scale if dictionary else 0.0,
        l2=params.l2 if dictionary else 0.0,
        nonnegative=dictionary and params.codes == "nonnegative",
    )


def intensity_info(found: LearntUnits | None) -> dict[str, Any]:
    """Return what a basis tells of its intensities (docs/formats.md)."""
    if found is None:
        return {}
    made = found.intensities
    units: list[dict[str, Any]] = []
    if made is not None:
        explained = dict(zip(made.names, made.explained.tolist(), strict=True))
        units = [
            {"name": unit, "sequences": sequences, "subjects": people, "explained": round(explained[unit], 4)}
            for unit, sequences, people in zip(made.units, found.sequences, found.people, strict=True)
        ]
    return {"intensities": {"scale": _SCALE, "units": units, "left_out": found.left_out}}
