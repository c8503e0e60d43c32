"""Images survive the disk, channel order included."""

import numpy as np
import pytest

import recordings as rec
from au3dmm.errors import SchemaError, SessionError
from au3dmm.io.images import enlarge_linear, read_image, resize_area, write_image


def picture():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (12, 17, 3), dtype=np.uint8)


def test_a_png_reads_back_exactly_in_rgb_order(tmp_path):
    write_image(tmp_path / "a.png", picture())
    assert np.array_equal(read_image(tmp_path / "a.png"), picture())
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_red_stays_red_in_a_jpeg(tmp_path):
    red = np.full((16, 16, 3), (250, 10, 20), np.uint8)
    write_image(tmp_path / "a.jpg", red)
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg"), red, atol=4)


def test_a_grey_image_is_repeated_over_the_channels(tmp_path):
    write_image(tmp_path / "a.png", picture()[..., 0])
    assert np.array_equal(read_image(tmp_path / "a.png"), np.repeat(picture()[..., :1], 3, 2))


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, picture())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_shrinking_takes_the_mean_of_the_area():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4) * 10
    expected = image.reshape(2, 2, 2, 2).mean((1, 3))
    assert np.array_equal(resize_area(image, (2, 2)), expected)
    assert resize_area(picture(), (5, 4)).shape == (5, 4, 3)
    assert resize_area(picture()[..., :1], (5, 4)).shape == (5, 4, 1)
    assert resize_area(image, (4, 4)) is not image


def test_enlarging_a_constant_keeps_it():
    assert (resize_area(np.full((3, 3), 77, np.uint8), (9, 10)) == 77).all()


def test_bad_images_are_refused_in_one_line(tmp_path):
    with pytest.raises(SessionError, match=r"gone\.png: cannot be read: No such file"):
        read_image(tmp_path / "gone.png")
    for name, content in (("empty.png", b""), ("text.png", b"not a picture")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SessionError, match=f"not an image that can be decoded .{len(content)} bytes"):
            read_image(tmp_path / name)
    with pytest.raises(SchemaError, match=r"not as '\.bmp'"):
        write_image(tmp_path / "a.bmp", picture())
    with pytest.raises(SchemaError, match="not float64"):
        write_image(tmp_path / "a.png", picture() / 255)
    with pytest.raises(SchemaError, match="cannot become 0x3"):
        resize_area(picture(), (0, 3))


def test_enlarging_brightness_interpolates_and_never_shrinks():
    ramp = np.tile(np.arange(8, dtype=np.float32), (4, 1))
    large = enlarge_linear(ramp, (8, 16))
    np.testing.assert_allclose(large[3, 1:-1], np.arange(0.25, 7, 0.5), atol=1e-6)
    with pytest.raises(SchemaError, match=r"an image of \(4, 8\) cannot grow to 8x4"):
        enlarge_linear(ramp, (8, 4))


def test_an_image_of_too_many_pixels_is_refused_in_one_line(tmp_path):
    (tmp_path / "a.png").write_bytes(rec.huge_png())
    with pytest.raises(SessionError, match=r"a\.png: cannot be decoded: .*; expected at most 2\^30 pixels$") as err:
        read_image(tmp_path / "a.png")
    assert "\n" not in str(err.value)
