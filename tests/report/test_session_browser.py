"""The page of a session as people use it: in a browser, on a phone and a desk, by mouse, by keyboard, without WebGL."""

import numpy as np
import pytest

from au3dmm.report.session_page import PageOptions, write_session_page
from browser import browser, differ, opened
from planted_session import N, write_labelled


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    made = write_labelled(tmp_path_factory.mktemp("browser") / "run")
    return write_session_page(made.folder, PageOptions(made.bases_file))


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


def go(seen, i):
    seen.page.locator("#time").evaluate(
        "(slider, i) => { slider.value = i; slider.dispatchEvent(new Event('input')); }", i
    )


TALL = 3200  # px: nothing scrolls, so that pictures of an element lie on the same pixels


def value(seen):
    return int(seen.page.locator("#time").input_value())


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_opens_without_complaint_asks_for_nothing_and_everybody_can_use_it(chromium, page, width, dark):
    with opened(chromium, page, width=width, dark=dark) as seen:
        assert seen.page.locator("#player").get_attribute("data-head") == "ready"
        assert seen.faults() == []
        assert seen.sideways() <= 0
        assert seen.errors == []
        assert seen.requests == []
        paper = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (np.mean([int(part) for part in paper[4:-1].split(",")]) < 128) == dark


def test_a_long_name_leaves_room_for_its_value_on_a_phone(chromium, page):
    with opened(chromium, page, width=390) as seen:
        seen.page.evaluate(
            "for (const dt of document.querySelectorAll('dl.pairs dt')) dt.textContent = 'longer_than_others.tflite'"
        )
        widths = seen.page.evaluate(
            "[...document.querySelectorAll('dl.pairs dd')].filter(dd => dd.offsetParent).map(dd => dd.clientWidth)"
        )
        assert min(widths) > 150
        assert seen.sideways() <= 0


def test_the_head_follows_the_slider_and_comes_back_to_the_same_picture(chromium, page):
    with opened(chromium, page, height=TALL) as seen:
        go(seen, 0)
        first = seen.screenshot("#view")
        go(seen, N // 4)
        second = seen.screenshot("#view")
        assert differ(first, second) > 0.01
        go(seen, 0)
        assert differ(first, seen.screenshot("#view")) < 0.001
        assert seen.errors == []


def test_keys_move_time_and_turn_the_head(chromium, page):
    with opened(chromium, page, height=TALL) as seen:
        seen.page.locator("#time").focus()
        seen.page.keyboard.press("ArrowRight")
        seen.page.keyboard.press("ArrowRight")
        assert value(seen) == 2
        assert "frame 2" in seen.page.locator("#now").inner_text()
        assert "0.07 s, frame 2, with values" in seen.page.locator("#time").get_attribute("aria-valuetext")
        seen.page.keyboard.press("End")
        assert value(seen) == N - 1
        front = seen.screenshot("#view")
        seen.page.locator("#head").focus()
        for _ in range(4):
            seen.page.keyboard.press("ArrowRight")
        assert differ(front, seen.screenshot("#view")) > 0.02
        seen.page.get_by_role("button", name="Front").click()
        seen.page.locator("#head").focus()
        assert differ(front, seen.screenshot("#view")) < 0.02  # but for the ring of the focus


def test_a_click_in_a_drawing_goes_to_its_instant(chromium, page):
    with opened(chromium, page) as seen:
        plot = seen.page.locator("#heat .plot")
        box = plot.bounding_box()
        plot.click(position={"x": box["width"] * 0.75, "y": 5})
        assert abs(value(seen) - 0.75 * (N - 1)) <= 1
        told = seen.page.locator("#heat-told").inner_text()
        assert told.startswith("AU1, 1.4")


def test_sliders_make_faces_until_they_are_reset(chromium, page):
    with opened(chromium, page, height=TALL) as seen:
        go(seen, 0)
        before = seen.screenshot("#view")
        knob = seen.page.get_by_role("slider", name="AU12_left")
        knob.evaluate("knob => { knob.value = 3; knob.dispatchEvent(new Event('input')); }")
        assert seen.page.locator("#told").inner_text() == "Set by hand."
        assert differ(before, seen.screenshot("#view")) > 0.01
        seen.page.get_by_role("button", name="Back to what was fitted").click()
        assert differ(before, seen.screenshot("#view")) < 0.001
        seen.page.get_by_role("button", name="Colour by displacement").click()
        assert differ(before, seen.screenshot("#view")) > 0.05
        assert seen.page.get_by_role("button", name="Colour by displacement").get_attribute("aria-pressed") == "false"


def test_an_instant_without_a_face_says_so(chromium, page):
    with opened(chromium, page) as seen:
        go(seen, 21)
        assert seen.page.locator("#told").inner_text() == "No values at this instant: no face."
        go(seen, 30)
        assert seen.page.locator("#told").is_hidden()


def test_another_component_can_be_chosen_for_a_curve(chromium, page):
    with opened(chromium, page) as seen:
        pick = seen.page.get_by_label("Component of curve 1")
        curve = seen.page.locator(".curve path.line").first
        before = curve.get_attribute("d")
        pick.select_option(label="AU1")
        assert curve.get_attribute("d") != before
        assert before.count("M") == 3  # two gaps


@pytest.mark.parametrize("still", [True, False], ids=["little motion", "motion"])
def test_it_plays_until_it_is_paused(chromium, page, still):
    with opened(chromium, page, still=still) as seen:
        assert value(seen) == 0
        play = seen.page.locator("#play")
        play.click()
        for _ in range(100):
            seen.page.wait_for_timeout(100)
            if value(seen) > 5:
                break
        play.click()
        stopped = value(seen)
        seen.page.wait_for_timeout(700)
        assert value(seen) == stopped
        assert play.inner_text() == "Play"


def test_without_webgl_the_rest_works(chromium, page):
    with opened(chromium, page, width=390, webgl=False) as seen:
        assert seen.page.locator("#player").get_attribute("data-head") == "none"
        assert "no WebGL" in seen.page.locator("#told").inner_text()
        go(seen, 30)
        assert "frame 30" in seen.page.locator("#now").inner_text()
        assert seen.page.locator(".curve path.line").count() == 3
        assert seen.faults() == []
        assert seen.requests == []
