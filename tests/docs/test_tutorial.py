"""The tutorial runs as it stands: its commands and its Python, in their order, print what the page shows."""

import contextlib
import io
import os
import re
import subprocess
import sys

import pytest

from markdown_pages import ROOT

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
# the page's own numbers, but for a training that takes minutes
SHORTER = {"--set epochs=60": "--set max_steps=2"}
NOT_RUN = "<!-- not run -->\n"

_BLOCK = re.compile(r"(<!-- not run -->\n)?```(bash|python|text)\n(.*?)```", re.S)


def steps():
    """Yield (language, code, lines that it must print), in the order of the page."""
    code = None
    for skipped, language, text in _BLOCK.findall(PAGE):
        if language == "text":
            assert code is not None, "output without a command"
            yield *code, text.splitlines()
            code = None
            continue
        if code is not None:
            yield *code, []
        code = None if skipped else (language, text)
    if code is not None:
        yield *code, []


def shows(expected, line):
    """Return whether a printed line is the page's: ``...`` is anything, numbers with a point may differ by a tenth."""
    parts = re.split(r"(\.\.\.|(?<![\w.])\d+(?:\.\d*)?(?!\w))", " ".join(expected.split()))
    pattern, numbers = "", []
    for part in parts:
        if part == "...":
            pattern += ".*"
        elif re.fullmatch(r"\d+(?:\.\d*)?", part):
            pattern += r"(\d+(?:\.\d*)?)"
            numbers.append(part)
        else:
            pattern += re.escape(part)
    found = re.fullmatch(pattern, " ".join(line.split()))
    if found is None:
        return False
    pairs = [(float(a), float(b), "." in a) for a, b in zip(numbers, found.groups(), strict=True)]
    return all(abs(a - b) <= 0.1 * max(a, 1.0) if inexact else a == b for a, b, inexact in pairs)


def check(language, code, printed, expected):
    lines = iter(printed.splitlines())
    for line in expected:
        if line.strip() != "..." and not any(shows(line, one) for one in lines):
            pytest.fail(f"the tutorial says that\n{code}prints, in this order,\n  {line}\nbut it prints\n{printed}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, mediapipe_weights):
    """An empty folder to work in, and what calls au3dmm as its command does."""
    folder = tmp_path_factory.mktemp("tutorial")
    command = folder / "bin" / "au3dmm"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m au3dmm "$@"\n')
    command.chmod(0o755)
    (folder / "work").mkdir()
    return folder


def test_the_tutorial_prints_what_it_shows(folder, monkeypatch):
    import au3dmm

    source = os.path.dirname(os.path.dirname(os.path.abspath(au3dmm.__file__)))
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": source,
        "OMP_NUM_THREADS": "1",
    }
    monkeypatch.chdir(folder / "work")
    names: dict[str, object] = {}
    used = set()
    for language, code, expected in steps():
        shorter = code
        for long, short in SHORTER.items():
            used |= {long} if long in code else set()
            shorter = shorter.replace(long, short)
        if language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(shorter, "tutorial.md", "exec"), names)
            check(language, code, printed.getvalue(), expected)
            continue
        done = subprocess.run(["bash", "-ec", shorter], env=environment, text=True, capture_output=True)
        assert done.returncode == 0, f"{code}{done.stdout}{done.stderr}"
        check(language, code, done.stdout, expected)
    assert used == set(SHORTER)
    for named in re.findall(r"`(faces/[^`\s]+\.(?:html|png|parquet))`", PAGE):
        assert (folder / "work" / named).is_file(), f"the tutorial names {named}, which is not there"


def test_the_page_is_run_but_for_its_installation():
    languages = [language for language, *_ in steps()]
    assert languages.count("bash") >= 7
    assert languages.count("python") >= 4
    assert PAGE.count(NOT_RUN) == 1


def test_the_version_of_torch_on_the_page_is_the_pinned_one():
    pinned = re.search(r"^torch==.+$", (ROOT / "constraints.txt").read_text(), re.M)[0]
    assert f"pip install {pinned} " in PAGE


def test_printed_lines_are_compared_as_a_reader_would():
    assert shows("9 sessions, ... files", "9 sessions,  79 files")
    assert shows("alpha 1.9", "alpha 1.95")
    assert not shows("alpha 1.9", "alpha 2.9")
    assert not shows("9 sessions", "8 sessions")
    assert not shows("faces: S001_AU12", "faces: S001_AU13")
