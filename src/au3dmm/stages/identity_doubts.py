"""What the identity stage says of a neutral face: columns, a summary, flags, and warnings in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from au3dmm.core.neutral_trust import NeutralTest
from au3dmm.core.same_person import PeopleTest
from au3dmm.io.tables import word_array

Place = tuple[str, int]
"""A frame: session and frame index."""

_NAMED = 3
_WHY = {
    "one_frame": "it comes from a single frame",
    "still_picture": "all frames are the same picture",
    "no_movement": "the face hardly moves, so nothing tells whether it is resting",
    "restless": "even the quietest frames are not alike",
    "expression": "it looks like an expression (held all the time, or in all frames that were recorded)",
    "profile": "no frame shows the face from nearer the front than 50 degrees, and detectors guess the hidden half",
}
_UNTOLD = "little speaks for it"


@dataclass(frozen=True)
class IdentityDoubts:
    """What is known of how good a neutral face is.

    Attributes
    ----------
    subject_id : str
        Whose face.
    used : sequence of (session_id, frame_index)
        Frames taken as neutral.
    sessions : sequence of str
        Recordings with a face.
    looked_at : int
        Frames among which they were sought.
    starts_active : bool
        Whether a recording begins with an active face.
    test : NeutralTest or None
        None where nothing was sought (``neutral = "first_frame"``).
    people : PeopleTest or None
        None where nothing was sought.
    places : sequence of (session_id, frame_index)
        All frames that could be fitted, in the order of the stretches' rows.
    """

    subject_id: str
    used: Sequence[Place]
    sessions: Sequence[str]
    looked_at: int
    starts_active: bool
    test: NeutralTest | None
    people: PeopleTest | None
    places: Sequence[Place]

    @property
    def flags(self) -> list[str]:
        """Words for the column ``flags``."""
        found = ["not_neutral_start"] if self.starts_active else []
        if self.test is not None and self.test.trust != "good":
            found.append("neutral_doubtful")
        if self.people is not None and self.people.two_people:
            found.append("two_subjects")
        return found

    @property
    def recordings(self) -> int:
        """Number of recordings in which neutral frames were found."""
        return len({session for session, _ in self.used})

    def columns(self) -> list[pa.Array]:
        """Return the columns of `table_schemas.identity_schema` from ``neutral_trust`` to ``people_distance_mm``."""
        test, tested = self.test, self.people is not None and self.people.tested

        def number(value: float | None) -> pa.Array:
            return pa.array([value], pa.float32())

        return [
            word_array(["untested" if test is None else test.trust]),
            number(None if test is None else test.confidence),
            pa.array([[] if test is None else list(test.doubts)], pa.list_(pa.string())),
            pa.array([self.looked_at], pa.int32()),
            pa.array([self.recordings], pa.int32()),
            number(None if test is None else test.movement_mm),
            number(None if test is None else test.expression_sd),
            number(self.people.distance_mm if self.people is not None and tested else None),
        ]

    def summary(self) -> dict[str, Any]:
        """Return the entries ``neutral``, ``people`` and ``warnings`` of the stage's summary."""
        test, people = self.test, self.people
        neutral = {
            "trust": "untested" if test is None else test.trust,
            "confidence": None if test is None else round(test.confidence, 3),
            "doubts": [] if test is None else list(test.doubts),
            "frames": len(self.used),
            "looked_at": self.looked_at,
            "recordings": self.recordings,
            "of_recordings": len(self.sessions),
            "movement_mm": None if test is None else round(test.movement_mm, 3),
            "expression_sd": None if test is None else round(test.expression_sd, 3),
        }
        tested = people is not None and people.tested
        two = people is not None and people.two_people
        return {
            "neutral": neutral,
            "people": {
                "tested": tested,
                "distance_mm": round(people.distance_mm, 3) if people is not None and tested else None,
                "others": self._others() if two else [],
            },
            "warnings": self.warnings(),
        }

    def warnings(self) -> list[str]:
        """Say what is doubtful, what it means for the labels, and what to do."""
        found = []
        test, people = self.test, self.people
        alone = len(self.sessions) == 1
        if test is not None and test.trust != "good":
            why = "; ".join(_WHY[doubt] for doubt in test.doubts) or _UNTOLD
            where = "1 recording" if alone else f"{self.recordings} of {len(self.sessions)} recordings"
            more = "record a second of resting face" + (
                ", or pool this person's recordings (`au3dmm run`)" if alone else " in one of the recordings"
            )
            found.append(
                f"neutral face of subject {self.subject_id!r} is {_TRUST[test.trust]} (confidence"
                f" {test.confidence:.2f}; {len(self.used)} of {self.looked_at} frames of {where}): {why}. Action units"
                f" are counted from it, so all of this person's labels may lack, or hold, one expression; {more}"
            )
        if people is not None and people.two_people:
            others = self._others()
            named = ", ".join(_name(other) for other in others[:_NAMED])
            if len(others) > _NAMED:
                named += f" and {len(others) - _NAMED} more"
            found.append(
                f"two people seem to be under subject {self.subject_id!r}: the face in {named} is"
                f" {people.distance_mm:.1f} mm from that in the rest (within each part {people.spread_mm:.1f} mm), and"
                " one neutral face was made of both; give each person a subject_id, choose the face (detect.face), or"
                " check the landmarks there"
            )
        return found

    def _others(self) -> list[dict[str, Any]]:
        """Name the stretches of the second person: session, and first and last frame; runs are joined."""
        assert self.people is not None
        found: list[dict[str, Any]] = []
        last_row = -1
        for (first, stop), second in zip(self.people.stretches, self.people.second, strict=True):
            if not second:
                continue
            (session, begins), (ends_in, ends) = self.places[first], self.places[stop - 1]
            assert session == ends_in
            if found and found[-1]["session_id"] == session and last_row == first:
                found[-1]["last_frame"] = ends
            else:
                found.append({"session_id": session, "first_frame": begins, "last_frame": ends})
            last_row = stop
        return found


_TRUST = {"unsure": "unsure", "poor": "not to be trusted"}


def _name(other: dict[str, Any]) -> str:
    return f"session {other['session_id']!r} (frames {other['first_frame']} to {other['last_frame']})"
