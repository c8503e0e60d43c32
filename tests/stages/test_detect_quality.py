"""What is said of each frame, on photographs and a rendered head that are cut, shrunk, turned, blurred, exchanged."""

import shutil

import cv2
import numpy as np
import pytest

import recordings as rec
from au3dmm.config import DetectParams
from au3dmm.core.landmarks import eye_distance, landmark_positions
from au3dmm.core.placement import skin_triangles
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases
from au3dmm.io.images import read_image, resize_area, write_image
from au3dmm.io.tables import read_table, vectors
from au3dmm.stages import detect, placement

pytestmark = [pytest.mark.weights, pytest.mark.shared]
HEIGHT, WIDTH = 568, 455


@pytest.fixture(scope="module")
def photographs(shared_data):
    """Two people, each on a picture of one size, about 76 px between the outer eye corners."""
    one = read_image(shared_data / "images" / "obama.jpg")
    other = read_image(shared_data / "images" / "biden.jpg")[:1212]
    return resize_area(one, (HEIGHT, WIDTH)), resize_area(other, (HEIGHT, WIDTH))


@pytest.fixture
def look(tmp_path, mediapipe_weights):
    """Detect on images, one after another."""

    def call(images, **params):
        shutil.rmtree(tmp_path / "frames", ignore_errors=True)
        (tmp_path / "frames").mkdir()
        for i, image in enumerate(images):
            write_image(tmp_path / "frames" / f"{i:02}.jpg", image, quality=98)
        rec.write_csv(tmp_path / "rgb.csv", [33_000 * i for i in range(len(images))])
        session = rec.write_manifest(tmp_path, {"folder": "frames", "timestamps": "rgb.csv"})
        out = tmp_path / "landmarks.parquet"
        # pictures that have nothing to do with each other
        params = {"mediapipe_tracking": False, **params}
        detect.run(session=session, landmarks=out, params=DetectParams(**params), weights_folder=mediapipe_weights)
        table = read_table(out, "landmarks")
        # faces that were planted at other places are other faces
        flags = [[flag for flag in each if flag != "face_switched"] for each in table["flags"].to_pylist()]
        return table, table["status"].to_pylist(), flags

    return call


def placed(image, left=0, top=0):
    """Shift an image, on a grey ground."""
    out = np.full_like(image, 110)
    height, width = image.shape[:2]
    seen = image[max(0, -top) : height - max(0, top), max(0, -left) : width - max(0, left)]
    out[max(0, top) :, max(0, left) :][: seen.shape[0], : seen.shape[1]] = seen
    return out


def small(image, factor):
    less = resize_area(image, (round(image.shape[0] * factor), round(image.shape[1] * factor)))
    out = np.full_like(image, 110)
    out[: less.shape[0], : less.shape[1]] = less
    return out


def test_a_face_over_the_border_is_flagged_and_one_inside_is_not(look, photographs):
    image, _ = photographs  # the face lies between x = 186 and 306; its chin at y = 209
    shifts = [(0, 0), (-150, 0), (-192, 0), (-210, 0), (0, HEIGHT - 260), (0, HEIGHT - 200), (0, HEIGHT - 180)]
    _, status, flags = look([placed(image, *shift) for shift in shifts])
    assert status == ["ok"] * len(shifts)
    assert flags == [[], [], ["border"], ["border"], [], ["border"], ["border"]]


def test_a_face_is_small_below_40_px_between_the_eyes(look, photographs):
    image = np.ascontiguousarray(photographs[0][:300, 100:400])
    table, status, flags = look([small(image, factor) for factor in (1, 0.7, 0.45)])
    assert status == ["ok"] * 3
    across = eye_distance(vectors(table, "landmarks_px")[0].reshape(-1, 68, 3)[..., :2])
    assert across[:2].min() > 50
    assert across[2:].max() < 38
    assert flags == [[], [], ["small"]]


def test_a_head_turned_by_more_than_45_degrees_is_flagged(look):
    head = read_bases(asset_path(DEMO_BASES))
    marks = landmark_positions(head.template, head.faces, head.embedding)
    skin = skin_triangles(head.faces, len(head.template), head.embedding)
    room = placement._ROOMS[1]
    turns = (0, 20, -20, 50, -50, 65)
    drawn = [placement.draw_head(head.template, head.faces, marks, skin, (yaw, 0), *room).image for yaw in turns]
    _, status, flags = look(drawn)
    assert status == ["ok"] * len(turns)
    assert flags == [[], [], [], *[["extreme_pose"]] * 3]


def test_darkness_and_blur_end_in_no_face(look, photographs):
    image, _ = photographs
    black, blurred = np.zeros_like(image), cv2.GaussianBlur(image, (0, 0), 25)
    table, status, flags = look([image, black, blurred])
    assert status == ["ok", "no_face", "no_face"]
    assert table["landmarks_px"].is_valid().to_pylist() == [True, False, False]
    assert flags == [[], [], []]


def test_a_score_below_the_threshold_is_a_status_that_keeps_the_landmarks(look, photographs):
    table, status, _ = look([photographs[0]], min_landmark_score=1.0)
    assert table["landmark_score"].to_pylist()[0] > 0.99
    assert status == ["low_confidence"]
    assert table["landmarks_px"].is_valid().to_pylist() == [True]


def test_another_person_at_another_place_is_flagged_and_the_same_one_is_not(look, photographs):
    one, other = photographs
    images = [one, placed(one, 15, 4), placed(one, 30, 8), placed(other, -150, 60), placed(other, -145, 60)]
    table, status, _ = look(images)
    assert status == ["ok"] * 5
    switched = [i for i, each in enumerate(table["flags"].to_pylist()) if "face_switched" in each]
    assert switched == [3]


def test_huge_frames_have_their_landmarks_where_they_are(look, photographs):
    image = np.ascontiguousarray(photographs[0][:300, 100:400])
    factor = 2880 / 300
    huge = cv2.resize(image, (2880, 2880), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).integers(-20, 20, (480, 480, 1), np.int16)
    huge = np.clip(huge + np.tile(grain, (6, 6, 1)), 0, 255).astype(np.uint8)
    places = []
    for picture, side in ((image, 1920), (huge, 1920), (huge, 0)):
        table, status, _ = look([picture], max_side_px=side)
        assert status == ["ok"]
        places.append(vectors(table, "landmarks_px")[0].reshape(68, 3)[:, :2].astype(np.float64))
    known = places[0]
    shrunk, sampled = (np.linalg.norm((x + 0.5) / factor - 0.5 - known, axis=1).mean() for x in places[1:])
    assert shrunk / eye_distance(known) < 0.01
    assert shrunk < sampled, "where pixels are skipped, their grain is what is seen"
