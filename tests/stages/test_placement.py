"""Dense points are found where they were planted, by a detector that sees perfectly and by the real one."""

import numpy as np
import pytest

from au3dmm.core.face_paint import DARK
from au3dmm.core.landmarks import MIRROR, LandmarkEmbedding, landmark_positions
from au3dmm.core.mediapipe_mesh import MIRROR as MESH_MIRROR
from au3dmm.core.mediapipe_mesh import SHARED
from au3dmm.core.placement import SPREAD_MOST_M
from au3dmm.core.shading import Lighting
from au3dmm.detectors.base import DetectedFace
from au3dmm.errors import AssetError, FitError
from au3dmm.stages import placement
from demo_basis import few_components

BASES = few_components()
V, F = BASES.template, BASES.faces
MARKS = BASES.landmarks()[0]


class Seer:
    """A detector that knows where it planted points, view by view, and blurs them by `noise_px`."""

    name, n_dense = "seer", 30

    def __init__(self, noise_px=0.0, blind=()):
        rng = np.random.default_rng(0)
        middle = V[F].mean(1)
        front = (np.abs(middle[:, 0]) < 0.03) & (middle[:, 2] > MARKS[[36, 45], 2].mean() + 0.005)
        front &= np.abs(middle[:, 1] - MARKS[33, 1]) < 0.05
        front &= placement.skin_triangles(F, len(V), BASES.embedding)
        which = rng.choice(np.flatnonzero(front), 30, replace=False).astype(np.int32)
        self.places = LandmarkEmbedding(which, rng.dirichlet(np.ones(3), 30))
        self.noise_px, self.blind, self.rng, self.calls = noise_px, blind, rng, 0

    def describe(self):
        return {"name": self.name}

    def detect(self, image, frame_index):
        assert image.shape == (placement._SIZE, placement._SIZE, 3)
        assert image.dtype == np.uint8
        turn = placement._TURNS_DEG[self.calls // len(placement._ROOMS)]
        self.calls += 1
        if self.calls in self.blind:
            return []
        points = (landmark_positions(V, F, self.places) - MARKS.mean(0)) @ placement._turn(turn).T
        focal = placement._EYES_PX / np.linalg.norm(MARKS[45] - MARKS[36]) * placement._DISTANCE_M
        px, _ = placement._project(points, focal)
        dense = np.c_[px + self.rng.normal(0, self.noise_px, px.shape) if self.noise_px else px, np.zeros(30)]
        zeros = np.zeros((68, 3), np.float32)
        return [DetectedFace(np.zeros(4, np.float32), 1.0, zeros, 1.0, dense.astype(np.float32))]


@pytest.fixture
def quick(monkeypatch):
    """One light and skin instead of three, in pictures a quarter as large."""
    monkeypatch.setattr(placement, "_ROOMS", placement._ROOMS[:1])
    monkeypatch.setattr(placement, "_SIZE", 320)
    monkeypatch.setattr(placement, "_EYES_PX", 85.0)


def test_planted_points_are_found_within_half_a_millimetre(quick):
    seer = Seer(noise_px=0.25)
    found, info = placement.place_dense(V, F, BASES.embedding, seer, None)
    assert info == {"views": 7, "views_found": 7, "symmetric": False}
    off = np.linalg.norm(landmark_positions(V, F, found.embedding) - landmark_positions(V, F, seer.places), axis=1)
    assert np.median(off) < 5e-4
    assert np.median(found.spread_m) < 1e-3


def test_a_head_that_is_not_recognised_is_an_error_in_one_line(quick):
    with pytest.raises(FitError, match="seer finds the head in 3 of 7 drawings"):
        placement.place_dense(V, F, BASES.embedding, Seer(blind=(1, 3, 5, 7)), None)


def test_the_same_head_is_drawn_the_same_and_mirrored_when_turned_the_other_way(quick):
    skin = placement.skin_triangles(F, len(V), BASES.embedding)
    palette, light = DARK, Lighting((0.0, 0.4, 1.0))
    a = placement.draw_head(V, F, MARKS, skin, (15, 0), palette, light).image
    b = placement.draw_head(V, F, MARKS, skin, (15, 0), palette, light).image
    mirrored = placement.draw_head(V, F, MARKS, skin, (-15, 0), palette, light).image[:, ::-1]
    np.testing.assert_array_equal(a, b)
    assert np.abs(a.astype(int) - mirrored.astype(int)).mean() < 1.0


def test_the_demo_head_is_symmetric_and_one_with_a_bent_nose_is_less():
    assert placement.symmetry(MARKS)[1] < 1e-6
    bent = MARKS.copy()
    bent[30, 0] += 0.02
    bent[MIRROR[17], 1] += 0.01
    middle, rms = placement.symmetry(bent + [0.3, 0, 0])
    assert middle == pytest.approx(0.3, abs=0.002)
    assert rms > 0.002


def test_missing_models_are_named(tmp_path):
    with pytest.raises(AssetError, match="au3dmm weights get mediapipe"):
        placement.place_mediapipe(V, F, BASES.embedding, weights_folder=tmp_path)


@pytest.mark.weights
def test_mediapipe_agrees_with_itself_about_the_demo_head(mediapipe_weights, quick):
    found = placement.place_mediapipe(V, F, BASES.embedding, weights_folder=mediapipe_weights)
    kept = found.landmark_index
    assert len(kept) > 180
    assert 0 < np.median(found.spread_m) < 0.002
    assert found.spread_m.max() <= SPREAD_MOST_M
    assert not set(kept) & SHARED
    assert set(MESH_MIRROR[kept]) == set(kept)
    places = dict(zip(kept.tolist(), landmark_positions(V, F, found.embedding), strict=True))
    for point, place in places.items():
        partner = places[int(MESH_MIRROR[point])]
        assert np.linalg.norm(partner * [-1, 1, 1] - place) < 1e-3, point
    assert places[9][1] > MARKS[27, 1], "the middle of the forehead is above the bridge of the nose"
    assert found.info["fingerprint"] == placement.placement_fingerprint(V, F, BASES.embedding, mediapipe_weights)
