"""Frames as they are stored, cropped and resized by loaders; and as numbers that a network sees, on its device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from au3dmm.training.augmentation import Change

RGB = "rgb"
_COUNTED = ("count", "voxel")  # without a natural end: a few events are told apart better than many
_SIGNED = ("polarity", "voxel")


@dataclass(frozen=True)
class Scaling:
    """From stored numbers to what a network sees.

    Attributes
    ----------
    name : str
        The representation; ``rgb`` for RGB frames.
    channels : int
        Of a frame.
    scale, zero : float
        ``value = (stored - zero) * scale``, as the table says.
    """

    name: str
    channels: int
    scale: float
    zero: float

    def apply(self, pixels: Tensor, gain: Tensor, bias: Tensor, padding: Tensor) -> Tensor:
        """Return frames as float32 in 0 to 1; 0 where there is no frame.

        Counts become ``sign(v) log2(1 + |v|) / 4`` (15 events are 1); of what has a sign, 0.5 is no event.

        Parameters
        ----------
        pixels : (B, L, C, H, W) tensor
            As stored.
        gain, bias : (B,) tensors
            Of the clip; see `Change`.
        padding : (B, L) bool tensor
            True where there is no frame.
        """
        value = (pixels.to(torch.float32) - self.zero) * self.scale
        if self.name in _COUNTED:
            value = value.sign() * value.abs().log1p() * (1 / (4 * math.log(2)))
        if self.name in _SIGNED:
            gain, bias = gain / 2, bias + 0.5
        shape = (-1, 1, 1, 1, 1)
        value = (value * gain.view(shape) + bias.view(shape)).clamp(0.0, 1.0)
        return value.masked_fill(padding[:, :, None, None, None], 0.0)

    def described(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return {"name": self.name, "channels": self.channels, "scale": self.scale, "zero": self.zero}


_SIDE_BY_SIDE = 3


def _resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize frames (L, C, H, W), bilinear, each pixel by all that it covers.

    torch resizes three channels of bytes in the time of one: frames go three at a time, with the same bits.
    """

    def resized(some: Tensor) -> Tensor:
        return F.interpolate(some, size, mode="bilinear", antialias=True, align_corners=False)

    planes = frames.flatten(0, 1)
    n = len(planes) - len(planes) % _SIDE_BY_SIDE
    if frames.dtype != torch.uint8 or frames.shape[1] >= _SIDE_BY_SIDE or not n:
        return resized(frames)
    together = resized(planes[:n].reshape(-1, _SIDE_BY_SIDE, *planes.shape[1:])).flatten(0, 1)
    if n < len(planes):
        together = torch.cat([together, resized(planes[n:, None])[:, 0]])
    return together.reshape(*frames.shape[:2], *size)


def cut(pixels: NDArray[Any], change: Change, image_px: int, scaling: Scaling) -> Tensor:
    """Crop, mirror and resize the frames of a clip, and take events away.

    Bilinear with the area of larger cells taken into account; the bits of `tbr` cannot be averaged, so that there the
    nearest pixel is taken.

    Parameters
    ----------
    pixels : (L, C, H, W) array
        As stored.
    change : Change
        What is done.
    image_px : int
        Side of the result, px.
    scaling : Scaling
        Its `zero` is where there are no events.

    Returns
    -------
    (L, C, image_px, image_px) tensor
        uint8 if the frames are, otherwise float32; not yet scaled.
    """
    height, width = pixels.shape[2:]
    top, left, h, w = change.box
    y0, x0 = round(top * height), round(left * width)
    y1, x1 = max(y0 + 1, round((top + h) * height)), max(x0 + 1, round((left + w) * width))
    seen = pixels[:, :, y0:y1, x0:x1]
    whole = torch.from_numpy(np.ascontiguousarray(seen if seen.dtype == np.uint8 else seen.astype(np.float32)))
    if whole.shape[2:] != (image_px, image_px):
        size = (image_px, image_px)
        if scaling.name == "tbr":
            whole = F.interpolate(whole, size, mode="nearest-exact")
        else:
            whole = _resized(whole, size)
    if change.flip:
        whole = whole.flip(-1)
    if change.dropout > 0:
        rng = np.random.default_rng(change.seed)
        shape = (whole.shape[0], 1, image_px, image_px)  # a pixel's channels hold the same events
        lost = torch.from_numpy(rng.integers(0, 256, shape, np.uint8) < round(256 * change.dropout))
        whole = whole.masked_fill(lost, scaling.zero)
    return whole
