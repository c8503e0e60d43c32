"""The demo basis with few components, and the same as a learned basis would describe itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from au3dmm.core.basis import Bases
from au3dmm.core.basis_summary import component_table
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases


def few_components(names: Sequence[str] = ("AU1", "AU12_left", "AU12_right"), k_id: int = 2) -> Bases:
    """The demo basis with these AU components only."""
    bases = read_bases(asset_path(DEMO_BASES))
    kept = [bases.names_au.index(name) for name in names]
    return replace(
        bases,
        components_id=bases.components_id[:k_id],
        stddev_id=bases.stddev_id[:k_id],
        components_au=bases.components_au[kept],
        stddev_au=bases.stddev_au[kept],
        names_au=tuple(names),
        intensities=None,
    )


def learned(bases: Bases, **more: Any) -> Bases:
    """A basis that tells all that a learned one does; the first component goes with two AUs, the others with none."""
    table = component_table(bases)
    for k, entry in enumerate(table):
        entry["action_units"] = [{"au": "AU4", "r": 0.71, "n": 31}, {"au": "AU1", "r": 0.4, "n": 9}] if k == 0 else []
    info = {
        "basis_kind": "learned",
        "is_flame_topology": False,
        "licence": "MIT",
        "provenance": "two corpora",
        "package": "0.1.0",
        "method": "dictionary",
        "codes": "nonnegative",
        "l1": 0.02,
        "l2": 0.0,
        "seed": 3,
        "epochs": 4,
        "objective": [3.0, 2.0, 2.5, 1.5],
        "variance_explained_id": [0.6, 0.975],
        "variance_explained_au": 0.984,
        "sparsity": 0.8125,
        "rms_offset_mm": 2.04,
        "truncation_rms_mm": 0.052,
        "residual_rms_mm": 0.251,
        "warnings": ["subject s03: its neutral head is 4 mm off"],
        "restarted": 3,
        "corpora": [
            {"name": "one", "subjects": 60, "sequences": 1800, "frames": 54000, "lost_files": 2, "licence": "MIT"},
            {"name": "two", "subjects": 10, "sequences": 519, "frames": 4711, "fingerprint": "sha256:" + 64 * "a"},
        ],
        "components": table,
    }
    return replace(bases, info={**info, **more})
