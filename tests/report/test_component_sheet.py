"""Sheets show every component where and as it is, with the same bytes every time."""

import re
from dataclasses import replace

import cv2
import matplotlib
import numpy as np
import pytest

from au3dmm.errors import OutputError, SchemaError
from au3dmm.io.images import read_image
from au3dmm.report import component_views
from au3dmm.report.component_sheet import write_component_sheet, write_identity_sheet
from au3dmm.report.component_views import BasisPictures
from demo_basis import few_components, learned
from planted import small_bases

DPI = 60


@pytest.fixture(scope="module")
def demo():
    return few_components()


def warm(picture):
    """Where the heat map is coloured: more red than blue."""
    return picture[..., 0].astype(int) - picture[..., 2] > 40


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
    # three components in one row: header, picture of 1.15 inch, bar and two lines
    views = BasisPictures(demo).of_components
    width = views.aspect * 1.15 + 0.12
    front = round(views.front.width(round(1.15 * DPI)))
    assert sheet.shape[1] == pytest.approx((3 * width + 0.12) * DPI, abs=1)
    cells = [
        sheet[round(0.46 * DPI) : round(1.6 * DPI), round((0.12 + i * width) * DPI) :][:, :front] for i in range(3)
    ]
    halfway = front // 2
    left_of_face = [warm(cell[:, :halfway]).sum() for cell in cells]
    right_of_face = [warm(cell[:, halfway:]).sum() for cell in cells]
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


def test_sheets_that_share_pictures_have_the_same_bytes_and_draw_them_once(tmp_path, demo, monkeypatch):
    drawn = []
    once = component_views.draw_head
    monkeypatch.setattr(component_views, "draw_head", lambda *a, **more: drawn.append(1) or once(*a, **more))
    pictures = BasisPictures(demo)
    for name in ("one", "two"):
        write_component_sheet(tmp_path / f"{name}.png", demo, dpi=30, pictures=pictures)
    assert len(drawn) == 3 * 2
    write_component_sheet(tmp_path / "alone.png", demo, dpi=30)
    one, two, alone = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "two", "alone"))
    assert one == two == alone


def test_the_text_of_a_bitmap_is_where_the_picture_leaves_room_for_it(tmp_path, demo):
    write_identity_sheet(tmp_path / "id.png", demo, dpi=100)
    sheet = read_image(tmp_path / "id.png")
    dark = (sheet < 90).all(-1)
    assert dark[8:26, 10:150].sum() > 50  # the title
    below = round((0.46 + 1.15 + 0.03) * 100)
    assert dark[below : below + 12, 12:45].sum() > 20  # "mean"
