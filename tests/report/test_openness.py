"""Holes are dark, plains are light, and what is open both ways is in between."""

import numpy as np
import pytest

from au3dmm.io.assets import read_default_head
from au3dmm.report.openness import surface_openness


def grid(n=21, half=1.0):
    x, y = np.meshgrid(np.linspace(-half, half, n), np.linspace(-half, half, n))
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + n], 1), np.stack([corner + 1, corner + n + 1, corner + n], 1)]
    )
    return np.stack([x.ravel(), y.ravel(), np.zeros(n * n)], 1), faces


def test_a_plain_sees_all_its_sky():
    assert surface_openness(*grid()).min() == 1


def test_the_floor_of_a_pit_sees_less_the_deeper_it_is():
    floors = []
    for depth in (0.0, 0.3, 1.0, 3.0):
        vertices, faces = grid()
        pit = np.hypot(vertices[:, 0], vertices[:, 1]) < 0.35
        vertices[pit, 2] = -depth
        open_ = surface_openness(vertices, faces)
        floors.append(open_[np.argmin(np.hypot(vertices[:, 0], vertices[:, 1]))])
        assert open_[0] > 0.9  # a corner of the plain
    assert floors[0] == 1
    assert floors[1] > floors[2] > floors[3]
    # a disc of a radius a at a depth h lets through a^2 / (a^2 + h^2) of a cosine-weighted sky
    assert floors[2] == pytest.approx(0.35**2 / (0.35**2 + 1), abs=0.08)


def test_a_second_sheet_in_front_hides_the_first():
    near, faces = grid()
    far = near - (0, 0, 0.2)
    open_ = surface_openness(np.concatenate([far, near]), np.concatenate([faces, faces + len(near)]))
    middle = len(near) // 2
    assert open_[middle] < 0.1
    assert open_[len(near) + middle] == 1


def test_a_face_is_open_and_symmetric():
    head = read_default_head()
    open_ = surface_openness(head.vertices, head.faces)
    assert ((open_ >= 0) & (open_ <= 1)).all()
    assert open_[np.argmax(head.vertices[:, 2])] > 0.8  # the tip of the nose
    left, right = (open_[np.sign(head.vertices[:, 0]) == side].mean() for side in (1, -1))
    assert left == pytest.approx(right, abs=0.02)
