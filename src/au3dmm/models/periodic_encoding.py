"""Periodic positional encoding (Fan et al. 2022, FaceFormer): sines of a frame's place within a period."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def periodic_encoding(n: int, dim: int, period: int) -> Tensor:
    """Return the encodings of the places 0 to n - 1.

    ``PPE(j, 2 i) = sin((j mod P) / 10000^(2 i / d))`` and ``PPE(j, 2 i + 1)`` the cosine of the same. AU-D3DFace, eq.
    3, prints the exponent 2 j / d, with which all dimensions of a frame would be equal; 2 i / d is that of FaceFormer,
    which it cites, and of Vaswani et al. 2017.

    Parameters
    ----------
    n : int
        Number of places.
    dim : int
        Size of an encoding, d; even.
    period : int
        P, frames.

    Returns
    -------
    (n, dim) float32 Tensor

    Raises
    ------
    ValueError
        If `dim` is odd.

    Examples
    --------
    >>> periodic_encoding(3, 2, 2)
    tensor([[0.0000, 1.0000],
            [0.8415, 0.5403],
            [0.0000, 1.0000]])
    """
    if dim % 2:
        raise ValueError(f"dim is {dim}, expected an even number: a sine and a cosine of each frequency")
    place = (torch.arange(n) % period).double()[:, None]
    angle = place / 10_000 ** (torch.arange(0, dim, 2).double() / dim)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1).float()


class PeriodicEncoding(nn.Module):
    """Encodings of places of any number, with one period kept in memory; it has no parameters.

    Parameters
    ----------
    dim, period : int
        As in `periodic_encoding`.
    """

    def __init__(self, dim: int, *, period: int) -> None:
        super().__init__()
        self.period = period
        # made again with the network, so that checkpoints need not hold it
        self.register_buffer("table", periodic_encoding(period, dim, period), persistent=False)
        self.table: Tensor

    def forward(self, first: int, n: int) -> Tensor:
        """Return the encodings (n, dim) of the places `first` to ``first + n - 1``."""
        return self.table[(torch.arange(n, device=self.table.device) + first) % self.period]
