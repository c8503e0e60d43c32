"""How `au3dmm inspect` tells what is in a basis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from au3dmm.cli.output import aligned, number

UNKNOWN = "unknown"
# fmt: off
BASIS_KEYS = frozenset({
    "basis_kind", "method", "codes", "is_flame_topology", "licence", "provenance", "package", "names_au", "k_id",
    "k_au", "topology_hash", "landmark_hash", "variance_explained_id", "variance_explained_au", "rms_offset_mm",
    "truncation_rms_mm", "residual_rms_mm", "warnings", "restarted", "sparsity", "objective", "corpora", "components",
    "l1", "l2", "seed", "epochs", "mirrored", "mirror_error", "names_intensity",
})
# fmt: on
"""Keys of a basis' metadata that `basis_parts` tells."""


def basis_parts(basis: Mapping[str, Any]) -> list[str]:
    """Lay the summary of a basis out for people: its facts, its corpora, and every component with its whole name."""
    parts = [aligned(_facts(basis))]
    if basis["corpora"]:
        header = ("corpus", "subjects", "sequences", "frames", "lost files", "licence", "fingerprint")
        keys = ("name", "subjects", "sequences", "frames", "lost_files", "licence", "fingerprint")
        parts.append(aligned([header, *(tuple(_text(corpus[key]) for key in keys) for corpus in basis["corpora"])]))
    columns = (
        *("component", "region", "side", "mirror", "cosine", "energy", "support", "peak mm", "std factor"),
        "action units",
    )
    rows = [
        (
            entry["name"],
            entry["region"],
            entry["side"],
            "itself" if entry["partner"] == entry["name"] else entry["partner"] or "none",
            f"{entry['mirror_cosine']:.2f}",
            _percent(entry["energy"]),
            _percent(entry["support"]),
            number(float(entry["peak_mm"]), 3),
            f"{entry['std_factor']:.2f}",
            _action_units(entry["action_units"]),
        )
        for entry in basis["components"]
    ]
    parts.append(aligned([columns, *rows]))
    if basis["intensities"]:
        parts.append(aligned(_intensities(basis["intensities"])))
    parts.append("\n".join(f"  warning: {text}" for text in basis["warnings"]))
    return [part for part in parts if part]


def _facts(basis: Mapping[str, Any]) -> list[tuple[str, str]]:
    variance = basis["variance_explained_id"]
    topology = {True: "FLAME's", False: "not FLAME's", None: UNKNOWN}[basis["is_flame_topology"]]
    settings = ", ".join(f"{name} {number(value)}" for name, value in basis["settings"].items() if value is not None)
    objective = basis["objective"]
    course = UNKNOWN
    if objective:
        first, last = basis["first_epoch"], basis["first_epoch"] + len(objective) - 1
        course = f"{number(float(objective[0]))} to {number(float(objective[-1]))} in epochs {first} to {last}"
    condition = basis["condition_landmarks"]
    told_apart = f"{basis['rank_landmarks']} of {basis['k_au']} components can be told apart"
    return [
        ("kind", _text(basis["basis_kind"])),
        ("identity components", str(basis["k_id"])),
        ("AU components", str(basis["k_au"])),
        ("method", _text(basis["method"])),
        ("codes", _text(basis["codes"])),
        ("settings", settings or UNKNOWN),
        ("mesh", f"{basis['vertices']} vertices, {basis['triangles']} triangles, topology: {topology}"),
        ("variance explained, identity", _percent(variance[-1] if variance else None)),
        ("variance explained, AU", _percent(basis["variance_explained_au"])),
        ("sparsity", _percent(basis["sparsity"], " of the codes are zero")),
        ("rms of all motion", _number(basis["rms_offset_mm"], " mm")),
        ("rms cut off before learning", _number(basis["truncation_rms_mm"], " mm")),
        ("rms the components leave", _number(basis["residual_rms_mm"], " mm")),
        ("objective", course),
        ("coherence over the head", _coherence(basis["coherence"]["head"])),
        ("coherence at the landmarks", _coherence(basis["coherence"]["landmarks"])),
        ("condition at the landmarks", f"{_number(condition) if condition is not None else 'infinite'}; {told_apart}"),
        ("left of mirrored components", _percent(basis["mirror_error"], " of their energy")),
        ("licence", _text(basis["licence"])),
        ("provenance", _text(basis["provenance"])),
        ("made by", f"au3dmm {basis['package']}" if basis["package"] else UNKNOWN),
        ("corpora", str(len(basis["corpora"])) if basis["corpora"] else UNKNOWN),
        ("file hash", _text(basis["file_hash"])),
        ("topology hash", _text(basis["topology_hash"])),
        ("landmark hash", _text(basis["landmark_hash"])),
        ("dense landmarks", str(basis["n_dense_landmarks"])),
    ]


def _intensities(units: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return rows: each action unit with an intensity, and how much of it the basis tells."""
    header = ("intensity", "sequences", "subjects", "told by the basis", "left", "right")
    return [
        header,
        *(
            (u["unit"], _text(u["sequences"]), _text(u["subjects"]), _percent(u["explained"]))
            + tuple("" if u[side] is None else _percent(u[side]) for side in ("left", "right"))
            for u in units
        ),
    ]


def _coherence(found: Mapping[str, float | None]) -> str:
    if found["max"] is None or found["mean"] is None:
        return "no two components to compare"
    return f"|cos| {found['max']:.3f} largest, {found['mean']:.3f} mean"


def _action_units(found: Sequence[Mapping[str, Any]] | None) -> str:
    """Write the action units that a component goes with.

    Examples
    --------
    >>> _action_units([{"au": "AU1", "r": 0.714, "n": 31}]), _action_units([]), _action_units(None)
    ('AU1 (r 0.71, n 31)', 'none', 'unknown')
    """
    if not found:
        return UNKNOWN if found is None else "none"
    return ", ".join(
        f"{value['au']} (r {UNKNOWN if value['r'] is None else format(value['r'], '.2f')}, n {_text(value['n'])})"
        for value in found
    )


def _text(value: Any) -> str:
    return UNKNOWN if value is None else " ".join(str(value).split())


def _percent(share: float | None, of: str = "") -> str:
    return UNKNOWN if share is None else f"{number(100.0 * share, 3)} %{of}"


def _number(value: float | None, unit: str = "") -> str:
    return UNKNOWN if value is None else f"{number(float(value))}{unit}"
