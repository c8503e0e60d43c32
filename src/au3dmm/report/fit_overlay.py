"""A session's fit to look at: reads its tables and a few of its frames, writes a contact sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.errors import SessionError
from au3dmm.io.bases import read_bases
from au3dmm.io.frames import session_frames
from au3dmm.io.images import write_image
from au3dmm.io.session import Session, read_session
from au3dmm.io.tables import read_metadata, read_table, vectors
from au3dmm.report.fitted_head import projection, read_head
from au3dmm.report.overlay import frame_caption, overlay_sheet

READS = ("session:rgb", "landmarks", "identity", "coefficients", "bases")
WRITES = ("overlay",)
VERSION = 1

_FRAMES = 6


@dataclass(frozen=True)
class FittedRows:
    """What of the tables is drawn, for n frames chosen.

    Attributes
    ----------
    rows : (n,) int array
        Of the table of coefficients.
    landmarks_px : (n, 68, 3) array
        Detected.
    mesh_px : (n, V, 3) array
        Fitted; px and depth towards the camera, px.
    fitted_px : (n, 68, 2) array
        Where the fitted head has its landmarks.
    """

    rows: NDArray[np.int64]
    landmarks_px: NDArray[np.float64]
    mesh_px: NDArray[np.float64]
    fitted_px: NDArray[np.float64]


def run(
    *,
    session: Path,
    landmarks: Path,
    identity: Path,
    coefficients: Path,
    bases: Path,
    overlay: Path,
    params: Any = None,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Draw landmarks and fitted mesh over six frames of a labelled session (PNG).

    Shown are the quietest frame, the one that fits worst, and the most active ones, spread over the recording. Has the
    form of a stage, so that the pipeline knows whether the picture still shows what was fitted; `params` and `stamp`
    are not used.

    Returns
    -------
    dict
        ``frames``: the number of frames shown.

    Raises
    ------
    SessionError
        If not one frame was fitted.
    SchemaError
        If a table is not what it should be.
    OutputError
        If the picture cannot be written.
    """
    recording, model = read_session(session), read_bases(bases)
    files = {"landmarks": landmarks, "identity": identity, "coefficients": coefficients}
    table = read_table(coefficients, "coefficients")
    status = table["status"].to_pylist()
    ok = np.array([word == "ok" for word in status])
    if not ok.any():
        raise SessionError(f"session {recording.session_id!r}: no frame was fitted, so there is nothing to draw")
    alpha, _ = vectors(table, "alpha_au")
    frame_index = table["frame_index"].to_numpy()
    t_us = table["t_rgb_us"].to_numpy()
    rmse_px = table["rmse_px"].to_numpy(zero_copy_only=False)
    rmse_iod = table["rmse_iod"].to_numpy(zero_copy_only=False)
    rows = choose_frames(alpha, model.landmarks()[2], t_us, ok, _FRAMES, rmse_iod)
    fitted = place_rows(files, model, rows)
    images = read_images(recording, rows, progress)
    captions = [
        frame_caption(int(frame_index[row]), int(t_us[row]), status[row], float(rmse_px[row]), float(rmse_iod[row]))
        for row in rows
    ]
    sheet = overlay_sheet(
        images,
        fitted.landmarks_px,
        fitted.mesh_px,
        model.faces,
        fitted_landmarks_px=fitted.fitted_px,
        captions=captions,
        title=f"{recording.session_id}{'   (DEMO basis)' if model.is_demo else ''}",
    )
    write_image(overlay, sheet)
    return {"frames": len(rows)}


def choose_frames(
    alpha: NDArray[np.float32],
    components: NDArray[np.float64],
    t_us: NDArray[np.int64],
    ok: NDArray[np.bool_],
    n: int,
    rmse_iod: NDArray[np.floating] | None = None,
) -> NDArray[np.int64]:
    """Choose n rows to look at: the quietest, the one that fits worst, and active ones, spread over the recording.

    Parameters
    ----------
    alpha : (T, K) array
        Coefficients; NaN where there are none.
    components : (K, 68, 3) array
        What each moves the landmarks by, m.
    t_us : (T,) array
        When, increasing.
    ok : (T,) bool array
        Which rows may be chosen, one at least.
    n : int
        So many at most.
    rmse_iod : (T,) array, optional
        Error of the fit; without it the one that fits worst is not sought.

    Returns
    -------
    (at most n,) int array
        Rows, increasing.
    """
    usable = np.flatnonzero(ok)
    moved = np.tensordot(alpha[usable].astype(np.float64), components, axes=1)
    energy = np.sqrt((moved**2).sum(2).mean(1))
    by_energy = usable[np.argsort(-energy, kind="stable")]
    apart_us = (t_us[-1] - t_us[0]) / (2 * n)
    chosen = [int(by_energy[-1])]
    if rmse_iod is not None and n > 1:
        chosen.append(int(usable[np.argmax(rmse_iod[usable])]))
    for row in by_energy:
        if len(chosen) >= n:
            break
        if all(abs(t_us[row] - t_us[other]) >= apart_us for other in chosen):
            chosen.append(int(row))
    return np.array(sorted(set(chosen)))


def place_rows(files: Mapping[str, Path], bases: Bases, rows: NDArray[np.int64]) -> FittedRows:
    """Return what was detected and fitted in some rows of a session's coefficients, in pixels.

    Parameters
    ----------
    files : mapping
        Of ``landmarks``, ``identity`` and ``coefficients``.
    bases : Bases
        What they were made with.
    rows : (n,) int array
        All fitted.
    """
    table = read_table(files["coefficients"], "coefficients").take(rows)
    person = read_head(files["identity"], bases)
    seen = projection(table, read_metadata(files["coefficients"]))
    alpha = vectors(table, "alpha_au")[0]
    observed, _ = vectors(read_table(files["landmarks"], "landmarks", ["landmarks_px"]).take(rows), "landmarks_px")
    return FittedRows(
        rows,
        observed.reshape(-1, 68, 3).astype(np.float64),
        seen.px_and_depth(person.shapes(alpha)),
        seen.px(person.marks(alpha)),
    )


def read_images(
    session: Session, rows: NDArray[np.int64], progress: Callable[[int, int | None], None] | None
) -> list[NDArray[np.uint8]]:
    """Return the RGB frames of some rows (increasing) of a session's tables, all of which can be decoded."""
    wanted, images = set(rows.tolist()), []
    for row, frame in enumerate(session_frames(session)):
        if row in wanted and frame.image is not None:
            images.append(frame.image)
            if progress:
                progress(len(images), len(wanted))
            if len(images) == len(wanted):
                break
    return images
