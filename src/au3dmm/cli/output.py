"""How commands print: JSON objects, aligned lines, errors in one line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

_NOT_COUNTS = ("_us", "_px", "_ppm", "height", "width")


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_error(argv: Sequence[str], kind: str, message: str, exit_code: int, *, stderr: bool = True) -> None:
    """Print what went wrong: one line on stderr, and the same as JSON where `argv` asks for JSON."""
    error = {"class": kind, "message": one_line(message), "exit_code": exit_code}
    if stderr:
        if _progress_is_json(argv):
            click.echo(json.dumps({"event": "error", **error}, ensure_ascii=False), err=True)
        else:
            click.echo(f"error: {error['message']}", err=True)
    if "--json" in argv:
        print_json({"error": error})


def _progress_is_json(argv: Sequence[str]) -> bool:
    return "--progress=json" in argv or ("--progress", "json") in itertools.pairwise(argv)


def one_line(text: str) -> str:
    r"""Join the lines of a message.

    Examples
    --------
    >>> one_line("not TOML:\n  line 3")
    'not TOML: line 3'
    """
    return " ".join(text.split())


def number(value: float, digits: int = 4) -> str:
    """Write a number for people: integers whole, others to `digits` significant digits, never in powers of ten.

    Examples
    --------
    >>> number(412345.0271), number(0.01234567), number(472)
    ('412345', '0.01235', '472')
    """
    if isinstance(value, int):
        return str(value)
    text = f"{value:.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
    return f"{value:.8f}".rstrip("0") if "e" in text else text


def numbers(summary: Mapping[str, Any]) -> str:
    """Write a stage's summary in one line: counts before their name, measurements after it; no news is left out.

    Examples
    --------
    >>> numbers({"frames": 472, "no_face": 2, "lost": 0, "rmse_px_median": 1.92345, "flags": []})
    '472 frames, 2 no_face, rmse_px_median 1.923'
    """
    parts = []
    for key, value in summary.items():
        if value is None or value in ([], {}) or (value == 0 and isinstance(value, int)):
            continue
        if isinstance(value, int) and not isinstance(value, bool) and not key.endswith(_NOT_COUNTS):
            parts.append(f"{value} {key}")
        elif isinstance(value, float):
            parts.append(f"{key} {number(value)}")
        elif isinstance(value, Mapping):
            parts.append(f"{key}: {numbers(value)}")
        else:
            shown = " ".join(str(v) for v in value) if isinstance(value, (list, tuple)) else value
            parts.append(f"{key} {shown}")
    return ", ".join(parts)


def counted(n: int, thing: str) -> str:
    """Write how many things there are.

    Examples
    --------
    >>> counted(1, "session"), counted(3, "session")
    ('1 session', '3 sessions')
    """
    return f"{n} {thing}" + ("" if n == 1 else "s")


def aligned(rows: Sequence[Sequence[str]], indent: str = "  ", gap: str = "  ") -> str:
    """Lay out rows of text in columns as wide as their widest cell.

    Examples
    --------
    >>> print(aligned([("frames", "472"), ("ok", "470")]))
      frames  472
      ok      470
    """
    if not rows:
        return ""
    widths = [max(len(row[i]) if i < len(row) else 0 for row in rows) for i in range(max(map(len, rows)))]
    lines = (gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows)
    return "\n".join(indent + line.rstrip() for line in lines)


def amount(n_bytes: int) -> str:
    """Write a number of bytes.

    Examples
    --------
    >>> amount(999), amount(123456), amount(98_765_432)
    ('999 bytes', '123.5 kB', '98.8 MB')
    """
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    for unit in ("kB", "MB"):
        n_bytes_in = n_bytes / {"kB": 1e3, "MB": 1e6}[unit]
        if n_bytes_in < 999.95:
            return f"{n_bytes_in:.1f} {unit}"
    return f"{n_bytes / 1e9:.1f} GB"
