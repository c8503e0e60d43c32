"""What a basis tells of itself: where it comes from, how it was learnt, what its components mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import au3dmm
from au3dmm.config import BasesParams
from au3dmm.core.dictionary import Dictionary
from au3dmm.core.meaning import Association, Meaning, associate
from au3dmm.core.offset_space import ReducedOffsets
from au3dmm.stages.bases_rows import OffsetRows

_TAKES_LEAST = 4  # tagged sequences; of fewer, nothing can be told


def corpora_info(rows: OffsetRows) -> dict[str, Any]:
    """Return kind, licence and provenance of the corpora."""
    return {
        "basis_kind": "demo" if any(c.kind == "demo" for c in rows.corpora) else "learned",
        "licence": "; ".join(dict.fromkeys(c.licence or "unknown" for c in rows.corpora)),
        "provenance": "; ".join(dict.fromkeys(c.provenance or c.name for c in rows.corpora)),
        "package": au3dmm.__version__,
        "corpora": [
            {
                "name": corpus.name,
                "subjects": len(corpus.subjects),
                "sequences": len(corpus.sequences),
                "frames": sum(len(s.rows) for s in corpus.sequences),
                "licence": corpus.licence,
                "fingerprint": corpus.fingerprint,
                "lost_files": len(corpus.lost),
            }
            for corpus in rows.corpora
        ],
    }


def learning_info(
    learnt: Dictionary, weighted: Dictionary, params: BasesParams, reduced: ReducedOffsets, left: float, vertices: int
) -> dict[str, Any]:
    """Return how the AU components were learnt, and how well they explain the offsets.

    Parameters
    ----------
    learnt, weighted : Dictionary
        Atoms and codes as they are, and among weighted offsets.
    params : BasesParams
        Values of ``[bases]``.
    reduced : ReducedOffsets
        What they were learnt from.
    left : float
        Sum of squares of what the codes leave of all offsets, m^2.
    vertices : int
        V.
    """
    k, frames = len(learnt.atoms), len(learnt.codes)
    mean_square = reduced.energy / frames
    dictionary = params.method != "pca"
    return {
        "method": params.method,
        "codes": params.codes if dictionary else "signed",
        "k_au": k,
        "seed": params.seed,
        **({"l1": params.l1 * reduced.rms, "l2": params.l2, "epochs": params.epochs} if dictionary else {}),
        "objective": rounded(np.array(weighted.objective) / (reduced.weighted / frames)),
        "restarted": learnt.restarted,
        "rms_offset_mm": 1e3 * float(np.sqrt(mean_square / vertices)),
        "residual_rms_mm": 1e3 * float(np.sqrt(left / frames / vertices)),
        "variance_explained_au": 1 - left / reduced.energy,
        "sparsity": float((learnt.codes == 0).mean()),
    }


def component_info(
    rows: OffsetRows,
    learnt: Dictionary,
    stddev: NDArray[np.float64],
    meanings: Sequence[Meaning],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the entry of each AU component (docs/formats.md): where it moves, its partner, its action units."""
    alpha = learnt.codes / stddev.astype(learnt.codes.dtype)
    found = _associations(rows, alpha, [m.side == "both" for m in meanings])
    energy = learnt.energy / learnt.energy.sum()
    return [
        {
            "name": names[i],
            "region": m.region,
            "side": m.side,
            "mirror": names[m.mirror],
            "mirror_cosine": round(m.mirror_cosine, 6),
            "energy": round(float(energy[i]), 6),
            "support": round(m.support, 6),
            "peak_mm": m.peak_mm,
            "action_units": None if found is None else [{"au": a.au, "r": round(a.r, 4), "n": a.n} for a in found[i]],
        }
        for i, m in enumerate(meanings)
    ]


def rounded(values: NDArray[np.floating]) -> list[float]:
    """Return numbers to seven digits, for JSON."""
    return [float(f"{value:.7g}") for value in values]


def _associations(
    rows: OffsetRows, alpha: NDArray[np.floating], two_sided: Sequence[bool]
) -> list[list[Association]] | None:
    """Relate the peaks of alpha in each tagged sequence to its action units; None if there are too few tags."""
    tagged = [(take.rows, set(take.action_units)) for take in rows.takes if take.action_units]
    if len(tagged) < _TAKES_LEAST:
        return None
    peaks = np.stack([np.abs(alpha[taken]).max(0) for taken, _ in tagged])
    columns: dict[str, NDArray[np.bool_]] = {}
    for unit in sorted({unit.partition("_")[0] for _, units in tagged for unit in units}):
        whole = np.array([any(u.partition("_")[0] == unit for u in units) for _, units in tagged])
        columns[unit] = whole
        for side in ("left", "right"):
            # a unit without a side is shown on both
            one = np.array([bool({unit, f"{unit}_{side}"} & units) for _, units in tagged])
            if (one != whole).any() and one.any():
                columns[f"{unit}_{side}"] = one
    found = associate(peaks, np.stack(list(columns.values()), 1), list(columns))
    return [_told_once(one, both) for one, both in zip(found, two_sided, strict=True)]


def _told_once(found: Sequence[Association], two_sided: bool) -> list[Association]:
    """Keep one of each action unit: the strongest, but of a two-sided component that goes with both sides the whole."""
    names = {association.au for association in found}
    kept: dict[str, Association] = {}
    for association in found:
        unit = association.au.partition("_")[0]
        whole = two_sided and {f"{unit}_left", f"{unit}_right"} <= names
        if unit not in kept or (whole and association.au == unit):
            kept[unit] = association
    return sorted(kept.values(), key=lambda association: -association.r)
