"""Sheets show every component where and as it is, with the same bytes every time."""

import re
from dataclasses import replace

import cv2
import matplotlib
import numpy as np
import pytest

from au3dmm.errors import OutputError, SchemaError
from au3dmm.io.images import read_image
from au3dmm.report.component_sheet import (
    component_picture,
    identity_picture,
    write_component_sheet,
    write_identity_sheet,
)
from au3dmm.report.mesh_views import frame_face, on_paper, picture_width
from demo_basis import few_components, learned
from planted import small_bases

DPI = 60


@pytest.fixture(scope="module")
def demo():
    return few_components()


@pytest.fixture(scope="module")
def framing(demo):
    return frame_face(demo.landmarks()[0])


def warm(picture):
    """Where the heat map is coloured: more red than blue."""
    return picture[..., 0].astype(int) - picture[..., 2] > 40


def test_heat_is_where_the_component_moves_the_head(demo, framing):
    height = 120
    picture, largest_mm = component_picture(demo, framing, 1, "left", height)
    assert picture.shape == (height, 2 * picture_width(height), 4)
    assert largest_mm == pytest.approx(2e3 * np.linalg.norm(demo.components_au[1], axis=1).max())
    front = on_paper(picture[:, : picture_width(height)])
    y, x = np.nonzero(warm(front))
    assert x.min() > 0.4 * picture_width(height)  # the subject's left is on our right
    assert 0.5 * height < y.mean() < 0.8 * height  # at the mouth


def test_a_right_component_is_seen_from_the_right(demo, framing):
    width = picture_width(120)
    left = on_paper(component_picture(demo, framing, 1, "left", 120)[0])
    right = on_paper(component_picture(demo, framing, 2, "right", 120)[0])
    hot = [warm(picture[:, width:]) for picture in (left, right)]
    assert hot[0].sum() == pytest.approx(hot[1].sum(), rel=0.05)
    assert (hot[0] != hot[1][:, ::-1]).mean() < 0.01


def test_a_component_that_moves_nothing_can_be_drawn(demo, framing):
    still = replace(demo, components_au=demo.components_au * 0)
    picture, largest_mm = component_picture(still, framing, 0, "both", 60)
    assert largest_mm == 0
    assert not warm(on_paper(picture)).any()


def test_identity_components_change_the_head_both_ways(demo, framing):
    mean, less, more = (identity_picture(demo, framing, 0, a, 80) for a in (0, -2, 2))
    np.testing.assert_array_equal(mean, identity_picture(demo, framing, None, 0, 80))
    for one, other in ((mean, less), (mean, more), (less, more)):
        assert (np.abs(one.astype(int) - other).max(-1) > 10).mean() > 0.02


@pytest.mark.parametrize(
    ("write", "suffix"),
    [(write_component_sheet, ".png"), (write_component_sheet, ".pdf"), (write_identity_sheet, ".svg")],
)
def test_equal_bases_give_equal_bytes_whatever_the_users_settings(tmp_path, demo, write, suffix):
    write(tmp_path / f"one{suffix}", demo, dpi=30)
    with matplotlib.rc_context({"font.size": 30, "savefig.bbox": "tight", "figure.facecolor": "red"}):
        write(tmp_path / f"two{suffix}", demo, dpi=30)
        assert matplotlib.rcParams["font.size"] == 30
    one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two
    assert one.startswith({".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}[suffix])
    assert not re.search(rb"20[2-9]\d-[01]\d-|D:20[2-9]\d", one)  # no date
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"one{suffix}", f"two{suffix}"]


def test_every_component_has_a_cell_in_reading_order(tmp_path, demo):
    write_component_sheet(tmp_path / "sheet.png", demo, dpi=DPI)
    sheet = read_image(tmp_path / "sheet.png")
    # three components in one row: header, picture of 1.05 inch, bar and two lines
    width = 2 * 0.84 * 1.05 + 0.12
    assert sheet.shape[1] == pytest.approx((3 * width + 0.12) * DPI, abs=1)
    cells = [sheet[round(0.46 * DPI) : round(1.5 * DPI), round((0.12 + i * width) * DPI) :][:, :105] for i in range(3)]
    halfway = 105 // 4
    left_of_face = [warm(cell[:, :halfway]).sum() for cell in cells]
    right_of_face = [warm(cell[:, halfway : 2 * halfway]).sum() for cell in cells]
    assert right_of_face[1] > 5 * left_of_face[1]  # AU12_left
    assert left_of_face[2] > 5 * right_of_face[2]  # AU12_right
    assert left_of_face[0] == pytest.approx(right_of_face[0], rel=0.3)  # AU1


def test_many_components_are_wrapped_into_a_page(tmp_path, demo):
    many = replace(
        demo,
        components_au=np.repeat(demo.components_au[:1], 30, axis=0),
        stddev_au=np.ones(30),
        names_au=tuple(f"c{k:02d}" for k in range(30)),
    )
    write_component_sheet(tmp_path / "sheet.png", many, dpi=30)
    height, width, _ = read_image(tmp_path / "sheet.png").shape
    assert 0.8 < height / width < 1.7


def test_names_that_are_long_or_odd_are_drawn_as_they_are(tmp_path, demo):
    odd = replace(
        demo, names_au=("$\\frac{1}$ & <b>", "name\nwith a line and far too many words to fit in", "\u4e2d\u6587")
    )
    write_component_sheet(tmp_path / "sheet.png", odd, dpi=DPI)
    assert read_image(tmp_path / "sheet.png").size


def test_action_units_are_a_line_of_the_caption_where_they_are_known(tmp_path, demo):
    write_component_sheet(tmp_path / "untagged.svg", demo, dpi=DPI)
    write_component_sheet(tmp_path / "tagged.svg", learned(demo), dpi=DPI)

    def height(name):
        return float((tmp_path / name).read_text().split('height="')[1].split("pt")[0])

    assert height("tagged.svg") == pytest.approx(height("untagged.svg") + 0.098 * 72, abs=1.5)


def test_a_mesh_of_few_triangles_will_do(tmp_path):
    write_component_sheet(tmp_path / "au.png", small_bases(), dpi=DPI)
    write_identity_sheet(tmp_path / "id.png", small_bases(), dpi=DPI)
    assert cv2.imread(str(tmp_path / "au.png")).size


@pytest.mark.parametrize("write", [write_component_sheet, write_identity_sheet])
def test_what_cannot_be_written_is_told_before_anything_is_drawn(tmp_path, demo, write):
    with pytest.raises(SchemaError, match=r"written as \.png, \.pdf, \.svg, not as '\.gif'"):
        write(tmp_path / "sheet.gif", demo)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "file" / "sheet.png", demo, dpi=20)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
