"""What `stage.json` says, beside what is there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from au3dmm.io.hashing import sha256_file
from au3dmm.io.ledger import is_entry
from au3dmm.io.run_folder import LEDGER
from au3dmm.validation.problem import Problem

AGAIN = "run au3dmm run again"
REMAKE = "delete the file and run au3dmm run again"


def hash_problems(ledger: Path, stage: str, paths: Mapping[str, Path]) -> Iterator[Problem]:
    """Compare files with what `stage.json` says a stage wrote."""
    entry = _entry(ledger, stage)
    if entry is None:
        yield Problem(ledger, f"stage {stage} has not finished", "the record of what it wrote", AGAIN)
        return
    said = {key: one.get("sha256") for key, one in entry["outputs"].items()}
    for key in sorted(set(said) - set(paths)):
        yield Problem(ledger.parent / key, "no such file", f"the output of stage {stage}", AGAIN)
    for key, path in paths.items():
        if key not in said:
            yield Problem(path, "no stage says it wrote it", f"a file named in {LEDGER}", REMAKE)
        elif not path.is_file():
            yield Problem(path, "no such file", f"the output of stage {stage}", AGAIN)
        elif (found := sha256_file(path)) != said[key]:
            expected = f"{str(said[key])[:12]}... as stage {stage} wrote it"
            yield Problem(path, f"sha256 {found[:12]}...", expected, f"it was changed since; {AGAIN}")


def _entry(ledger: Path, stage: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(ledger.read_text())["stages"][stage]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return entry if is_entry(entry) else None


def recorded_fingerprint(ledger: Path, stage: str) -> str | None:
    """Return the fingerprint that a stage's outputs were made with, None if nobody says."""
    entry = _entry(ledger, stage)
    return None if entry is None else str(entry.get("fingerprint"))
