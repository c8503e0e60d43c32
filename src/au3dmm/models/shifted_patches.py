"""Shifted Patch Tokenisation: each patch is seen together with its surroundings.

Lee, Lee and Song, "Vision Transformer for Small-Size Datasets" (2021), eq. 3-5; FACEMORPHIC, eq. 3.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shift = Literal["diagonal_half", "cardinal_1px"]


def shifts_px(shift: Shift, patch_px: int) -> list[tuple[int, int]]:
    """Return where each of the five views of an image looks, as (down, right) in px; the first is (0, 0).

    Examples
    --------
    >>> shifts_px("diagonal_half", 16)
    [(0, 0), (-8, -8), (-8, 8), (8, -8), (8, 8)]
    """
    if shift not in get_args(Shift):
        raise ValueError(f"shift is {shift!r}, expected one of {', '.join(get_args(Shift))}")
    if shift == "diagonal_half":
        half = patch_px // 2
        return [(0, 0), (-half, -half), (-half, half), (half, -half), (half, half)]
    return [(0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)]


class ShiftedPatches(nn.Module):
    """Image to tokens: ``Linear(LayerNorm([x | s_1 | s_2 | s_3 | s_4]))`` over patches of p x p px.

    The view ``s`` of shift (dy, dx) holds ``x[row + dy, column + dx]`` at (row, column), and 0 outside of the image.
    Within a token the order is (view, channel, row, column), so that whole rows are copied; the released code has
    (row, column, view, channel), and its weights would have to be permuted.

    Parameters
    ----------
    dim : int
        Size of a token.
    image_px, patch_px, channels : int
    shift : {"diagonal_half", "cardinal_1px"}
        The paper's: four diagonal directions, half a patch. The other: one px left, right, up, down, as in the code
        from which the released weights seem to stem.
    """

    def __init__(self, dim: int, *, image_px: int, patch_px: int, channels: int, shift: Shift) -> None:
        super().__init__()
        if patch_px < 2 or image_px < patch_px or image_px % patch_px:
            raise ValueError(f"image_px = {image_px} is no multiple of patch_px = {patch_px}; make it one")
        self.patch_px = patch_px
        self.shifts = shifts_px(shift, patch_px)
        self.n_patches = (image_px // patch_px) ** 2
        size = len(self.shifts) * channels * patch_px**2
        self.norm = nn.LayerNorm(size)
        self.linear = nn.Linear(size, dim)

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens (N, n_patches, dim) of images (N, C, H, W), row by row."""
        rim = max(max(abs(dy), abs(dx)) for dy, dx in self.shifts)
        n, c, height, width = images.shape
        wide = F.pad(images, (rim, rim, rim, rim))
        views = [wide[:, :, rim + dy :, rim + dx :][:, :, :height, :width] for dy, dx in self.shifts]
        # (N, C, H, W) -> (N, rows, columns, C, p, p): strides of one image until stack copies them
        p = self.patch_px
        patches = [v.view(n, c, height // p, p, width // p, p).permute(0, 2, 4, 1, 3, 5) for v in views]
        tokens: Tensor = self.linear(self.norm(torch.stack(patches, dim=3).flatten(3).flatten(1, 2)))
        return tokens
