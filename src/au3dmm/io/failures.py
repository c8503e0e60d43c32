"""`failures.jsonl`: which recordings of a run failed, in which stage, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.atomic import write_bytes


def read_failures(path: Path) -> list[dict[str, Any]]:
    """Read the failures of a run; none if there is no such file.

    Raises
    ------
    SchemaError
        If a line is not a JSON object that names a session.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return []
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except UnicodeDecodeError as err:
        raise SchemaError(f"{path}: not UTF-8: {err}; delete it and run again") from err
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line)
        except ValueError as err:
            raise SchemaError(f"{path}: line {number} is not JSON: {err}; delete the file and run again") from err
        if not isinstance(value, dict) or not isinstance(value.get("session_id"), str):
            raise SchemaError(
                f"{path}: line {number} names no session_id; expected one JSON object per failed session; delete the"
                " file and run again"
            )
        found.append(value)
    return found


def write_failures(path: Path, failures: Iterable[dict[str, Any]]) -> None:
    """Write the failures of a run, one JSON object per line, atomically.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    lines = [json.dumps(one, sort_keys=True, ensure_ascii=False) + "\n" for one in failures]
    write_bytes(path, "".join(lines).encode())
