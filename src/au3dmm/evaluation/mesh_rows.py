"""Several ways to make the faces of the same frames, measured side by side: sums to be pooled, and their table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError
from au3dmm.evaluation.mesh_error import MeshError, jitter, rest_jitter
from au3dmm.evaluation.tables import markdown

COARSE, SMOOTHED, REFINED = "coarse", "smoothed", "refined"
WORDS = {
    "vertex_rms_mm": "vertices, rms mm",
    "surface_mean_mm": "surface, mean mm",
    "surface_sd_mm": "SD",
    "jitter_mm": "jitter, mm",
    "jitter_of_error_mm": "of the error, mm",
    "jitter_at_rest_mm": "at rest, mm",
}
"""What is measured of a row, and how tables call it."""


@dataclass
class FaceSums:
    """What was measured of one way to make faces.

    Attributes
    ----------
    squared : list of (n,) arrays
        Mean squares over vertices of the frames that are known, mm^2.
    jitter, trembling, at_rest : list of (float, int)
        Of each clip: of the faces, of their error, of faces at rest (`evaluation.mesh_error`); and its frames.
    surfaces : list of MeshError
        Distances from true surfaces.
    """

    squared: list[NDArray[np.float64]] = field(default_factory=list)
    jitter: list[tuple[float, int]] = field(default_factory=list)
    trembling: list[tuple[float, int]] = field(default_factory=list)
    at_rest: list[tuple[float, int]] = field(default_factory=list)
    surfaces: list[MeshError] = field(default_factory=list)

    def add(self, motion: NDArray[np.float64], truth: NDArray[np.float64], beyond: NDArray[np.float64]) -> None:
        """Take a clip: motion and truth (T, R), mm, NaN where not known; mm^2 (T,) of truth that is not in R."""
        error = ((motion - truth) ** 2).sum(1) + beyond
        self.squared.append(error[np.isfinite(error)])
        for values, value in (
            (self.jitter, jitter(motion)),
            (self.trembling, jitter(motion, truth)),
            (self.at_rest, rest_jitter(motion, truth)),
        ):
            if np.isfinite(value):
                values.append((value, len(motion)))

    def join(self, other: FaceSums) -> None:
        """Take all of another's clips."""
        self.squared += other.squared
        self.jitter += other.jitter
        self.trembling += other.trembling
        self.at_rest += other.at_rest
        self.surfaces += other.surfaces

    def summary(self) -> dict[str, float]:
        """Return the numbers of `WORDS`, mm."""
        squared = np.concatenate(self.squared) if self.squared else np.zeros(0)
        found = {"vertex_rms_mm": float(np.sqrt(squared.mean())) if len(squared) else float("nan")}
        for name, values in (
            *(("jitter_mm", self.jitter), ("jitter_of_error_mm", self.trembling)),
            ("jitter_at_rest_mm", self.at_rest),
        ):
            total = sum(n for _, n in values)
            found[name] = float(np.sqrt(sum(v**2 * n for v, n in values) / total)) if total else float("nan")
        if self.surfaces:
            means = np.concatenate([error.mean_mm for error in self.surfaces])
            squares = np.concatenate([error.squared_mm2 for error in self.surfaces])
            whole = MeshError(means, squares, self.surfaces[0].n_vertices).summary()
            found |= {f"surface_{key}": whole[key] for key in ("mean_mm", "sd_mm")}
        return found


class FaceMeasures:
    """What was measured of several ways to make faces, all on the same frames: those that each has a face for.

    Parameters
    ----------
    names : iterable of str
        The ways, in the order of the table; `COARSE`, which gains are counted from, among them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.rows = {name: FaceSums() for name in names}
        self.true = FaceSums()
        self.by_subject: dict[str, dict[str, FaceSums]] = {}
        self.sessions: set[str] = set()
        self.clips = 0
        self.lacking = dict.fromkeys(self.rows, 0)

    def add(
        self,
        subject_id: str,
        session_id: str,
        motion: Mapping[str, NDArray[np.float64]],
        truth: NDArray[np.float64],
        beyond: NDArray[np.float64],
    ) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]] | None:
        """Take a clip of T frames.

        Parameters
        ----------
        subject_id, session_id : str
            Of whom, and which recording.
        motion : mapping of str to (T, R) arrays
            Of each way, mm (`core.motion_space`); NaN where there is no face.
        truth : (T, R) array
            The same, NaN where it is not known.
        beyond : (T,) array
            Mean square over vertices of the true motion that R does not hold, mm^2.

        Returns
        -------
        (motion, truth), or None
            Both with NaN where any of them had it; None if nothing is left, and the clip does not count.
        """
        known: NDArray[np.bool_] = np.asarray(np.isfinite(truth).all(1))
        if not known.any():
            return None
        there: NDArray[np.bool_] = known
        for name, values in motion.items():
            mine = np.isfinite(values).all(1)
            self.lacking[name] += int((known & ~mine).sum())
            there = there & mine
        if not there.any():
            return None
        self.clips += 1
        self.sessions.add(session_id)
        truth = np.where(there[:, None], truth, np.nan)
        motion = {name: np.where(there[:, None], values, np.nan) for name, values in motion.items()}
        self.true.add(truth, truth, beyond)
        mine_ = self.by_subject.setdefault(subject_id, {name: FaceSums() for name in self.rows})
        for name, values in motion.items():
            self.rows[name].add(values, truth, beyond)
            mine_[name].add(values, truth, beyond)
        return motion, truth

    def join(self, other: FaceMeasures) -> None:
        """Take all that was measured of other people.

        Raises
        ------
        SchemaError
            If ways differ, or one person is in both.
        """
        if list(self.rows) != list(other.rows):
            raise SchemaError(f"faces of {', '.join(other.rows)} cannot be pooled with those of {', '.join(self.rows)}")
        twice = sorted(set(self.by_subject) & set(other.by_subject))
        if twice:
            raise SchemaError(f"faces of subject {twice[0]!r} were measured twice; expected other people in each part")
        for name, rows in other.rows.items():
            self.rows[name].join(rows)
            self.lacking[name] += other.lacking[name]
        self.true.join(other.true)
        self.by_subject |= other.by_subject
        self.sessions |= other.sessions
        self.clips += other.clips

    def summary(self) -> dict[str, Any]:
        """Return ``rows, gain, by_subject, true_jitter_mm, beyond_space_mm, clips, frames, recordings, subjects``,
        and ``lacking``: frames of known truth that a row has no face for, which count in no row.
        """
        rows = {name: sums.summary() for name, sums in self.rows.items()}
        coarse, true = rows[COARSE], self.true.summary()
        return {
            "rows": rows,
            "gain": {
                name: {key: 1 - value / coarse[key] for key, value in row.items() if coarse[key] > 0}
                for name, row in rows.items()
            },
            "by_subject": {
                subject: {name: sums.summary()["vertex_rms_mm"] for name, sums in found.items()}
                for subject, found in sorted(self.by_subject.items())
            },
            "true_jitter_mm": true["jitter_mm"],
            "beyond_space_mm": true["vertex_rms_mm"],
            "clips": self.clips,
            "frames": int(sum(len(s) for s in self.true.squared)),
            "lacking": {name: n for name, n in self.lacking.items() if n},
            "recordings": len(self.sessions),
            "subjects": len(self.by_subject),
        }


def meshes_markdown(found: Mapping[str, Any]) -> str:
    """Return the numbers of `FaceMeasures.summary` as a table, with the share of the coarse faces' that is gone."""
    there = [key for key in WORDS if key in found["rows"][COARSE]]
    text = (
        f"{found['frames']} frames of {found['recordings']} recordings, subjects: {found['subjects']}; the true motion"
        f" has a jitter of {found['true_jitter_mm']:.3f} mm; {found['beyond_space_mm']:.3f} mm (rms) of it lie"
        " beyond the network's space: vertices count them, surface and jitter do not\n\n"
    )
    if found["lacking"]:
        said = ", ".join(f"{name} {n}" for name, n in found["lacking"].items())
        text += f"Left out of all rows: frames that one has no face for ({said}).\n\n"
    rows = []
    for name, row in found["rows"].items():
        cells = [name]
        for key in there:
            gone = found["gain"][name].get(key)
            more = "" if gone is None or name == COARSE else f" ({-100 * gone:+.0f} %)"
            cells.append(f"{row[key]:.3f}{more}")
        rows.append(cells)
    return text + markdown(["faces", *(WORDS[key] for key in there)], rows)
