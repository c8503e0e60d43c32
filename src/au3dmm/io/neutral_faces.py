"""What the identity tables of a run say of how far their neutral faces can be believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import IndexRow
from au3dmm.io.tables import read_table


@dataclass(frozen=True)
class NeutralRow:
    """One neutral face; see docs/formats.md, identity.parquet.

    Attributes
    ----------
    subject_id : str
        Whose.
    session_id : str
        Of which recording, where each has a face of its own; otherwise empty.
    trust : str
        ``good``, ``unsure``, ``poor``, ``untested``, or ``unknown`` in a table of an older version.
    confidence : float or None
        0 to 1.
    doubts : tuple of str
        Why it is not higher.
    frames, looked_at : int or None
        Neutral frames, and frames among which they were sought.
    recordings, of_recordings : int or None
        Recordings with neutral frames, and all with a face.
    people_mm : float or None
        Distance between the two groups of faces that are farthest apart, mm.
    two_people : bool
        Whether those are two people's.
    """

    subject_id: str
    session_id: str
    trust: str
    confidence: float | None
    doubts: tuple[str, ...]
    frames: int | None
    looked_at: int | None
    recordings: int | None
    of_recordings: int | None
    people_mm: float | None
    two_people: bool

    @property
    def doubtful(self) -> bool:
        """Whether somebody should look at it."""
        return self.trust in ("unsure", "poor") or self.two_people


def neutral_faces(out: RunFolder, rows: Iterable[IndexRow]) -> list[NeutralRow]:
    """Read the identity of every subject of a run, or of every session where they are not pooled; doubtful ones first.

    Raises
    ------
    SchemaError
        If a table is not what it should be.
    """
    found: dict[Path, NeutralRow] = {}
    for row in rows:
        if row.status == "failed" or row.subject_id is None:
            continue
        pooled = out.subject(row.subject_id) / "identity.parquet"
        alone = out.session(row.session_id) / "identity.parquet"
        path, session_id = (alone, row.session_id) if alone.exists() else (pooled, "")
        if path not in found and path.exists():
            found[path] = _read(path, session_id)
    return sorted(found.values(), key=lambda one: (not one.doubtful, one.subject_id, one.session_id))


def _read(path: Path, session_id: str) -> NeutralRow:
    row = read_table(path, "identity").to_pylist()[0]
    confidence = row.get("neutral_confidence")
    return NeutralRow(
        subject_id=str(row["subject_id"]),
        session_id=session_id,
        trust=str(row.get("neutral_trust", "unknown")),
        confidence=confidence,
        doubts=tuple(row.get("neutral_doubts") or ()),
        frames=len(row["neutral_frames"]),
        looked_at=row.get("neutral_looked_at"),
        recordings=row.get("neutral_recordings"),
        of_recordings=len(row["session_ids"]),
        people_mm=row.get("people_distance_mm"),
        two_people="two_subjects" in (row["flags"] or ()),
    )
