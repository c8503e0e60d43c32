"""Results as small tables for notebooks."""

from __future__ import annotations

import html
from collections.abc import Sequence


def html_table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of two columns, everything in it escaped.

    Examples
    --------
    >>> html_table("a<b", [("frames", "9")])
    '<table><caption>a&lt;b</caption><tr><th scope="row">frames</th><td>9</td></tr></table>'
    """
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>' for name, value in rows
    )
    return f"<table><caption>{html.escape(title)}</caption>{body}</table>"
