"""The frames of padded clips that are there: clips to rows of frames, and back."""

from __future__ import annotations

import torch
from torch import Tensor


class RealFrames:
    """M frames of B clips of L frames.

    In training only the frames that are there are computed, so that batch norms see nothing else; in evaluation all
    are (M = B L), which leaves no shape to the data and can be exported, and `there` says which count.

    Parameters
    ----------
    shape : (int, int)
        B and L.
    padding : (B, L) bool Tensor or None
        True where there is no frame.
    training : bool

    Attributes
    ----------
    there : (B, L) bool Tensor or None
        None: all frames are.
    """

    def __init__(self, shape: tuple[int, int], padding: Tensor | None, *, training: bool) -> None:
        self._shape = shape
        self.there = None if padding is None else ~padding
        self._rows: Tensor | None = None
        if training and self.there is not None:
            rows = torch.nonzero(self.there.flatten())[:, 0]
            if 0 < len(rows) < self.there.numel():  # of a batch without any frame all are computed, and none counts
                self._rows = rows

    def pick(self, clips: Tensor) -> Tensor:
        """Return (M, ...) of (B, L, ...)."""
        rows = clips.flatten(0, 1)
        return rows if self._rows is None else rows[self._rows]

    def spread(self, rows: Tensor) -> Tensor:
        """Return (B, L, ...) of (M, ...); zeros where nothing was computed."""
        if self._rows is not None:
            whole = rows.new_zeros(self._shape[0] * self._shape[1], *rows.shape[1:])
            rows = whole.index_copy(0, self._rows, rows)
        return rows.view(*self._shape, *rows.shape[1:])

    def masked(self, clips: Tensor, other: Tensor | float = 0.0) -> Tensor:
        """Return (B, L, ...) with `other` where no frame is."""
        if self.there is None:
            return clips
        there = self.there.view(*self._shape, *[1] * (clips.ndim - 2))
        return torch.where(there, clips, torch.as_tensor(other, dtype=clips.dtype, device=clips.device))

    def mean(self, clips: Tensor) -> Tensor:
        """Return the mean over each clip's frames (B, C) of (B, L, C); 0 of a clip without any."""
        if self.there is None:
            return clips.mean(1)
        n = self.there.sum(1, keepdim=True).clamp(min=1)
        return self.masked(clips).sum(1) / n
