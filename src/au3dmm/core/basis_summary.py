"""A basis in numbers and words, as plain values: what `inspect`, the sheets and the page of a basis show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.core.meaning import MIRROR_COSINE, describe_components
from au3dmm.core.mirror import basis_mirror

_TINY = 1e-6  # of the largest singular value; components are stored as float32


def summarise_basis(bases: Bases) -> dict[str, Any]:
    """Sum a basis up; what its file does not tell is None, never a guess.

    Parameters
    ----------
    bases : Bases
        Of any age: demo, learned, or written before components had meanings.

    Returns
    -------
    dict
        Plain values that JSON can hold: ``basis_kind, method, codes, is_flame_topology, licence, provenance, package,
        vertices, triangles, k_id, k_au, topology_hash, landmark_hash, n_dense_landmarks``; ``variance_explained_id``
        (per component, cumulative) and ``variance_explained_au`` (0 to 1), ``sparsity`` (share of codes that are zero),
        ``rms_offset_mm, truncation_rms_mm, residual_rms_mm`` (of the corpora's motion: all of it, what was cut off
        before learning, and what the components leave, as displacement of a vertex), ``objective`` (per epoch)
        and ``first_epoch`` (of it: 0 if it has the start, too), ``corpora`` (``name, subjects, sequences, frames,
        lost_files, licence, fingerprint`` each), ``settings`` (l1, l2, seed, epochs), ``warnings``
        (texts), ``restarted`` (unused components); ``coherence`` (see `coherence`) over the ``head`` and at the
        ``landmarks``; ``condition_landmarks``
        (None where it is infinite) and ``rank_landmarks`` (see `landmark_condition`); ``mirror_error`` (share of the
        mirrored components' energy that the mirror matrix leaves; None without one); and ``components``, see
        `component_table`.
    """
    info = bases.info
    objective = _numbers(info.get("objective"))
    at_landmarks = seen_at_landmarks(bases)
    condition, rank = landmark_condition(at_landmarks)
    mirror = basis_mirror(bases)
    return {
        "basis_kind": _text(info.get("basis_kind")),
        "method": _text(info.get("method")),
        "codes": _text(info.get("codes")),
        "is_flame_topology": bool(info["is_flame_topology"]) if "is_flame_topology" in info else None,
        "licence": _text(info.get("licence")),
        "provenance": _text(info.get("provenance")),
        "package": _text(info.get("package")),
        "vertices": len(bases.template),
        "triangles": len(bases.faces),
        "k_id": bases.k_id,
        "k_au": bases.k_au,
        "topology_hash": bases.topology_hash(),
        "landmark_hash": bases.landmark_hash(),
        "n_dense_landmarks": 0 if bases.dense is None else len(bases.dense.landmark_index),
        "variance_explained_id": _numbers(info.get("variance_explained_id")),
        "variance_explained_au": _number(info.get("variance_explained_au")),
        "sparsity": _number(info.get("sparsity")),
        "rms_offset_mm": _number(info.get("rms_offset_mm")),
        "truncation_rms_mm": _number(info.get("truncation_rms_mm")),
        "residual_rms_mm": _number(info.get("residual_rms_mm")),
        "objective": objective,
        "first_epoch": 0 if objective and len(objective) - 1 == info.get("epochs") else 1,
        "settings": {key: _number(info.get(key)) for key in ("l1", "l2", "seed", "epochs")},
        "corpora": _corpora(info.get("corpora")),
        "warnings": _texts(info.get("warnings")),
        "restarted": _number(info.get("restarted")),
        "coherence": {
            "head": coherence(bases.components_au.reshape(bases.k_au, -1)),
            "landmarks": coherence(at_landmarks),
        },
        "condition_landmarks": condition,
        "rank_landmarks": rank,
        "mirror_error": mirror[1] if mirror is not None else None,
        "components": component_table(bases),
        "intensities": intensity_table(bases),
    }


def intensity_table(bases: Bases) -> list[dict[str, Any]] | None:
    """Say of each action unit that intensities are read of how well the basis tells it; None if it reads none.

    Returns
    -------
    list of dict
        ``unit``; ``sequences, subjects`` it was learnt from (None if the file does not say); ``explained``, ``left``,
        ``right``: shares of the variance that the codes of people not learnt from tell, of the whole and of the sides
        (None on the midline).
    """
    if bases.intensities is None:
        return None
    explained = dict(zip(bases.intensities.names, bases.intensities.explained.tolist(), strict=True))
    said = bases.info.get("intensities")
    entries = said.get("units") if isinstance(said, Mapping) else None
    known = {e.get("name"): e for e in entries or () if isinstance(e, Mapping)} if isinstance(entries, list) else {}
    return [
        {
            "unit": unit,
            **{key: _number(known.get(unit, {}).get(key)) for key in ("sequences", "subjects")},
            "explained": explained[unit],
            **{side: explained.get(f"{unit}_{side}") for side in ("left", "right")},
        }
        for unit in bases.intensities.units
    ]


def component_table(bases: Bases) -> list[dict[str, Any]]:
    """Say what each AU component means: as stored when the basis was made, otherwise worked out from its shape.

    Returns
    -------
    list of K_au dict
        ``name, region, side, mirror`` (a name), ``mirror_cosine, energy`` (its share of all AU motion, 0 to 1),
        ``support, peak_mm`` (see `meaning.Meaning`), ``partner``: `mirror`, or None where the cosine is too small to
        speak of one, ``action_units``: a list of ``au, r, n``, strongest first,
        empty if it goes with none, None if the corpus had no tags, and ``std_factor``: what its standard deviation is
        multiplied by, 1 where the file does not say.
    """
    names = bases.names_au
    stored = _stored_entries(bases)
    complete = all(entry.keys() >= _TABLE_KEYS for entry in stored)
    computed: list[dict[str, Any]] = [] if complete else _computed_entries(bases)
    table = []
    for k, name in enumerate(names):
        entry: dict[str, Any] = {"name": name}
        for key in ("region", "side", "mirror", "mirror_cosine", "energy", "support", "peak_mm"):
            entry[key] = stored[k][key] if key in stored[k] else computed[k][key]
        entry["partner"] = entry["mirror"] if abs(entry["mirror_cosine"]) >= MIRROR_COSINE else None
        entry["action_units"] = stored[k].get("action_units")
        entry["std_factor"] = 1.0 if bases.std_factor_au is None else float(bases.std_factor_au[k])
        table.append(entry)
    return table


def seen_at_landmarks(bases: Bases) -> NDArray[np.float64]:
    """Return what a frontal image sees of the AU components (K_au, 136): x and y of the landmarks, less their mean.

    The mean is what a translation of the head explains; m per standard deviation.
    """
    at = bases.landmarks()[2][:, :, :2]
    return np.asarray((at - at.mean(1, keepdims=True)).reshape(bases.k_au, -1))


def coherence(rows: NDArray[np.floating]) -> dict[str, float | None]:
    """Return the largest and the mean |cos| between any two rows (K, N); None if there are fewer than two.

    Examples
    --------
    >>> coherence(np.array([[1.0, 0], [0, 2], [0, -3]]))
    {'max': 1.0, 'mean': 0.3333333333333333}
    """
    if len(rows) < 2:
        return {"max": None, "mean": None}
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(length > 0, length, 1)
    pairs = np.abs(unit @ unit.T)[np.triu_indices(len(rows), 1)]
    return {"max": float(min(pairs.max(), 1.0)), "mean": float(pairs.mean())}


def landmark_condition(rows: NDArray[np.floating]) -> tuple[float | None, int]:
    """Return the condition number of components (K, N), and how many directions among them are told apart.

    The condition number is the ratio of the largest to the smallest singular value; None if it is infinite, that is,
    if some combination of components cannot be seen (below 1e-6 of the largest).

    Examples
    --------
    >>> landmark_condition(np.array([[2.0, 0], [0, 1]])), landmark_condition(np.array([[2.0, 0], [1, 0]]))
    ((2.0, 2), (None, 1))
    """
    values = np.linalg.svd(rows, compute_uv=False)
    rank = int((values > _TINY * values.max(initial=0)).sum())
    return (float(values[0] / values[-1]) if rank == len(rows) else None), rank


_SIDES = ("left", "right", "both")
_TABLE_KEYS = frozenset({"region", "side", "mirror", "mirror_cosine", "energy", "support", "peak_mm"})


def _computed_entries(bases: Bases) -> list[dict[str, Any]]:
    landmarks, _, _ = bases.landmarks()
    signed = bases.info.get("method") == "pca" or bases.info.get("codes") == "signed"
    meanings = describe_components(bases.template, bases.faces, bases.components_au, landmarks, signed=signed)
    # alpha has unit mean square over the corpus, so a component's motion is its own squared length
    squared = (bases.components_au**2).sum((1, 2))
    share = squared / (squared.sum() or 1.0)
    return [
        {
            "region": m.region,
            "side": m.side,
            "mirror": bases.names_au[m.mirror],
            "mirror_cosine": m.mirror_cosine,
            "energy": float(share[k]),
            "support": m.support,
            "peak_mm": m.peak_mm,
        }
        for k, m in enumerate(meanings)
    ]


def _stored_entries(bases: Bases) -> list[dict[str, Any]]:
    """Return what is stored of each component, less what is not of the right kind: any program may have written it."""
    entries = bases.info.get("components")
    if not isinstance(entries, list) or len(entries) != bases.k_au:
        return [{} for _ in range(bases.k_au)]
    kept = []
    for name, entry in zip(bases.names_au, entries, strict=True):
        found: dict[str, Any] = {}
        if isinstance(entry, Mapping) and entry.get("name") == name:
            for key in ("mirror_cosine", "energy", "support", "peak_mm"):
                value = _number(entry.get(key))
                if value is not None:
                    found[key] = value
            if _text(entry.get("region")):
                found["region"] = entry["region"]
            if entry.get("side") in _SIDES:
                found["side"] = entry["side"]
            if entry.get("mirror") in bases.names_au:
                found["mirror"] = entry["mirror"]
            if isinstance(entry.get("action_units"), list):
                found["action_units"] = _associations(entry["action_units"])
        kept.append(found)
    return kept


def _associations(values: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"au": value["au"], "r": _number(value.get("r")), "n": _number(value.get("n"))}
        for value in values
        if isinstance(value, Mapping) and _text(value.get("au"))
    ]


def _corpora(values: Any) -> list[dict[str, Any]] | None:
    if not isinstance(values, list):
        return None
    return [
        {key: _text(value.get(key)) for key in ("name", "licence", "fingerprint")}
        | {key: _number(value.get(key)) for key in ("subjects", "sequences", "frames", "lost_files")}
        for value in values
        if isinstance(value, Mapping)
    ]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _number(value: Any) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None


def _numbers(values: Any) -> list[float] | None:
    if not isinstance(values, list) or not values:
        return None
    found = [_number(value) for value in values]
    return None if None in found else [value for value in found if value is not None]
