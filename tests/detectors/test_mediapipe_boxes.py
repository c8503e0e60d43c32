import numpy as np
import pytest

from au3dmm.detectors.mediapipe_boxes import FULL_RANGE, BlazeFace, anchors, merge_boxes


def test_anchors_are_blazefaces_896():
    a = anchors()
    assert a.shape == (896, 2)
    np.testing.assert_allclose(a[[0, 1, 2, 511, 512, 895]], [
        [1 / 32, 1 / 32], [1 / 32, 1 / 32], [3 / 32, 1 / 32], [31 / 32, 31 / 32], [1 / 16, 1 / 16], [15 / 16, 15 / 16]
    ])  # fmt: skip


@pytest.mark.parametrize(("shape", "scale", "shift"), [((128, 128), 1, (0, 0)), ((100, 256), 2, (0, -78))])
def test_a_box_lies_where_its_anchor_is(monkeypatch, shape, scale, shift):
    raw, scores = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -100, np.float32)
    raw[0, 100, :4], scores[0, 100] = (4, -2, 32, 16), 5  # centre off its anchor, and size, in px of the input
    monkeypatch.setattr("au3dmm.detectors.mediapipe_boxes.Model", lambda content: lambda image: [raw, scores])
    found = BlazeFace(b"", 0.5)(np.zeros((*shape, 3), np.uint8))
    centre = (anchors()[100] * 128 + (4, -2)) * scale + shift - 0.5  # edge to edge, then to pixel centres
    np.testing.assert_allclose(
        found.boxes_px, [[*(centre - (16 * scale, 8 * scale)), *(centre + (16 * scale, 8 * scale))]]
    )
    np.testing.assert_allclose(found.keypoints_px[0, 0], anchors()[100] * 128 * scale + shift - 0.5)
    assert found.scores[0] == pytest.approx(1 / (1 + np.exp(-5)))


def place(x0, y0, x1, y1):
    return np.concatenate([[[x0, y0], [x1, y1]], np.full((6, 2), (x0 + x1) / 2)])


def test_overlapping_candidates_become_their_weighted_mean():
    places = np.array([place(0, 0, 10, 10), place(20, 0, 30, 10), place(1, 0, 11, 10)], float)
    merged, scores = merge_boxes(places, np.array([0.6, 0.9, 0.8]))
    assert scores.tolist() == [0.9, 0.8]
    np.testing.assert_allclose(merged[0], places[1])
    np.testing.assert_allclose(merged[1], (0.6 * places[0] + 0.8 * places[2]) / 1.4)


def test_no_candidates_merge_into_none():
    merged, scores = merge_boxes(np.zeros((0, 8, 2)), np.zeros(0))
    assert merged.shape == (0, 8, 2)
    assert scores.shape == (0,)


def test_a_candidate_without_area_does_not_stop_the_merging():
    assert len(merge_boxes(np.zeros((2, 8, 2)), np.array([0.9, 0.8]))[0]) == 2


def test_the_far_finder_has_2304_anchors_by_rows():
    a = anchors(FULL_RANGE)
    assert a.shape == (2304, 2)
    np.testing.assert_allclose(a[[0, 1, 48]] * 192, [[2, 2], [6, 2], [2, 6]])


@pytest.mark.parametrize(("min_score", "expected"), [(0.0, 896), (0.5, 2), (0.9, 1), (1.0, 0)])
def test_candidates_below_the_score_are_dropped(monkeypatch, min_score, expected):
    logits = np.full((1, 896, 1), -50, np.float32)
    logits[0, [3, 800], 0] = 3, 1  # scores 0.95 and 0.73
    kept = []
    monkeypatch.setattr(
        "au3dmm.detectors.mediapipe_boxes.Model",
        lambda content: lambda image: [np.zeros((1, 896, 16), np.float32), logits],
    )
    monkeypatch.setattr(
        "au3dmm.detectors.mediapipe_boxes.merge_boxes",
        lambda places, scores: (kept.append(len(scores)), merge_boxes(places, scores))[1],
    )
    BlazeFace(b"", min_score)(np.zeros((40, 40, 3), np.uint8))
    assert kept == [expected]
