"""A head is drawn where it is, from where it is seen, in the colours of its values."""

import cv2
import numpy as np
import pytest

from au3dmm.core.landmarks import landmark_positions
from au3dmm.io.assets import read_default_head
from au3dmm.report.mesh_views import HEAT, Framing, draw_head, frame_face, on_paper, picture_width, webp

HEIGHT = 100


@pytest.fixture(scope="module")
def head():
    return read_default_head()


@pytest.fixture(scope="module")
def framing(head):
    return frame_face(landmark_positions(head.vertices, head.faces, head.embedding))


def square(z=0.0, half=0.2):
    corners = np.array([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
    return corners, np.array([[0, 1, 2], [0, 2, 3]])


def luminance(colours):
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_a_square_covers_its_share_of_the_picture():
    picture = draw_head(*square(), Framing(np.zeros(3), 1.0), height=HEIGHT)
    assert picture.shape == (HEIGHT, picture_width(HEIGHT), 4)
    assert (picture[..., 3] / 255).sum() == pytest.approx((0.4 * HEIGHT) ** 2, rel=0.01)
    assert picture[HEIGHT // 2, picture_width(HEIGHT) // 2, 3] == 255
    assert not picture[:20].any()


def test_the_camera_goes_round_to_the_subjects_left():
    corners, faces = square()
    nose = np.array([[-0.02, -0.02, 0.3], [0.02, -0.02, 0.3], [0, 0.02, 0.3]])
    vertices, tri = np.vstack([corners, nose]), np.vstack([faces, [[4, 5, 6]]])
    values = np.array([0, 0, 0, 0, 1.0, 1, 1])

    def nose_x(turn):
        picture = draw_head(vertices, tri, Framing(np.zeros(3), 1.0), turn_deg=turn, height=HEIGHT, values=values)
        dark = (picture[..., 3] > 200) & (picture[..., :3].max(-1) < 120)
        return np.nonzero(dark)[1].mean() - (picture_width(HEIGHT) - 1) / 2

    assert nose_x(0) == pytest.approx(0, abs=1)
    # seen from the subject's left (our right), what stands out in front moves to our left
    assert nose_x(40) == pytest.approx(-0.3 * np.sin(np.radians(40)) * HEIGHT, abs=2)
    assert nose_x(-40) == pytest.approx(0.3 * np.sin(np.radians(40)) * HEIGHT, abs=2)


def test_values_are_shown_by_their_colour():
    corners, faces = square()
    for value in (0.0, 0.4, 1.0):
        picture = draw_head(corners, faces, Framing(np.zeros(3), 1.0), height=40, values=np.full(4, value))
        seen = picture[20, 17, :3] / 255
        wanted = HEAT[round(value * 255)]
        # light makes it a little brighter or darker, not another colour
        np.testing.assert_allclose(seen / seen.max(), wanted / wanted.max(), atol=0.1)
        assert 0.7 < luminance(seen) / luminance(wanted) < 1.2


def test_values_beyond_the_scale_take_its_ends():
    corners, faces = square()
    views = [draw_head(corners, faces, Framing(np.zeros(3), 1.0), height=30, values=np.full(4, v)) for v in (1.0, 9.0)]
    np.testing.assert_array_equal(*views)


def test_the_heat_map_only_gets_darker():
    # so it reads the same without colour vision, and in grey print
    steps = np.diff(luminance(HEAT))
    assert (steps <= 0).all()
    assert luminance(HEAT[0]) > 0.6
    assert luminance(HEAT[-1]) < 0.03


def test_what_is_seen_from_behind_is_dark():
    corners, faces = square()
    front = draw_head(corners, faces, Framing(np.zeros(3), 1.0), height=30)
    behind = draw_head(corners, faces[:, ::-1], Framing(np.zeros(3), 1.0), height=30)
    assert front[15, 12, :3].min() > 120
    assert behind[15, 12, :3].max() < 80
    assert behind[15, 12, 3] == 255


def test_a_face_fills_its_picture_in_both_views(head, framing):
    for turn in (0, 42, -42):
        picture = draw_head(head.vertices, head.faces, framing, turn_deg=turn, height=HEIGHT)
        assert 0.5 < (picture[..., 3] > 0).mean() < 0.95
    front = draw_head(head.vertices, head.faces, framing, height=HEIGHT)[..., 3]
    assert np.abs(front.astype(int) - front[:, ::-1]).mean() < 3  # a symmetric head in the middle


def test_a_turn_to_the_right_is_the_mirror_image_of_one_to_the_left(head, framing):
    left, right = (
        draw_head(head.vertices, head.faces, framing, turn_deg=turn, height=HEIGHT)[..., 3] for turn in (42, -42)
    )
    assert (np.abs(left.astype(int) - right[:, ::-1]) > 60).mean() < 0.002


def test_the_same_head_gives_the_same_bytes(head, framing):
    twice = [webp(draw_head(head.vertices, head.faces, framing, height=HEIGHT)) for _ in range(2)]
    assert twice[0] == twice[1]
    decoded = cv2.imdecode(np.frombuffer(twice[0], np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == (HEIGHT, picture_width(HEIGHT), 4)


def test_paper_shows_where_there_is_no_head():
    picture = np.zeros((1, 3, 4), np.uint8)
    picture[0, 1] = (10, 20, 30, 255)
    picture[0, 2] = (0, 0, 0, 51)
    assert on_paper(picture, (200, 100, 50)).tolist() == [[[200, 100, 50], [10, 20, 30], [160, 80, 40]]]
