"""Pages as they lie on a code host: links lead somewhere, and their Python is Python that au3dmm understands."""

import ast
import importlib
import inspect
import re

import pytest

import au3dmm
from markdown_pages import ROOT, anchors_of, code_of, links_of, name_of, pages

PYTHON = [
    (name_of(path), code.line, code.text)
    for path in pages()
    for code in code_of(path.read_text())
    if code.kind == "python"
]


@pytest.mark.parametrize("path", pages(), ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(path):
    text = path.read_text()
    for target in links_of(text):
        if target.startswith(("https://", "mailto:")):
            continue
        assert "://" not in target, f"{target}: not https"
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        assert place.exists(), f"{name_of(path)}: {target}"
        if anchor:
            assert anchor in anchors_of(place.read_text()), f"{name_of(path)}: {target}: no such heading"


def test_every_page_of_docs_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().split("\nnav:")[1]
    for path in (ROOT / "docs").glob("*.md"):
        assert re.search(rf"\b{path.name}$", navigation, re.M), f"mkdocs.yml: nav lacks {path.name}"


@pytest.mark.parametrize(("page", "line", "text"), PYTHON, ids=[f"{page}:{line}" for page, line, _ in PYTHON])
def test_python_on_a_page_uses_what_there_is(page, line, text):
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("au3dmm"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{page}:{line}: {node.module} has no {alias.name}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "au3dmm":
            assert node.attr in au3dmm.__all__, f"{page}:{line}: au3dmm has no {node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = node.func
            if isinstance(called.value, ast.Name) and called.value.id == "au3dmm":
                names = {keyword.arg: None for keyword in node.keywords if keyword.arg}
                inspect.signature(getattr(au3dmm, called.attr)).bind(*node.args, **names)


def test_code_is_found_in_fences_lists_and_lines_of_its_own():
    text = "# A\n\n    au3dmm one\n\nWord `au3dmm two` and\n\n```python\nx = 1\n```\n\n- item\n\n    more of it\n"
    found = {(code.kind, code.text.strip()) for code in code_of(text)}
    assert found == {("indented", "au3dmm one"), ("inline", "au3dmm two"), ("python", "x = 1")}


def test_anchors_are_those_of_code_hosts():
    text = "## coefficients.parquet, version 3\n## The session manifest, `session.toml`\n## a-\\*.b (x_y)\n"
    assert anchors_of(text) == {"coefficientsparquet-version-3", "the-session-manifest-sessiontoml", "a-b-x_y"}
