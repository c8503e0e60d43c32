"""The contact sheet shows what it is given, where it is given."""

import numpy as np
import pytest

from au3dmm.core.landmarks import GROUPS
from au3dmm.errors import SchemaError
from au3dmm.report.overlay import DETECTED, FITTED, frame_caption, overlay_sheet

CELL = 200
TOP, LEFT = 34, 8  # of the first picture on the sheet


def scene():
    frames = [np.full((120, 160, 3), 90, np.uint8)] * 3
    turn = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    landmarks = np.stack([80 + 30 * np.cos(turn), 60 + 30 * np.sin(turn)], 1)
    corners = np.array([[60.0, 40, 0], [60, 80, 0], [100, 40, 0]])
    return frames, np.stack([landmarks] * 3), np.stack([corners] * 3), np.array([[0, 1, 2]])


def differs(picture, colour=(90, 90, 90)):
    return (np.abs(picture.astype(int) - colour) > 20).any(-1)


def halves(sheet):
    cell = sheet[TOP : TOP + CELL]
    return cell[:, LEFT : LEFT + CELL], cell[:, LEFT + CELL + 8 : LEFT + 2 * CELL + 8]


def test_each_frame_has_a_cell_of_two_pictures():
    sheet = overlay_sheet(*scene(), cell_px=CELL, columns=2)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (34 + 2 * (CELL + 24 + 8), 2 * (2 * CELL + 8 + 8) + 8, 3)
    assert overlay_sheet(*scene(), cell_px=CELL, columns=9).shape[0] == 34 + CELL + 24 + 8


def test_a_landmark_is_drawn_at_its_place_in_the_crop():
    frames, landmarks, vertices, faces = scene()
    landmarks[0, 30] = (80, 60)
    left, _ = halves(overlay_sheet(frames, landmarks, np.full_like(vertices, np.nan), faces, cell_px=CELL))
    # the crop is a square 1.5 times as wide as the landmarks, seen a tenth of their height higher
    zoom = CELL / (1.5 * 60)
    x, y = CELL / 2 - 0.5, CELL / 2 - 0.5 + 0.1 * 60 * zoom
    seen = left[round(y), round(x)].astype(int)
    np.testing.assert_allclose(seen, DETECTED, atol=40)


def test_the_mesh_is_drawn_on_the_right_only_and_half_transparent():
    frames, landmarks, vertices, faces = scene()
    left, right = halves(overlay_sheet(frames, np.full_like(landmarks, np.nan), vertices, faces, cell_px=CELL))
    assert not differs(left).any()
    zoom = CELL / 120  # without landmarks, the middle of the frame is shown
    area = differs(right)
    assert area.sum() == pytest.approx(0.5 * 40 * 40 * zoom**2, rel=0.06)  # a soft edge belongs to it
    y, x = np.nonzero(area)
    assert (x.min(), y.min()) == pytest.approx(((60 - 20) * zoom, 40 * zoom), abs=2)
    bright = frames[0].copy()
    bright[:] = 250
    _, lighter = halves(overlay_sheet([bright] * 3, np.full_like(landmarks, np.nan), vertices, faces, cell_px=CELL))
    inside = np.s_[int(50 * zoom), int(45 * zoom)]
    assert lighter[inside].mean() > right[inside].mean() + 25


def test_the_nearer_part_of_the_mesh_hides_the_farther_one():
    frames, landmarks, vertices, _ = scene()
    # the same place twice: nearer and flat, or farther and turned away from the light; z is towards the camera
    towards, away = vertices[0].copy(), vertices[0].copy()
    towards[:, 2] = 100
    away[:, 2] = (0, -80, -80)
    both = np.stack([np.concatenate([away, towards])] * 3)
    none = np.full_like(landmarks, np.nan)

    def seen(vertices, faces):
        return halves(overlay_sheet(frames, none, vertices, np.array(faces), cell_px=CELL))[1]

    near, far = seen(both, [[3, 4, 5]]), seen(both, [[0, 1, 2]])
    assert differs(near, far).any()
    assert np.array_equal(seen(both, [[0, 1, 2], [3, 4, 5]]), near)


def test_fitted_landmarks_are_rings_around_what_is_below():
    frames, landmarks, vertices, faces = scene()
    fitted = np.full_like(landmarks, np.nan)
    fitted[0, 5] = (80, 66)
    none = np.full_like(vertices, np.nan)
    left, _ = halves(overlay_sheet(frames, landmarks * np.nan, none, faces, fitted_landmarks_px=fitted, cell_px=CELL))
    zoom = CELL / 120
    x, y = round((80 - 19.5) * zoom - 0.5), round((66 + 0.5) * zoom - 0.5)
    np.testing.assert_allclose(left[y, x], 90, atol=20)
    ring = left[y - 6 : y + 7, x - 6 : x + 7].reshape(-1, 3).astype(int)
    assert np.abs(ring - FITTED).sum(1).min() < 60


def test_every_group_of_landmarks_is_joined_by_a_line():
    frames, landmarks, vertices, faces = scene()
    for group in GROUPS.values():
        points = np.full_like(landmarks, np.nan)
        points[:, list(group)] = landmarks[:, list(group)]
        left, _ = halves(overlay_sheet(frames, points, np.full_like(vertices, np.nan), faces, cell_px=CELL))
        assert differs(left).sum() > 12 * len(group)


def test_a_frame_without_a_face_is_shown_as_it_is():
    frames, landmarks, vertices, faces = scene()
    sheet = overlay_sheet(frames, landmarks * np.nan, vertices * np.nan, faces, cell_px=CELL, captions=["no_face"] * 3)
    left, right = halves(sheet)
    assert not differs(left).any()
    assert not differs(right).any()
    assert differs(sheet[TOP + CELL : TOP + CELL + 24, LEFT : LEFT + 100], (250, 250, 250)).any()


def test_a_face_at_the_border_is_padded():
    frames, landmarks, vertices, faces = scene()
    left, _ = halves(overlay_sheet(frames, landmarks - 70, vertices * np.nan, faces, cell_px=CELL))
    assert (left[2, 2] == 225).all()
    assert (left[-3, -3] == 90).all()


def test_the_same_arrays_give_the_same_picture():
    assert np.array_equal(overlay_sheet(*scene(), title="s01"), overlay_sheet(*scene(), title="s01"))


def test_arrays_of_different_lengths_are_refused():
    frames, landmarks, vertices, faces = scene()
    with pytest.raises(SchemaError, match="3 frames, 2 landmarks, 3 meshes"):
        overlay_sheet(frames, landmarks[:2], vertices, faces)
    with pytest.raises(SchemaError, match="0 frames"):
        overlay_sheet([], landmarks[:0], vertices[:0], faces)
    with pytest.raises(SchemaError, match=r"landmarks \(3, 60, 2\)"):
        overlay_sheet(frames, landmarks[:, :60], vertices, faces)


def test_captions_leave_out_what_is_not_known():
    assert frame_caption(3, 100_000, "ok", 2.0, None) == "frame 3   0.100 s   rmse 2.00 px"
    assert frame_caption(3, 100_000, "fit_failed", float("nan"), None) == "frame 3   0.100 s   fit_failed"
