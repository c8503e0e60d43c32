"""People of ICT-FaceKit (MIT): its identities and expressions, painted and lit like the embedded head.

What differs from the embedded head: bare shoulders, and no lashes; 24591 vertices, which take longer to draw;
coefficients count thirds of its expressions, so that they do not compare with those of the demo basis; and the action
units that it has no expression for are put together from others (`STAND_INS`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.core.landmarks import GROUPS, LandmarkEmbedding, landmark_positions
from au3dmm.errors import ConfigError
from au3dmm.io.assets import read_default_head
from au3dmm.io.corpora.ict import HEAD_VERTICES, action_unit_labels, landmark_embedding, read_ict_npz
from au3dmm.synthetic.cast import Look, draw_identity, exposed
from au3dmm.synthetic.head_colour import MOUTH, PUPIL, SCLERA, TEETH
from au3dmm.synthetic.motion import MOST
from au3dmm.synthetic.person import Person, embody, with_neck

_FACE, _MOUTH_SOCKET, _EYE_SOCKETS, _GUMS, _TEETH, _EYEBALLS, _END = 9409, 13294, 14062, 17039, 21451, 24591, 24591
_EYEBALL_LEFT_END = 23021
_CM = 0.01
STAND_INS: Mapping[str, Mapping[str, float]] = {
    "AU23": {"AU24": 0.9, "AU28": 0.25},
    "AU25": {"AU16": 0.5, "AU10": 0.35},
    "AU26": {"AU26": 0.5},
    "AU27": {"AU26": 1.0},
    "AU43": {},
}
"""Expressions that stand in for action units: its jaw opens as wide as AU27, and AU45 closes the eyes."""


class IctHeads:
    """ICT-FaceKit as a family of heads."""

    name = "ict"
    licence = "MIT (ICT-FaceKit)"
    description = "Heads of ICT-FaceKit, painted by rules."
    stand_ins: Mapping[str, Mapping[str, float]] = STAND_INS

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ConfigError(f"--head ict:{path}: no such file; expected the npz of ICT-FaceKit")
        self.spec = f"ict:{path.absolute()}"
        arrays, self.fingerprint = read_ict_npz(path)
        n = len(arrays["neutral"])
        if n < _END:
            raise ConfigError(f"--head ict:{path}: {n} vertices, expected all 26719: eyes and teeth come last")
        faces = arrays["tri"]
        faces = faces[(faces < _END).all(1)].astype(np.int32)
        neutral = arrays["neutral"][:_END].astype(np.float64) * _CM
        landmarks = arrays["lmk68"].astype(np.int64)
        names = [str(name) for name in arrays["names"]]
        expressions = arrays["expression"][:, :_END].astype(np.float64) * (_CM / MOST)
        identity = arrays["identity"][:, :_END].astype(np.float64) * _CM
        head = faces[(faces < HEAD_VERTICES).all(1)]
        # landmarks lie on the head, whose triangles come first in our list as well
        faces = np.concatenate([head, faces[~(faces < HEAD_VERTICES).all(1)]])
        embedding = landmark_embedding(path, head, landmarks)
        demo = read_default_head()
        # the origin amid the head, as that of the embedded head is: cameras and the neck's pivot count from there
        target = landmark_positions(demo.vertices, demo.faces, demo.embedding).mean(0)
        neutral += target - neutral[landmarks].mean(0)
        self._bases = Bases(
            template=neutral,
            faces=faces,
            components_id=identity,
            components_au=expressions,
            stddev_id=np.linalg.norm(identity, axis=(1, 2)),
            stddev_au=np.linalg.norm(expressions, axis=(1, 2)),
            embedding=LandmarkEmbedding(embedding.face_index, embedding.barycentric),
            names_au=tuple((action_unit_labels(name) or (name,))[0] for name in names),
            info={"basis_kind": "user", "licence": self.licence},
        )
        self._last: tuple[tuple[int, int], Person] | None = None

    def person(self, seed: int, number: int, look: Look) -> Person:
        """See `HeadModel`; the last one is remembered, as sessions come subject by subject."""
        if self._last is None or self._last[0] != (seed, number):
            alpha_id = draw_identity(seed, number, self._bases.k_id)
            person = with_neck(embody(self._bases, painted(self._bases, look), alpha_id))
            person = replace(person, lighting=look.lighting, tint=look.tint)
            self._last = (seed, number), exposed(person, np.arange(_FACE))
        return self._last[1]


def painted(bases: Bases, look: Look) -> NDArray[np.uint8]:
    """Return colours (V, 3), sRGB, for ICT's vertices: its parts by their numbers, lips and brows by the landmarks."""
    v = bases.template
    marks = landmark_positions(v, bases.faces, bases.embedding)
    colour = np.tile(np.array(look.skin, float), (len(v), 1))
    number = np.arange(len(v))
    y, z = v[:, 1], v[:, 2]
    face = number < _FACE
    brow_y = marks[[*GROUPS["left_brow"], *GROUPS["right_brow"]], 1].mean()
    chin_y = marks[8, 1]
    # a cap of hair: above a line that runs from the forehead down behind the ears
    scalp = (number < HEAD_VERTICES) & (y > np.interp(z, [-0.06, 0.0, 0.05], [chin_y + 0.045, brow_y, brow_y + 0.052]))
    colour[scalp] = look.hair
    front = z > marks[27:36, 2].mean() - 0.06
    hair = np.minimum(0.8 * np.array(look.hair), 0.55 * np.array(look.skin))
    for group in ("left_brow", "right_brow"):
        near = _distance(v[:, :2], marks[list(GROUPS[group]), :2])
        share = np.clip((0.0052 - near) / 0.002, 0, 1) * (face & front)
        colour += 0.85 * share[:, None] * (hair - colour)
    outer, inner = marks[list(GROUPS["outer_lips"]), :2], marks[list(GROUPS["inner_lips"]), :2]
    # soft at the outer edge, as lips are; what is closer together than vertices are would look torn
    rim = _distance(v[:, :2], np.vstack([outer, outer[:1]])) * np.where(_inside(v[:, :2], outer), 1, -1)
    share = np.clip(0.5 + rim / 0.003, 0, 1) * (face & front & ~_inside(v[:, :2], inner))
    colour += share[:, None] * (np.array(look.lips) - colour)
    colour[(number >= HEAD_VERTICES) & (number < _MOUTH_SOCKET)] = 0.6 * MOUTH
    colour[(number >= _MOUTH_SOCKET) & (number < _EYE_SOCKETS)] = 0.5 * np.array(look.skin)
    colour[(number >= _EYE_SOCKETS) & (number < _GUMS)] = 1.6 * MOUTH
    colour[(number >= _GUMS) & (number < _TEETH)] = 0.85 * TEETH
    for start, end in ((_TEETH, _EYEBALL_LEFT_END), (_EYEBALL_LEFT_END, _EYEBALLS)):
        ball = v[start:end]
        off = ball - (ball.min(0) + ball.max(0)) / 2
        angle = np.degrees(np.arccos(np.clip(off[:, 2] / np.maximum(np.linalg.norm(off, axis=1), 1e-9), -1, 1)))
        eye = np.tile(SCLERA, (len(ball), 1))
        eye[angle < 27] = look.eyes
        eye[angle < 12] = PUPIL
        colour[start:end] = eye
    return np.asarray(np.clip(np.rint(colour), 0, 255), np.uint8)


def _distance(points: NDArray[np.float64], line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of points (N, 2) to a polyline (M, 2)."""
    best = np.full(len(points), np.inf)
    for a, b in pairwise(line):
        along = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - a - along[:, None] * (b - a), axis=1))
    return best


def _inside(points: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points (N, 2) lie in a polygon (M, 2): an odd number of its edges to the right of them."""
    odd = np.zeros(len(points), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = a[0] + (points[:, 1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        odd ^= crosses & (points[:, 0] < at)
    return odd
