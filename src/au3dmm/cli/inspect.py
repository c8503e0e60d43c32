"""`au3dmm inspect`: what is in one of our files?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from au3dmm.cli.inspect_basis import BASIS_KEYS, basis_parts
from au3dmm.cli.output import aligned, amount, number, print_json, program, say
from au3dmm.errors import SchemaError, SessionError


@click.command(short_help="Show what is in one of our files.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--rows", type=click.IntRange(min=0), default=3, show_default=True, help="How many rows to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with vectors and metadata whole.")
def inspect(file: Path, rows: int, as_json: bool) -> None:
    """Show what is in a file of au3dmm: a table, clock.json, stage.json or a basis (.npz)."""
    from au3dmm.io.inspection import inspect_file

    try:
        report = inspect_file(file, rows)
    except SchemaError as err:
        if _holds_events(file):
            raise SchemaError(
                f"{file}: an event recording, not a file of au3dmm; `{program()} events info {shlex.quote(str(file))}`"
                " shows what is in it"
            ) from err
        raise
    if as_json:
        print_json(report)
    else:
        say(as_text(report))


def _holds_events(file: Path) -> bool:
    """Whether a file is an event recording, also one that cannot be read."""
    from au3dmm.io.events import open_events
    from au3dmm.io.events.header import HEAD_BYTES, parse_header, recognise

    try:
        with file.open("rb") as f:
            head = f.read(HEAD_BYTES)
        name = recognise(head, parse_header(head)) if head else None
        if name == "NPZ":  # a basis is one, too
            open_events(file)
    except (OSError, SessionError):
        return False
    return name is not None


def as_text(report: Mapping[str, Any]) -> str:
    """Lay a report of `inspect_file` out for people: long hashes and vectors are shortened."""
    title = f"{report['file']}: {report['kind']}, {amount(report['bytes'])}"
    if "rows" in report:
        title = (
            f"{report['file']}: table of {report['kind']}, schema version {report['schema_version']},"
            f" {report['rows']} rows, {amount(report['bytes'])}"
        )
    parts = [title]
    if "columns" in report:
        header = ("column", "type", "unit", "null")
        rows = [(c["name"], c["type"], c["unit"] or "", str(c["nulls"] or "")) for c in report["columns"]]
        parts.append(aligned([header, *rows]))
    if "basis" in report:
        parts += basis_parts(report["basis"])
    if "arrays" in report:
        arrays = [(a["name"], a["dtype"], " x ".join(map(str, a["shape"]))) for a in report["arrays"]]
        parts.append(aligned([("array", "type", "shape"), *arrays]))
    counts = [
        (name, ", ".join(f"{word} {n}" for word, n in report[name].items()) or "none")
        for name in ("status", "flags")
        if name in report
    ]
    if counts:
        parts.append(aligned(counts))
    # what a basis' summary has told already is not told again
    metadata = {k: v for k, v in report["metadata"].items() if "basis" not in report or k not in BASIS_KEYS}
    if metadata:
        parts.append("metadata\n" + "\n".join(_tree(metadata)))
    shown = report["metadata"].get("intensity")
    if isinstance(shown, Mapping):
        parts.append(aligned(_observed(shown)))
    if report.get("first_rows"):
        parts.append(_rows(report["first_rows"]))
    return "\n\n".join(parts)


def _observed(intensity: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say which intensities can be observed in this recording, each with how much can be known of it (0 to 1)."""
    rows = []
    for state in dict.fromkeys(("observable", "weak", "unobservable", *intensity["states"])):
        told = [
            f"{name} {number(float(value), 2)}"
            for name, value, word in zip(
                intensity["names"], intensity["observability"], intensity["states"], strict=True
            )
            if word == state
        ]
        title = f"intensities, {state}" + (" (null)" if state == "unobservable" else "")
        rows.append((title, ", ".join(told) or "none"))
    return rows


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay rows out as columns: our tables are wide."""
    header = ("first rows", *(str(i) for i in range(len(rows))))
    return aligned([header, *((name, *(_short(row[name], 28) for row in rows)) for name in rows[0])], indent="")


def _tree(values: Mapping[str, Any], indent: str = "  ") -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{key}", *_tree(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {_short(value, 88)}")
    return lines


def _short(value: Any, width: int) -> str:
    """Write a value in at most about `width` characters.

    Examples
    --------
    >>> _short("sha256:" + 64 * "a", 40), _short([0.0, 1.23456, 2.0, 3.0], 12), _short(None, 9)
    ('sha256:aaaaaaaaaaaa...', '[0 1.235 ... 4 values]', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, str):
        return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}", r"\1...", value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (list, tuple)):
        shown = [_short(v, width) for v in value]
        text = "[" + " ".join(shown) + "]"
        if len(text) <= width:
            return text
        kept: list[str] = []
        for word in shown:
            if len(" ".join([*kept, word])) > width - 4:
                break
            kept.append(word)
        return f"[{' '.join([*kept, '...'])} {len(value)} values]"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_short(v, width)}" for k, v in value.items()) or "none"
    return str(value)
