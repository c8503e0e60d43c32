"""What an event frame is drawn on: one canvas per representation, with the formula of what it shows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core import accumulation
from au3dmm.core.painted_cells import PaintedCells
from au3dmm.core.painting import frame_buffer, image_of
from au3dmm.core.pixel_grid import PixelGrid, area_mean
from au3dmm.core.run_values import RunValues
from au3dmm.core.window_events import Part

_NOTHING = 128  # of a polarity frame, half way between darker (0) and brighter (255)
_FULL = 65535  # time surfaces are averaged in steps of 1 / 65535, and stored in steps of 1 / 255
_COUNT_STEP = 0.25  # events; cells that share pixels hold parts of events
_MOST_HALF = float(np.finfo(np.float16).max)
_OUTSIDE = 1 << 29  # beyond the end of any image, and two of them still fit 32 bits


@dataclass(frozen=True)
class Encoding:
    """What the stored numbers of a representation mean: ``value = (stored - zero) * scale``.

    Attributes
    ----------
    name : str
    channels : tuple of str
        What each channel holds.
    dtype : str
        Stored type: ``uint8``, ``uint16`` or ``float16``.
    scale, zero : float
        From stored numbers to values.
    unit : str
        Of values.
    formula : str
        Of a pixel of the sensor, and how cells are made of pixels.
    source : str
        Who proposed it, and where this departs from it.
    """

    name: str
    channels: tuple[str, ...]
    dtype: str
    scale: float
    zero: float
    unit: str
    formula: str
    source: str


class Canvas(ABC):
    """A representation in the making: cleared, given a window's events in order, and read.

    Attributes
    ----------
    encoding : Encoding
    """

    encoding: Encoding

    def __init__(self, grid: PixelGrid) -> None:
        self._grid = grid
        self._start = self._length = 0

    def clear(self, start_us: int, end_us: int) -> None:
        """Begin with the window ``[start_us, end_us)``."""
        self._start, self._length = start_us, end_us - start_us
        self._clear()

    @abstractmethod
    def _clear(self) -> None: ...

    @abstractmethod
    def add(self, part: Part) -> None:
        """Add events that follow those added before, all of the window."""

    @abstractmethod
    def read(self) -> tuple[NDArray[Any], int]:
        """Return the frame, (C, H, W), and how many of its values were too large to be stored.

        To be read once: what it was drawn on may be cleared on the way.
        """


class PolarityCanvas(Canvas):
    """The polarity of the last event of each pixel."""

    encoding = Encoding(
        "polarity", ("polarity",), "uint8", 1 / 128, float(_NOTHING), "-1 darker, 0 none, 1 brighter",
        "stored 0, 128 or 255: the last event of the pixel was darker, none, brighter; cells: mean of area, rounded",
        "Prophesee OpenEB, PeriodicFrameGenerationAlgorithm (last event of a pixel wins)",
    )  # fmt: skip

    def __init__(self, grid: PixelGrid) -> None:
        super().__init__(grid)
        y0, y1, x0, x1 = grid.box
        self._buffer = frame_buffer(*grid.sensor)
        self._image = image_of(self._buffer, *grid.sensor)
        self._view = self._image[y0:y1, x0:x1]
        self._few = PaintedCells(self._image, grid, _NOTHING) if PaintedCells.suits(self._image, grid) else None
        self._blank = False

    @property
    def buffer(self) -> NDArray[np.uint8]:
        """What to paint on; see `frame_buffer`."""
        self._blank = False
        return self._buffer

    def _clear(self) -> None:
        if not self._blank:
            self._view[:] = _NOTHING

    def add(self, part: Part) -> None:
        """See `Canvas.add`."""
        self._blank = False
        accumulation.paint(part.events.words, part.events.run_at, part.first_run, part.end_run, self._image)

    def read(self) -> tuple[NDArray[Any], int]:
        """See `Canvas.read`."""
        cells = self._few.take() if self._few is not None else None
        self._blank = cells is not None
        if cells is None:
            cells = area_mean(self._view, 1, self._grid)
        return self._grid.enlarge(cells), 0


class _SurfaceCanvas(Canvas):
    """When the last event of each pixel and polarity was, by some function of time."""

    def __init__(self, grid: PixelGrid) -> None:
        super().__init__(grid)
        y0, y1, x0, x1 = grid.box
        # per pixel darker and brighter beside each other, and a last entry for what lies outside the box
        self._image = np.zeros((y1 - y0) * (x1 - x0) * 2 + 1, np.uint16)
        self._row = _offsets(grid.rows.pixel, (x1 - x0) * 2, _OUTSIDE)
        self._column = _offsets(grid.columns.pixel, 2, _OUTSIDE)
        self._runs = RunValues(np.uint16)

    def _clear(self) -> None:
        self._image[:] = 0

    def add(self, part: Part) -> None:
        """See `Canvas.add`."""
        if len(part):
            self._evaluate(part)
            runs = self._runs
            accumulation.stamp(
                part.events.words, part.first_event, runs.values, runs.ends, runs.n, self._row, self._column,
                self._image,
            )  # fmt: skip

    @abstractmethod
    def _evaluate(self, part: Part) -> None:
        """Set the value of each run, 0 to _FULL."""

    def read(self) -> tuple[NDArray[Any], int]:
        """See `Canvas.read`."""
        y0, y1, _, _ = self._grid.box
        image = self._image[:-1].reshape(y1 - y0, -1)
        return self._grid.enlarge(area_mean(image, 2, self._grid, _FULL // 255)), 0


class TimeSurfaceCanvas(_SurfaceCanvas):
    """Exponential decay since the last event."""

    def __init__(self, grid: PixelGrid, tau_us: float) -> None:
        super().__init__(grid)
        self._tau = float(tau_us)
        self._table = np.zeros(1, np.uint16)
        self.encoding = Encoding(
            "time_surface", ("negative", "positive"), "uint8", 1 / 255, 0.0, "1 at the window's end, 0 without event",
            f"exp(-(t_end_us - t_last_us) / {tau_us:g}), t_last_us: last event of the pixel and polarity in the window,"
            " in steps of 1/65535; cells: mean of area, rounded to 1/255",
            "Lagorce et al. 2017 (HOTS), read at the window's end and without events before its start",
        )  # fmt: skip

    def _clear(self) -> None:
        super()._clear()
        # ages up to the window's length, or up to one that is nothing at this precision, as all after it are
        longest = min(self._length, int(np.ceil(np.log(2 * _FULL) * self._tau)))
        if len(self._table) < longest + 2:
            age = np.arange(longest + 2)
            self._table = np.floor(_FULL * np.exp(-age / self._tau) + 0.5).astype(np.uint16)

    def _evaluate(self, part: Part) -> None:
        self._runs.look_up(part, self._start + self._length, self._table)


class LastTimeCanvas(_SurfaceCanvas):
    """The time of the last event, linear in the window."""

    encoding = Encoding(
        "last_time", ("negative", "positive"), "uint8", 1 / 255, 0.0, "1 at the window's end, 0 without event",
        "(t_last_us - t_start_us + 1) / (t_end_us - t_start_us), t_last_us: last event of the pixel and polarity in the"
        " window, in steps of 1/65535; cells: mean of area, rounded to 1/255",
        "surface of active events, linear in time (Prophesee OpenEB, timesurface preprocessing); + 1 so that an event"
        " at the start is not nothing",
    )  # fmt: skip

    def _evaluate(self, part: Part) -> None:
        self._runs.linear(part, self._start, self._length, _FULL)


class _SumCanvas(Canvas):
    """Planes of cells to which events are added by their shares of pixels.

    All that is added is a whole number, and float64 holds whole numbers exactly, so sums do not depend on their order.
    """

    def __init__(self, grid: PixelGrid, planes: int) -> None:
        super().__init__(grid)
        height, width = grid.cells
        # a row and a column more, which get nothing: the last cells share with nobody
        self._cells = np.zeros((planes, height + 1, width + 1))
        self._tables = (
            _offsets(grid.rows.cell, width + 1), grid.rows.share, _offsets(grid.columns.cell, 1), grid.columns.share,
            np.uint32(width + 1), np.uint32((height + 1) * (width + 1)), self._cells.reshape(-1),
        )  # fmt: skip

    def _clear(self) -> None:
        self._cells[:] = 0


class CountCanvas(_SumCanvas):
    """Events per cell and polarity."""

    def __init__(self, grid: PixelGrid) -> None:
        super().__init__(grid, 2)
        step = 1.0 if grid.whole_pixels else _COUNT_STEP
        self._weight = grid.area_weight * step
        self.encoding = Encoding(
            "count", ("negative", "positive"), "uint8", step, 0.0, "events",
            "number of events of the polarity; cells: sum over area, the events of a pixel that cells share divided by"
            f" area; rounded to {step:g} event, at most {255 * step:g} (n_saturated: values above it)",
            "Maqueda et al. 2018 (a histogram per polarity)",
        )  # fmt: skip

    def add(self, part: Part) -> None:
        """See `Canvas.add`."""
        accumulation.count(part.events.words, part.events.run_at, part.first_run, part.end_run, *self._tables)

    def read(self) -> tuple[NDArray[Any], int]:
        """See `Canvas.read`."""
        out = np.empty((2, *self._grid.cells), np.uint8)
        saturated = accumulation.quantise(self._cells, self._weight, 255, out)
        return self._grid.enlarge(out), int(saturated)


class VoxelCanvas(_SumCanvas):
    """Polarities in bins of time."""

    def __init__(self, grid: PixelGrid, bins: int) -> None:
        super().__init__(grid, bins + 1)  # one bin more, which gets nothing
        self._bins = bins
        self._runs = RunValues(np.uint32, np.float64)
        self.encoding = Encoding(
            "voxel", tuple(f"bin_{k}" for k in range(bins)), "float16", 1.0, 0.0, "events, darker ones negative",
            f"sum over events of p max(0, 1 - |b - {bins - 1} (t_us - t_start_us) / (t_end_us - t_start_us)|), p: -1 or"
            " 1, b: bin; cells: sum over area, the events of a pixel that cells share divided by area",
            "Zhu et al. 2019 (discretised event volume), eq. 1-3; time runs from the window's start to its end, not"
            " from its first event to its last, so that a bin is the same stretch of time in every frame; events lie"
            " on whole pixels",
        )  # fmt: skip

    def add(self, part: Part) -> None:
        """See `Canvas.add`."""
        if len(part):
            runs, plane = self._runs, self._cells[0].size
            runs.bins(part, self._start, self._length, self._bins, plane)
            accumulation.add_bilinear(
                part.events.words, part.first_event, runs.values, runs.rest, runs.ends, runs.n, float(self._length),
                *self._tables,
            )  # fmt: skip

    def read(self) -> tuple[NDArray[Any], int]:
        """See `Canvas.read`."""
        cells = np.ascontiguousarray(self._cells[: self._bins, :-1, :-1])
        values = np.zeros(cells.shape, np.float16)
        some = np.flatnonzero(cells != 0)  # most are nothing, and rounding to 16 bits is slow
        exact = cells.reshape(-1)[some] / (self._grid.area_weight * self._length)
        values.reshape(-1)[some] = np.clip(exact, -_MOST_HALF, _MOST_HALF)
        return self._grid.enlarge(values), int(np.count_nonzero(np.abs(exact) > _MOST_HALF))


class BinaryCanvas(Canvas):
    """In which slices of the window there was an event, one bit each."""

    def __init__(self, grid: PixelGrid, bits: int) -> None:
        super().__init__(grid)
        self._bits = bits
        dtype: type[np.unsignedinteger] = np.uint8 if bits <= 8 else np.uint16
        self._cells = np.zeros(grid.cells, dtype)
        self._runs = RunValues(dtype)
        self._tables = (
            _offsets(grid.rows.centre_cell, grid.cells[1]), _inside(grid.rows.centre_cell, dtype),
            _offsets(grid.columns.centre_cell, 1), _inside(grid.columns.centre_cell, dtype), self._cells.reshape(-1),
        )  # fmt: skip
        self.encoding = Encoding(
            "tbr", ("binary",), np.dtype(dtype).name, 1 / (2**bits - 1), 0.0, "0 to 1",
            f"bit i is set if there was an event, of whatever polarity, in slice i of the {bits} equal slices of the"
            f" window, i = floor({bits} (t_us - t_start_us) / (t_end_us - t_start_us)): the last slice is the most"
            " significant bit; cells: any event on a pixel whose centre lies in the cell",
            "Innocenti et al. 2021, Temporal Binary Representation; order of bits as in the code of FACEMORPHIC",
        )  # fmt: skip

    def _clear(self) -> None:
        self._cells[:] = 0

    def add(self, part: Part) -> None:
        """See `Canvas.add`."""
        if len(part):
            runs = self._runs
            runs.slice_bit(part, self._start, self._length, self._bits)
            accumulation.mark(part.events.words, part.first_event, runs.values, runs.ends, runs.n, *self._tables)

    def read(self) -> tuple[NDArray[Any], int]:
        """See `Canvas.read`."""
        return self._grid.enlarge(self._cells[None].copy()), 0


def _offsets(number: NDArray[np.int64], step: int, outside: int = 0) -> NDArray[np.uint32]:
    """Return ``step * number`` by pixel, `outside` where that is -1."""
    return np.where(number < 0, outside, number * step).astype(np.uint32)


def _inside(number: NDArray[np.int64], dtype: type[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    return np.where(number < 0, 0, np.iinfo(dtype).max).astype(dtype)
