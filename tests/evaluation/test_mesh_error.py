"""Errors of meshes: planted distances, whatever the head's place; and jitter, which true motion is not."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.core.smoothing import smooth_tracks
from au3dmm.errors import SchemaError
from au3dmm.evaluation.mesh_error import jitter, rest_jitter, smoothed, surface_errors, vertex_errors


def cube(n=7):
    """The surface of a cube of 12 cm with n x n points on each side, outwards."""
    grid = np.linspace(-0.06, 0.06, n)
    vertices, faces = [], []
    for axis in range(3):
        for sign in (-1, 1):
            a, b = np.meshgrid(grid, grid)
            side = np.insert(np.stack([a, b], -1).reshape(-1, 2), axis, sign * 0.06, axis=1)
            i = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel() + len(vertices)
            triangles = np.concatenate([np.stack([i, i + 1, i + n], 1), np.stack([i + 1, i + n + 1, i + n], 1)])
            vertices.extend(side)
            faces.extend(triangles)
    return np.array(vertices), np.array(faces)


def test_a_planted_distance_is_found_in_millimetres():
    vertices, faces = cube()
    inner = np.flatnonzero((np.abs(vertices) < 0.055).sum(1) == 2)  # not on an edge: planes are clear
    outwards = vertices.copy()
    axis = np.abs(vertices).argmax(1)
    outwards[np.arange(len(vertices)), axis] *= 1 + 0.001 / 0.06  # every side 1 mm further out
    found = surface_errors(np.stack([outwards, vertices]), np.stack([vertices] * 2), faces, vertices=inner)
    np.testing.assert_allclose(found.mean_mm, [1, 0], atol=1e-6)
    summary = found.summary()
    assert summary["mean_mm"] == pytest.approx(0.5, abs=1e-6)
    assert summary["sd_mm"] == pytest.approx(0.5, abs=1e-6)
    assert summary["frames"] == 2


def test_where_the_head_is_does_not_matter_after_icp_and_does_without():
    vertices, faces = cube()
    moved = Rotation.from_rotvec([0.02, -0.01, 0.03]).apply(vertices) + [0.002, 0.001, -0.002]
    truth = vertices[None]
    assert surface_errors(moved[None], truth, faces).mean_mm[0] < 1e-3
    assert surface_errors(moved[None], truth, faces, align=False).mean_mm[0] > 0.5


def test_meshes_of_another_topology_are_compared_by_their_surfaces():
    fine, _ = cube(9)
    coarse, faces = cube(5)
    assert surface_errors(fine[None], coarse[None], faces).mean_mm[0] < 1e-3
    with pytest.raises(SchemaError, match="expected one shape"):
        vertex_errors(fine[None], coarse[None])
    with pytest.raises(SchemaError, match=r"\(1, 486, 3\) and true \(2, 150, 3\)"):
        surface_errors(fine[None], np.stack([coarse] * 2), faces)


def test_sliding_along_the_surface_counts_for_vertices_alone():
    vertices, faces = cube()
    top = np.flatnonzero((vertices[:, 2] > 0.059) & (np.abs(vertices[:, :2]) < 0.03).all(1))
    slid = vertices + [0.002, 0, 0]
    assert vertex_errors(slid[None], vertices[None], top).mean_mm[0] == pytest.approx(2.0)
    assert surface_errors(slid[None], vertices[None], faces, vertices=top, align=False).mean_mm[0] < 1e-9


def test_frames_that_are_not_there_do_not_count():
    vertices, faces = cube()
    two = np.stack([vertices, np.full_like(vertices, np.nan)])
    for found in (surface_errors(two, np.stack([vertices] * 2), faces), vertex_errors(two, np.stack([vertices] * 2))):
        assert found.summary()["frames"] == 1
    assert np.isnan(vertex_errors(two[1:], two[:1]).summary()["mean_mm"])


def test_jitter_is_of_noise_and_not_of_motion():
    t = np.linspace(0, 1, 200)[:, None]
    smooth = np.concatenate([np.sin(3 * t), t, 0 * t], axis=1)
    noise = 0.1 * np.random.default_rng(0).normal(size=smooth.shape)
    assert jitter(smooth) < 1e-3
    # second differences of white noise: 1, -2, 1
    assert jitter(smooth + noise) == pytest.approx(0.1 * np.sqrt(6 * 3), rel=0.05)
    blink = np.zeros((9, 1))
    blink[4] = 2.0
    assert jitter(blink) > 1
    assert jitter(blink, blink) == 0
    assert np.isnan(jitter(blink[:2]))
    blink[4] = np.nan
    assert jitter(blink) == 0


def test_jitter_at_rest_is_change_while_nothing_truly_changes():
    truth = np.r_[np.zeros(50), np.linspace(0, 5, 50), np.full(50, 5.0)][:, None]
    noise = 0.1 * np.random.default_rng(0).normal(size=truth.shape)
    assert rest_jitter(truth, truth) == 0
    assert rest_jitter(truth + noise, truth) == pytest.approx(0.1 * np.sqrt(2), rel=0.15)
    # a face that lags behind moves while the true one rests
    assert rest_jitter(np.roll(truth, 5, axis=0)[5:], truth[5:]) > 0.02
    assert np.isnan(rest_jitter(truth[55:95], truth[55:95]))


def test_the_control_is_a_savitzky_golay_filter_that_stops_at_gaps():
    t_us = np.arange(30) * 33_333
    noisy = np.random.default_rng(0).normal(size=(30, 2))
    found = smoothed(noisy, t_us, 166_665)
    np.testing.assert_allclose(found, smooth_tracks(noisy, t_us, np.ones(30, bool), 166_665, 200_000))
    assert jitter(found) < 0.4 * jitter(noisy)
    noisy[10] = np.nan
    parted = smoothed(noisy, t_us, 166_665)
    assert np.isnan(parted[10]).all()
    np.testing.assert_allclose(parted[:10], smoothed(noisy[:10], t_us[:10], 166_665))
