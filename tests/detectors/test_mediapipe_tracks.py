"""Following faces, with a mesh model that sees a bright disc, and answers by nothing but image and region."""

import cv2
import numpy as np
import pytest

from au3dmm.config import DetectParams
from au3dmm.detectors.mediapipe import MediapipeDetector
from au3dmm.detectors.mediapipe_boxes import BlazeFaces
from au3dmm.detectors.mediapipe_models import Region, crop, crop_map, region_of_mesh
from au3dmm.detectors.mediapipe_tracks import FOLLOW, Track, distinct, follow, match
from models import mediapipe_folder

SHAPE = np.random.default_rng(0).uniform(-20, 20, (468, 3))
SHAPE[33], SHAPE[263] = (-15, -5, 0), (15, -5, 0)
SIZE = (360, 640)


def scene(*centres):
    image = np.zeros((*SIZE, 3), np.uint8)
    for x, y in centres:
        cv2.circle(image, (round(x), round(y)), 20, (255, 255, 255), -1)
    return image


def see(image, region):
    """The mesh of the brightness' middle within a region; pulled to the region's middle by a tenth, as nets are."""
    shown = crop(image, crop_map(region, 64), 64, replicate=False)[..., 0].astype(float)
    if shown.sum() < 1000:
        return SHAPE + [*region.centre_px, 0], 0.1
    j, i = np.mgrid[:64, :64]
    middle = np.array([(i * shown).sum(), (j * shown).sum()]) / shown.sum()
    matrix = crop_map(region, 64)
    place = matrix[:, :2] @ middle + matrix[:, 2]
    return SHAPE + [*(0.9 * place + 0.1 * region.centre_px), 0], 0.99


class Finder:
    """Finds discs, and counts how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, image):
        self.calls += 1
        count, _, stats, centres = cv2.connectedComponentsWithStats(image[..., 0] // 255)
        order = np.argsort(-stats[1:, 4], kind="stable")[: count - 1] + 1
        boxes = np.array([[*(c - 20), *(c + 20)] for c in centres[order]]).reshape(-1, 4)
        keypoints = np.zeros((len(boxes), 6, 2)) + [[[-8, 0]], [[8, 0]]][0]
        keypoints[:, 0] = boxes[:, :2] + (12, 15)
        keypoints[:, 1] = boxes[:, :2] + (28, 15)
        return BlazeFaces(boxes, keypoints, np.linspace(0.9, 0.8, len(boxes)))


@pytest.fixture
def build(monkeypatch):
    monkeypatch.setattr("au3dmm.detectors.mediapipe.read_mediapipe", lambda folder, names: ({MESH: b""}, {}))
    monkeypatch.setattr("au3dmm.detectors.mediapipe.FaceMesh", lambda model: see)

    def make(**params):
        detector = MediapipeDetector(DetectParams(mediapipe_refine=False, **params), None)
        detector._finders = [Finder()]
        return detector

    return make


MESH = "face_landmark.tflite"


def run(detector, images, first=0):
    return [detector.detect(image, first + i) for i, image in enumerate(images)]


def walk(n, start=(120.0, 150.0), step=(3.0, 1.0)):
    return [scene((start[0] + step[0] * i, start[1] + step[1] * i)) for i in range(n)]


def same(a, b):
    assert [len(faces) for faces in a] == [len(faces) for faces in b]
    for left, right in zip(a, b, strict=True):
        for x, y in zip(left, right, strict=True):
            np.testing.assert_array_equal(x.dense_px, y.dense_px)
            np.testing.assert_array_equal(x.landmarks_px, y.landmarks_px)
            assert (x.detection_score, x.landmark_score) == (y.detection_score, y.landmark_score)


def test_a_face_is_followed_and_seldom_looked_for(build):
    detector = build(mediapipe_search_every=8, mediapipe_chunk_frames=100)
    images = walk(33)
    faces = run(detector, images)
    assert all(len(found) == 1 for found in faces)
    assert detector._finders[0].calls == 5  # frames 0, 8, 16, 24, 32
    lag = faces[30][0].dense_px[:, :2].mean(0) - SHAPE[:, :2].mean(0) - (210, 180)
    assert np.linalg.norm(lag) < 1  # 3.2 px a frame, of which a tenth of the region's lag is left


@pytest.mark.parametrize("first", [10, 20, 30])
def test_a_worker_may_begin_at_any_chunk_border(build, first):
    params = {"mediapipe_chunk_frames": 10, "mediapipe_search_every": 4}
    images = walk(35)
    whole = run(build(**params), images)
    same(whole[first:], run(build(**params), images[first:], first))
    other = run(build(**params), images[first - 3 :], first - 3)
    same(whole[first:], other[3:])  # what comes before the border does not matter


def test_what_was_seen_in_another_session_does_not_matter(build):
    detector = build()
    fresh = run(build(), walk(5))
    run(detector, walk(9, (300, 200)))
    same(run(detector, walk(5)), fresh)  # the index does not grow
    detector.reset()
    same(run(detector, walk(5)), fresh)
    run(detector, [scene((300, 200))])
    detector.reset()
    same(run(detector, walk(5)[1:], 1), run(build(), walk(5)[1:], 1))


def test_another_size_of_image_begins_anew(build):
    detector = build()
    run(detector, walk(3))
    small = np.ascontiguousarray(scene((60, 60))[:120, :120])
    (face,) = detector.detect(small, 3)
    (alone,) = build().detect(small, 0)
    np.testing.assert_array_equal(face.dense_px, alone.dense_px)


def test_frames_on_their_own_depend_on_nothing(build):
    detector = build(mediapipe_tracking=False)
    images = walk(6)
    forwards = run(detector, images)
    backwards = run(detector, images[::-1])
    same(forwards, backwards[::-1])
    assert detector.chunk_frames == 1


def test_a_face_that_leaves_is_looked_for_until_it_comes_back(build):
    detector = build(mediapipe_search_every=100)
    images = [*walk(4), *[scene()] * 5, *walk(4, (400, 200))]
    faces = run(detector, images)
    assert [len(found) for found in faces] == [1] * 4 + [0] * 5 + [1] * 4
    assert detector._finders[0].calls == 1 + 5 + 1
    np.testing.assert_allclose(faces[9][0].box_px[:2], (SHAPE[:, :2].min(0) + (400, 200)), atol=0.5)


def test_a_second_face_is_noticed_at_the_next_search_and_followed(build):
    detector = build(mediapipe_search_every=4)
    images = [scene((150, 150))] * 2 + [scene((150, 150), (450, 200))] * 6
    assert [len(found) for found in run(detector, images)] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert detector._finders[0].calls == 2


def test_no_more_faces_than_asked_for(build):
    places = [(100 + 110 * i, 150) for i in range(5)]
    for tracking in (True, False):
        detector = build(mediapipe_faces=3, mediapipe_tracking=tracking)
        assert [len(found) for found in run(detector, [scene(*places)] * 3)] == [3, 3, 3]


def test_two_who_cross_are_one_while_they_do_and_two_again(build):
    detector = build(mediapipe_search_every=2)
    counts, orders = [], []
    for i in range(60):
        a, b = (120.0 + 6 * i, 150.0), (474.0 - 6 * i, 158.0)
        faces = detector.detect(scene(a, b), i)
        counts.append(len(faces))
        orders.append([face.box_px[0] for face in faces])
    assert counts[:20] == [2] * 20
    assert counts[-15:] == [2] * 15
    assert 1 in counts
    assert all(order == sorted(order) for order in orders)


def test_what_is_hardly_a_face_is_reported_but_not_followed(build, monkeypatch):
    detector = build(mediapipe_search_every=100)
    monkeypatch.setattr(detector, "_mesh", lambda image, region: (see(image, region)[0], 0.3))
    faces = run(detector, walk(4))
    assert [found[0].landmark_score for found in faces] == [0.3] * 4
    assert detector._finders[0].calls == 4


def test_far_faces_are_looked_for_only_where_there_are_no_near_ones(build):
    detector = build(mediapipe_tracking=False)
    near, far = Finder(), Finder()
    detector._finders = [near, far]
    detector.detect(scene((100, 100)), 0)
    assert (near.calls, far.calls) == (1, 0)
    detector.detect(scene(), 1)
    assert (near.calls, far.calls) == (2, 1)


def test_a_region_moves_most_of_the_way_to_its_mesh():
    start = Region(np.array([100.0, 100.0]), 60.0, 0.0)
    mesh = SHAPE + [110, 100, 0]
    track = follow(lambda image, region: (mesh, 1.0), scene(), Track(mesh, 1.0, 0.9, start), 0)
    goal = region_of_mesh(mesh)
    np.testing.assert_allclose(track.region.centre_px, 100 + FOLLOW * (goal.centre_px - 100))
    assert track.region.side_px == pytest.approx(60 + FOLLOW * (goal.side_px - 60))


def test_a_box_within_a_face_is_that_faces():
    track = Track(SHAPE + [100, 100, 0], 0.9, 0.5, Region(np.zeros(2), 1.0, 0.0))
    boxes = np.array([[80.0, 80, 120, 120], [300, 80, 340, 120]])
    updated, free = match(BlazeFaces(boxes, np.zeros((2, 6, 2)), np.array([0.7, 0.6])), [track])
    assert updated[0].score == 0.7
    assert free == [1]


def test_two_meshes_on_one_face_are_one():
    tracks = [
        Track(SHAPE + [x, 100, 0], 0.9, s, Region(np.zeros(2), 1.0, 0.0))
        for x, s in ((100, 0.6), (103, 0.8), (200, 0.7))
    ]
    assert [track.score for track in distinct(tracks)] == [0.6, 0.7]


@pytest.mark.weights
@pytest.mark.shared
def test_a_real_face_hardly_jumps_where_tracking_begins_anew(shared_data):
    from au3dmm.io.video import read_frames

    images = [image for _, image in read_frames(shared_data / "sessions" / "single_motion" / "rgb.mp4")][:20]
    whole = run(MediapipeDetector(DetectParams(), mediapipe_folder()), images)
    anew = MediapipeDetector(DetectParams(), mediapipe_folder()).detect(images[15], 15)
    jump = np.linalg.norm((anew[0].dense_px - whole[15][0].dense_px)[:, :2], axis=1)
    assert np.median(jump) < 0.5  # px, of 98 between the eyes


@pytest.mark.weights
@pytest.mark.shared
def test_a_far_face_is_found_with_the_far_finder(shared_data):
    from au3dmm.io.images import read_image

    image = read_image(shared_data / "images" / "obama.jpg")
    small = cv2.resize(image, None, fx=0.11, fy=0.11, interpolation=cv2.INTER_AREA)
    wide = np.full((360, 640, 3), 120, np.uint8)
    wide[100 : 100 + small.shape[0], 200 : 200 + small.shape[1]] = small
    (large,) = MediapipeDetector(DetectParams(), mediapipe_folder()).detect(image, 0)
    for where, count in (("short", 0), ("full", 1), ("both", 1)):
        faces = MediapipeDetector(DetectParams(mediapipe_range=where), mediapipe_folder()).detect(wide, 0)
        assert len(faces) == count
    expected = large.landmarks_px[:, :2] * 0.11 + (200, 100)
    eyes = np.linalg.norm(expected[36] - expected[45])
    assert np.linalg.norm(faces[0].landmarks_px[:, :2] - expected, axis=1).mean() < 0.1 * eyes
