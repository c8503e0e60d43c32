"""Pages of the documentation, taken apart: fenced and indented code, what stands between backticks, links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```\s*$", re.M | re.S)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?:(?: {4}|\t)[^\n]*\n|\n(?= {4}))+)")
_INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Code:
    """A piece of code on a page; `kind` is the language of a fence, "indented" or "inline"."""

    kind: str
    text: str
    line: int


def pages():
    """Return the paths of all pages of the project."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "assets").rglob("*.md")])


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def code_of(text):
    """Yield every `Code` of a page, fences before indented blocks before what stands between backticks."""
    prose = list(text)

    def blank(first, last):
        prose[first:last] = ["\n" if c == "\n" else " " for c in prose[first:last]]

    def line_at(place):
        return text.count("\n", 0, place) + 1

    for match in _FENCE.finditer(text):
        yield Code(match["language"], match["text"], line_at(match.start("text")))
        blank(*match.span())
    rest = "".join(prose)
    for match in _INDENTED.finditer(rest):
        # what stands deeper within a list is its text, not code
        if match[1].strip() and not re.search(
            r"^(?:[-*]|\d+\.) [^\n]*(?:\n[^\n]+)*\n\n\Z", rest[: match.start()], re.M
        ):
            yield Code("indented", re.sub(r"^(?: {4}|\t)", "", match[1], flags=re.M), line_at(match.start()))
            blank(*match.span())
    rest = "".join(prose)
    for match in _INLINE.finditer(rest):
        yield Code("inline", " ".join(match[1].split()), line_at(match.start()))


def links_of(text):
    """Yield what the links of a page lead to, but for those in code."""
    text = _INLINE.sub("", _FENCE.sub("", text))
    yield from _LINK.findall(text)


def anchors_of(text):
    """Return the anchors that a code host gives to the headings of a page."""
    found = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", _FENCE.sub("", text), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("\\", "").lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found
