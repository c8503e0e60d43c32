"""A README with a head in YAML, as the Hugging Face hub reads it: written without a YAML library, from plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# what YAML 1.1 would not read as text
_WORDS = frozenset({"", "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"})
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./ ")


def front_matter(values: Mapping[str, Any]) -> str:
    """Return the head of a README: YAML between two lines of dashes.

    Parameters
    ----------
    values : mapping
        Text, numbers, truth values, and lists and mappings of these, to any depth.

    Examples
    --------
    >>> print(front_matter({"license": "cc-by-4.0", "configs": [{"config_name": "default", "default": True}]}), end="")
    ---
    license: cc-by-4.0
    configs:
    - config_name: default
      default: true
    ---
    """
    return "---\n" + "\n".join(_lines(values, "")) + "\n---\n"


def _lines(value: Any, indent: str) -> list[str]:
    if isinstance(value, Mapping):
        return [line for key, each in value.items() for line in _pair(str(key), each, indent)]
    lines = []
    for each in value:
        if isinstance(each, Mapping | list | tuple) and each:
            first, *rest = _lines(each, indent + "  ")
            lines += [f"{indent}- {first[len(indent) + 2 :]}", *rest]
        else:
            lines.append(f"{indent}- {_scalar(each)}")
    return lines


def _pair(key: str, value: Any, indent: str) -> list[str]:
    name = _scalar(key)
    if isinstance(value, Mapping) and value:
        return [f"{indent}{name}:", *_lines(value, indent + "  ")]
    if isinstance(value, list | tuple) and value:
        return [f"{indent}{name}:", *_lines(value, indent)]
    return [f"{indent}{name}: {_scalar(value)}"]


def _scalar(value: Any) -> str:
    """Write a single value; text in quotes wherever YAML could take it for something else.

    Examples
    --------
    >>> [_scalar(v) for v in ("train", "no", "12", "a: b", True, 3, None)]
    ['train', '"no"', '"12"', '"a: b"', 'true', '3', 'null']
    """
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    text = str(value)
    plain = set(text) <= _PLAIN and text[0].isalpha() and text == text.strip() if text else False
    return text if plain and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)
