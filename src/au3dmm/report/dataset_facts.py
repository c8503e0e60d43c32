"""A dataset in words and numbers for its page: title, facts, failures, warnings, where it comes from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from au3dmm.io.sessions_index import IndexRow
from au3dmm.report.dataset_table import FAILED, LABELLED, UNFINISHED, outcome
from au3dmm.report.page_parts import count, percent

_EXAMPLES = 200  # of one failure: the rest is in the table


def dataset_counts(rows: Sequence[IndexRow], unfinished: Mapping[str, str]) -> dict[str, int]:
    """Count recordings by what became of them, people and rows.

    Examples
    --------
    >>> rows = [IndexRow("a", "p", frames_event=3, frames_labelled=2, label_rate=0.7), IndexRow("b", "q")]
    >>> found = dataset_counts(rows, {"b": "not finished"})
    >>> found["sessions"], found["ok"], found["unfinished"], found["subjects"], found["rows_ok"]
    (2, 1, 1, 2, 2)
    """
    words = Counter(outcome(row, unfinished) for row in rows)
    done = [row for row in rows if row.status != "failed" and outcome(row, unfinished) != UNFINISHED]
    return {
        "sessions": len(rows),
        "ok": sum(n for word, n in words.items() if word.startswith(LABELLED)),
        "no_events": sum(row.status == "no_events" or not row.has_events for row in done),
        "failed": words[FAILED],
        "unfinished": words[UNFINISHED],
        "subjects": len({row.subject_id for row in rows if row.subject_id is not None}),
        "rows": sum(row.frames_event for row in rows),
        "rows_ok": sum(row.frames_labelled for row in rows),
    }


def dataset_lead(counts: Mapping[str, int], frames: str) -> str:
    """Return what became of the recordings in one line."""
    parts = [f"{count(counts['ok'])} labelled", f"{count(counts['failed'])} failed"]
    parts += [f"{count(counts['unfinished'])} not finished"] if counts["unfinished"] else []
    parts += [f"{count(counts['no_events'])} without events"]
    return f"{', '.join(parts)}; {count(counts['rows_ok'])} of {count(counts['rows'])} {frames} with values"


def dataset_facts(counts: Mapping[str, int], metadata: Mapping[str, Any], frames: str) -> list[tuple[str, str]]:
    """Return what one wants to know of the whole, by name."""
    basis, clock = metadata.get("basis") or {}, metadata.get("clock") or {}
    detector, about = metadata.get("detector") or {}, metadata.get("dataset") or {}
    worst = clock.get("uncertainty_us_max")
    rate = counts["rows_ok"] / counts["rows"] if counts["rows"] else None
    methods = clock.get("methods")
    clocks = methods.items() if isinstance(methods, Mapping) else ()
    return [
        ("labelled", f"{count(counts['ok'])} of {plural(counts['sessions'], 'session')}"),
        ("failed", plural(counts["failed"], "session")),
        *([("not finished", plural(counts["unfinished"], "session"))] if counts["unfinished"] else []),
        ("without events", plural(counts["no_events"], "session")),
        (frames, count(counts["rows"])),
        ("with values", f"{count(counts['rows_ok'])} ({percent(rate) or 'none'})"),
        ("basis", f"{basis.get('kind') or 'unknown'}, {basis.get('k_au') or 'unknown'} AU components"),
        *([("source", str(metadata["source"]))] if "source" in metadata else []),
        ("landmarks", str(detector.get("name") or "unknown")),
        ("clocks", ", ".join(f"{name} {count(n)}" for name, n in clocks) or "none"),
        ("clock uncertainty", "unknown" if worst is None else f"{short_time(worst)} at most"),
        ("licence", str(about.get("licence") or "not stated")),
    ]


def dataset_provenance(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the labels were made with: versions, hashes, licences, and whom to ask."""
    basis, detector = metadata.get("basis") or {}, metadata.get("detector") or {}
    about, align = metadata.get("dataset") or {}, metadata.get("align") or {}
    refined = metadata.get("refined") or {}
    rows: list[tuple[str, object]] = [
        ("dataset", " ".join(str(about[key]) for key in ("name", "version") if about.get(key))),
        ("description", about.get("description")),
        ("citation", about.get("citation")),
        ("address", about.get("url")),
        ("contact", ", ".join(str(one) for one in about.get("contacts") or ())),
        (
            "licence of recordings and labels",
            about.get("licence") or "not stated; ask the owner before sharing anything",
        ),
        ("licence of the basis", (basis.get("licence") or "not stated") if basis else None),
        ("made by", metadata.get("package")),
        (
            "basis",
            f"{basis.get('kind')}, {basis.get('k_au')} AU and {basis.get('k_id')} identity components" * bool(basis),
        ),
        ("basis file", basis.get("file_hash")),
        ("topology", basis.get("topology_hash")),
        ("detector", detector.get("name")),
        ("landmarks", metadata.get("landmark_scheme")),
        ("windows", metadata.get("windows")),
        ("alignment", ", ".join(f"{key} {value}" for key, value in sorted(align.items()))),
        ("refined by checkpoint", refined.get("checkpoint_sha256")),
        ("fingerprint of the labels", metadata.get("fingerprint")),
    ]
    versions, weights = detector.get("versions"), detector.get("weights")
    if isinstance(versions, Mapping):
        rows.append(("detector versions", ", ".join(f"{key} {value}" for key, value in sorted(versions.items()))))
    if isinstance(weights, Mapping):
        rows += [(f"weights {name}", value) for name, value in sorted(weights.items())]
    return [(name, str(value)) for name, value in rows if value]


def split_note(metadata: Mapping[str, Any]) -> str:
    """Say how people were parted, and whether somebody is in two parts."""
    splits = metadata.get("splits") or {}
    if not splits:
        return "not split yet"
    leaks, source = splits.get("leaking_subjects") or 0, splits.get("source")
    text = f"by {splits.get('method')}" if source == "computed" else f"as {source} says"
    return f"{text}; {plural(leaks, 'subject')} in more than one part" if leaks else f"{text}; nobody is in two parts"


def failure_reasons(rows: Sequence[IndexRow], failures: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return by failed recording ``stage``, ``error`` and ``why``."""
    said = {str(one.get("session_id")): one for one in failures}
    found = {}
    for row in rows:
        if row.status == "failed":
            one = said.get(row.session_id, {})
            stage = str(one.get("stage") or "")
            why = (row.failure or str(one.get("message") or "")).removeprefix(f"{stage}: ")
            found[row.session_id] = {"stage": stage, "error": str(one.get("error") or ""), "why": why or "unknown"}
    return found


def failure_groups(rows: Sequence[IndexRow], reasons: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return failed recordings by reason, the most frequent one first; names and numbers alone make no other reason.

    Returns
    -------
    list of dict
        ``stage``, ``error``, ``why`` (of the first), ``n``, ``sessions`` (name, subject, reason; the first 200),
        ``more`` (how many others).
    """
    groups: dict[tuple[str, str, str], list[IndexRow]] = {}
    for row in rows:
        if row.session_id in reasons:
            one = reasons[row.session_id]
            groups.setdefault((one["stage"], one["error"], _pattern(one["why"], row)), []).append(row)
    ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return [
        {
            "stage": stage,
            "error": error,
            "why": reasons[found[0].session_id]["why"],
            "n": len(found),
            "same": len({reasons[row.session_id]["why"] for row in found}) == 1,
            "sessions": [
                (row.session_id, row.subject_id or "unknown", reasons[row.session_id]["why"])
                for row in found[:_EXAMPLES]
            ],
            "more": max(len(found) - _EXAMPLES, 0),
        }
        for (stage, error, _), found in ordered
    ]


def _pattern(why: str, row: IndexRow) -> str:
    """Return a reason without what differs from recording to recording.

    Examples
    --------
    >>> _pattern("raw/s2/rgb.mp4: 12 frames, expected 30", IndexRow("s2", "p")) == _pattern(
    ...     "raw/s10/rgb.mp4: 7 frames, expected 30", IndexRow("s10", "p")
    ... )
    True
    """
    text = why.replace(row.session_id, "*")
    text = re.sub(r"[^\s:]*/", "", text)  # folders
    return re.sub(r"\d+(?:\.\d+)?", "0", text)


def plural(n: int, thing: str) -> str:
    """Write a number of things."""
    return f"{count(n)} {thing}" + ("" if n == 1 else "s")


def short_time(us: float) -> str:
    """Write a time in the unit that suits it.

    Examples
    --------
    >>> short_time(0.08).split(), short_time(1500.0).split()
    (['0.08', 'µs'], ['1.5', 'ms'])
    """
    return f"{us:.2g}\u202fµs" if us < 1000 else f"{us / 1000:.3g}\u202fms"
