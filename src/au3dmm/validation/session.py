"""Check the output folder of one session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.clock import read_clock, read_clock_metadata
from au3dmm.io.hashing import sha256_file
from au3dmm.io.ledger import is_entry
from au3dmm.io.table_info import TableInfo, read_table_info, schema_differences
from au3dmm.validation.problem import Problem
from au3dmm.validation.tables import Finding, check_pair, check_rgb_rows, check_table, load

AGAIN = "run au3dmm label again"
_REMAKE = "delete the file and run au3dmm label again"
_STAGES = ("detect", "identity", "fit", "align")
_EVENT_STAGES = ("sync", "frames")


def check_session(folder: Path) -> tuple[dict[str, TableInfo], list[Problem]]:
    """Check the output folder of one session.

    Returns
    -------
    infos : dict
        The tables that could be read, by kind.
    problems : list of Problem
        In the order of the stages.
    """
    problems = leftovers(folder)
    entries, found = _read_ledger(folder / "stage.json")
    problems += found
    problems += _missing_stages(folder, entries)
    for stage, entry in entries.items():
        problems += _check_outputs(folder, stage, entry)
    infos: dict[str, TableInfo] = {}
    for path in sorted(folder.glob("*.parquet")):
        if path.name.startswith("."):  # a leftover, already told
            continue
        try:
            info = read_table_info(path)
        except SchemaError as err:
            problems.append(_from_error(path, err))
            continue
        differences = schema_differences(info)
        problems += [Problem(path, said, f"{info.kind} schema version {info.version}", _REMAKE) for said in differences]
        if not differences:
            infos[info.kind] = info
    problems += _check_stamps(folder, infos, entries)
    problems += _check_rows(infos)
    problems += _check_basis(infos)
    problems += _check_clock(folder / "clock.json", entries)
    return infos, problems


def leftovers(folder: Path) -> list[Problem]:
    """Find the temporary files of runs that were killed."""
    return [
        Problem(path, "a half-written file of a run that was killed", "no such file", f"{AGAIN}; it is removed then")
        for path in sorted(folder.glob(".*.writing"))
    ]


def _read_ledger(path: Path) -> tuple[dict[str, Any], list[Problem]]:
    expected = "the record of what each stage wrote"
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return {}, [Problem(path, "no such file", expected, AGAIN)]
    except OSError as err:
        return {}, [Problem(path, f"cannot be read: {os_reason(err)}", expected, "look at its permissions")]
    except ValueError as err:
        return {}, [Problem(path, f"not JSON: {err}", expected, AGAIN)]
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != 1 or not isinstance(data.get("stages"), dict):
        return {}, [Problem(path, f"format_version {version}", "format_version 1 with stages", AGAIN)]
    broken = [name for name, entry in data["stages"].items() if not is_entry(entry)]
    problems = [Problem(path, f"a broken entry for stage {name}", "fingerprint and outputs", AGAIN) for name in broken]
    return {name: entry for name, entry in data["stages"].items() if name not in broken}, problems


def _missing_stages(folder: Path, entries: dict[str, Any]) -> list[Problem]:
    if not entries:
        return []
    events = any(stage in entries for stage in _EVENT_STAGES)
    due = (*_STAGES[:3], *(_EVENT_STAGES if events else ()), *_STAGES[3:])
    if (folder.parent.parent / "subjects").is_dir():  # of a whole dataset: all of a subject's sessions share one
        due = tuple(stage for stage in due if stage != "identity")
    path = folder / "stage.json"
    return [
        Problem(path, f"stage {stage} has not finished", "every stage", f"{AGAIN}; it continues there")
        for stage in due
        if stage not in entries
    ]


def _check_outputs(folder: Path, stage: str, entry: dict[str, Any]) -> Iterator[Problem]:
    for said in entry.get("outputs", {}).values():
        path = folder / str(said.get("file"))
        if not path.is_file():
            yield Problem(path, "no such file", f"the output of stage {stage}", AGAIN)
            continue
        found = sha256_file(path)
        if found != said.get("sha256"):
            expected = f"{str(said.get('sha256'))[:12]}... as stage {stage} wrote it"
            yield Problem(path, f"sha256 {found[:12]}...", expected, f"it was changed since; {AGAIN}")


def _check_stamps(folder: Path, infos: dict[str, TableInfo], entries: dict[str, Any]) -> Iterator[Problem]:
    """Compare the fingerprints in the tables with those in `stage.json`, and those of their inputs."""
    made_by = {key: entry for entry in entries.values() for key in entry.get("outputs", {})}
    marks = {key: entry.get("fingerprint") for key, entry in made_by.items()}
    for kind, info in infos.items():
        if kind not in marks:
            if entries:
                yield Problem(info.path, "no stage says it wrote it", "a file named in stage.json", _REMAKE)
            continue
        own = info.metadata.get("fingerprint")
        if own != marks[kind]:
            yield Problem(info.path, f"fingerprint {_short(own)}", f"{_short(marks[kind])} of stage.json", AGAIN)
        for name, mark in info.metadata.get("inputs", {}).items():
            if name in marks and mark != marks[name]:
                source = folder / next(o["file"] for k, o in made_by[name]["outputs"].items() if k == name)
                yield Problem(
                    info.path, f"made from {source.name} {_short(mark)}", f"the present {_short(marks[name])}", AGAIN
                )


def _check_rows(infos: dict[str, TableInfo]) -> list[Problem]:
    problems, tables = [], {}
    codes = infos["coefficients"].metadata.get("params", {}).get("codes") if "coefficients" in infos else None
    for kind, info in infos.items():
        try:
            tables[kind] = load(info)
        except SchemaError as err:
            problems.append(_from_error(info.path, err))
            continue
        problems += [_from_finding(info.path, finding) for finding in check_table(info, tables[kind], codes)]
    for first, second in (("landmarks", "coefficients"), ("event_frames", "labels")):
        if first in tables and second in tables:
            findings = check_pair(tables[first], tables[second], infos[first].path.name)
            problems += [_from_finding(infos[second].path, finding) for finding in findings]
    if "labels" in tables and "coefficients" in tables and infos["labels"].metadata.get("windows") == "frame":
        findings = check_rgb_rows(tables["coefficients"], tables["labels"], infos["coefficients"].path.name)
        problems += [_from_finding(infos["labels"].path, finding) for finding in findings]
    return problems


def _check_basis(infos: dict[str, TableInfo]) -> Iterator[Problem]:
    said = {kind: info.metadata["basis"].get("file_hash") for kind, info in infos.items() if "basis" in info.metadata}
    first = next(iter(said), None)
    for kind, file_hash in said.items():
        if first is not None and file_hash != said[first]:
            expected = f"{_short(said[first])} as in {infos[first].path.name}"
            yield Problem(infos[kind].path, f"made with basis {_short(file_hash)}", expected, AGAIN)


def _check_clock(path: Path, entries: dict[str, Any]) -> Iterator[Problem]:
    if not path.is_file():  # told already if a stage says it wrote it
        return
    try:
        read_clock(path)
        metadata = read_clock_metadata(path)
    except SchemaError as err:
        yield _from_error(path, err, "a clock of au3dmm")
        return
    mark = entries.get("sync", {}).get("fingerprint")
    if mark is not None and metadata.get("fingerprint") != mark:
        yield Problem(
            path, f"fingerprint {_short(metadata.get('fingerprint'))}", f"{_short(mark)} of stage.json", AGAIN
        )


def _from_error(path: Path, err: SchemaError, expected: str = "a table of au3dmm") -> Problem:
    return Problem(path, str(err).removeprefix(f"{path}: "), expected, _REMAKE)


def _from_finding(path: Path, finding: Finding) -> Problem:
    return Problem(path, finding.found, finding.expected, _REMAKE)


def _short(mark: object) -> str:
    """Shorten a hash.

    Examples
    --------
    >>> _short("sha256:0123456789abcdef0123"), _short(None)
    ('0123456789ab...', 'none')
    """
    text = str(mark).removeprefix("sha256:") if mark else "none"
    return f"{text[:12]}..." if len(text) > 12 else text
