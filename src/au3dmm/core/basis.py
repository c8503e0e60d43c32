"""The two morphable models: a template, identity components and action unit components on one topology."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.intensities import Intensities
from au3dmm.core.landmarks import N_LANDMARKS, DenseEmbedding, LandmarkEmbedding, eye_distance, landmark_positions
from au3dmm.errors import SchemaError


def topology_hash(n_vertices: int, faces: NDArray[np.integer]) -> str:
    """Return sha256 of a mesh's vertex count and triangles: equal for meshes whose vertices correspond."""
    h = hashlib.sha256(f"{n_vertices}:".encode())
    h.update(np.ascontiguousarray(faces, dtype="<i4").tobytes())
    return h.hexdigest()


def landmark_hash(embedding: LandmarkEmbedding) -> str:
    """Return sha256 of a landmark embedding (barycentric weights to 1e-6): two annotations differ by mm."""
    h = hashlib.sha256(np.ascontiguousarray(embedding.face_index, dtype="<i4").tobytes())
    h.update(np.ascontiguousarray(np.round(embedding.barycentric * 1e6), dtype="<i4").tobytes())
    return h.hexdigest()


_EYES_M = (0.03, 0.3)
# a wide open jaw moves the chin by 60 mm; a component moves less per standard deviation, and more than a grain of noise
_PEAK_M = (1e-5, 0.15)


@dataclass(frozen=True)
class Bases:
    """A template with its ID-3DMM and AU-3DMM: ``S = template + alpha_id . C_id + alpha_au . C_au``.

    Attributes
    ----------
    template : (V, 3) float64 array
        Mean neutral head, m, y up, z out of the face.
    faces : (F, 3) int32 array
        Triangles, counter-clockwise seen from outside.
    components_id : (K_id, V, 3) float64 array
        Displacements, m per standard deviation.
    components_au : (K_au, V, 3) float64 array
        Displacements, m per standard deviation.
    stddev_id, stddev_au : (K,) float64 array
        What the unit-norm components were multiplied by, m; alpha * stddev is in metres.
    embedding : LandmarkEmbedding
        The 68 iBUG landmarks on this topology.
    names_au : tuple of str
        A name per AU component.
    info : mapping
        ``basis_kind`` (``demo`` if it is for trying out only), ``licence``, ``provenance``, ``is_flame_topology``.
    dense : DenseEmbedding, optional
        Places of a dense detector's points.
    mirror_au : (K_au, K_au) float64 array, optional
        ``alpha_au @ mirror_au`` is alpha_au of the mirrored face.
    intensities : Intensities, optional
        How action unit intensities are read off alpha_au, if the corpora had tags.
    std_factor_au : (K_au,) float64 array, optional
        What the stated standard deviation of each coefficient is multiplied by (`std_factors.learn_std_factors`).
    """

    template: NDArray[np.float64]
    faces: NDArray[np.int32]
    components_id: NDArray[np.float64]
    components_au: NDArray[np.float64]
    stddev_id: NDArray[np.float64]
    stddev_au: NDArray[np.float64]
    embedding: LandmarkEmbedding
    names_au: tuple[str, ...]
    info: Mapping[str, Any] = field(default_factory=dict)
    dense: DenseEmbedding | None = None
    mirror_au: NDArray[np.float64] | None = None
    intensities: Intensities | None = None
    std_factor_au: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        v = len(self.template)
        for name, value, shape in (
            ("template", self.template, (v, 3)),
            ("faces", self.faces, (len(self.faces), 3)),
            ("components_id", self.components_id, (len(self.components_id), v, 3)),
            ("components_au", self.components_au, (len(self.components_au), v, 3)),
            ("stddev_id", self.stddev_id, (self.k_id,)),
            ("stddev_au", self.stddev_au, (self.k_au,)),
        ):
            if value.shape != shape:
                raise SchemaError(f"basis: {name} has shape {value.shape}, expected {shape}")
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise SchemaError(f"basis: {name} holds values that are not finite")
        for name, k in (("components_id", self.k_id), ("components_au", self.k_au)):
            if k == 0:
                raise SchemaError(f"basis: {name} has no components, expected at least one")
        if self.mirror_au is not None and (
            self.mirror_au.shape != (self.k_au, self.k_au) or not np.isfinite(self.mirror_au).all()
        ):
            raise SchemaError(
                f"basis: mirror_au is {self.mirror_au.shape}, or not finite; expected finite ({self.k_au}, {self.k_au})"
            )
        if len(self.names_au) != self.k_au:
            raise SchemaError(f"basis: {len(self.names_au)} names for {self.k_au} AU components")
        if self.intensities is not None and self.intensities.products.shape[2] != self.k_au:
            raise SchemaError(
                f"basis: intensities of {self.intensities.products.shape[2]} AU components, expected {self.k_au}"
            )
        f = self.std_factor_au
        if f is not None and not (f.shape == (self.k_au,) and np.isfinite(f).all() and (f > 0).all()):
            raise SchemaError(
                f"basis: std_factor_au is {f.shape}, or not positive; expected a positive number for each of the"
                f" {self.k_au} AU components"
            )
        if len(self.embedding.face_index) != N_LANDMARKS:
            raise SchemaError(f"basis: {len(self.embedding.face_index)} landmarks, expected the {N_LANDMARKS} of iBUG")
        if self.faces.size and not 0 <= self.faces.min() <= self.faces.max() < v:
            raise SchemaError(f"basis: a triangle names vertex {self.faces.max()}, but there are {v}")
        landmarks = landmark_positions(self.template, self.faces, self.embedding)
        # 89 mm on average; anything near is a head in metres, and millimetres or centimetres are far off
        eyes = float(eye_distance(landmarks))
        if self.dense is not None:
            landmark_positions(self.template, self.faces, self.dense.embedding)  # raises if they are not on this mesh
        if not _EYES_M[0] <= eyes <= _EYES_M[1]:
            raise SchemaError(
                f"basis: the outer eye corners of the template are {eyes:.4g} apart, expected"
                f" {_EYES_M[0]} to {_EYES_M[1]}: everything is in metres"
            )

        for name, components in (("components_id", self.components_id), ("components_au", self.components_au)):
            peak = float(np.abs(components).max(initial=0.0))
            if peak > _PEAK_M[1] or 0 < peak < _PEAK_M[0]:
                raise SchemaError(
                    f"basis: {name} moves a vertex by {peak:.4g} at most per standard deviation, expected"
                    f" {_PEAK_M[0]} to {_PEAK_M[1]}: everything is in metres, times its standard deviation"
                )

    @property
    def k_id(self) -> int:
        """Number of identity components."""
        return len(self.components_id)

    @property
    def k_au(self) -> int:
        """Number of AU components."""
        return len(self.components_au)

    @property
    def kind(self) -> str:
        """``demo``, ``learned``, or ``user`` if the file does not say."""
        return str(self.info.get("basis_kind", "user"))

    @property
    def is_demo(self) -> bool:
        """Whether labels made with it are for trying out only."""
        return self.kind == "demo"

    def topology_hash(self) -> str:
        """Return the hash of the mesh topology."""
        return topology_hash(len(self.template), self.faces)

    def landmark_hash(self) -> str:
        """Return the hash of the landmark embedding."""
        return landmark_hash(self.embedding)

    def landmarks(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return template (68, 3), identity (K_id, 68, 3) and AU components (K_au, 68, 3) at the landmarks, m."""
        return self._at(self.embedding)

    def dense_landmarks(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the same at the N points of a dense detector; None if their places are not known."""
        return None if self.dense is None else self._at(self.dense.embedding)

    def _at(self, embedding: LandmarkEmbedding) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        return (
            landmark_positions(self.template, self.faces, embedding),
            landmark_positions(self.components_id, self.faces, embedding),
            landmark_positions(self.components_au, self.faces, embedding),
        )


def deform(
    template: NDArray[np.floating], components: NDArray[np.floating], alpha: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return ``template + sum_k alpha_k components_k``.

    Parameters
    ----------
    template : (N, 3) array
        m.
    components : (K, N, 3) array
        m per standard deviation.
    alpha : (..., K) array
        Standard deviations.

    Returns
    -------
    (..., N, 3) float64 array
        m.

    Examples
    --------
    >>> deform(np.zeros((1, 3)), np.ones((2, 1, 3)), np.array([1.0, 2.0]))
    array([[3., 3., 3.]])
    """
    return np.asarray(template + np.tensordot(alpha, components, axes=([-1], [0])))
