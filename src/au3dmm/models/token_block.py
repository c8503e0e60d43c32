"""A linear layer over the places of a map, with batch norm and ReLU: what MDHR is made of."""

from __future__ import annotations

import math

from torch import Tensor, nn


class TokenBlock(nn.Module):
    """``ReLU(BN(W dropout(x) + b))`` at each of P places: (M, P, n_in) to (M, P, n_out).

    Parameters
    ----------
    n_in, n_out : int
    dropout : float
    fan : int, optional
        Weights begin as normal numbers of variance ``2 / fan``; default: `n_out`.
    """

    def __init__(self, n_in: int, n_out: int, *, dropout: float = 0.0, fan: int | None = None) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(n_in, n_out)
        self.norm = nn.BatchNorm1d(n_out)
        nn.init.normal_(self.linear.weight, std=math.sqrt(2 / (fan or n_out)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (M, P, n_out) of (M, P, n_in), not below 0."""
        y: Tensor = self.linear(self.dropout(x))
        y = self.norm(y.flatten(0, 1)).view_as(y)
        return y.relu()
