"""The page of a basis is one file that tells everything, and runs nothing of what it is given."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.bases import bases_fingerprint
from au3dmm.report import bases_page as module
from au3dmm.report.bases_page import bases_page, write_bases_page
from demo_basis import few_components, learned
from planted import small_bases

VOID = {"meta", "img", "input", "line", "polyline", "circle", "br"}
PICTURES = 3 + 1 + 3 * 2  # AU components, the mean head, and three of each identity component


@pytest.fixture(scope="module")
def demo():
    return few_components()


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(module, "_HEIGHT", 40)


class Page(HTMLParser):
    """What a browser would see: text, pictures, links out; and whether every tag is closed in order."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags, self.addresses, self.open, self.problems = [], [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data", "poster")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.problems.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).replace("\u202f", " ").split())


def test_a_learned_basis_tells_what_it_was_made_of_and_how_well(demo):
    page = Page(bases_page(learned(demo)))
    assert page.problems == []
    assert page.open == []
    for words in (
        "Learned from 70 subjects, 2 319 sequences, 58 711 frames", "Licence: MIT", "97.5 %", "98.4 %", "81.2 %",
        "0.052 mm", "l1 0.02, l2 0, seed 3, epochs 4", "AU4 r 0.71, n 31", "AU12_right (1.00)", "itself (1.00)",
        "sha256:aaaaaaaaaaaa", demo.topology_hash(), demo.landmark_hash(), "its neutral head is 4 mm off",
        "started again 3 times", "epoch 4", "variance explained up to here 60 %", "Identity 2", "Mean head",
    ):  # fmt: skip
        assert words in page.words, words
    assert "DEMO" not in page.words
    for name in demo.names_au:
        assert name in page.words


def test_the_page_needs_nothing_but_itself(demo):
    html = bases_page(learned(demo))
    page = Page(html)
    assert page.tags.count("img") == PICTURES
    assert all(address.startswith("data:image/webp;base64,") for address in page.addresses)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not re.search(r"https?://|url\(|@import", html)


def test_an_older_basis_says_unknown_and_a_demo_says_demo(demo):
    page = Page(bases_page(demo))
    assert "DEMO basis" in page.words
    assert "Subjects, sequences and frames: unknown" in page.words
    assert page.words.count("unknown") > 8
    assert "svg" not in page.tags
    assert "None" not in page.words


def test_nothing_in_a_basis_can_become_markup(demo):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}'
    names = (evil, "AU12_left", "AU12_right")
    basis = replace(learned(demo), names_au=names)
    basis.info["components"][0] |= {"name": evil, "region": evil, "action_units": [{"au": evil, "r": 1.0, "n": 3}]}
    corpora = [{"name": evil, "licence": evil, "fingerprint": evil}]
    texts = dict.fromkeys(("licence", "provenance", "package", "method", "codes", "basis_kind"), evil)
    html = bases_page(
        replace(basis, info={**basis.info, **texts, "corpora": corpora, "warnings": [evil], "restarted": evil})
    )
    page = Page(html)
    assert "script" not in page.tags
    assert page.tags.count("img") == PICTURES
    assert page.words.count("{{ 7 * 7 }}") >= 10
    assert "<script" not in html


def test_counts_that_are_known_of_some_corpora_only_are_unknown(demo):
    basis = learned(demo, corpora=[{"name": "a", "subjects": 3, "frames": 10}, {"name": "b", "subjects": 4}])
    assert "Learned from 7 subjects, unknown sequences, unknown frames" in Page(bases_page(basis)).words


def test_the_objective_is_drawn_from_its_first_to_its_last_epoch(demo):
    html = bases_page(learned(demo))
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]*)"', html)[1].split()]
    assert [x for x, _ in points] == pytest.approx([70, 243.3, 416.7, 590])
    # 3, 2, 2.5, 1.5: higher values are further up
    assert [y for _, y in points] == pytest.approx([30, 130, 80, 180])


@pytest.mark.parametrize("objective", [[2.0], [2.0, 2.0, 2.0]])
def test_an_objective_without_a_course_does_no_harm(demo, objective):
    assert Page(bases_page(learned(demo, objective=objective))).problems == []


def test_equal_bases_give_equal_bytes(tmp_path, demo):
    for name in ("one.html", "two.html"):
        write_bases_page(tmp_path / name, demo)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_components_that_landmarks_cannot_tell_apart_have_an_infinite_condition():
    bases = small_bases(k_au=3, k_id=1)
    shifted = bases.components_au.copy()
    shifted[1] = [0.001, 0, 0]
    page = Page(bases_page(replace(bases, components_au=shifted)))
    assert "infinite: 2 of 3 can be told apart" in page.words


def test_a_page_names_its_file_and_links_to_what_lies_beside_it(tmp_path, demo):
    file = tmp_path / "my: basis.npz"
    file.write_bytes(b"basis")
    (tmp_path / "my: basis.identity.pdf").write_bytes(b"")
    write_bases_page(tmp_path / "my: basis.html", demo, file=file)
    page = Page((tmp_path / "my: basis.html").read_text())
    assert bases_fingerprint(file) in page.words
    links = [address for address in page.addresses if not address.startswith("data:")]
    assert links == ["./my%3A%20basis.npz", "./my%3A%20basis.identity.pdf"]
    assert page.problems == []


def test_a_page_elsewhere_names_its_file_without_a_link(tmp_path, demo):
    file = tmp_path / "basis.npz"
    file.write_bytes(b"basis")
    (tmp_path / "pages").mkdir()
    write_bases_page(tmp_path / "pages" / "basis.html", demo, file=file)
    page = Page((tmp_path / "pages" / "basis.html").read_text())
    assert bases_fingerprint(file) in page.words
    assert "a" not in page.tags


def test_a_file_that_is_not_there_is_refused(tmp_path, demo):
    with pytest.raises(SchemaError, match=r"gone\.npz: cannot be read"):
        write_bases_page(tmp_path / "basis.html", demo, file=tmp_path / "gone.npz")
    assert list(tmp_path.iterdir()) == []


def test_every_picture_can_be_enlarged_and_says_what_it_is(demo):
    html = bases_page(demo)
    assert Page(html).tags.count("input") == PICTURES
    labels = re.findall(r'aria-label="enlarge: ([^"]+)"', html)
    assert len(set(labels)) == PICTURES
    assert re.findall(r'alt="([^"]+)"', html) == labels
