"""A head is drawn where it is, from where it is seen, in the colours of its values."""

import cv2
import numpy as np
import pytest

from au3dmm.core.landmarks import landmark_positions
from au3dmm.io.assets import read_default_head
from au3dmm.report.mesh_views import HEAT, Framing, draw_head, frame_face, frame_heads, on_paper, project, webp

HEIGHT = 100
FLAT = Framing(np.zeros(3), 1.0, 0.84)
WIDTH = FLAT.width(HEIGHT)


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
    picture = draw_head(*square(), FLAT, height=HEIGHT)
    assert picture.shape == (HEIGHT, WIDTH, 4)
    assert (picture[..., 3] / 255).sum() == pytest.approx((0.4 * HEIGHT) ** 2, rel=0.01)
    assert picture[HEIGHT // 2, WIDTH // 2, 3] == 255
    assert not picture[:20].any()


def test_the_camera_goes_round_to_the_subjects_left():
    corners, faces = square()
    nose = np.array([[-0.02, -0.02, 0.3], [0.02, -0.02, 0.3], [0, 0.02, 0.3]])
    vertices, tri = np.vstack([corners, nose]), np.vstack([faces, [[4, 5, 6]]])
    values = np.array([0, 0, 0, 0, 1.0, 1, 1])

    def nose_x(turn):
        picture = draw_head(vertices, tri, FLAT, turn_deg=turn, height=HEIGHT, values=values)
        dark = (picture[..., 3] > 200) & (picture[..., :3].max(-1) < 120)
        return np.nonzero(dark)[1].mean() - (WIDTH - 1) / 2

    assert nose_x(0) == pytest.approx(0, abs=1)
    # seen from the subject's left (our right), what stands out in front moves to our left
    assert nose_x(40) == pytest.approx(-0.3 * np.sin(np.radians(40)) * HEIGHT, abs=2)
    assert nose_x(-40) == pytest.approx(0.3 * np.sin(np.radians(40)) * HEIGHT, abs=2)


def test_values_are_shown_by_their_colour():
    corners, faces = square()
    for value in (0.0, 0.4, 1.0):
        picture = draw_head(corners, faces, FLAT, height=40, values=np.full(4, value))
        seen = picture[20, 17, :3] / 255
        wanted = HEAT[round(value * 255)]
        # light makes it a little brighter or darker, not another colour
        np.testing.assert_allclose(seen / seen.max(), wanted / wanted.max(), atol=0.1)
        assert 0.7 < luminance(seen) / luminance(wanted) < 1.2


def test_values_beyond_the_scale_take_its_ends():
    corners, faces = square()
    views = [draw_head(corners, faces, FLAT, height=30, values=np.full(4, v)) for v in (1.0, 9.0)]
    np.testing.assert_array_equal(*views)


def test_the_heat_map_only_gets_darker():
    # so it reads the same without colour vision, and in grey print
    steps = np.diff(luminance(HEAT))
    assert (steps <= 0).all()
    assert luminance(HEAT[0]) > 0.6
    assert luminance(HEAT[-1]) < 0.03


def test_what_is_seen_from_behind_is_dark():
    corners, faces = square()
    front = draw_head(corners, faces, FLAT, height=30)
    behind = draw_head(corners, faces[:, ::-1], FLAT, height=30)
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
    assert decoded.shape == (HEIGHT, WIDTH, 4)


def test_paper_shows_where_there_is_no_head():
    picture = np.zeros((1, 3, 4), np.uint8)
    picture[0, 1] = (10, 20, 30, 255)
    picture[0, 2] = (0, 0, 0, 51)
    assert on_paper(picture, (200, 100, 50)).tolist() == [[[200, 100, 50], [10, 20, 30], [160, 80, 40]]]


@pytest.mark.parametrize("turn", [0, 42])
def test_heads_are_framed_whole_above_the_floor(turn):
    rng = np.random.default_rng(1)
    heads = rng.uniform(-1, 1, (3, 400, 3)) * (0.1, 0.15, 0.12) + (0.01, 0.2, -0.03)
    heads[:, :50, 1] -= 0.5  # shoulders
    heads[:, :50, 0] *= 9
    framing = frame_heads(heads, 0.0, (turn,))
    shown = heads[heads[..., 1] > 0]
    for signed in (turn, -turn):
        places, _ = project(shown, framing, signed, 500)
        assert (places > 2).all()
        assert (places < (framing.width(500) - 3, 501)).all()
        assert np.ptp(places[:, 0]) > 0.85 * framing.width(500)
        assert places[:, 1].min() < 25


def test_pictures_of_the_same_heads_have_one_scale_and_height():
    heads = np.random.default_rng(2).uniform(-0.1, 0.1, (2, 100, 3))
    front, side = (frame_heads(heads, -0.08, (turn,)) for turn in (0, 42))
    assert front.height_m == side.height_m
    assert front.centre[1] == side.centre[1]


def test_a_surface_below_its_floor_is_framed_all_the_same():
    framing = frame_heads(square()[0][None], 5.0, (0,))
    assert np.isfinite([framing.height_m, framing.width_m]).all()


def test_the_lower_edge_fades_out():
    corners, faces = square(half=2)
    framing = Framing(np.zeros(3), 1.0, 0.84, fade_m=0.2)
    rows = draw_head(corners, faces, framing, height=HEIGHT)[:, WIDTH // 2, 3].astype(int)
    assert (rows[:80] == 255).all()
    assert (np.diff(rows[80:]) <= 0).all()
    assert rows[90] == pytest.approx(128, abs=12)
    assert rows[-1] < 5


def test_a_hole_through_a_mask_is_dark_and_the_outside_is_not():
    outer, inner = square(half=0.3)[0], square(half=0.1)[0]
    ring = np.array([[0, 1, 5], [0, 5, 4], [1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7]])
    mask = np.vstack([outer, inner])
    picture = draw_head(mask, ring, FLAT, height=HEIGHT)
    middle = picture[HEIGHT // 2, WIDTH // 2]
    assert middle[3] == 255
    assert middle[:3].max() < 80
    assert not picture[5, 5].any()
    # open to the side, it is no hole
    gap = draw_head(mask, ring[2:], FLAT, height=HEIGHT)
    assert gap[HEIGHT // 2, WIDTH // 2, 3] == 0


def test_what_is_enclosed_is_drawn_darker():
    corners, faces = square()
    light, half, dark = (
        draw_head(corners, faces, FLAT, height=30, openness=np.full(4, value))[15, 12, 0] for value in (1.0, 0.3, 0.0)
    )
    assert light > half > dark
    assert dark < 80
    np.testing.assert_array_equal(light, draw_head(corners, faces, FLAT, height=30)[15, 12, 0])
