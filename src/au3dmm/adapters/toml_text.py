"""Write nested plain values as the text of a TOML file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def toml_text(sections: Mapping[str, Any]) -> str:
    """Return TOML: plain values first, then a table per mapping, then an array of tables per list of mappings.

    Keys keep their order; None is left out.

    Parameters
    ----------
    sections : mapping
        Texts, numbers, truth values, lists of them, mappings of them, and lists of mappings; tables in tables too.

    Examples
    --------
    >>> values = {"version": 1, "rgb": {"file": "a.mp4", "fps": None}, "note": [{"a": True}, {"b": ["x", 2.5]}]}
    >>> print(toml_text(values))
    version = 1
    <BLANKLINE>
    [rgb]
    file = "a.mp4"
    <BLANKLINE>
    [[note]]
    a = true
    <BLANKLINE>
    [[note]]
    b = ["x", 2.5]
    <BLANKLINE>
    """
    return "\n".join(_lines(sections, "")).lstrip("\n") + "\n"


def _lines(values: Mapping[str, Any], prefix: str) -> list[str]:
    lines, tables = [], []
    for key, value in values.items():
        name = f"{prefix}{_key(key)}"
        if isinstance(value, Mapping):
            tables += [f"\n[{name}]", *_lines(value, f"{name}.")] if value else []
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            for item in value:
                tables += [f"\n[[{name}]]", *_lines(item, f"{name}.")]
        elif value is not None:
            lines.append(f"{_key(key)} = {_value(value)}")
    return [*lines, *tables]


def _key(key: str) -> str:
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if plain else quoted(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_value(item) for item in value)}]"
    return quoted(str(value))


def quoted(text: str) -> str:
    r"""Return a TOML basic string.

    Examples
    --------
    >>> print(quoted('a "b"\n'))
    "a \"b\"\n"
    """
    # a JSON string is a TOML basic string, but for DEL
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
