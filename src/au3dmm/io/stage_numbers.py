"""The numbers that the stages of a run reported of its recordings, from each one's `stage.json`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from au3dmm.io.ledger import Ledger
from au3dmm.io.run_folder import LEDGER, RunFolder

STAGES = ("detect", "identity", "fit", "sync", "frames", "align")
"""Of a recording, in the order that they run in; `identity` may be the person's instead."""


@dataclass(frozen=True)
class StageNumbers:
    """What is known of one recording; None and empty where nothing is.

    Attributes
    ----------
    stages : tuple of str
        Which have finished.
    frames, faces : int or None
        RGB frames, and those in which a face was fitted.
    rows, rows_ok : int or None
        Rows of labels, and those with values.
    rmse_px, rmse_iod : float or None
        Median reprojection error: px, and as a share of the outer eye distance.
    frames_lost : int
        RGB frames that could not be decoded.
    status : dict of str to int
        RGB frames without values, by why.
    flags : dict of str to int
        RGB frames by flag.
    hardly_seen : frozenset of str
        Action units that landmarks hardly show, or not at all.
    clock_method : str or None
        As in `clock.json`.
    clock_uncertainty_us : float or None
        As in `clock.json`.
    clock_warnings : tuple of str
        What was said of the clock.
    events_lost : str
        What is missing in the event file, in words.
    """

    stages: tuple[str, ...] = ()
    frames: int | None = None
    faces: int | None = None
    rows: int | None = None
    rows_ok: int | None = None
    rmse_px: float | None = None
    rmse_iod: float | None = None
    frames_lost: int = 0
    status: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, int] = field(default_factory=dict)
    hardly_seen: frozenset[str] = frozenset()
    clock_method: str | None = None
    clock_uncertainty_us: float | None = None
    clock_warnings: tuple[str, ...] = ()
    events_lost: str = ""


def read_stage_numbers(out: RunFolder, session_ids: Iterable[str]) -> dict[str, StageNumbers]:
    """Read what the stages reported; recordings of which nothing is known are left out.

    Parameters
    ----------
    out : RunFolder
        The run.
    session_ids : iterable of str
        Which recordings.
    """
    found = {}
    for name in session_ids:
        entries = Ledger(out.session(name) / LEDGER, STAGES).entries
        if entries:
            found[name] = stage_numbers({stage: entry.get("summary") for stage, entry in entries.items()})
    return found


def stage_numbers(summaries: Mapping[str, Any]) -> StageNumbers:
    """Return the numbers of one recording from what its stages reported; what is no number there is not known.

    Examples
    --------
    >>> numbers = stage_numbers({"fit": {"frames": 4, "ok": 3, "rmse_px_median": 0.5}, "detect": {"no_face": 1}})
    >>> numbers.stages, numbers.faces, numbers.rmse_px, numbers.status
    (('detect', 'fit'), 3, 0.5, {'no_face': 1})
    """
    said = {stage: summary if isinstance(summary, Mapping) else {} for stage, summary in summaries.items()}
    detect, fit, sync = (said.get(stage, {}) for stage in ("detect", "fit", "sync"))
    align = said.get("align", {})
    status = {word: _count(detect.get(word)) or 0 for word in ("no_face", "low_confidence", "decode_error")}
    status["fit_failed"] = _count(fit.get("fit_failed")) or 0
    flags = detect.get("flags")
    return StageNumbers(
        stages=tuple(stage for stage in STAGES if stage in said),
        frames=_count(fit.get("frames")),
        faces=_count(fit.get("ok")),
        rows=_count(align.get("frames")),
        rows_ok=_count(align.get("ok")),
        rmse_px=_number(fit.get("rmse_px_median")),
        rmse_iod=_number(fit.get("rmse_iod_median")),
        frames_lost=status["decode_error"],
        status={word: n for word, n in status.items() if n},
        flags={str(k): n for k, v in flags.items() if (n := _count(v))} if isinstance(flags, Mapping) else {},
        hardly_seen=frozenset([*_texts(fit.get("weak")), *_texts(fit.get("unobservable"))]),
        clock_method=str(sync["method"]) if sync.get("method") else None,
        clock_uncertainty_us=_number(sync.get("uncertainty_us")),
        clock_warnings=tuple(_texts(sync.get("warnings"))),
        events_lost=str(sync.get("lost") or ""),
    )


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
