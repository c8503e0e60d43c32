"""The dataset card: a README that says what a labelled dataset holds, how it came about and what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from au3dmm.io.atomic import write_bytes
from au3dmm.io.front_matter import front_matter
from au3dmm.io.licences import hub_licence
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import IndexRow, Tally, asked_for, frame_word, outcome_counts, part_of, read_index, tally

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_FAILURES_MOST = 50

PRIVACY = """\
Inside: the names of subjects and sessions as `session.toml` gives them, action unit coefficients, head pose, times.
Not inside: pictures, events, landmarks, boxes, identity coefficients; those lie in `../sessions` and `../subjects`
of the run, and identify people. How a face moves can identify a person, too, for someone who has other recordings
of it: share labels under the terms that the subjects agreed to. Who withdraws is removed by
`au3dmm forget --subject ID`."""

_READ = """\
```python
import pyarrow.parquet as pq
import au3dmm

table = pq.read_table("labels")  # one row per event frame, sorted by subject, session and frame
train = pq.read_table("labels", filters=[("split", "=", "train")])
alpha, valid = au3dmm.vectors(train, "alpha_au")  # (N, K) float32; (N,) bool: False where a row has no values
```"""


def write_dataset_card(out: RunFolder) -> None:
    """Write ``dataset/README.md`` of a run that is consolidated; equal datasets give equal bytes.

    Raises
    ------
    SchemaError
        If there is no index.
    OutputError
        If the file cannot be written.
    """
    rows, metadata = read_index(out.index)
    write_bytes(out.card, dataset_card(rows, metadata).encode())


def dataset_card(rows: Sequence[IndexRow], metadata: Mapping[str, Any]) -> str:
    """Return the card as text.

    Parameters
    ----------
    rows : sequence of IndexRow
        Every recording.
    metadata : mapping
        What the index says of the dataset.
    """
    counts, frames = outcome_counts(rows), frame_word(rows)
    about = metadata.get("dataset") or {}
    name = about.get("name", "A dataset")
    head = {
        "pretty_name": name,
        **hub_licence(about.get("licence")),
        "size_categories": [next((word for most, word in _SIZES if counts["rows"] < most), "1M<n<10M")],
        "tags": ["event-camera", "facial-action-units", "3d-morphable-model", "au3dmm"],
    }
    said = f"Labels of {counts['rows_ok']} of {counts['rows']} {frames}, from {counts['ok']} of"
    said += f" {counts['sessions']} sessions of {counts['subjects']} subjects."
    blocks = [
        front_matter(head).rstrip(),
        f"# {name}",
        said + (f" {about['description']}" if about.get("description") else ""),
        *_warnings(metadata),
        "## Counts",
        _table(("", "n"), _count_rows(counts, frames)),
        f"## Failed: {counts['failed']} of {counts['sessions']} sessions",
        _failed(rows),
        "## Split",
        _split_words(metadata),
        _tallied(tally(rows, part_of), frames),
        "## What was asked for",
        _tallied(tally(rows, asked_for), frames),
        "## How it was made",
        _table(("", ""), _made(metadata)),
        "## How to read it",
        _READ.replace("event frame", frames[:-1]),
        "`sessions.parquet` has a row for every session, failed ones included; `annotations.parquet` what people said"
        " of them (action units asked for, onsets, codes), apart from what was fitted. Columns and units are described"
        " in au3dmm's `docs/formats.md`.",
        "## Privacy",
        PRIVACY,
        "## Licence",
        _licence(metadata),
    ]
    if about.get("citation"):
        blocks += ["## Citation", str(about["citation"])]
    contact = [str(about["url"])] if about.get("url") else []
    contact += [str(one) for one in about.get("contacts", ())]
    if contact:
        blocks += ["## Contact", ", ".join(contact)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _tallied(tallies: Sequence[Tally], frames: str) -> str:
    return _table(("", "sessions", "failed", "subjects", frames, "with values"), [_tally_row(t) for t in tallies])


def _tally_row(t: Tally) -> tuple[object, ...]:
    return t.name, t.sessions, t.failed, t.subjects, t.rows, t.rows_ok


def _count_rows(counts: Mapping[str, int], frames: str) -> list[tuple[object, ...]]:
    return [
        ("sessions", counts["sessions"]),
        ("... labelled", counts["ok"]),
        ("... without events: labels of RGB frames", counts["no_events"]),
        ("... failed", counts["failed"]),
        ("subjects", counts["subjects"]),
        (frames, counts["rows"]),
        ("... with values", counts["rows_ok"]),
    ]


def _warnings(metadata: Mapping[str, Any]) -> list[str]:
    told = []
    if (metadata.get("basis") or {}).get("kind") == "demo":
        told.append("**Made with the demo basis, for trying out only: not for research.**")
    if metadata.get("source") == "refined":
        mark = str((metadata.get("refined") or {}).get("checkpoint_sha256"))[:12]
        told.append(
            f"**Refined: `alpha_au` is what a network (checkpoint {mark}) made of the fit.** Standard deviations,"
            " confidence and reprojection errors are those of the fit."
        )
    return told


def _failed(rows: Sequence[IndexRow]) -> str:
    failed = [row for row in rows if row.status == "failed"]
    if not failed:
        return "None."
    shown = [(row.session_id, row.subject_id or "unknown", row.failure or "") for row in failed[:_FAILURES_MOST]]
    more = f"\n\nand {len(failed) - _FAILURES_MOST} more, in `sessions.parquet`." if len(failed) > len(shown) else ""
    return _table(("session", "subject", "why"), shown) + more


def _split_words(metadata: Mapping[str, Any]) -> str:
    splits, params = metadata.get("splits") or {}, metadata.get("params") or {}
    method, leaks = splits.get("method"), splits.get("leaking_subjects", 0)
    if splits.get("source") != "computed":
        text = f"As `{splits.get('source')}` of the dataset says."
    elif method == "video":
        text = f"By video, stratified by action unit (seed {params.get('seed')})."
    elif method == "kfold":
        text = f"In {params.get('folds')} folds (seed {params.get('seed')}); a subject is in one of them only."
    else:
        text = f"By subject (seed {params.get('seed')}): nobody is in two parts."
    if leaks:
        text += f" **{leaks} subjects are in more than one part**: results say little of a person never seen."
    return text


def _made(metadata: Mapping[str, Any]) -> list[tuple[object, ...]]:
    basis, clock = metadata.get("basis") or {}, metadata.get("clock") or {}
    detector, align = metadata.get("detector") or {}, metadata.get("align") or {}
    methods = ", ".join(f"{name} ({n} sessions)" for name, n in (clock.get("methods") or {}).items())
    worst = clock.get("uncertainty_us_max")
    found = [
        ("basis", f"{basis.get('kind', 'unknown')}, {basis.get('k_au')} AU components, {basis.get('file_hash')}"),
        ("landmarks", f"{detector.get('name')}, {metadata.get('landmark_scheme')}"),
        ("clock", methods + ("" if worst is None else f"; uncertainty {worst:.4g} us at most")),
        ("labels at event frames", ", ".join(f"{key} {value}" for key, value in sorted(align.items()))),
        ("windows", metadata.get("windows")),
        ("software", metadata.get("package")),
        ("fingerprint", metadata.get("fingerprint")),
    ]
    return [row for row in found if row[1]]


def _licence(metadata: Mapping[str, Any]) -> str:
    about, basis = metadata.get("dataset") or {}, metadata.get("basis") or {}
    lines = [f"Recordings and labels: {about.get('licence') or 'not stated; ask the owner before you share anything'}."]
    if basis.get("licence"):
        lines.append(f"The basis that the labels were made with: {basis['licence']}.")
    return " ".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return "None."
    lines = [list(head), ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
