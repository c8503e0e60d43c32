"""Pictures of the components of a basis: the head they make, from the front and turned, whole and at one scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.core.landmarks import eye_distance
from au3dmm.core.shading import vertex_normals
from au3dmm.report.arrows import draw_motion
from au3dmm.report.mesh_views import (
    FRONT_DEG,
    THREE_QUARTER_DEG,
    Framing,
    draw_head,
    frame_heads,
    project,
    turned,
)
from au3dmm.report.openness import surface_openness

SHOWN_SD = 2.0
"""Components are shown at this alpha."""
_BELOW_CHIN = 0.3  # outer eye distances of neck that are shown
_CHIN = 8  # iBUG's landmark


@dataclass(frozen=True)
class Pair:
    """A view from the front and a three-quarter view, at one scale."""

    front: Framing
    side: Framing

    @property
    def aspect(self) -> float:
        """Width of both side by side, in heights."""
        return (self.front.width_m + self.side.width_m) / self.front.height_m


@dataclass(frozen=True)
class Heat:
    """A heat map: a picture (H, W, 4), and the displacement with the last of its colours, mm: the largest in it."""

    picture: NDArray[np.uint8]
    largest_mm: float


class BasisPictures:
    """Pictures of a basis, each drawn once: what one of its sheets drew, another one takes.

    Parameters
    ----------
    bases : Bases
        What to draw.

    Notes
    -----
    All AU pictures have one framing, and all identity pictures have one, that hold every head drawn in them from its
    top to below the chin. Pictures are sRGB and opacity, (height, W, 4): the front view, and a three-quarter view.
    """

    def __init__(self, bases: Bases) -> None:
        self.bases = bases
        self._drawn: dict[tuple[object, ...], NDArray[np.uint8]] = {}

    @cached_property
    def of_components(self) -> Pair:
        """Framing of the mean head and every AU component at 2 sd."""
        moved = SHOWN_SD * self.bases.components_au
        return _pair(self.bases, moved, SHOWN_SD * self.bases.landmarks()[2])

    @cached_property
    def of_identities(self) -> Pair:
        """Framing of the mean head and every identity component at -2 and +2 sd."""
        moved, at_landmarks = SHOWN_SD * self.bases.components_id, SHOWN_SD * self.bases.landmarks()[1]
        return _pair(self.bases, np.concatenate([moved, -moved]), np.concatenate([at_landmarks, -at_landmarks]))

    @cached_property
    def openness(self) -> NDArray[np.float64]:
        """(V,) of the mean head, see `report.openness`."""
        return surface_openness(self.bases.template, self.bases.faces)

    def component(self, k: int, side: str, height: int) -> Heat:
        """Draw the head displaced by an AU component at 2 sd: colour is how far it moves, arrows are which way.

        With `side` ``right`` the head is turned so that its right is seen, else so that its left is.
        """
        moved = SHOWN_SD * self.bases.components_au[k]
        turn = -THREE_QUARTER_DEG if side == "right" else THREE_QUARTER_DEG

        def draw() -> NDArray[np.uint8]:
            return self._heat(self.of_components, self.bases.template + moved, moved, turn, height)

        return Heat(self._once(("component", k, turn, height), draw), 1e3 * self._largest(self.of_components, moved))

    def identity(self, k: int | None, alpha: float, height: int) -> NDArray[np.uint8]:
        """Draw the head of one identity coefficient (sd), or with None the mean head."""
        head = self.bases.template if k is None else self.bases.template + alpha * self.bases.components_id[k]

        def draw() -> NDArray[np.uint8]:
            return np.concatenate(
                [
                    draw_head(head, self.bases.faces, framing, turn_deg=turn, height=height, openness=self.openness)
                    for framing, turn in (
                        (self.of_identities.front, FRONT_DEG),
                        (self.of_identities.side, THREE_QUARTER_DEG),
                    )
                ],
                axis=1,
            )

        return self._once(("identity", k, alpha, height), draw)

    def identity_heat(self, k: int, height: int) -> Heat:
        """Draw where an identity component at +2 sd displaces the mean head, and which way."""
        moved = SHOWN_SD * self.bases.components_id[k]

        def draw() -> NDArray[np.uint8]:
            return self._heat(self.of_identities, self.bases.template, moved, THREE_QUARTER_DEG, height)

        return Heat(self._once(("identity_heat", k, height), draw), 1e3 * self._largest(self.of_identities, moved))

    def _once(self, key: tuple[object, ...], draw: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        if key not in self._drawn:
            self._drawn[key] = draw()
        return self._drawn[key]

    def _largest(self, pair: Pair, moved: NDArray[np.floating]) -> float:
        """Return the largest displacement that is shown, m: shoulders, which are not, may move most of all."""
        floor = pair.front.centre[1] - pair.front.height_m / 2 + pair.front.fade_m
        shown = self.bases.template[:, 1] >= floor
        return float(np.linalg.norm(moved[shown], axis=1).max(initial=0))

    def _heat(
        self, pair: Pair, head: NDArray[np.floating], moved: NDArray[np.floating], turn_deg: float, height: int
    ) -> NDArray[np.uint8]:
        largest = self._largest(pair, moved)
        values = np.linalg.norm(moved, axis=1) / (largest or 1.0)
        normals = vertex_normals(head, self.bases.faces)
        pictures = []
        for framing, turn in ((pair.front, FRONT_DEG), (pair.side, turn_deg)):
            picture = draw_head(
                head,
                self.bases.faces,
                framing,
                turn_deg=turn,
                height=height,
                values=values,
                openness=self.openness,
            )
            px_per_m = height / framing.height_m
            rotation = turned(turn)
            across = moved @ rotation[:2].T * (px_per_m, -px_per_m)  # y is down
            places, _ = project(head, framing, turn, height)
            facing = normals @ rotation[2]
            pictures.append(draw_motion(picture, places, across, facing, self.openness, largest * px_per_m))
        return np.concatenate(pictures, axis=1)


def _pair(bases: Bases, moved: NDArray[np.floating], moved_landmarks: NDArray[np.floating]) -> Pair:
    landmarks = bases.landmarks()[0]
    floor = float(landmarks[_CHIN, 1] + moved_landmarks[:, _CHIN, 1].min(initial=0))
    floor -= _BELOW_CHIN * float(eye_distance(landmarks))
    heads = np.concatenate([bases.template[None], bases.template + moved])
    front, side = (frame_heads(heads, floor, (turn,)) for turn in (FRONT_DEG, THREE_QUARTER_DEG))
    return Pair(front, side)
