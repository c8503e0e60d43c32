"""The page of a dataset as people use it: in a browser, on a phone and a desk, by mouse and by keyboard."""

import numpy as np
import pytest

from au3dmm.io.label_statistics import LabelStatistics, Spread
from au3dmm.io.neutral_faces import NeutralRow
from au3dmm.io.sessions_index import IndexRow
from au3dmm.io.stage_numbers import StageNumbers
from au3dmm.report.dataset_page import dataset_page
from browser import browser, opened

N, FAILED = 3148, 50
NAMES = ("AU1", "AU12_left", "AU12_right")
EVIL = "<b>S9</b>'; rm"


def made_up():
    """A dataset as large as FACEMORPHIC; the error of session i is known."""
    rows, numbers, peaks = [], {}, {}
    for i in range(N):
        name, subject, au = f"s{i}", f"p{i // 49}", ("AU1", "AU12")[i % 2]
        if i % (N // FAILED) == 0 and i // (N // FAILED) < FAILED:
            rows.append(IndexRow(name, subject, au, status="failed", failure=f"raw/{name}/rgb.mp4: not a video"))
            continue
        error = ((i * 7919) % N + 1) / N
        rows.append(
            IndexRow(
                *(name, subject, au), split=("train", "val", "test")[i // 49 % 3], frames_rgb=100, frames_face=100,
                frames_event=100, frames_labelled=90, label_rate=0.9, rmse_px_median=error, clock_method="trigger",
                clock_uncertainty_us=0.1 if i % 97 else 9000.0,
            )
        )  # fmt: skip
        numbers[name] = StageNumbers(rmse_iod=error / 100)
        peaks[name] = np.array([2.0, 0.1, 0.1] if au == "AU1" else [0.1, 2.0, 1.5])
    rows.append(IndexRow(EVIL, "<i>p</i>", status="failed", failure="</script><script>alert(1)</script>"))
    spread = Spread(NAMES, np.array([[70, 10, 10, 5, 3, 2]] * 3), peaks)
    neutral = [NeutralRow("p1", "", "poor", 0.12, ("one_frame",), 1, 1, 1, 2, None, False)]
    metadata = {"dataset": {"name": "<u>Faces</u>"}, "basis": {"kind": "demo", "names_au": NAMES, "k_au": 3}}
    return dataset_page(
        *(rows, metadata, []), again="au3dmm run label --dataset . --retry-failed", neutral=neutral, pages={"s1"},
        numbers=numbers, statistics=LabelStatistics(spread, spread),
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset") / "report.html"
    path.write_text(made_up(), "utf-8")
    return path


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


def names(seen):
    return seen.page.locator('[data-table="sessions"] tbody th .row > :nth-child(2)').all_inner_texts()


def said(seen):
    return seen.page.locator('[data-table="sessions"] .said').inner_text().replace("\u202f", "")


def test_a_dataset_as_large_as_facemorphic_is_small(page):
    assert page.stat().st_size < 1_000_000


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_opens_without_complaint_asks_for_nothing_and_everybody_can_use_it(chromium, page, width, dark):
    with opened(chromium, page, width=width, dark=dark) as seen:
        assert said(seen) == "1 to 25 of 3149 sessions"
        assert seen.faults() == []
        assert seen.sideways() <= 0
        assert seen.errors == []
        assert seen.requests == []
        paper = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (np.mean([int(part) for part in paper[4:-1].split(",")]) < 128) == dark


def test_a_heading_sorts_both_ways_by_mouse_and_by_keyboard(chromium, page):
    order = sorted(
        (i for i in range(N) if not (i % (N // FAILED) == 0 and i // (N // FAILED) < FAILED)),
        key=lambda i: (i * 7919) % N,
    )
    with opened(chromium, page) as seen:
        head = seen.page.locator('[data-table="sessions"]').get_by_role("columnheader", name="error, px")
        head.get_by_role("button").click()
        assert names(seen)[:3] == [f"s{i}" for i in order[::-1][:3]]
        assert head.get_attribute("aria-sort") == "descending"
        seen.page.keyboard.press("Enter")  # the heading has the focus
        assert names(seen)[:3] == [f"s{i}" for i in order[:3]]
        assert head.get_attribute("aria-sort") == "ascending"
        assert said(seen) == "1 to 25 of 3149 sessions, by error, px, upwards"
        seen.page.get_by_label("rows").first.select_option(label="500")
        everyone = names(seen)
        while seen.page.get_by_role("button", name="Next").first.is_enabled():
            seen.page.get_by_role("button", name="Next").first.click()
            everyone += names(seen)
        assert everyone[: len(order)] == [f"s{i}" for i in order]
        assert len(everyone) == N + 1, "those without an error come last"
        seen.page.get_by_role("columnheader", name="session", exact=False).first.get_by_role("button").press("Space")
        assert names(seen)[1:5] == ["s0", "s1", "s2", "s3"], "names are sorted as people count"


def test_words_and_choices_leave_some(chromium, page):
    with opened(chromium, page, width=390) as seen:
        seen.page.get_by_label("Search sessions").fill("p3 AU12")
        found = names(seen)
        assert found
        assert all(int(name[1:]) % 2 for name in found)
        seen.page.get_by_label("Search sessions").fill("")
        seen.page.get_by_label("Outcome").select_option(label=f"failed ({FAILED + 1})")
        assert said(seen) == f"1 to 25 of {FAILED + 1} of 3149 sessions"
        seen.page.get_by_role("button", name="Next").first.click()
        assert said(seen).startswith("26 to 50")
        seen.page.get_by_label("Outcome").select_option(label="all")
        seen.page.get_by_label("only sessions to look at").focus()
        seen.page.keyboard.press("Space")
        assert "of 3149 sessions" in said(seen)
        assert all(seen.page.locator('[data-table="sessions"] tbody .mark').nth(i).is_visible() for i in range(5))
        seen.page.get_by_label("Search sessions").fill("nobody is called that")
        assert said(seen) == "none of 3149 sessions"
        assert seen.errors == []


def test_a_row_tells_why_and_how_to_get_its_page_and_links_to_those_there_are(chromium, page):
    with opened(chromium, page) as seen:
        link = seen.page.locator('[data-table="sessions"]').get_by_role("link", name="s1", exact=True)
        assert link.get_attribute("href") == "sessions/s1/report.html"
        seen.page.get_by_label("Search sessions").fill("9 ms")
        button = seen.page.get_by_role("button", name="more about s97", exact=True)
        button.focus()
        seen.page.keyboard.press("Enter")
        assert button.get_attribute("aria-expanded") == "true"
        told = seen.page.locator("tr.more").inner_text()
        assert "clock uncertain" in told
        assert "au3dmm report . --session s97" in told
        seen.page.keyboard.press("Enter")
        assert seen.page.locator("tr.more").count() == 0


def test_names_are_text_whatever_they_hold(chromium, page):
    with opened(chromium, page) as seen:
        seen.page.get_by_label("Search sessions").fill("<b>")
        assert names(seen) == [EVIL]
        seen.page.get_by_role("button", name=f"more about {EVIL}").click()
        assert "</script><script>alert(1)</script>" in seen.page.locator("tr.more").inner_text()
        assert seen.page.title() == f"<u>Faces</u>: {N + 1:,} sessions of 66 subjects".replace(",", "\u202f")
        assert seen.page.locator("main b:text-is('S9'), main u").count() == 0


def test_the_map_tells_its_cells_to_mouse_and_keyboard(chromium, page):
    with opened(chromium, page) as seen:
        cells = seen.page.locator("#cells")
        cells.focus()
        assert seen.page.locator("#cell-told").inner_text() == "AU1 asked for: AU1 moves 2.00 sd"
        seen.page.keyboard.press("ArrowDown")
        seen.page.keyboard.press("ArrowRight")
        assert seen.page.locator("#cell-told").inner_text() == "AU12 asked for: AU12_left moves 2.00 sd"
        box = cells.bounding_box()
        cells.hover(position={"x": box["width"] * 0.9, "y": box["height"] * 0.9})
        assert seen.page.locator("#cell-told").inner_text() == "AU12 asked for: AU12_right moves 1.50 sd"
        assert seen.page.locator("#cells i").count() == 3


@pytest.mark.parametrize(
    "rows", [[], [IndexRow("gone", None, status="failed", failure="no video")]], ids=["empty", "all failed"]
)
def test_an_empty_or_failed_dataset_opens_too(chromium, tmp_path, rows):
    path = tmp_path / "report.html"
    path.write_text(dataset_page(rows, {}, [], again="x"), "utf-8")
    with opened(chromium, path, width=390) as seen:
        assert (seen.faults(), seen.errors, seen.requests) == ([], [], [])
        assert seen.sideways() <= 0
