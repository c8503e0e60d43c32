"""A headless Chromium for tests of pages: opens a file, notes what goes wrong, looks for accessibility faults.

``with browser() as chromium, opened(chromium, path, width=390, dark=True) as seen:`` gives a `Seen`: its `page` is
playwright's, its `errors` are what the console complained of, its `requests` what was asked of anything but the page
itself. Works from file://, with WebGL in software, without a network.
"""

import importlib.resources
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

PLACES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox", "--hide-scrollbars")
_NO_WEBGL = """const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind.startsWith('webgl') ? null : get.call(this, kind, ...more); };"""
SERIOUS = {"serious", "critical"}


def chromium_path() -> str | None:
    """Where a Chromium is: AU3DMM_CHROMIUM, or the first of the usual names on the PATH."""
    return os.environ.get("AU3DMM_CHROMIUM") or next((p for name in PLACES if (p := shutil.which(name))), None)


@contextmanager
def browser(*flags: str):
    """A running Chromium; skips the test, loudly, where there is none, or no playwright to drive it."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="SKIPPED LOUDLY: no playwright (extra dev)")
    path = chromium_path()
    if path is None:
        pytest.skip(
            f"SKIPPED LOUDLY: no Chromium ({', '.join(PLACES)} on the PATH, or AU3DMM_CHROMIUM): pages untested"
        )
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield chromium
        finally:
            chromium.close()


@dataclass
class Seen:
    """A page that is open."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def screenshot(self, selector: str | None = None, path: Path | None = None):
        """The whole page, or one element, as an RGB array."""
        what = self.page if selector is None else self.page.locator(selector)
        whole = {"full_page": True} if selector is None else {}
        data = what.screenshot(path=path, **whole)
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    def faults(self) -> list[str]:
        """What axe-core finds serious or critical: the rule, and the first elements that break it."""
        axe = pytest.importorskip("axe_core_python", reason="SKIPPED LOUDLY: no axe-core-python (extra dev)")
        script = (importlib.resources.files(axe) / "axe.min.js").read_text("utf-8")
        self.page.evaluate(script)
        said = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:4]]}"
            for one in said["violations"]
            if one["impact"] in SERIOUS
        ]

    def sideways(self) -> int:
        """How many px the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@contextmanager
def opened(
    chromium, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False, still: bool = True, webgl=True
):
    """A page opened by its path, as a double click does; `still`: its viewer wants little motion; or has no `webgl`."""
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce" if still else "no-preference",
        offline=True,
        service_workers="block",
    )
    if not webgl:
        context.add_init_script(_NO_WEBGL)
    page = context.new_page()
    seen = Seen(page)
    page.on("console", lambda m: seen.errors.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: seen.errors.append(str(e)))
    address = Path(path).resolve().as_uri()
    page.on("request", lambda r: None if r.url == address or r.url.startswith("data:") else seen.requests.append(r.url))
    page.goto(address, wait_until="load")
    try:
        yield seen
    finally:
        context.close()


def differ(a, b, levels: int = 24) -> float:
    """Share of pixels that differ by more than some levels of grey, in pictures of one size but for a rounded edge."""
    assert np.abs(np.subtract(a.shape, b.shape)).max() <= 1, (a.shape, b.shape)
    height, width = np.minimum(a.shape, b.shape)[:2]
    a, b = a[:height, :width], b[:height, :width]
    return float((np.abs(a.astype(int) - b.astype(int)).max(2) > levels).mean())
