import numpy as np
import pytest

from au3dmm.core.basis import deform
from au3dmm.core.fitting import CameraSettings
from au3dmm.core.neutral import find_neutral
from au3dmm.errors import FitError
from faces import make_face, random_rotations, see_orthographic

OPTIONS = {
    "sigma_id_px": 0.3, "sigma_offset_m": 0.002, "alternations": 3, "sigma_px": 0.7, "l1": 2.0,
    "share": 0.3, "frames_max": 90, "passes": 1,
}  # fmt: skip
CAMERA = CameraSettings("scaled_orthographic", 0, 600.0)


def recordings(active_start):
    """Two recordings of one person: bursts of expression between rests; the second may start in a burst."""
    face = make_face(0)
    rng = np.random.default_rng(0)
    burst = np.maximum(np.sin(np.arange(240) / 12), 0)
    burst[120:] = np.maximum(np.sin(np.arange(120) / 12 + (1.5 if active_start else -1)), 0)
    alpha = np.zeros((240, 12))
    for k in range(12):
        alpha[k * 20 : (k + 1) * 20, k] = 5 * burst[k * 20 : (k + 1) * 20]
    neutral = deform(face.template, face.components_id, rng.normal(size=8))
    shape = deform(neutral, face.components_au, alpha)
    seen = see_orthographic(shape, random_rotations(rng, 240), 1600.0, np.zeros((240, 2)))
    return face, neutral, burst, seen + rng.normal(size=seen.shape) * 0.5


@pytest.mark.parametrize("active_start", [False, True])
def test_the_frames_taken_are_the_resting_ones(active_start):
    face, _, burst, seen = recordings(active_start)
    found = find_neutral(
        seen, np.array([0, 120]), face.template, face.components_id, face.components_au, np.ones(68), CAMERA, **OPTIONS
    )
    assert (burst[found.frames] < 0.25).mean() > 0.9
    assert found.starts_active == active_start


def test_a_recording_of_one_frame_is_its_own_neutral():
    face, _, _, seen = recordings(False)
    found = find_neutral(
        seen[:1], np.array([0]), face.template, face.components_id, face.components_au, np.ones(68), CAMERA, **OPTIONS
    )
    assert found.frames.tolist() == [0]


def test_no_frames_at_all_are_refused():
    face = make_face()
    with pytest.raises(FitError, match="no frame with landmarks"):
        find_neutral(
            np.zeros((0, 68, 2)), np.zeros(0, np.int64), face.template, face.components_id, face.components_au,
            np.ones(68), CAMERA, **OPTIONS,
        )  # fmt: skip


def test_a_recording_that_begins_active_is_read_as_well_as_one_that_does_not():
    face = make_face(0)
    rng = np.random.default_rng(2)
    alpha = np.zeros((90, 12))
    alpha[:35, 4] = alpha[80:, 4] = 5.0  # the first frames, and half of all, are not neutral
    neutral = deform(face.template, face.components_id, rng.normal(size=8))
    seen = see_orthographic(
        deform(neutral, face.components_au, alpha), random_rotations(rng, 90), 1600.0, np.zeros((90, 2))
    )
    seen = seen + rng.normal(size=seen.shape) * 0.5
    found = find_neutral(
        seen, np.array([0]), face.template, face.components_id, face.components_au, np.ones(68), CAMERA, **OPTIONS
    )
    assert (alpha[found.frames, 4] == 0).all()
    assert found.starts_active


def test_more_frames_than_can_be_used_are_not_looked_at():
    face, _, _, seen = recordings(False)
    found = find_neutral(
        np.concatenate([seen] * 3), np.arange(6) * 120, face.template, face.components_id, face.components_au,
        np.ones(68), CAMERA, **{**OPTIONS, "frames_max": 30},
    )  # fmt: skip
    assert len(found.looked_at) == len(found.looked_at_mm) == 100
    assert len(found.frames) == 30
    assert set(found.frames) <= set(found.looked_at)
