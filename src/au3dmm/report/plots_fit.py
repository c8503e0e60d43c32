"""A session's fit for print: frames with their landmarks as lines, and beside each the fitted mesh over the face."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import GROUPS
from au3dmm.errors import SessionError
from au3dmm.io.bases import read_bases
from au3dmm.io.labelled_session import LabelledSession
from au3dmm.io.tables import read_table, vectors
from au3dmm.report.fit_overlay import choose_frames, place_rows, read_images
from au3dmm.report.overlay import CLOSED, DETECTED, FITTED, MESH, crop_square, cut_square, draw_mesh, to_cell
from au3dmm.report.plots_style import FAINT, INK, PRINT_DPI, figure_bytes, print_style, title_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TOP, _CAPTION, _GAP, _LEGEND, _LEGEND_WIDTH = 0.36, 0.13, 0.05, 0.15, 2.2  # inches
_NARROW = 5.0  # inches: below it two frames stand beside each other, else three
_HALO = (0.08, 0.08, 0.08)


def draw_fit(
    session: LabelledSession,
    width: float,
    suffix: str = ".png",
    dpi: int = PRINT_DPI,
    *,
    n: int = 6,
    progress: Callable[[int, int | None], None] | None = None,
) -> bytes:
    """Return the picture as the bytes of a PNG, SVG or PDF; equal sessions give equal bytes.

    Shown are the quietest frame, the one that fits worst, and the most active ones.

    Parameters
    ----------
    session : LabelledSession
    width : float
        inches
    suffix : str
        ``.png``, ``.svg`` or ``.pdf``.
    dpi : int
        Of the pictures in it.
    n : int
        Frames.
    progress : callable, optional
        Told how many frames were read.

    Raises
    ------
    SessionError
        If not one frame was fitted, or the recording is not there.
    SchemaError
        If a table or the basis is not there, or not what it should be.
    """
    files = {name: session.file(name) for name in ("landmarks", "identity", "coefficients")}
    bases = read_bases(session.bases())
    table = read_table(files["coefficients"], "coefficients")
    ok = np.array([word == "ok" for word in table["status"].to_pylist()], bool)
    if not ok.any():
        raise SessionError(f"session {session.session_id!r}: no frame was fitted, so there is nothing to draw")
    rmse_iod = table["rmse_iod"].to_numpy(zero_copy_only=False)
    t_us = table["t_rgb_us"].to_numpy()
    rows = choose_frames(vectors(table, "alpha_au")[0], bases.landmarks()[2], t_us, ok, n, rmse_iod)
    fitted = place_rows(files, bases, rows)
    images = read_images(session.recorded(), rows, progress)
    rmse_px = table["rmse_px"].to_numpy(zero_copy_only=False)
    demo = " (DEMO basis)" if bases.is_demo else ""
    median = float(np.median(rmse_px[ok]))
    told = f"{len(rows)} of N = {int(ok.sum())} fitted frames; rmse {median:.2f} px median (%: of the eye distance)"
    with print_style():
        figure, cells = _sheet(len(rows), width, f"{session.session_id}{demo}", told)
        cell_px = max(round(cells[0][0].get_position().width * width * dpi), 64)
        for i, (left, right) in enumerate(cells):
            corner, zoom = crop_square(images[i], fitted.landmarks_px[i], cell_px)
            picture = cut_square(images[i], corner, zoom, cell_px)
            mesh = draw_mesh(picture, fitted.mesh_px[i], bases.faces, corner, zoom)
            for axes, image in ((left, picture), (right, mesh)):
                axes.imshow(image, interpolation="none", aspect="auto")
                axes.set_xlim(-0.5, cell_px - 0.5)
                axes.set_ylim(cell_px - 0.5, -0.5)
            _draw_landmarks(
                left,
                to_cell(fitted.landmarks_px[i], corner, zoom),
                to_cell(fitted.fitted_px[i], corner, zoom),
                cell_px / dpi,
            )
            row = int(rows[i])
            words = f"{t_us[row] / 1e6:.2f} s, {rmse_px[row]:.2f} px ({100 * rmse_iod[row]:.1f} %)"
            left.text(0, -0.02, words, transform=left.transAxes, va="top", fontsize=5.5, color=FAINT)
        return figure_bytes(figure, suffix, dpi)


def _sheet(n: int, width: float, title: str, told: str) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """Lay out pairs of square pictures."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(n, 2 if width < _NARROW else 3)
    rows = -(-n // columns)
    # room for two pictures that touch, per column
    side = (width - (columns + 1) * _GAP) / columns / 2
    narrow = width < _NARROW
    top = _TOP + narrow * _LEGEND
    height = top + rows * (side + _CAPTION + _GAP)
    figure = Figure(figsize=(width, height))
    cells = []
    for i in range(n):
        x = _GAP + i % columns * (2 * side + _GAP)
        y = height - top - i // columns * (side + _CAPTION + _GAP) - side
        pair = [figure.add_axes(((x + k * side) / width, y / height, side / width, side / height)) for k in (0, 1)]
        for axes in pair:
            axes.set_axis_off()
        cells.append((pair[0], pair[1]))
    size = title_size(title, width - (0 if narrow else _LEGEND_WIDTH))
    figure.text(_GAP / width, 1 - 0.05 / height, title, weight="bold", va="top", color=INK, fontsize=size)
    figure.text(_GAP / width, 1 - 0.2 / height, told, va="top", color=FAINT, fontsize=6)
    marks = [
        Line2D([], [], ls="", marker="o", ms=3, color=_rgb(DETECTED), mec=_HALO, mew=0.4, label="detected"),
        Line2D([], [], ls="", marker="o", ms=3, mfc="none", mec=_rgb(FITTED), mew=0.7, label="fitted"),
        Line2D([], [], ls="", marker="s", ms=4, color=_rgb(MESH), mew=0, label="fitted mesh"),
    ]
    where = (0.0, 1 - 0.33 / height) if narrow else (1 - _GAP / width, 1 - 0.03 / height)
    style = {"ncols": 3, "frameon": False, "handletextpad": 0.1, "columnspacing": 0.8, "borderpad": 0.0}
    figure.legend(handles=marks, loc="upper left" if narrow else "upper right", bbox_to_anchor=where, **style)
    return figure, cells


def _draw_landmarks(axes: Axes, detected: NDArray[np.float64], fitted: NDArray[np.float64], side: float) -> None:
    """Draw rings where the fitted head has its landmarks, and lines and dots where they were detected."""
    size = min(max(side / 1.15, 0.5), 2.0)  # marks shrink with the picture, whose side is in inches
    axes.plot(*fitted.T, ls="", marker="o", ms=2.2 * size, mfc="none", mec="white", mew=0.9 * size)
    axes.plot(*fitted.T, ls="", marker="o", ms=2.2 * size, mfc="none", mec=_rgb(FITTED), mew=0.5 * size)
    for name, group in GROUPS.items():
        ring = [*group, *list(group)[: name in CLOSED]]
        axes.plot(*detected[ring].T, color=_rgb(DETECTED), lw=0.5 * size)
    axes.plot(*detected.T, ls="", marker="o", ms=1.3 * size, color=_rgb(DETECTED), mec=_HALO, mew=0.25 * size)


def _rgb(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255
