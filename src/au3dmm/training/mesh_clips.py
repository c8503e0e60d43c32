"""Clips with the true motion of their frames, and the landmarks that were found in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from au3dmm.errors import ConfigError
from au3dmm.training.clips import Clips, Item
from au3dmm.training.mesh_data import MeshData
from au3dmm.training.mesh_landmarks import LandmarkRows
from au3dmm.training.order import Draw
from au3dmm.training_config import AugmentParams, DataParams


class MeshClips(Clips):
    """`Clips` of coefficients with two more entries.

    ``target`` (L, R) float32: true motion, mm, 0 where it is not known; ``target_known`` (L,) bool. With sources, of
    networks that look at pictures, both ``coefficients`` and ``pixels`` are there.

    With landmarks, six more: ``landmarks`` (L, 68, 2), ``cameras`` (L, 3, 4), ``landmark_unit`` (L,),
    ``landmarks_known`` (L,), ``landmark_neutral`` (68, 3) and ``landmark_directions`` (R, 68, 3); see `LandmarkRows`.

    Parameters
    ----------
    mesh : MeshData
        Its labels are the clips'.
    sessions, data, classes, options
        As of `Clips`.
    landmarks : LandmarkRows, optional
        Of these recordings.

    Raises
    ------
    ConfigError
        If clips are to be mirrored: true motion is not.
    """

    BOTH = True

    def __init__(
        self,
        mesh: MeshData,
        sessions: Sequence[int],
        data: DataParams,
        classes: Sequence[str],
        *,
        augment: AugmentParams | None = None,
        landmarks: LandmarkRows | None = None,
        **options: Any,
    ) -> None:
        if augment is not None and augment.flip:
            raise ConfigError(f"augment.flip = {augment.flip:g}: true motion cannot be mirrored; set it to 0")
        super().__init__(mesh.labels, sessions, data, classes, augment=augment, **options)
        self.mesh, self.landmarks = mesh, landmarks

    def __getitem__(self, draw: Draw) -> Item:
        i, first, count = self.places[draw[1]]
        rows, there = self._label_rows(self.labels.sessions[i], first, count)
        target = {
            "target": self._padded(self.mesh.target[rows], 0.0),
            "target_known": self._padded(self.mesh.known[rows] & there, False),
        }
        if self.landmarks is not None:
            # like true motion, they are the faces' own: nothing turns or mirrors them
            target |= {
                "landmarks": self._padded(self.landmarks.points[rows], 0.0),
                "cameras": self._padded(self.landmarks.cameras[rows], 0.0),
                "landmark_unit": self._padded(self.landmarks.unit[rows], 1.0),
                "landmarks_known": self._padded(self.landmarks.known[rows] & there, False),
                "landmark_neutral": torch.from_numpy(self.landmarks.neutral[i]),
                "landmark_directions": torch.from_numpy(self.landmarks.directions),
            }
        return super().__getitem__(draw) | target
