import numpy as np

from au3dmm.core import landmarks
from au3dmm.core.mediapipe_mesh import EYELIDS, IBUG_TO_MESH, MIRROR, N_POINTS, SHARED


def test_mirroring_twice_changes_nothing():
    assert sorted(MIRROR) == list(range(N_POINTS))
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(N_POINTS))
    midline = {10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 164, 0, 11, 12, 13, 14, 15, 16, 17, 18, 200, 199}
    assert set(np.flatnonzero(np.arange(N_POINTS) == MIRROR)) == midline | {175, 152}


def test_the_68_among_the_points_are_mirrored_like_the_68():
    for mark, vertices in enumerate(IBUG_TO_MESH):
        assert sorted(MIRROR[list(vertices)]) == sorted(IBUG_TO_MESH[landmarks.MIRROR[mark]])


def test_eyelids_and_shared_points_are_symmetric_sets():
    for points in (EYELIDS, SHARED):
        assert {int(MIRROR[point]) for point in points} == set(points)
    lids = {vertex for mark in landmarks.EYELIDS for vertex in IBUG_TO_MESH[mark]}
    assert lids <= set(EYELIDS)
