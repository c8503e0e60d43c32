"""The released code's variant: where it agrees with the preset `paper`, and what it adds."""

import numpy as np

from au3dmm.core.camera import fit_cameras
from au3dmm.core.expression import fit_expression
from au3dmm.core.fit_terms import CameraSettings, noise_px
from au3dmm.simulation.released import released_alpha

RNG = np.random.default_rng(3)
SHAPE = RNG.normal(size=(68, 3)) * 0.05
COMPONENTS = RNG.normal(size=(7, 68, 3)) * 0.003
LANDMARKS = np.stack([1500 * SHAPE[:, :2] @ turn + [320, 240] for turn in (np.eye(2), [[0.9, 0.2], [-0.2, 0.9]])])
LANDMARKS += RNG.normal(size=LANDMARKS.shape) * 3


def test_without_the_leak_it_is_the_ridge_of_the_preset_paper():
    weights, settings = np.ones(68), CameraSettings("affine", 0, 1000.0)
    plane = (LANDMARKS - [320, 240]) * [1, -1]
    found = fit_expression(
        plane, SHAPE, COMPONENTS, weights, settings, sigma_px=10.0, joint_pose=False, nonnegative=False, l1=0.0
    )
    cameras = fit_cameras(plane, SHAPE, weights, "affine", 0, 1000.0)
    for row, sigma in enumerate(noise_px(10.0, cameras.camera, SHAPE)):
        again = released_alpha(LANDMARKS[row : row + 1], SHAPE, COMPONENTS, np.full(7, sigma**2), leak=False)
        np.testing.assert_allclose(again[0], found.alpha[row], rtol=1e-9, atol=1e-12)


def test_the_leak_makes_alpha_depend_on_the_images_origin():
    penalty = np.full(7, 100.0)
    here = released_alpha(LANDMARKS, SHAPE, COMPONENTS, penalty)
    elsewhere = released_alpha(LANDMARKS + [1000, 0], SHAPE, COMPONENTS, penalty)
    clean = [released_alpha(LANDMARKS + step, SHAPE, COMPONENTS, penalty, leak=False) for step in (0, [1000, 0])]
    assert np.abs(here - elsewhere).max() > 1e-3 * np.abs(here).max()
    np.testing.assert_allclose(clean[0], clean[1], rtol=1e-8)
    # far from the origin the coefficients are bound to a sum of nearly 0
    assert np.abs(here.sum(1)).max() < 0.05 * np.abs(clean[0].sum(1)).max()


def test_the_leak_vanishes_where_the_translation_does():
    centred = COMPONENTS - COMPONENTS.mean(1, keepdims=True)
    shape = SHAPE - SHAPE.mean(0)
    seen = LANDMARKS - LANDMARKS.mean(1, keepdims=True)
    penalty = np.full(7, 100.0)
    np.testing.assert_allclose(
        released_alpha(seen, shape, centred, penalty), released_alpha(seen, shape, centred, penalty, leak=False)
    )
