"""What pages share: their templates, numbers as people write them, and data and scripts that lie in the page itself."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

_FOLDER = Path(__file__).parent
THREE = "three.min.js"


def page_environment() -> jinja2.Environment:
    """Return what renders the pages of `templates/`: everything is escaped, and nothing may be left undefined.

    Filters: ``count`` (1 234), ``percent``, ``number`` (three digits), ``short_hash``; empty text for None.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"count": count, "percent": percent, "number": number, "short_hash": short_hash}
    return environment


def embedded_json(value: Any) -> Markup:
    r"""Return a value as JSON that may stand in a script element, whatever its texts hold.

    Examples
    --------
    >>> embedded_json({"name": "</script>"})
    Markup('{"name":"\\u003c/script\\u003e"}')
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def vendored(name: str) -> Markup:
    """Return a script of `vendor/` as it stands in a page.

    Examples
    --------
    >>> "</script" in vendored(THREE)
    False
    """
    return Markup((_FOLDER / "vendor" / name).read_text("utf-8"))


def data_address(data: bytes, kind: str) -> str:
    """Return the address of a picture that lies in the page itself.

    Examples
    --------
    >>> data_address(b"abc", "image/png")
    'data:image/png;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def count(value: float | None) -> str:
    """Write a whole number, with narrow spaces between thousands."""
    return "" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def percent(value: float | None) -> str:
    """Write a share as percent, to three digits."""
    return "" if value is None else f"{100 * value:.3g}\u202f%"


def number(value: float | None) -> str:
    """Write a number to three digits."""
    return "" if value is None else f"{value:.3g}"


def short_hash(text: str) -> str:
    """Shorten a hash, whatever stands before its colon; text that is not one is left as it is.

    Examples
    --------
    >>> short_hash("sha256:" + 64 * "a"), short_hash("unknown")
    ('sha256:aaaaaaaaaaaa', 'unknown')
    >>> short_hash("label_at center, max_gap_us 100000, method linear")
    'label_at center, max_gap_us 100000, method linear'
    """
    kind, colon, digits = text.rpartition(":")
    return f"{kind}{colon}{digits[:12]}" if re.fullmatch("[0-9a-f]{40,}", digits) else text
