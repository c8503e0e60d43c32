"""Clips with the true motion of their frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from au3dmm.errors import ConfigError
from au3dmm.training.clips import Clips, Item
from au3dmm.training.mesh_data import MeshData
from au3dmm.training.order import Draw
from au3dmm.training_config import AugmentParams, DataParams


class MeshClips(Clips):
    """`Clips` of coefficients with two more entries.

    ``target`` (L, R) float32: true motion, mm, 0 where it is not known; ``target_known`` (L,) bool. With sources, of
    networks that look at pictures, both ``coefficients`` and ``pixels`` are there.

    Parameters
    ----------
    mesh : MeshData
        Its labels are the clips'.
    sessions, data, classes, options
        As of `Clips`.

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
        **options: Any,
    ) -> None:
        if augment is not None and augment.flip:
            raise ConfigError(f"augment.flip = {augment.flip:g}: true motion cannot be mirrored; set it to 0")
        super().__init__(mesh.labels, sessions, data, classes, augment=augment, **options)
        self.mesh = mesh

    def __getitem__(self, draw: Draw) -> Item:
        i, first, count = self.places[draw[1]]
        rows, there = self._label_rows(self.labels.sessions[i], first, count)
        target = {
            "target": self._padded(self.mesh.target[rows], 0.0),
            "target_known": self._padded(self.mesh.known[rows] & there, False),
        }
        return super().__getitem__(draw) | target
