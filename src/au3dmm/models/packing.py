"""Frames that are there before those that are not: what lets causal networks take clips padded on the left."""

from __future__ import annotations

import torch
from torch import Tensor


class Packing:
    """Where the frames of B clips of L go when those that are there come first, in their order, and padding last.

    Nothing that looks back only sees the padding then, and the first frame that is there is the first.

    Parameters
    ----------
    padding : (B, L) bool Tensor or None
        True where there is no frame; None: all are.
    """

    def __init__(self, padding: Tensor | None) -> None:
        self._to: Tensor | None = None
        if padding is not None:
            there = (~padding).long()
            n_there = there.sum(dim=1, keepdim=True)
            self._to = torch.where(padding, n_there + padding.long().cumsum(1), there.cumsum(1)) - 1

    def pack(self, x: Tensor) -> Tensor:
        """Return frames (B, L, ...) with those first that are there."""
        return x if self._to is None else torch.zeros_like(x).scatter(1, self._at(x), x)

    def unpack(self, x: Tensor) -> Tensor:
        """Return packed frames (B, L, ...) where they were."""
        return x if self._to is None else x.gather(1, self._at(x))

    def _at(self, x: Tensor) -> Tensor:
        assert self._to is not None
        return self._to.view(*self._to.shape, *[1] * (x.ndim - 2)).expand_as(x)
