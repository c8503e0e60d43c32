"""A strip of instants for print: RGB frame, event frame and the head coloured by displacement, one below the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError
from au3dmm.io.labelled_session import LabelledSession
from au3dmm.report.fit_overlay import choose_frames
from au3dmm.report.fitted_head import mean_head
from au3dmm.report.mesh_views import HEAT
from au3dmm.report.moments import EventPictures, MeshPictures, Moments, read_moments, regressed, rgb_images
from au3dmm.report.overlay import cut_square
from au3dmm.report.plots_coefficients import Curves, draw_curve, draw_gaps, read_curves
from au3dmm.report.plots_style import COLOURS, FAINT, INK, PRINT_DPI, figure_bytes, print_style, title_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TOP, _FOOT, _LEFT, _RIGHT, _GAP, _HEAD, _CURVES = 0.36, 0.34, 0.2, 0.04, 0.03, 0.13, 0.75  # inches
_BAR = 0.46  # inches: room for the bar at the right
_SHOWN = 3  # curves; one less in a narrow picture
_NARROW = 5.0  # inches


def draw_frames(
    session: LabelledSession,
    width: float,
    suffix: str = ".png",
    dpi: int = PRINT_DPI,
    *,
    n: int = 6,
    at_s: Sequence[float] = (),
    predictions: Path | None = None,
    rgb: bool = True,
    progress: Callable[[int, int | None], None] | None = None,
) -> bytes:
    """Return the picture as the bytes of a PNG, SVG or PDF; equal sessions give equal bytes.

    After FACEMORPHIC, Fig. 4: the head from the front, coloured by how far the coefficients move it from neutral.

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
        Instants, where `at_s` does not name them: the quietest, and active ones spread over the recording.
    at_s : sequence of float
        Instants, s from the first event frame.
    predictions : Path, optional
        ``predictions.parquet``: one more row, of what a trained model says, on the mean head.
    rgb : bool
        Whether to show RGB frames, and the person's own head; otherwise the mean head stands for it.
    progress : callable, optional
        Told how many instants were drawn.

    Raises
    ------
    SessionError
        If the recording is not there.
    SchemaError
        If a table or the basis is not there, or not what it should be.
    ConfigError
        If an instant lies outside the recording.
    """
    moments = read_moments(session)
    rows = _rows_at(moments, at_s) if at_s else _chosen(moments, n)
    curves = read_curves(session.file("labels"))
    said, model = (None, "") if predictions is None else regressed(predictions, moments, session.bases())
    nobody = mean_head(moments.bases)
    meshes = MeshPictures(moments.person if rgb else nobody, moments.alpha)
    names = [*(["RGB"] if rgb else []), "events", "fitted", *([model] if model else [])]
    shown = _frames_read(session, moments, rows) if rgb else {}
    palette = "light"
    events = EventPictures(moments.events, moments.info, palette)
    guessed = MeshPictures(nobody, moments.alpha, largest_mm=meshes.largest_mm)
    with print_style():
        figure, cells, bar, room = _sheet(len(rows), names, width, _title(moments), _told(moments, rows, rgb, model))
        cell_px = max(round(cells[0][0].get_position().width * width * dpi), 64)
        for i, row in enumerate(rows.tolist()):
            column: list[NDArray[np.uint8] | None] = [events.picture(row)]
            if rgb:
                image = shown.get(int(moments.rgb_frame[row]))
                column.insert(0, None if image is None else cut_square(image, *moments.square_at(cell_px), cell_px))
            column.append(meshes.picture(moments.alpha[row], cell_px) if moments.ok[row] else None)
            if said is not None:
                column.append(guessed.picture(said[row], cell_px) if np.isfinite(said[row]).all() else None)
            for axes, picture in zip(cells[i], column, strict=True):
                _show(axes, picture, framed=picture is None or picture is column[int(rgb)])
            cells[i][0].set_title(f"{moments.t_s[row]:.2f} s", pad=1.5, fontsize=6.5, color=INK)
            if progress:
                progress(i + 1, len(rows))
        _draw_bar(bar, meshes.largest_mm)
        _draw_curves(room, curves, moments.t_s[rows], _SHOWN - (width < _NARROW))
        return figure_bytes(figure, suffix, dpi)


def _title(moments: Moments) -> str:
    return f"{moments.session_id}{' (DEMO basis)' if moments.bases.is_demo else ''}"


def _told(moments: Moments, rows: NDArray[np.int64], rgb: bool, model: str) -> str:
    text = f"{len(rows)} of N = {len(moments.ok)} event frames, {int(moments.ok.sum())} of them with values"
    if model or not rgb:
        text += "; on the mean head" if not rgb else f"; {model}: on the mean head"
    return text


def _chosen(moments: Moments, n: int) -> NDArray[np.int64]:
    marks = moments.bases.landmarks()[2]
    return choose_frames(moments.alpha, marks, moments.t_us, moments.ok, n)


def _rows_at(moments: Moments, at_s: Sequence[float]) -> NDArray[np.int64]:
    t_s = moments.t_s
    for t in at_s:
        if not t_s[0] - 0.5 <= t <= t_s[-1] + 0.5:
            raise ConfigError(
                f"--at {t:g}: expected seconds between 0 and {t_s[-1]:.2f}, from the first event frame on"
            )
    return np.unique([int(np.abs(t_s - t).argmin()) for t in at_s])


def _frames_read(
    session: LabelledSession, moments: Moments, rows: NDArray[np.int64]
) -> dict[int, NDArray[np.uint8] | None]:
    wanted = np.unique(moments.rgb_frame[rows])
    wanted = wanted[wanted >= 0]
    return dict(zip(wanted.tolist(), rgb_images(session.recorded(), wanted), strict=True))


def _sheet(
    n: int, names: Sequence[str], width: float, title: str, told: str
) -> tuple[Figure, list[list[Axes]], Axes, Axes]:
    """Lay out n columns of square pictures, the bar beside the lowest, and room for curves below."""
    from matplotlib.figure import Figure

    side = (width - _LEFT - _BAR - _RIGHT - (n - 1) * _GAP) / n
    high = len(names) * (side + _GAP)
    height = _TOP + _HEAD + high + 0.18 + _CURVES + _FOOT
    figure = Figure(figsize=(width, height))

    def place(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    top = _TOP + _HEAD
    cells = [
        [place(_LEFT + i * (side + _GAP), top + k * (side + _GAP), side, side) for k in range(len(names))]
        for i in range(n)
    ]
    for axes in (axes for column in cells for axes in column):
        axes.set_xticks([])
        axes.set_yticks([])
    for k, name in enumerate(names):
        y = 1 - (top + k * (side + _GAP) + side / 2) / height
        figure.text(_LEFT / 2 / width, y, name, rotation=90, ha="center", va="center", color=INK, fontsize=6.5)
    first = names.index("fitted")
    bar = place(width - _BAR - _RIGHT + 0.08, top + first * (side + _GAP) + 0.1 * side, 0.07, 0.8 * side)
    room = place(_LEFT + 0.18, top + high + 0.18, width - _LEFT - 0.18 - _BAR - _RIGHT, _CURVES)
    figure.text(
        0.06 / width, 1 - 0.05 / height, title, weight="bold", va="top", color=INK, fontsize=title_size(title, width)
    )
    figure.text(0.06 / width, 1 - 0.2 / height, told, va="top", color=FAINT, fontsize=6)
    return figure, cells, bar, room


def _show(axes: Axes, picture: NDArray[np.uint8] | None, *, framed: bool) -> None:
    for spine in axes.spines.values():
        spine.set_visible(framed)
        spine.set_linewidth(0.4)
    if picture is None:
        axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes, color=FAINT, fontsize=6)
        return
    # "auto" averages pictures that are larger than they are shown, and keeps the pixels of smaller ones
    axes.imshow(picture, interpolation="auto", aspect="auto")


def _draw_bar(axes: Axes, largest_mm: float) -> None:
    axes.imshow(HEAT[::-1, None], aspect="auto", extent=(0, 1, 0, largest_mm), interpolation="none")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.tick_params(labelsize=6, colors=INK)
    axes.set_title("mm", fontsize=6, color=INK, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_curves(axes: Axes, curves: Curves, at_s: NDArray[np.float64], most: int) -> None:
    draw_gaps(axes, curves)
    handles: list[Any] = []
    for k, colour in zip(curves.strongest(most), COLOURS, strict=False):
        line = draw_curve(axes, curves, k, colour)
        line.set_label(curves.names[k])
        handles.append(line)
    for t in at_s:
        axes.axvline(t, color=FAINT, lw=0.5, ls=(0, (2, 2)), zorder=0)
    axes.set_xlim(0, max(float(curves.t_s[-1]), 1e-3))
    axes.set_xlabel("s from the first event frame", color=INK, labelpad=1)
    axes.set_ylabel("sd", color=INK, labelpad=1)
    axes.tick_params(colors=INK)
    where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 0.97), "ncols": _SHOWN, "borderpad": 0.0}
    axes.legend(handles=handles, frameon=False, fontsize=6, handlelength=1.2, **where)
