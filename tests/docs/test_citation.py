"""CITATION.cff as its schema (version 1.2.0) wants it, in step with the package."""

import re

import pytest

import au3dmm
from markdown_pages import ROOT

yaml = pytest.importorskip("yaml")
PERSON, ENTITY = {"given-names", "family-names"}, {"name"}
# what the schema knows, of what may be of use here
KNOWN = {
    *("cff-version", "message", "title", "abstract", "type", "version", "license", "authors", "keywords", "references"),
    *("url", "doi", "repository-code", "date-released", "contact", "preferred-citation"),
}


@pytest.fixture(scope="module")
def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_the_citation_has_what_the_schema_requires_and_nothing_that_it_does_not_know(citation):
    assert {"cff-version", "message", "title", "authors"} <= set(citation) <= KNOWN
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert len(citation["keywords"]) == len(set(citation["keywords"])) > 0
    for reference in citation["references"]:
        assert {"authors", "title", "type"} <= set(reference)
        assert set(reference) <= {"authors", "title", "type", "scope", "year", "url", "doi", "journal"}
    for author in [*citation["authors"], *(a for reference in citation["references"] for a in reference["authors"])]:
        assert set(author) in (PERSON, ENTITY)
        assert all(isinstance(value, str) and value for value in author.values())


def test_the_citation_speaks_of_this_version_and_licence(citation):
    project = (ROOT / "pyproject.toml").read_text()
    assert str(citation["version"]) == au3dmm.__version__
    assert citation["license"] == re.search(r'^license = "(.+)"', project, re.M)[1]
    assert citation["title"] == "au3dmm"


def test_the_three_papers_are_cited_as_the_equations_page_names_them(citation):
    page = (ROOT / "docs" / "equations.md").read_text()
    assert len(citation["references"]) == 3
    for reference in citation["references"]:
        assert f"*{reference['title']}*" in page
        assert all(author["family-names"] in page for author in reference["authors"])
