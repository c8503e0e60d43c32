"""The site is built without a warning, loads nothing from elsewhere, and a browser shows all of it without a fault."""

import functools
import html
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest

from markdown_pages import ROOT

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE, DESK = 390, 1280

# opens each page in a frame of each width, one after another, and says how wide it came out
HARNESS = """<!doctype html><meta charset="utf-8"><title>pages</title><pre id="out"></pre><script>
const found = {};
async function look(page, width) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:800px;border:0`;
  frame.src = page;
  document.body.append(frame);
  await new Promise((done) => frame.addEventListener("load", done));
  await new Promise((done) => setTimeout(done, 300));
  const root = frame.contentDocument.documentElement;
  found[`${page} ${width}`] = {
    width: root.scrollWidth,
    title: frame.contentDocument.title,
    pictures: [...frame.contentDocument.images].filter((i) => i.complete && !i.naturalWidth).map((i) => i.src),
  };
  frame.remove();
}
(async () => {
  for (const page of PAGES) for (const width of WIDTHS) await look(page, width);
  found.done = true;
  document.getElementById("out").textContent = JSON.stringify(found);
})();
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does."""
    out = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    source = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": source}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout + done.stderr, "mkdocs had something to say"
    return out


@pytest.fixture(scope="module")
def served(site):
    """Where a browser finds the site, and what it asked for: [(path or address, status)], 0 beyond the site.

    The browser is told to load nothing from elsewhere, and to report what a page would have.
    """
    asked: list[tuple[str, int]] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self):
            inside = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
            self.send_header("Content-Security-Policy", f"{inside}; report-uri /elsewhere")
            super().end_headers()

        def do_POST(self):
            report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((report["csp-report"]["blocked-uri"], 0))
            self.send_response(204)
            self.end_headers()

        def log_request(self, code="-", size="-"):
            asked.append((self.path, int(code)))

        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def pages_of(site):
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html") if path.name != "404.html")


def test_every_page_of_the_navigation_is_built(site):
    built = set(pages_of(site))
    named = re.findall(r"(\w+)\.md$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert len(named) > 25
    assert {f"{name}.html" for name in named} <= built


def test_pages_load_nothing_from_elsewhere(site):
    loads = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=\"?(?P<address>[^\s\">]+)")
    n = 0
    for path in site.rglob("*.html"):
        for match in loads.finditer(path.read_text()):
            assert "//" not in match["address"], f"{path.name}: {match['address']}"
            n += 1
    assert n > 200
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", path.read_text()), path.name


def test_links_that_leave_docs_lead_to_files_of_the_site(site):
    page = (site / "training.html").read_text()
    assert 'href="pipelines/train_st_vit.toml.txt"' in page
    assert (site / "pipelines" / "train_st_vit.toml.txt").read_text().startswith("# au3dmm train")
    assert (site / "LICENSE.txt").is_file()
    assert (site / "examples" / "slurm_array.sbatch").is_file()
    assert 'href="docs/' not in (site / "CHANGELOG.html").read_text()


def test_the_page_of_commands_has_every_command_with_its_options(site):
    from au3dmm.cli.app import cli

    page = re.sub(r"<[^>]+>", "", (site / "commands.html").read_text())
    for name, command in cli.commands.items():
        for one in [command, *getattr(command, "commands", {}).values()]:
            assert f"au3dmm {name}" in page
            for param in one.params:
                if param.param_type_name == "option" and not hasattr(one, "commands"):
                    assert param.opts[0] in page, f"{name} {param.opts[0]}"


def test_pipes_in_the_code_of_tables_are_pipes(site):
    for name in ("events", "commands", "formats"):
        codes = re.findall(r"<td[^>]*><code>([^<]*)", (site / f"{name}.html").read_text())
        assert codes
        assert not [code for code in codes if "\\|" in html.unescape(code)]


@pytest.mark.skipif(CHROMIUM is None, reason="SKIPPED LOUDLY: no Chromium to look at the site with")
def test_a_browser_shows_every_page_without_a_fault_on_a_phone_and_on_a_desk(site, served, tmp_path):
    address, asked = served
    widths = [PHONE, DESK]
    script = HARNESS.replace("PAGES", json.dumps(pages_of(site))).replace("WIDTHS", json.dumps(widths))
    (site / "harness.html").write_text(script)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    where = [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000"]
    how = ["--virtual-time-budget=600000", "--dump-dom", f"{address}/harness.html"]
    done = subprocess.run([str(CHROMIUM), *flags, *quiet, *where, *how], text=True, capture_output=True, timeout=300)
    (site / "harness.html").unlink()
    found = json.loads(html.unescape(re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.S)[1] or "{}"))
    assert found.pop("done", False), done.stderr[-2000:]
    assert len(found) == len(widths) * len(pages_of(site))
    for name, one in found.items():
        assert one["width"] <= int(name.split()[1]), f"{name}: {one['width']} px wide"
        assert one["title"].endswith("au3dmm"), name
        assert not one["pictures"], name
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not [path for path, status in asked if status == 0], "asked for from elsewhere"
    assert not [(path, status) for path, status in asked if status >= 400 and path != "/favicon.ico"]
