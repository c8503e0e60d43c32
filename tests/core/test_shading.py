"""Normals point outwards, and light has the values of its equation."""

import numpy as np
import pytest

from au3dmm.core.raster import render_mesh
from au3dmm.core.shading import Lighting, shade, vertex_normals


def sphere(n=40):
    u, v = np.meshgrid(np.linspace(0.02, np.pi - 0.02, n), np.linspace(0, 2 * np.pi, n), indexing="ij")
    points = np.stack([np.sin(u) * np.sin(v), np.cos(u), np.sin(u) * np.cos(v)], -1).reshape(-1, 3)
    i = np.arange(n * n).reshape(n, n)
    a, b, c, d = (i[s].ravel() for s in (np.s_[:-1, :-1], np.s_[1:, :-1], np.s_[1:, 1:], np.s_[:-1, 1:]))
    return points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def test_normals_of_a_sphere_point_outwards():
    points, faces = sphere()
    normals = vertex_normals(points, faces)
    inner = np.abs(points[:, 1]) < 0.9
    assert ((normals * points).sum(1)[inner] > 0.98).all()
    assert vertex_normals(np.zeros((4, 3)), np.array([[0, 1, 2]])).tolist() == np.zeros((4, 3)).tolist()


def test_a_sphere_is_brightest_towards_the_light_and_asymmetric():
    points, faces = sphere()
    px = np.stack([31.5 + 28 * points[:, 0], 31.5 - 28 * points[:, 1]], 1)
    colours = shade(vertex_normals(points, faces), np.array([1.0, 0.5, 0.25]), Lighting(direction=(-1, 1, 1)))
    image, coverage = render_mesh(px, -points[:, 2], faces, colours, 64, 64, cull_back=True)
    assert coverage.sum() == pytest.approx(np.pi * 28**2, rel=0.01)
    y, x = np.unravel_index(image[..., 0].argmax(), (64, 64))
    assert x < 24
    assert y < 24
    np.testing.assert_allclose(image[..., 0], 4 * image[..., 2], atol=1e-5)


def test_shading_has_the_values_of_its_equation():
    light = Lighting(direction=(0, 0, 2), key=0.5, ambient=0.3, ground=0.1, wrap=0.0)
    normals = np.array([[0.0, 0, 1], [0, 1, 0], [0, -1, 0], [0, 0, -1]])
    np.testing.assert_allclose(shade(normals, 1.0, light).ravel(), [0.7, 0.3, 0.1, 0.2])
