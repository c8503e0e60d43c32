"""Which recordings of a dataset to look at first, and why, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from au3dmm.io.label_statistics import Spread
from au3dmm.io.neutral_faces import NeutralRow
from au3dmm.io.sessions_index import IndexRow
from au3dmm.io.stage_numbers import StageNumbers
from au3dmm.report.page_parts import count, number, percent

_FEW = 0.8  # of the frames: fewer faces, or labels, are few
_RMSE_TIMES = 2.0  # the middle recording's error; and beyond
_RMSE_DEVIATIONS = 4.0  # robust standard deviations over recordings
_RMSE_IOD = 0.05  # of the eye distance: large in any dataset
_RMSE_FINE = 0.012  # of the eye distance: no reason to look, however small the others are
_CLOCK_US = 5_000.0  # at 100 labels per second, half of the way to the next one
_MANY = 0.5  # of the frames with a flag
_ENOUGH = 5  # recordings, to tell what is usual
_COMMON = 0.5  # what holds for more of the recordings is no exception
_SHOWN, _HARDLY = 1.0, 0.25  # peak intensity of a unit that is usually shown; share of it that is hardly shown
_FLAGS = {
    "small": "the face is small",
    "extreme_pose": "the head is turned away",
    "border": "the face is cut by the image's edge",
    "detectors_disagree": "two detectors disagree",
}


@dataclass(frozen=True)
class Reason:
    """Why to look at something: `kind` is the same for the same trouble, `weight` 1 where it just counts, and grows."""

    kind: str
    words: str
    weight: float


@dataclass(frozen=True)
class Suspect:
    """Recordings to look at: one, or all of a person's where the trouble is the person's."""

    subject_id: str | None
    session_ids: tuple[str, ...]
    reasons: tuple[Reason, ...]
    person: bool = False

    @property
    def weight(self) -> float:
        """How far up it belongs."""
        return sum(min(reason.weight, 10.0) for reason in self.reasons)


@dataclass(frozen=True)
class Suspects:
    """All of them, the worst first; and what holds for most recordings, so that it sets none apart."""

    entries: list[Suspect] = field(default_factory=list)
    common: list[str] = field(default_factory=list)

    @property
    def sessions(self) -> set[str]:
        """Every recording that is to be looked at."""
        return {name for entry in self.entries for name in entry.session_ids}

    def why(self) -> dict[str, str]:
        """Return by recording all that speaks against it."""
        words: dict[str, list[str]] = {}
        for entry in self.entries:
            for name in entry.session_ids:
                words.setdefault(name, []).extend(reason.words for reason in entry.reasons)
        return {name: "; ".join(said) for name, said in words.items()}


def find_suspects(
    rows: Sequence[IndexRow],
    numbers: Mapping[str, StageNumbers],
    neutral: Sequence[NeutralRow] = (),
    intensity: Spread | None = None,
) -> Suspects:
    """Return which recordings to look at first.

    Parameters
    ----------
    rows : sequence of IndexRow
        Every recording; failed ones are told of elsewhere.
    numbers : mapping
        What the stages reported, by recording.
    neutral : sequence of NeutralRow
        How far neutral faces can be believed.
    intensity : Spread or None
        Of action units, to tell whether what was asked for was shown.
    """
    seen = [row for row in rows if row.status != "failed"]
    usual = _Usual.of(seen, numbers, intensity)
    found: dict[str, list[Reason]] = {}
    for row in seen:
        said = numbers.get(row.session_id, StageNumbers())
        checks = (_error(row, said, usual), _faces(row), _labels(row), _clock(row), _told_of_clock(said))
        more = (*_frames(row, said), _not_shown(row, said, usual, intensity))
        found[row.session_id] = [one for one in (*checks, *more) if one is not None]
    common = _common(found, len(seen))
    people = _people(seen, neutral)
    entries = [
        Suspect(row.subject_id, (row.session_id,), tuple(sorted(left, key=lambda one: -one.weight)))
        for row in seen
        if (left := [one for one in found[row.session_id] if one.kind not in common])
    ]
    entries = sorted([*people, *entries], key=lambda one: (-one.weight, one.session_ids))
    return Suspects(entries, list(common.values()))


@dataclass(frozen=True)
class _Usual:
    """What is usual in this dataset; None where there is too little to tell."""

    rmse_iod: tuple[float, float] | None
    rmse_px: tuple[float, float] | None
    shown: Mapping[str, float]

    @classmethod
    def of(cls, rows: Sequence[IndexRow], numbers: Mapping[str, StageNumbers], intensity: Spread | None) -> _Usual:
        iod = [said.rmse_iod for row in rows if (said := numbers.get(row.session_id)) is not None]
        shown: dict[str, list[float]] = {}
        for row in rows:
            if (peak := _peak(row, intensity)) is not None and row.au:
                shown.setdefault(row.au, []).append(peak)
        enough = {au: float(np.median(found)) for au, found in shown.items() if len(found) >= _ENOUGH}
        return cls(_middle(iod), _middle(row.rmse_px_median for row in rows), enough)


def _middle(values: Iterable[float | None]) -> tuple[float, float] | None:
    """Return the median, and what is far above it."""
    known = np.array([value for value in values if value is not None])
    if len(known) < _ENOUGH:
        return None
    middle = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - middle)))
    return middle, max(_RMSE_TIMES * middle, middle + _RMSE_DEVIATIONS * spread)


def _error(row: IndexRow, said: StageNumbers, usual: _Usual) -> Reason | None:
    for value, middle in ((said.rmse_iod, usual.rmse_iod), (row.rmse_px_median, usual.rmse_px)):
        if value is None:
            continue
        much = value > _RMSE_IOD if value is said.rmse_iod else False
        far = middle is not None and value > middle[1] and (said.rmse_iod is None or said.rmse_iod > _RMSE_FINE)
        if not much and not far:
            return None
        share = f", {percent(said.rmse_iod)} of the eye distance" if said.rmse_iod is not None else ""
        times = f", {value / middle[0]:.2g} times the middle session's" if middle is not None and middle[0] else ""
        px = f" {number(row.rmse_px_median)}\u202fpx" if row.rmse_px_median is not None else ""
        weight = max(value / middle[1] if middle is not None else 0, value / _RMSE_IOD if much else 0)
        return Reason("error", f"high reprojection error:{px}{share}{times}".replace(":,", ":"), weight)
    return None


def _faces(row: IndexRow) -> Reason | None:
    n, faces = row.frames_rgb, row.frames_face
    if not n or faces is None or faces >= _FEW * n:
        return None
    if not faces:
        return Reason("faces", f"no face in any of {count(n)} RGB frames", 10.0)
    words = f"few frames with a face: {count(faces)} of {count(n)} ({percent(faces / n)})"
    return Reason("faces", words, min(_FEW * n / faces, 9.0))


def _labels(row: IndexRow) -> Reason | None:
    rate, n, faces = row.label_rate, row.frames_rgb, row.frames_face
    if rate is None or rate >= _FEW or (n and faces is not None and rate >= 0.9 * faces / n):
        return None  # where faces are missing labels are, too: that is said already
    words = f"few frames with values: {count(row.frames_labelled)} of {count(row.frames_event)} ({percent(rate)})"
    return Reason("labels", words, min(_FEW / rate, 10.0) if rate else 10.0)


def _clock(row: IndexRow) -> Reason | None:
    if row.clock_method is None:
        return None
    if row.clock_method == "start":
        return Reason("clock guessed", "the clock is a guess: labels may be hundreds of ms off", 3.0)
    if row.clock_uncertainty_us is None:
        return Reason("clock unknown", f"how far the clock ({row.clock_method}) is off is not known", 1.0)
    if row.clock_uncertainty_us <= _CLOCK_US:
        return None
    told = f"clock uncertain: \u00b1\u202f{number(row.clock_uncertainty_us / 1000)}\u202fms ({row.clock_method})"
    return Reason("clock", told, row.clock_uncertainty_us / _CLOCK_US)


def _told_of_clock(said: StageNumbers) -> Reason | None:
    if not said.clock_warnings:
        return None
    return Reason("clock told", f"clock: {'; '.join(said.clock_warnings)}", float(len(said.clock_warnings)))


def _frames(row: IndexRow, said: StageNumbers) -> list[Reason]:
    n, found = row.frames_rgb or 0, []
    if said.frames_lost:
        told = f"{count(said.frames_lost)} of {count(n)} RGB frames could not be read" if n else "RGB frames were lost"
        found.append(Reason("lost", told, 1 + 10 * said.frames_lost / max(n, 1)))
    if said.events_lost:
        found.append(Reason("events", f"the event file is damaged: {said.events_lost}", 2.0))
    switched = said.flags.get("face_switched", 0)
    if switched:
        told = f"another face was taken in {count(switched)} frame{'' if switched == 1 else 's'}"
        found.append(Reason("switched", told, 2.0))
    for flag, words in _FLAGS.items():
        share = said.flags.get(flag, 0) / n if n else 0.0
        if share > _MANY:
            found.append(Reason(flag, f"{words} in {percent(share)} of the frames", share / _MANY))
    return found


def _peak(row: IndexRow, intensity: Spread | None) -> float | None:
    """Return how much of what was asked for was shown; None where that is not known."""
    if intensity is None or row.au not in intensity.names:
        return None
    peaks = intensity.peaks.get(row.session_id)
    value = float("nan") if peaks is None else float(peaks[intensity.names.index(row.au)])
    return value if np.isfinite(value) else None


def _not_shown(row: IndexRow, said: StageNumbers, usual: _Usual, intensity: Spread | None) -> Reason | None:
    peak = _peak(row, intensity)
    typical = usual.shown.get(row.au or "", 0.0)
    if peak is None or row.au in said.hardly_seen or typical < _SHOWN or peak >= _HARDLY * typical:
        return None
    words = f"{row.au} was asked for and hardly shown: intensity {peak:.1f}, usually {typical:.1f}"
    return Reason("not shown", words, min(_HARDLY * typical / max(peak, 0.01), 3.0))


def _people(rows: Sequence[IndexRow], neutral: Sequence[NeutralRow]) -> list[Suspect]:
    """Return those whose neutral face is in doubt, with all recordings that count from it."""
    theirs: dict[str | None, list[str]] = {}
    for row in rows:
        theirs.setdefault(row.subject_id, []).append(row.session_id)
    found = []
    for one in neutral:
        if not one.doubtful:
            continue
        reasons = []
        if one.trust in ("unsure", "poor"):
            why = ", ".join(one.doubts).replace("_", " ")
            sure = f" (confidence {one.confidence:.2f})" if one.confidence is not None else ""
            words = f"neutral face not to be trusted: {one.trust}{sure}{': ' + why if why else ''}"
            reasons.append(Reason("neutral", words, 2.0 if one.trust == "poor" else 1.0))
        if one.two_people:
            apart = f", {number(one.people_mm)}\u202fmm apart" if one.people_mm is not None else ""
            reasons.append(Reason("two people", f"these seem to be two people{apart}", 5.0))
        sessions = (one.session_id,) if one.session_id else tuple(theirs.get(one.subject_id, ()))
        found.append(Suspect(one.subject_id, sessions, tuple(reasons), person=not one.session_id))
    return found


_TOLD: Mapping[str, str] = {
    "clock guessed": "the clock of {k} of {n} sessions is a guess: labels may be hundreds of ms off",
    "clock unknown": "how far the clock of {k} of {n} sessions is off is not known",
    "clock": f"the clock of {{k}} of {{n}} sessions is uncertain by more than {_CLOCK_US / 1000:.0f} ms",
    "faces": "{k} of {n} sessions have few frames with a face",
    "labels": "{k} of {n} sessions have few frames with values",
    "error": "the reprojection error of {k} of {n} sessions is high",
    "clock told": "something was said of the clock of {k} of {n} sessions; their pages tell",
    "lost": "RGB frames of {k} of {n} sessions could not be read",
    "events": "the event files of {k} of {n} sessions are damaged",
    "switched": "another face was taken now and then in {k} of {n} sessions",
    **{flag: f"in {{k}} of {{n}} sessions {words} most of the time" for flag, words in _FLAGS.items()},
}


def _common(found: Mapping[str, Sequence[Reason]], n: int) -> dict[str, str]:
    """Return what holds for most recordings, by kind, in words."""
    kinds = Counter(kind for reasons in found.values() for kind in {one.kind for one in reasons})
    return {
        kind: _TOLD[kind].format(k=k, n=n)
        for kind, k in sorted(kinds.items())
        if n >= _ENOUGH and k > _COMMON * n and kind in _TOLD
    }
