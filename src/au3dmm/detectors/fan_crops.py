"""Cuts face crops for 3D-FAN out of images, with the geometry that its weights were trained for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

CROP_PX = 256
_BOX_SUM = 195.0  # a box whose width and height add up to this fills ...
SIDE_PX = 200.0  # ... a crop of this side; a crop's scale is its side in units of it
_RAISED = 0.12  # of the box's height, by which the crop's centre lies above the box's

# From the box around the 68 landmarks to the one that S3FD would draw: it leaves out the ears and takes in part of the
# forehead. The sum of its sides is known from the library's published reference landmarks (their 3 px grid tells the
# crop's side: 1.04 times the sum of the landmarks' sides); its proportions are those of faces in WIDER FACE.
_EARS = 0.075
_FOREHEAD = 0.27


def crop_frames(boxes_px: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where crops lie that belong to boxes.

    Parameters
    ----------
    boxes_px : (N, 4) array
        x0, y0, x1, y1, as S3FD draws them, px.

    Returns
    -------
    centres_px : (N, 2) float64 array
        x, y of the crops' centres, px.
    scales : (N,) float64 array
        Their sides, in units of 200 px.

    Examples
    --------
    >>> crop_frames(np.array([[0.0, 0.0, 95.0, 100.0]]))
    (array([[47.5, 38. ]]), array([1.]))
    """
    # sums are written as the library writes them, so that they round the same way
    boxes = np.asarray(boxes_px, np.float64)
    size = boxes[:, 2:] - boxes[:, :2]
    centres = boxes[:, 2:] - size / 2.0
    centres[:, 1] = centres[:, 1] - size[:, 1] * _RAISED
    return centres, (boxes[:, 2] - boxes[:, 0] + boxes[:, 3] - boxes[:, 1]) / _BOX_SUM


def box_of_landmarks(landmarks_px: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the box (4,) that S3FD would draw, about, around landmarks (68, 2 or 3), px."""
    low, high = landmarks_px[:, :2].min(0).astype(np.float64), landmarks_px[:, :2].max(0).astype(np.float64)
    width, height = high - low
    return np.array([low[0] + _EARS * width, low[1] - _FOREHEAD * height, high[0] - _EARS * width, high[1]])


def cut_crop(
    image: NDArray[np.uint8], centre_px: NDArray[np.float64], scale: float, device: str = "cpu"
) -> torch.Tensor:
    """Cut one crop, resampled on the device; what lies outside the image is black.

    Where the library cuts whole px, this cuts where it would have cut on average, at any fraction of a px: so the crop
    does not move in steps while the box glides, and landmarks keep the library's place in the mean. Where a crop is
    shrunk, a px is the mean of those under it (the library picks two by two, which aliases).

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        RGB.
    centre_px, scale : (2,) array, float
        Of `crop_frames`.
    device : str
        Of torch; only the part of the image that is needed goes there.

    Returns
    -------
    (3, 256, 256) float32 tensor
        0 to 1, RGB.
    """
    import torch

    columns, across = _resampling(float(centre_px[0]), SIDE_PX * scale, image.shape[1], device)
    rows, down = _resampling(float(centre_px[1]), SIDE_PX * scale, image.shape[0], device)
    planes = torch.from_numpy(np.ascontiguousarray(image[rows, columns])).to(device).permute(2, 0, 1)
    return down @ planes.to(torch.float32) @ across.T / 255.0


def _resampling(centre: float, side: float, length: int, device: str) -> tuple[slice, torch.Tensor]:
    """Return which px of a row a crop needs, and their weights (256, n) in the crop's px.

    The library cuts the px from trunc(c - s/2 + s/256) up to trunc(c + s/2); truncation takes half a px on average, and
    px `i` reaches from i to i + 1 there, from i - 0.5 to i + 0.5 here.
    """
    import torch

    begin = centre - side / 2 + side / CROP_PX - 0.5
    step = (side - side / CROP_PX) / CROP_PX
    places = begin + (np.arange(CROP_PX) + 0.5) * step - 0.5
    reach = max(1.0, step)
    first = min(max(0, int(np.floor(places[0] - reach))), length)
    last = max(first, min(length, int(np.ceil(places[-1] + reach)) + 1))
    around = np.arange(int(np.floor(-reach)) - 1, int(np.ceil(reach)) + 2)
    total = np.maximum(0.0, 1 - np.abs(np.floor(places)[:, None] + around - places[:, None]) / reach).sum(1)
    # the large matrix is made where it is needed, in float32: its numbers are distances within the crop
    at, sums = (torch.from_numpy(v.astype(np.float32)).to(device)[:, None] for v in (places - first, total))
    px = torch.arange(last - first, device=device, dtype=torch.float32)
    return slice(first, last), (1 - (px - at).abs() / reach).clamp_min(0) / sums
