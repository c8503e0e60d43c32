"""The form in which the authors of FACEMORPHIC announce theirs: boxes, 3D landmarks and coefficients per RGB frame.

``recordings/<subject>/AU_<n>/frames_<repetition>/`` holds `boxes.npz`, `alphas<K>.npz` and, if asked for,
`landmarks.npz`. Their files hold pickled dictionaries, which nobody should have to load; these hold plain arrays of the
same names (``alphas``, ``identity_alphas``, ``landmarks``), a row per frame, NaN and ``valid`` False where there is
nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.exports.npz_form import array_map, frame_arrays, write_arrays
from au3dmm.exports.selection import Selection
from au3dmm.io.sessions_index import IndexRow
from au3dmm.io.tables import vectors

Progress = Callable[[int, int | None], None]


def write_facemorphic(selection: Selection, folder: Path, progress: Progress | None = None) -> int:
    """Write a folder per session; return the number of RGB frames."""
    rows = [row for row in selection.rows if row.status != "failed"]
    places = clip_folders(rows)
    people = _identities(selection) if selection.options.identity else {}
    frames = 0
    for done, row in enumerate(rows, 1):
        place = folder / places[row.session_id]
        frames += _write_clip(selection, row, place, people.get(row.subject_id or ""))
        if progress:
            progress(done, len(rows))
    return frames


def clip_folders(rows: list[IndexRow]) -> dict[str, str]:
    """Return the folder of each session; two that would share one are told apart by their session_id.

    Examples
    --------
    >>> rows = [IndexRow("a", "S1", "AU12", run=2), IndexRow("b", "S1", None, "AU_FREE", 1)]
    >>> clip_folders(rows)
    {'a': 'recordings/S1/AU_12/frames_2', 'b': 'recordings/S1/AU_FREE/frames_1'}
    """
    base = {row.session_id: f"recordings/{row.subject_id}/{_action(row)}" for row in rows}
    named = {row.session_id: f"{base[row.session_id]}/frames_{row.run or 1}" for row in rows}
    shared = Counter(named.values())
    return {name: place if shared[place] == 1 else f"{base[name]}/frames_{name}" for name, place in named.items()}


def _action(row: IndexRow) -> str:
    if row.au is not None:
        number = re.fullmatch(r"(?:AU)?_?0*(\d+)", row.au, re.IGNORECASE)
        return f"AU_{number[1]}" if number else _safe(row.au)
    return _safe(row.task or "AU_FREE")


def _safe(name: str) -> str:
    """Turn free text into the name of a folder.

    Examples
    --------
    >>> _safe("AU1+2 / strong"), _safe("..")
    ('AU1+2_strong', 'unnamed')
    """
    text = re.sub(r"[^\w.+-]+", "_", name).strip("._")
    return text or "unnamed"


def _identities(selection: Selection) -> dict[str, NDArray[np.float32]]:
    table = selection.identities()
    if "alpha_id" not in table.column_names:
        return {}
    values, _ = vectors(table, "alpha_id")
    return dict(zip(table["subject_id"].to_pylist(), values, strict=True))


def _write_clip(selection: Selection, row: IndexRow, place: Path, identity: NDArray[np.float32] | None) -> int:
    found = dict(frame_arrays(selection.landmarks(row)))
    coefficients = selection.coefficients(row)
    alphas, valid = vectors(coefficients, "alpha_au")
    common = {"frame_index": found["frame_index"], "t_rgb_us": found["t_rgb_us"]}
    assert np.array_equal(coefficients["frame_index"].to_numpy(), found["frame_index"]), "a row per RGB frame in both"
    values: dict[str, NDArray[Any]] = {**common, "alphas": alphas, "valid": valid}
    if identity is not None:
        values["identity_alphas"] = identity
    write_arrays(place / f"alphas{alphas.shape[1]}.npz", array_map(values))
    has_box = np.isfinite(found["boxes"]).all(axis=1, keepdims=False)
    write_arrays(place / "boxes.npz", array_map({**common, "boxes": found["boxes"], "valid": np.asarray(has_box)}))
    if selection.options.landmarks:
        points = {**common, "landmarks": found["landmarks"], "valid": found["valid"], "score": found["score"]}
        write_arrays(place / "landmarks.npz", array_map(points))
    return len(alphas)
