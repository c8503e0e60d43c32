"""The page of equations: each of the papers' numbers is on it, and each name that it gives is there."""

import importlib
import re
from operator import attrgetter

import pytest

from markdown_pages import ROOT

PAGE = (ROOT / "docs" / "equations.md").read_text()
NUMBERED = {"FACEMORPHIC": 3, "AU-D3DFace": 15, "MDHR": 12}
NAME = re.compile(r"`((?:core|models|training|evaluation)\.[\w.]+)`")
NAMES = [f"au3dmm.{name}" for name in sorted(set(NAME.findall(PAGE)))]


def rows_of(paper):
    """Return the cells of a paper's table, without its head."""
    section = PAGE.split(f"\n## {paper}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def find(name):
    """Import the module that a dotted name begins with, and return what the rest of it names."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        return attrgetter(".".join(parts[n:]))(module) if n < len(parts) else module
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_computes_an_equation_is_there_and_says_what_it_does(name):
    assert find(name).__doc__, name


@pytest.mark.parametrize("paper", NUMBERED)
def test_every_numbered_equation_has_a_row_with_a_name(paper):
    rows = rows_of(paper)
    assert all(len(row) == 3 and NAME.search(row[1]) for row in rows)
    numbers = [int(row[0].split(":")[0]) for row in rows if row[0][0].isdigit()]
    assert sorted(numbers) == list(range(1, NUMBERED[paper] + 1))
