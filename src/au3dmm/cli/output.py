"""How commands print: JSON objects, aligned lines, errors in one line."""

from __future__ import annotations

import contextlib
import itertools
import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from au3dmm.errors import OutputError, os_reason


def say(text: str) -> None:
    """Print a result on stdout.

    Raises
    ------
    OutputError
        If it cannot be written, for example because the disk behind it is full; that its reader has seen enough
        (``head``) is no error.
    """
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError as err:
        raise OutputError(f"stdout: cannot be written: {os_reason(err)}; the answer is not complete") from err


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout; see `say`."""
    say(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_error(argv: Sequence[str], kind: str, message: str, exit_code: int, *, stderr: bool = True) -> None:
    """Print what went wrong: one line on stderr, and the same as JSON where `argv` asks for JSON."""
    error = {"class": kind, "message": one_line(message), "exit_code": exit_code}
    if stderr:
        if _progress_is_json(argv):
            click.echo(json.dumps({"event": "error", **error}, ensure_ascii=False), err=True)
        else:
            click.echo(f"error: {error['message']}", err=True)
    if "--json" in argv:
        with contextlib.suppress(OutputError):  # stdout may be what went wrong
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


def stage_line(stage: str, summary: Mapping[str, Any]) -> str:
    """Say in words what a stage found.

    Examples
    --------
    >>> stage_line("detect", {"frames": 9, "frames_expected": 9, "frames_decoded": 9, "ok": 7, "no_face": 2})
    '9 frames: 7 ok, 2 no_face'
    >>> stage_line("align", {"frames": 9, "ok": 9})
    '9 event frames, all ok'
    """
    from au3dmm.io.table_schemas import STATUSES

    n = summary.get("frames")
    if stage in ("detect", "fit", "align"):
        found = {word: summary[word] for word in STATUSES if summary.get(word)}
        rgb = "rgb_frames" in summary  # of a recording without events
        what = "frames" if stage != "align" else "rows of labels, one per RGB frame" if rgb else "event frames"
        how = ", all ok" if found == {"ok": n} else f": {_counts(found)}" if found else ""
        text = f"{n} {what}{how}"
        if "rmse_px_median" in summary:
            text += (
                f"; rmse {number(summary['rmse_px_median'], 3)} px median, {number(summary['rmse_px_p95'], 3)} px p95"
            )
        return text
    if stage == "identity":
        percent = number(100 * summary["rmse_iod"], 3)
        flags = "".join(f", {flag}" for flag in summary["flags"])
        neutral = summary.get("neutral") or {}
        trust = ""
        if neutral.get("confidence") is not None:
            trust = f" of {neutral['looked_at']} ({neutral['trust']}, confidence {neutral['confidence']:.2f})"
        return (
            f"neutral face from {summary['neutral_frames']} frames{trust}; rmse {number(summary['rmse_px'], 3)} px,"
            f" {percent} % of the outer eye distance{flags}"
        )
    if stage == "sync":
        matched = "nothing measured"
        if summary["n_matched"] is not None:
            matched = f"{summary['n_matched']} of {summary['n_expected']} edges matched"
            matched += f", residual {number(float(summary['residual_us']), 2)} us"
        elif summary["uncertainty_us"] is not None:
            matched = f"uncertainty {number(float(summary['uncertainty_us']), 2)} us"
        return f"{summary['method']}, {matched}; {summary['events']} events"
    if stage == "frames":
        outside = f", {summary['no_events']} without events" if summary["no_events"] else ""
        return f"{n} event frames of {summary['width']} x {summary['height']}{outside}"
    if stage == "consolidate":
        others = f" ({summary['no_events']} without events)" if summary.get("no_events") else ""
        others += f", {summary['failed']} failed" if summary.get("failed") else ""
        n, ok = summary["rows"], summary["rows_ok"]
        return f"{n} rows, {ok} with values, from {counted(summary['ok'], 'session')}{others}"
    if stage == "calibration_picture":
        if summary["within_1"] is None:
            return "too little moves to check the uncertainty"
        one, wide = (f"{100 * summary[key]:.0f} %" for key in ("within_1", "within_wide"))
        return f"planted codes found within 1 and 2.5 stated deviations: {one} and {wide} (68 and 95 % are exact)"
    if stage == "clock_picture":
        return f"the evidence for the clock ({summary['kind']})"
    return ", ".join(f"{value} {key}" for key, value in summary.items())


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in found.items())


def program() -> str:
    """Return how this program can be called from here: its name if it is on the PATH, otherwise its path."""
    return "au3dmm" if shutil.which("au3dmm") or Path(sys.argv[0]).name != "au3dmm" else shlex.quote(sys.argv[0])


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
