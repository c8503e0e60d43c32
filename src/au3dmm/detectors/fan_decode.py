"""Reads landmarks off 3D-FAN's heatmaps: to a fraction of a cell, or as the library does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from au3dmm.detectors.fan_crops import SIDE_PX

if TYPE_CHECKING:
    import torch

CELLS = 64
_REACH = 2  # cells on each side of the highest one that the peak is fitted to
_LEAST = 0.1  # of the peak: lower cells are background, not its flanks
_FURTHEST = 1.0  # cells; a fitted peak farther from the highest cell is noise
_KERNEL = np.exp(-0.5 * (np.arange(-6, 7) / 3.25) ** 2)  # how the depth network was shown a landmark, crop px


def decode_official(heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the library's peaks: the highest cell, a quarter of a cell towards its higher neighbour.

    Parameters
    ----------
    heatmaps : (N, 68, 64, 64) float32 tensor
        Of the network.

    Returns
    -------
    cells : (N, 68, 2) float32 tensor
        x, y in cells; a cell's centre lies at its index + 0.5.
    scores : (N, 68) float32 tensor
        Height of the peaks.
    """
    import torch

    column, row, height = _highest(heatmaps)
    inner = (column > 0) & (column < CELLS - 1) & (row > 0) & (row < CELLS - 1)
    rows, columns = row.clamp(1, CELLS - 2), column.clamp(1, CELLS - 2)
    across = _at(heatmaps, rows, columns + 1) - _at(heatmaps, rows, columns - 1)
    down = _at(heatmaps, rows + 1, columns) - _at(heatmaps, rows - 1, columns)
    quarter = 0.25 * torch.sign(torch.stack([across, down], -1)) * inner[..., None]
    return torch.stack([column, row], -1).to(torch.float32) + quarter + 0.5, height


def decode_subpixel(heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return peaks to a fraction of a cell: the top of a Gaussian fitted to the 5 x 5 cells around the highest one.

    Weighted least squares of a full quadratic to the heatmap's logarithm, with weights of height squared (Guo 2011, "A
    simple algorithm for fitting a Gaussian function"): exact for Gaussian peaks of any width and tilt. Where the cells
    are no peak (no top, or one farther than a cell away), their centroid weighted by height squared.

    Parameters, Returns
    -------------------
    As `decode_official`.
    """
    import torch

    column, row, height = _highest(heatmaps)
    steps = torch.arange(-_REACH, _REACH + 1, device=heatmaps.device)
    v, u = (grid.reshape(-1) for grid in torch.meshgrid(steps, steps, indexing="ij"))
    columns, rows = column[..., None] + u, row[..., None] + v
    inside = (columns >= 0) & (columns < CELLS) & (rows >= 0) & (rows < CELLS)
    around = _at(heatmaps, rows.clamp(0, CELLS - 1), columns.clamp(0, CELLS - 1)).to(torch.float64)
    top = height[..., None].to(torch.float64)
    share = torch.where(inside & (top > 0), around / top.clamp_min(1e-12), 0.0)
    used = share > _LEAST
    weight = torch.where(used, share**2, 0.0)
    x, y = u.to(torch.float64), v.to(torch.float64)
    terms = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], -1)  # (25, 6)
    products = (terms[:, :, None] * terms[:, None, :]).flatten(1)
    normal = (weight @ products).reshape(*weight.shape[:-1], 6, 6)
    right = (weight * torch.where(used, share, 1.0).log()) @ terms
    ridge = 1e-9 * torch.eye(6, dtype=torch.float64, device=heatmaps.device)
    # unchecked: a check would wait for the device, and what is no peak shows below
    solution, _ = torch.linalg.solve_ex(normal + ridge, right)
    _, b, c, d, e, f = solution.unbind(-1)
    determinant = 4 * d * f - e * e
    peaked = (d < 0) & (determinant > 1e-9)
    safe = torch.where(peaked, determinant, 1.0)
    fitted = torch.stack([(e * c - 2 * f * b) / safe, (e * b - 2 * d * c) / safe], -1)
    good = peaked & (fitted.abs() <= _FURTHEST).all(-1) & (used.sum(-1) >= 6)
    mass = weight.sum(-1).clamp_min(1e-12)
    centroid = torch.stack([(weight * x).sum(-1) / mass, (weight * y).sum(-1) / mass], -1)
    shift = torch.where(good[..., None], fitted, centroid)
    cells = torch.stack([column, row], -1) + shift + 0.5
    return cells.to(torch.float32), height


def to_image(cells: NDArray[np.floating], centre_px: NDArray[np.float64], scale: float) -> NDArray[np.float32]:
    """Return the landmarks (68, 2), px, of `cells` in the crop of `fan_crops.crop_frames`.

    The library cuts fractions of a px off, which takes half a px on average; so does this, and takes no more.
    """
    points = (cells.astype(np.float64) / CELLS - 0.5) * (SIDE_PX * scale) + centre_px - 0.5
    return points.astype(np.float32)


def drawn_points(cells: torch.Tensor, *, official: bool, size: int = 256) -> torch.Tensor:
    """Draw landmarks as the depth network was shown them: 13 x 13 px of a Gaussian each.

    Parameters
    ----------
    cells : (N, 68, 2) float32 tensor
        Of a decoder.
    official : bool
        As the library draws: on whole px, and shifted where the picture's left or upper border cuts the Gaussian off.
        Otherwise between px, too: linearly between the pictures of whole px.
    size : int
        Side of the pictures, px.

    Returns
    -------
    (N, 68, size, size) float32 tensor
    """
    import torch

    places = cells.to(torch.float64) * 4  # px of the crop; the library counts them from 1
    kernel = torch.from_numpy(_KERNEL).to(cells.device)
    px = torch.arange(1, size + 1, device=cells.device)
    first = torch.floor(places - 6)
    if official:
        skipped = torch.clamp(-first, min=1) - torch.clamp(first, min=1)
        taps = px + skipped[..., None]
        reached = (px >= first[..., None]) & (px <= torch.floor(places + 6)[..., None])
        profiles = torch.where(reached & (taps >= 1) & (taps <= 13), kernel[(taps - 1).clamp(0, 12).long()], 0.0)
    else:
        part = (places - 6 - first)[..., None]
        taps = px - first[..., None]
        padded = torch.nn.functional.pad(kernel, (2, 2))  # beside it: nothing
        lower, upper = (padded[(taps + 2 - step).clamp(0, 16).long()] for step in (0, 1))
        profiles = (1 - part) * lower + part * upper
    across, down = profiles.to(torch.float32).unbind(-2)
    return down[..., :, None] * across[..., None, :]


def _highest(heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    flat = heatmaps.flatten(2)
    height, index = flat.max(-1)
    return index % CELLS, index // CELLS, height


def _at(heatmaps: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Return values at cells (N, 68) or (N, 68, n)."""
    index = (rows * CELLS + columns).flatten(2) if rows.ndim == 3 else (rows * CELLS + columns)[..., None]
    return heatmaps.flatten(2).gather(2, index).reshape(rows.shape)
