"""AU-D3DFace's spatial module: a token per action unit from the vertices it moves, and their relations (sec. 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from au3dmm.models.post_norm import PostNormEncoderLayer


class UnitTokens(nn.Module):
    """One token per action unit from a face's motion within the unit's vertex mask (eq. 7).

    ``v_k = MLP(M_k (S_j - neutral))``. Motion comes as its R coordinates in a motion space, and masked motion as
    its coordinates ``P_k c`` in the span of the masked directions: a linear layer on them is one on the masked offsets
    of all vertices, and the other way round, as offsets outside of that span do not occur. The first layer of the MLP
    has weights for each unit (one layer on all vertices does the same: masks show it another part each); the second is
    shared.

    Parameters
    ----------
    n_motion : int
        R.
    n_units : int
        N.
    dim : int
        Size of a token.
    hidden : int
        Width between the two layers.

    Attributes
    ----------
    maps : (N, R, R) Tensor
        P_k, rows of zeros where a mask leaves fewer than R dimensions; kept in checkpoints. The identity at first: no
        unit is masked.
    """

    def __init__(self, *, n_motion: int, n_units: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("maps", torch.eye(n_motion).repeat(n_units, 1, 1))
        self.maps: Tensor
        bound = n_motion**-0.5
        self.weight = nn.Parameter(torch.empty(n_units, n_motion, hidden).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_units, hidden).uniform_(-bound, bound))
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, motion: Tensor) -> Tensor:
        """Return tokens (M, N, dim) of motion (M, R)."""
        # mask and first layer in one matrix per unit: it does not grow with the number of frames
        first = torch.einsum("ksr,ksh->krh", self.maps, self.weight)
        tokens: Tensor = self.rest(torch.einsum("mr,krh->mkh", motion, first) + self.bias)
        return tokens


class UnitRelations(nn.Module):
    """A transformer encoder over the tokens of units: each layer ``LN(MHS(v) + v)`` and FFN (eq. 8).

    Parameters
    ----------
    dim, depth, heads, mlp : int
    dropout : float
    """

    def __init__(self, dim: int, *, depth: int, heads: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            PostNormEncoderLayer(dim, heads=heads, mlp=mlp, dropout=dropout) for _ in range(depth)
        )

    def forward(self, tokens: Tensor, extra: Tensor | None = None) -> Tensor:
        """Return spatial embeddings (M, N, dim) of tokens (M, N, dim).

        With `extra` (M, dim), one more token that the others may look at; it is not returned.
        """
        n = tokens.shape[1]
        x = tokens if extra is None else torch.cat([tokens, extra[:, None]], dim=1)
        for layer in self.layers:
            x = layer(x)
        return x[:, :n]
