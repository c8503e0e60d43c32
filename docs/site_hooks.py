"""What the site has beside the pages in docs/: files of the project that pages link to, and a page of all commands.

Pages are written for a code host, where ``../pipelines/label.toml`` is a link that works. A site has nothing above its
pages, so such files get a place on it, and links are turned to where they are. mkdocs calls the functions whose names
begin with `on_` (`hooks` in mkdocs.yml).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from au3dmm.cli.app import cli

ROOT = Path(__file__).parents[1]
# pages above docs/; on the site they lie beside those in docs/
PAGES = ("CHANGELOG.md", "CONVENTIONS.md", "SECURITY.md")
# shown as text: browsers would offer files without a known suffix to be saved
TEXTS = ("CITATION.cff", "LICENSE", "Makefile")
FOLDERS = ("pipelines", "pipelines/experiments")

_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_CODE_IN_ROW = re.compile(r"`[^`\n]+`")
_CELL = re.compile(r"<td[^>]*>.*?</td>", flags=re.S)
_CODE = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", flags=re.M | re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files above docs/, and the page of commands."""
    for name, place in places().items():
        if (ROOT / name).is_file() and name != "README.md":
            files.append(File.generated(config, place, content=(ROOT / name).read_text()))
    files.append(File.generated(config, "commands.md", content=commands_page()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links that leave docs/ to where the site has those files, and escaped pipes in a table's code to pipes."""
    here = page.file.src_uri
    folder = "" if here in PAGES else posixpath.join("docs", posixpath.dirname(here))
    known = places()

    def turned(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[2]))
        place = known.get(target, target.removeprefix("docs/"))
        if ":" in match[2]:
            return match[0]
        return match[1] + posixpath.relpath(place, posixpath.dirname(here) or ".") + match[3]

    def changed(text: str) -> str:
        # code hosts need these backslashes, before angles and in the code of a table; the site's Markdown shows them
        text = text.replace("\\<", "&lt;").replace("\\>", "&gt;")
        rows = (_CODE_IN_ROW.sub(_without_backslash, row) if row.startswith("|") else row for row in text.split("\n"))
        return _LINK.sub(turned, "\n".join(rows))

    return _outside_fences(markdown, changed)


def on_page_content(html: str, **_: object) -> str:
    """Let names in tables break after a dot and, on phones (site.css), after a stroke or a comma."""

    def broken(code: re.Match[str]) -> str:
        return re.sub(r"[_,/](?=\w)", r'\g<0><wbr class="narrow">', re.sub(r"\.(?=\w)", ".<wbr>", code[0]))

    return _CELL.sub(lambda cell: _CODE.sub(broken, cell[0]), html)


def on_post_page(output: str, **_: object) -> str:
    """Name the search for readers who hear pages; the theme does not."""
    return output.replace(' role="dialog"', ' role="dialog" aria-label="Search"')


def places() -> dict[str, str]:
    """Return where on the site files and folders are that lie above docs/, by their paths in the project."""
    texts = [*TEXTS, *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "pipelines").rglob("*.toml")))]
    found = {name: name for name in PAGES} | {name: f"{name}.txt" for name in texts}
    # a site shows no folders: their first file stands for them
    first = {name: min(text for text in found.values() if posixpath.dirname(text) == name) for name in FOLDERS}
    return found | first | {"README.md": "index.md"}


def commands_page() -> str:
    """Return a page with every command: what it says of itself, and its options."""
    blocks = ["# Commands", "Every command says the same with `--help`. What is between brackets may be left out."]
    for path, command in _commands(cli, "au3dmm"):
        blocks += _command_blocks(path, command)
    return "\n\n".join(blocks) + "\n"


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _command_blocks(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield f"## {path}"
    yield " ".join([f"    {path}", *command.collect_usage_pieces(context)])
    yield from _paragraphs(command.help or "")
    records = [param.get_help_record(context) for param in command.params]
    lines = [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in (record for record in records if record)]
    if lines:
        yield "\n".join(["| option | |", "|---|---|", *lines])


def _paragraphs(text: str) -> Iterator[str]:
    for block in text.strip().split("\n\n"):
        if block.startswith("\b"):  # click's mark of lines that are kept as they are
            yield "\n".join("    " + line.strip() for line in block.splitlines()[1:])
        else:
            yield " ".join(block.split()).replace("<", "&lt;").replace("*", "\\*")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _without_backslash(code: re.Match[str]) -> str:
    return code[0].replace("\\|", "|")


def _outside_fences(text: str, change: Callable[[str], str]) -> str:
    parts, at = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[at : fence.start()]), fence.group()]
        at = fence.end()
    return "".join([*parts, change(text[at:])])
