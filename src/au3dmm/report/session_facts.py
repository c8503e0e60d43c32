"""A session in words and numbers for its page: title, facts, warnings, components, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.report.calibration import calibration_of
from au3dmm.report.page_parts import count, percent
from au3dmm.report.session_files import SessionFiles
from au3dmm.report.session_head import Strength


def page_title(files: SessionFiles) -> str:
    """Return the name of the session with how many frames it has."""
    rgb = None if files.fitted is None else len(files.fitted.status)
    events = None if files.rows is None else len(files.rows.status)
    if rgb is None and events is None:
        return f"{files.session_id}: nothing made yet"
    counts = [f"{count(n)} {what}" for n, what in ((rgb, "RGB frames"), (events, "event frames")) if n is not None]
    return f"{files.session_id}: {', '.join(counts)}"


def page_lead(files: SessionFiles) -> list[str]:
    """Return how many frames have what was wanted of them."""
    said = []
    if files.rows is not None and files.rows.labelled:
        n, ok = len(files.rows.status), files.rows.status.count("ok")
        said.append(f"{count(ok)} of {count(n)} event frames have labels ({percent(ok / n if n else None) or 'none'})")
    if files.fitted is not None:
        n, ok = len(files.fitted.status), files.fitted.status.count("ok")
        said.append(
            f"a face was fitted in {count(ok)} of {count(n)} RGB frames ({percent(ok / n if n else None) or 'none'})"
        )
    return said


def page_warnings(files: SessionFiles) -> list[str]:
    """Return what a person should know before trusting the labels."""
    found = [str(text) for text in (files.summaries.get("identity") or {}).get("warnings") or ()]
    trust = files.identity.get("neutral_trust")
    if trust in ("unsure", "poor") and not found:
        doubts = ", ".join(files.identity.get("neutral_doubts") or ()).replace("_", " ")
        found.append(f"The neutral face is {trust}{': ' + doubts if doubts else ''}. All coefficients count from it.")
    if files.clock is not None:
        found += [f"Clock: {text}" for text in files.clock.warnings]
        if files.clock.method == "start":
            found.append("The clock is a guess: labels may be hundreds of ms off.")
    return found


def page_facts(files: SessionFiles, largest_mm: float) -> list[tuple[str, str]]:
    """Return counts, rates and errors, by name; what is not known is left out."""
    facts: list[tuple[str, str]] = []
    fitted, rows = files.fitted, files.rows
    if fitted is not None:
        n, ok = len(fitted.status), fitted.status.count("ok")
        facts.append(("RGB frames", count(n)))
        facts.append(("with a face", f"{count(ok)} ({percent(ok / n) if n else 'none'})"))
        if n > 1:
            facts.append(("RGB rate", f"{_rate(fitted.t_rgb_us):.4g}\u202f/s"))
    if rows is not None:
        n, ok = len(rows.status), rows.status.count("ok")
        facts.append(("event frames", count(n)))
        if rows.labelled:
            facts.append(("with labels", f"{count(ok)} ({percent(ok / n) if n else 'none'})"))
        if n > 1:
            facts.append(("event frame rate", f"{_rate(rows.start_us):.4g}\u202f/s"))
            span_s = float(rows.end_us.max() - rows.start_us.min()) / 1e6
            facts.append(("events", f"{metric(float(rows.n_events.sum()))} in the frames"))
            if span_s > 0:
                facts.append(("length", f"{span_s:.4g}\u202fs"))
    if fitted is not None and np.isfinite(fitted.rmse_px).any():
        px, iod = float(np.nanmedian(fitted.rmse_px)), float(np.nanmedian(fitted.rmse_iod))
        facts.append(("reprojection error", f"{px:.3g}\u202fpx, {percent(iod)} of the eye distance (median)"))
    if largest_mm:
        facts.append(("largest displacement", f"{largest_mm:.3g}\u202fmm"))
    trust = files.identity.get("neutral_trust")
    if trust:
        sure = files.identity.get("neutral_confidence")
        facts.append(("neutral face", f"{trust}{f' (confidence {sure:.2f})' if sure is not None else ''}"))
    if files.clock is not None:
        doubt = files.clock.uncertainty_us
        told = "error unknown" if doubt is None else f"\u00b1\u202f{micros(doubt)}"
        facts.append(("clock", f"{files.clock.method}, {told}"))
    return facts


def page_provenance(files: SessionFiles) -> list[tuple[str, str]]:
    """Return what the labels were made with: hashes, versions, licences."""
    metadata, basis = files.metadata, files.metadata.get("basis") or {}
    detector = metadata.get("detector") or {}
    event_file = metadata.get("event_file") or {}
    labelled = metadata.get("table") == "labels"
    params = ", ".join(f"{k} {v}" for k, v in sorted((metadata.get("params") or {}).items()))
    size = f"{event_file.get('width')} \u00d7 {event_file.get('height')}"
    rows = [
        ("made by", metadata.get("package")),
        (
            "basis",
            f"{basis.get('kind')}, {basis.get('k_au')} AU and {basis.get('k_id')} identity components" * bool(basis),
        ),
        ("basis file", basis.get("file_hash")),
        ("basis licence", (basis.get("licence") or "not stated") if basis else None),
        ("topology", basis.get("topology_hash")),
        ("detector", detector.get("name")),
        ("landmarks", metadata.get("landmark_scheme")),
        (
            "event file",
            f"{event_file.get('format')}, {size}, {count(event_file.get('events'))} events" * bool(event_file),
        ),
        ("windows", metadata.get("windows")),
        ("alignment", params if labelled else None),
        ("fingerprint of the labels" if labelled else "fingerprint", metadata.get("fingerprint")),
    ]
    versions = detector.get("versions")
    if isinstance(versions, Mapping):
        rows.append(("detector versions", ", ".join(f"{k} {v}" for k, v in sorted(versions.items()))))
    weights = detector.get("weights")
    if isinstance(weights, Mapping):
        rows += [(f"weights {name}", value) for name, value in sorted(weights.items())]
    return [(name, str(value)) for name, value in rows if value]


def page_components(files: SessionFiles, strength: Strength) -> list[dict[str, Any]]:
    """Return a row per component, that which moves the face most first; none where nothing was fitted."""
    fitted = files.fitted
    if fitted is None or not files.names or not np.isfinite(fitted.alpha).any():
        return []
    known = np.isfinite(fitted.alpha).all(1)
    mean, std = fitted.alpha[known].mean(0), np.nanmedian(fitted.alpha_std[known], axis=0)
    check = calibration_of(files.metadata)
    hardly = set(check.hardly_seen) if check is not None else set()
    return [
        {
            "name": files.names[k],
            "units": ", ".join(other_units(files.names[k], files.units[k])),
            "share": _share(float(strength.share[k])),
            "bar": round(100 * float(strength.share[k]) / max(float(strength.share.max()), 1e-12), 1),
            "largest": float(strength.largest[k]),
            "mean": float(mean[k]),
            "std": float(std[k]),
            "hardly": files.names[k] in hardly,
        }
        for k in strength.order
    ]


def _share(value: float) -> str:
    """Write a share of the motion; what is hardly any is said to be so.

    Examples
    --------
    >>> _share(0.5).split(), _share(1e-6).split(), _share(0.0)
    (['50.0', '%'], ['under', '0.1', '%'], '0')
    """
    if value <= 0:
        return "0"
    return f"{100 * value:.1f}\u202f%" if value >= 0.001 else "under 0.1\u202f%"


def page_calibration(files: SessionFiles) -> str | None:
    """Return whether the stated uncertainty holds, in words; None where it was not checked."""
    check = calibration_of(files.metadata)
    return None if check is None else check.told


def other_units(name: str, units: Sequence[str]) -> list[str]:
    """Return the action units that a component goes with, at most three; none where they are its name."""
    return [unit for unit in units if unit != name][:3]


def _rate(t_us: NDArray[np.int64]) -> float:
    step = float(np.median(np.diff(t_us)))
    return 1e6 / step if step > 0 else float("nan")


def metric(value: float) -> str:
    """Write a large number with its prefix.

    Examples
    --------
    >>> metric(1234567.0), metric(0.5), metric(1234.0)
    ('1.23M', '0.5', '1.23k')
    """
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{prefix}"
    return f"{value:.3g}"


def micros(us: float) -> str:
    """Write a time in the unit that suits it."""
    return f"{us:.2g}\u202f\u00b5s" if us < 1000 else f"{us / 1000:.3g}\u202fms"
