"""A family of faces to simulate: points, identities, expressions, and which expressions make an action unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from au3dmm.core.landmarks import JAW, eye_distance, landmark_positions
from au3dmm.errors import SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import bases_fingerprint, read_bases
from au3dmm.io.corpora.ict import HEAD_VERTICES, read_ict_npz
from au3dmm.simulation.contour import contour_paths

FACIAL_UNITS = tuple(
    f"AU{n}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27, 28, 43, 45)
)
"""The 24 action units that clips show: of the face only, where six of FACEMORPHIC's are head movements."""
BLINKS = ("AU43", "AU45")

_DENSE_MORE, _METRIC, _EXTRA = 336, 600, 1000
_POINT_SEED = 5
_CONTOUR_M = 0.009  # dense points this near to a jaw landmark are as hard to see
_CM = 0.01
_FULL = 3.0  # a maximal contraction of the demo basis, standard deviations
# from the landmarks' mean to where the head turns about, and from there to the plane at which size is stated, m
_TO_PIVOT = np.array([0.0, 0.0026, -0.0644])
_EYEBALLS = ("eyeLook", "Pupil")
_ICT_FACE = 9409  # first vertices: the face without back of the head and neck

# what each action unit is made of; ICT's names without their side
_ICT_UNITS: dict[str, dict[str, float]] = {
    "AU1": {"browInnerUp": 1.0},
    "AU2": {"browOuterUp": 1.0},
    "AU4": {"browDown": 1.0},
    "AU5": {"eyeWide": 1.0},
    "AU6": {"cheekSquint": 0.8, "cheekRaiser": 0.6},
    "AU7": {"eyeSquint": 1.0},
    "AU9": {"noseSneer": 1.0},
    "AU10": {"mouthUpperUp": 1.0},
    "AU12": {"mouthSmile": 1.0},
    "AU14": {"mouthDimple": 1.0},
    "AU15": {"mouthFrown": 1.0},
    "AU16": {"mouthLowerDown": 1.0},
    "AU17": {"mouthShrugLower": 1.0},
    "AU18": {"mouthPucker": 1.0},
    "AU20": {"mouthStretch": 1.0},
    "AU22": {"mouthFunnel": 1.0},
    "AU23": {"mouthPucker": 0.25, "mouthRollUpper": 0.4, "mouthRollLower": 0.4},
    "AU24": {"mouthPress": 1.0},
    "AU25": {"mouthLowerDown": 0.5, "mouthUpperUp": 0.45, "jawOpen": 0.06},
    "AU26": {"jawOpen": 0.3},
    "AU27": {"jawOpen": 0.8},
    "AU28": {"mouthRollLower": 0.9, "mouthRollUpper": 0.7},
    "AU43": {"eyeBlink": 1.0},
    "AU45": {"eyeBlink": 1.0},
}
_DEMO_SPEECH = ("AU10", "AU12", "AU14", "AU15", "AU16", "AU17", "AU18", "AU20", "AU22", "AU23", "AU24", "AU25", "AU26")


@dataclass(frozen=True)
class FaceFamily:
    """Points of a face, and how identities and expressions move them; m, y up, z out of the face.

    The first `n_landmarks` points are landmarks (the first 68 of them iBUG's), then `n_metric` points where errors are
    measured, then others that only the basis is learnt from, up to `n_model`; the rest are the paths on which contour
    landmarks slide (17 after another, each from its landmark inward).

    Attributes
    ----------
    name, fingerprint : str
        Of what, and of its files.
    points : (P, 3) array
        Of the mean neutral face.
    identity : (M, P, 3) array
        Displacements per standard deviation.
    expressions : (E, P, 3) array
        Displacements of full expressions.
    names : tuple of E str
        Names of the expressions, a side at the end where they have one.
    units : mapping of str to mapping of int to float
        Which expressions, how strongly, make each action unit.
    contour : (n_landmarks,) bool array
        Landmarks on the jaw's contour.
    n_landmarks, n_metric, n_model : int
        See above.
    opposite : tuple of (n_model, 3), (M, n_model, 3) and (E, n_model, 3) arrays
        Points, identity and expressions at the mirror partners of the first `n_model` points, m.
    """

    name: str
    fingerprint: str
    points: NDArray[np.float64]
    identity: NDArray[np.float64]
    expressions: NDArray[np.float64]
    names: tuple[str, ...]
    units: Mapping[str, Mapping[int, float]]
    contour: NDArray[np.bool_]
    n_landmarks: int
    n_metric: int
    n_model: int
    opposite: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

    @property
    def metric(self) -> slice:
        """Points where errors are measured."""
        return slice(self.n_landmarks, self.n_landmarks + self.n_metric)

    @property
    def pivot(self) -> NDArray[np.float64]:
        """Where the head turns about (3,), m."""
        return np.asarray(self.points[:68].mean(0) + _TO_PIVOT)

    @property
    def eye_m(self) -> float:
        """Distance between the outer eye corners, m."""
        return float(eye_distance(self.points[:68]))

    @property
    def sides(self) -> tuple[str, ...]:
        """``left``, ``right`` or nothing, for each expression."""
        return tuple(_side(name) for name in self.names)

    @property
    def gestures(self) -> dict[str, tuple[int, ...]]:
        """Expressions without their side: the numbers of both sides, or of the one there is."""
        found: dict[str, tuple[int, ...]] = {}
        for i, name in enumerate(self.names):
            base = _base(name)
            found[base] = (*found.get(base, ()), i)
        return found

    @property
    def speech(self) -> tuple[int, ...]:
        """Expressions of mouth and jaw."""
        starts = ("mouth", "jaw")
        return tuple(i for i, name in enumerate(self.names) if name.startswith(starts) or _base(name) in _DEMO_SPEECH)

    @property
    def smiles(self) -> tuple[int, ...]:
        """Expressions that speech shows only half: those of the smile."""
        return tuple(i for i, name in enumerate(self.names) if _base(name) in ("mouthSmile", "AU12"))


def ict_family(path: Path) -> FaceFamily:
    """Make a family of ICT-FaceKit's npz (MIT): 404 landmarks, 600 metric points, 1000 others.

    Raises
    ------
    SchemaError
        If the file is another one.
    """
    arrays, fingerprint = read_ict_npz(path)
    head = arrays["neutral"][:HEAD_VERTICES].astype(np.float64) * _CM
    if len(head) < HEAD_VERTICES:
        raise SchemaError(f"{path}: {len(head)} vertices; expected the {HEAD_VERTICES} of the whole head")
    names = [str(name) for name in arrays["names"]]
    used = [i for i, name in enumerate(names) if not name.startswith(_EYEBALLS)]
    y, z = head[:, 1], head[:, 2]
    front = (np.arange(len(head)) < _ICT_FACE) & (z > 0.03) & (y > -0.085) & (y < 0.095)
    front &= ~((z < 0.07) & (y < -0.04))  # the neck
    marks = arrays["lmk68"].astype(np.int64)

    def at(points: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        return head[points], arrays["identity"][:, points] * _CM, arrays["expression"][used][:, points] * _CM

    return _family(
        "ict",
        fingerprint,
        at,
        head,
        tuple(names[i] for i in used),
        _ICT_UNITS,
        np.flatnonzero(front),
        marks,
        (_DENSE_MORE, _METRIC, _EXTRA),
    )


def demo_family() -> FaceFamily:
    """Make a family of the shipped head and its demo basis; smaller, for tests.

    Its landmarks are the vertices nearest to the embedded ones.
    """
    path = asset_path(DEMO_BASES)
    bases = read_bases(path)
    head = bases.template
    at_landmarks = landmark_positions(head, bases.faces, bases.embedding)
    marks = np.array([int(np.argmin(((head - mark) ** 2).sum(1))) for mark in at_landmarks])
    mean = at_landmarks.mean(0)
    y, z = head[:, 1] - mean[1], head[:, 2] - mean[2]
    front = (z > -0.064) & (y > -0.083) & (y < 0.098) & ~((z < -0.024) & (y < -0.037))

    def at(points: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        return head[points], bases.components_id[:, points], _FULL * bases.components_au[:, points]

    units = {unit: {"AU43" if unit in BLINKS else unit: 1.0} for unit in FACIAL_UNITS}
    fingerprint = bases_fingerprint(path)
    return _family("demo", fingerprint, at, head, bases.names_au, units, np.flatnonzero(front), marks, (132, 200, 200))


def _family(
    name: str,
    fingerprint: str,
    at: Callable[[NDArray[np.int64]], tuple[NDArray[Any], ...]],
    head: NDArray[np.float64],
    names: tuple[str, ...],
    units: Mapping[str, Mapping[str, float]],
    front: NDArray[np.int64],
    marks: NDArray[np.int64],
    counts: tuple[int, int, int],
) -> FaceFamily:
    rng = np.random.default_rng(_POINT_SEED)
    dense = np.concatenate([marks, _spread(head, front, marks, counts[0])])
    metric = rng.choice(np.setdiff1d(front, dense), counts[1], replace=False)
    taken = np.concatenate([dense, metric])
    extra = rng.choice(np.setdiff1d(np.arange(len(head)), taken), counts[2], replace=False)
    paths = contour_paths(head, front, marks)
    chosen = np.concatenate([taken, extra, paths.ravel()])
    points, identity, expressions = (np.asarray(a, np.float64) for a in at(chosen))
    to_jaw = np.sqrt(((points[: len(dense), None] - points[JAW]) ** 2).sum(2)).min(1)
    contour = to_jaw < _CONTOUR_M
    contour[:68] = False
    contour[JAW] = True
    made = {
        unit: {i: weight for base, weight in parts.items() for i, n in enumerate(names) if _base(n) == base}
        for unit, parts in units.items()
    }
    empty = [unit for unit, parts in made.items() if not parts]
    if empty:
        raise SchemaError(f"{name}: no expression for {', '.join(empty)}; found {', '.join(names)}")
    n_model = len(taken) + len(extra)
    partners = cKDTree(head).query(head[chosen[:n_model]] * [-1, 1, 1])[1]  # these heads are symmetric
    there = [np.asarray(a, np.float64) for a in at(partners)]
    opposite = (there[0], there[1], there[2])
    return FaceFamily(
        name,
        fingerprint,
        points,
        identity,
        expressions,
        names,
        made,
        contour,
        len(dense),
        len(metric),
        n_model,
        opposite,
    )


def _spread(
    head: NDArray[np.float64], candidates: NDArray[np.int64], start: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Choose points far from `start` and each other: each time the one farthest from all that are chosen."""
    places = head[candidates]
    far = ((places[:, None] - head[start]) ** 2).sum(2).min(1)
    chosen = []
    for _ in range(count):
        pick = int(np.argmax(far))
        chosen.append(candidates[pick])
        far = np.minimum(far, ((places - places[pick]) ** 2).sum(1))
    return np.array(chosen)


def _side(name: str) -> str:
    ending = name.rpartition("_")[2]
    return {"L": "left", "left": "left", "R": "right", "right": "right"}.get(ending, "") if "_" in name else ""


def _base(name: str) -> str:
    return name.rpartition("_")[0] if _side(name) else name
