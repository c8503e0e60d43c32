"""Post-norm transformer parts with keys and values that can be kept: what AU-D3DFace's two transformers share.

Unlike those of `transformer`, norms come after what is added, as in Vaswani et al. 2017 and eq. 6 and 8 of AU-D3DFace.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class HeadAttention(nn.Module):
    """Attention of several heads, ``softmax(q k^T / sqrt(d / heads)) v``, with biases, as in torch's own.

    Parameters
    ----------
    dim : int
        Size of a token, a multiple of `heads`.
    heads : int
    dropout : float
        Of the weights, in training.

    Raises
    ------
    ValueError
        If `heads` does not divide `dim`.
    """

    def __init__(self, dim: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim is {dim} with {heads} heads, expected a multiple of them")
        self.heads, self.dropout = heads, dropout
        self.to_q, self.to_kv, self.to_out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (B, heads, M, d / heads) of tokens (B, M, dim): what later queries look at."""
        k, v = self.to_kv(context).chunk(2, dim=-1)
        return self._by_head(k), self._by_head(v)

    def look(self, x: Tensor, keys: Tensor, values: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return what tokens x (B, N, dim) gather where `keep` (broadcasts to (B, heads, N, M)) is True."""
        q = self._by_head(self.to_q(x))
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, keys, values, attn_mask=keep, dropout_p=dropout)
        joined: Tensor = self.to_out(out.transpose(1, 2).flatten(2))
        return joined

    def forward(self, x: Tensor, context: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return what tokens x (B, N, dim) gather from `context` (B, M, dim)."""
        return self.look(x, *self.keys_values(context), keep)

    def _by_head(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Added(nn.Module):
    """``LN(x + dropout(y))``: what a part answers is added to what came in, and normed."""

    def __init__(self, dim: int, *, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(dim), nn.Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum of tokens x and y, normed."""
        out: Tensor = self.norm(x + self.dropout(y))
        return out


class TokenwisePart(nn.Module):
    """Linear, ReLU, linear, added and normed: the part of a layer that looks at each token alone (FFN).

    Eq. 6 and 8 print the FFN without a sum and a norm around it, the text speaks of "residual connections and layer
    normalization" between the parts; it is what Vaswani et al. and FaceFormer have.
    """

    def __init__(self, dim: int, *, mlp: int, dropout: float) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, mlp), nn.ReLU(), nn.Dropout(dropout), nn.Linear(mlp, dim))
        self.added = Added(dim, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens (..., dim) after the part."""
        out: Tensor = self.added(x, self.mlp(x))
        return out


class PostNormEncoderLayer(nn.Module):
    """``x1 = LN(MHS(x) + x)``, ``LN(FFN(x1) + x1)``: eq. 8 of AU-D3DFace.

    Parameters
    ----------
    dim, heads, mlp : int
    dropout : float
    """

    def __init__(self, dim: int, *, heads: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.attention = HeadAttention(dim, heads=heads, dropout=dropout)
        self.added = Added(dim, dropout=dropout)
        self.tokenwise = TokenwisePart(dim, mlp=mlp, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens (B, N, dim) after one layer."""
        out: Tensor = self.tokenwise(self.added(x, self.attention(x, x)))
        return out
