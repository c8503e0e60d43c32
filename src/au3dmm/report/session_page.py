"""`report.html` of one session: what was made, how well it fits, and a head that follows it; one file, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.errors import Au3dmmError, SchemaError
from au3dmm.io.atomic import write_bytes
from au3dmm.io.bases import bases_fingerprint, read_bases
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.session import Session
from au3dmm.report.calibration import LIMITS
from au3dmm.report.mesh_views import HEAT
from au3dmm.report.page_parts import THREE, embedded_json, page_environment, vendored
from au3dmm.report.session_charts import TimeAxis, gradient, map_colours
from au3dmm.report.session_clock import clock_drawings, clock_words
from au3dmm.report.session_facts import (
    other_units,
    page_calibration,
    page_components,
    page_facts,
    page_lead,
    page_provenance,
    page_title,
    page_warnings,
)
from au3dmm.report.session_files import PAGE, SessionFiles, read_session_files
from au3dmm.report.session_head import (
    Strength,
    as_bytes,
    component_strength,
    head_data,
    largest_displacement_mm,
    packed,
    scale_mm,
    stride_for,
)
from au3dmm.report.session_pictures import MeshPainter
from au3dmm.report.session_predictions import Regressed, find_predictions, read_regressed
from au3dmm.report.session_sheet import Photographs, contact_sheet
from au3dmm.report.session_tracks import coefficient_map, line_charts, status_strips

_SLIDERS, _CURVES = 8, 4
WORDS = {
    "ok": "with values",
    "no_face": "no face",
    "low_confidence": "landmarks not certain",
    "fit_failed": "fits no face",
    "gap": "RGB too far away",
    "no_rgb": "no RGB",
    "no_events": "no events",
    "decode_error": "RGB frame lost",
}
"""Statuses for people."""


@dataclass(frozen=True)
class PageOptions:
    """What a page may show, and from where.

    Attributes
    ----------
    bases : Path or None
        The basis file; None, or another than the session was fitted with: no head is shown.
    session : Session or None
        The recording, of which RGB pictures are taken.
    thumbnails : bool
        Whether to show pictures of the face: RGB frames, event frames and the person's own head.
    predictions : sequence of Path or None
        Tables of a model's predictions; None looks for them in the run.
    """

    bases: Path | None = None
    session: Session | None = None
    thumbnails: bool = False
    predictions: Sequence[Path] | None = None


def write_session_page(folder: Path, options: PageOptions | None = None) -> Path:
    """Write ``report.html`` into a session's folder of a run, and return where it is.

    Parameters
    ----------
    folder : Path
        ``RUN/sessions/<session_id>``, finished or not.
    options : PageOptions, optional
        Default: no pictures of faces, and no head.

    Raises
    ------
    SchemaError
        If there is no such folder.
    OutputError
        If the page cannot be written.
    """
    if not folder.is_dir():
        raise SchemaError(f"{folder}: no such folder; expected what a run left of a session")
    path = folder / PAGE
    data = session_page(read_session_files(folder), options or PageOptions()).encode()
    if not (path.is_file() and path.read_bytes() == data):  # what is up to date keeps its time
        write_bytes(path, data)
    return path


def session_page(files: SessionFiles, options: PageOptions) -> str:
    """Return the page as HTML; equal files and options give equal text."""
    missing = list(files.missing)
    bases = _bases(files, options, missing)
    fitted = files.fitted
    run = RunFolder(files.folder.parent.parent)
    found = find_predictions(run, files.session_id) if options.predictions is None else options.predictions
    basis = files.metadata.get("basis") or {}
    regressed, notes = read_regressed(found, files.names, basis.get("file_hash"), run.path)
    t_us = files.session_us(fitted.t_rgb_us) if fitted is not None else np.zeros(0, np.int64)
    rows_us = files.rows.label_us if files.rows is not None else np.zeros(0, np.int64)
    axis = TimeAxis.over(t_us, rows_us)
    strength = component_strength(fitted.alpha if fitted is not None else np.zeros((0, len(files.names))), bases)
    shape = files.shape if options.thumbnails else None
    if bases is not None and shape is not None and len(shape) != bases.k_id:
        shape = None
    largest_mm = largest_displacement_mm(bases, fitted.alpha) if bases is not None and fitted is not None else 0.0
    scale = 0.0 if bases is None else scale_mm(bases, largest_mm)
    painter = None if bases is None else MeshPainter(bases, scale, shape)
    camera = Photographs(options.session) if options.thumbnails else None
    sheet, biometric = contact_sheet(files, painter, camera, regressed, t_us, axis, missing)
    biometric = biometric or shape is not None
    head = head_data(bases, strength, shape) if bases is not None and len(strength.order) else None
    data = _data(files, t_us, axis, strength, regressed, head, scale)
    return (
        page_environment()
        .get_template("session.html.j2")
        .render(
            title=page_title(files),
            session_id=files.session_id,
            subject=files.subject_id or "unknown",
            lead=page_lead(files),
            demo=basis.get("kind") == "demo",
            failure=files.failure,
            missing=missing,
            warnings=page_warnings(files),
            biometric=biometric,
            own_head=shape is not None,
            mesh_licence=str(basis.get("licence") or "not stated"),
            facts=page_facts(files, largest_mm),
            words=WORDS,
            axis=axis,
            strips=status_strips(files, axis, t_us),
            heat=coefficient_map(files, axis, t_us),
            charts=line_charts(files, axis, t_us),
            head=head,
            left_out=0 if head is None else head["left_out"],
            head_share=None if head is None else head["shown"],
            largest_mm=scale,
            sheet=sheet,
            gradient=gradient(np.rint(255 * HEAT[:: len(HEAT) // 12]).astype(np.uint8)),
            map_gradient=gradient(map_colours(9)),
            regressed=None if regressed is None else regressed.model,
            notes=notes,
            clock=None if files.clock is None else clock_words(files.clock),
            drawings=[] if files.clock is None else clock_drawings(files.clock, files.evidence),
            calibration=page_calibration(files),
            limits=LIMITS,
            components=page_components(files, strength),
            provenance=page_provenance(files),
            outputs=files.outputs,
            data=embedded_json(data) if data is not None else None,
            three=vendored(THREE) if head is not None else None,
            version=str(files.metadata.get("package") or "unknown"),
        )
    )


def _bases(files: SessionFiles, options: PageOptions, missing: list[str]) -> Bases | None:
    """Return the basis that the session was fitted with; say why if it is not to be had."""
    told = (files.metadata.get("basis") or {}).get("file_hash")
    if not files.names:
        return None
    try:
        if options.bases is None:
            raise SchemaError("its file was not given")
        if told is not None and bases_fingerprint(options.bases) != told:
            raise SchemaError(f"{options.bases.name} is another one")
        bases = read_bases(options.bases)
    except Au3dmmError as err:
        why = " ".join(str(err).split())
        missing.append(f"no head: the basis ({str(told)[:19]}) is not at hand: {why}; name its file with --bases")
        return None
    if bases.k_au != len(files.names):
        missing.append(f"no head: the basis has {bases.k_au} components, the table {len(files.names)}")
        return None
    if not len(bases.faces):
        missing.append("no head: the basis has no triangles (faces), so there is no surface to draw")
        return None
    return bases


def _data(
    files: SessionFiles,
    t_us: NDArray[np.int64],
    axis: TimeAxis,
    strength: Strength,
    regressed: Regressed | None,
    head: dict[str, Any] | None,
    scale: float,
) -> dict[str, Any] | None:
    """Return what the page's script reads; None where no frame was looked at."""
    fitted = files.fitted
    if fitted is None or not len(t_us):
        return None
    n, k = fitted.alpha.shape
    stride = stride_for(n, 2 + (regressed is not None), max(k, 1))
    rows = np.arange(0, n, stride)
    words = sorted(set(fitted.status))
    lowest = min(float(np.nanmin(np.where(np.isfinite(fitted.alpha), fitted.alpha, 0.0), initial=0.0)), 0.0)
    return {
        "seconds": axis.seconds,
        "n": len(rows),
        "frames": n,
        "stride": stride,
        "time": packed(((t_us[rows] - axis.first_us) / 1e6).astype("<f4")),
        "frame": packed(fitted.frame_index[rows].astype("<i4")),
        "status": packed(np.array([words.index(word) for word in np.array(fitted.status)[rows]], np.uint8)),
        "words": [WORDS.get(word, word) for word in words],
        "ok": words.index("ok") if "ok" in words else -1,
        "names": list(files.names),
        "units": [", ".join(other_units(name, units)) for name, units in zip(files.names, files.units, strict=True)],
        "order": strength.order.tolist(),
        "alpha": as_bytes(fitted.alpha[rows], 0.0),
        "std": as_bytes(fitted.alpha_std[rows], 0.0),
        "regressed": None
        if regressed is None
        else {"model": regressed.model, **as_bytes(regressed.at(t_us[rows]), 0.0)},
        "signed": lowest < 0,
        "sliders": _SLIDERS,
        "curves": _CURVES,
        "head": head,
        "largest_mm": round(scale, 4),
    }
