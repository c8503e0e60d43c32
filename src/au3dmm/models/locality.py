"""Locality Self-Attention: no token looks at itself, and how sharply it looks is learnt.

Lee, Lee and Song, "Vision Transformer for Small-Size Datasets" (2021), eq. 6-8.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from au3dmm.models.transformer import Attention, FeedForward

Temperature = Literal["per_head", "per_layer"]


class LocalityAttention(Attention):
    """Attention ``softmax(mask(q k^T * tau)) v`` with the diagonal masked and tau learnt, 1 / sqrt(d) at first.

    Parameters
    ----------
    dim, heads, dim_head : int
    dropout : float
    temperature : {"per_head", "per_layer"}
        One tau per head (the code of LSA's authors), or one for all, kept as its logarithm (the released weights).
    """

    def __init__(self, dim: int, *, heads: int, dim_head: int, dropout: float, temperature: Temperature) -> None:
        super().__init__(dim, heads=heads, dim_head=dim_head, dropout=dropout)
        if temperature not in get_args(Temperature):
            raise ValueError(f"temperature is {temperature!r}, expected one of {', '.join(get_args(Temperature))}")
        self.per_head = temperature == "per_head"
        tau = dim_head**-0.5
        self.temperature = nn.Parameter(torch.full((heads,), tau) if self.per_head else torch.tensor(math.log(tau)))

    def forward(self, x: Tensor, *, keep: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """Return what each token (B, N, dim) gathers from the others; with `context`, which tokens those are."""
        q, k, v = self.project(self.norm(x), None if context is None else self.norm(context))
        tau = self.temperature.view(-1, 1, 1) if self.per_head else self.temperature.exp()
        return self.attend(q * tau.to(q.dtype), k, v, keep, scale=1.0)


class LocalityLayer(nn.Module):
    """Locality attention and feed-forward, each added to what came in."""

    def __init__(
        self, dim: int, *, heads: int, dim_head: int, mlp: int, dropout: float, temperature: Temperature
    ) -> None:
        super().__init__()
        self.attention = LocalityAttention(
            dim, heads=heads, dim_head=dim_head, dropout=dropout, temperature=temperature
        )
        self.feed_forward = FeedForward(dim, mlp=mlp, dropout=dropout)

    def forward(self, x: Tensor, others: Tensor) -> Tensor:
        """Return tokens (B, N, dim) after one layer; `others` (N, N) bool is False on the diagonal."""
        x = x + self.attention(x, keep=others)
        out: Tensor = x + self.feed_forward(x)
        return out

    def first_token(self, x: Tensor) -> Tensor:
        """Return `forward`'s first token (B, dim) alone, without computing the rest.

        It looks at all others and not at itself, so that no mask is needed.
        """
        first = x[:, :1] + self.attention(x[:, :1], context=x[:, 1:])
        out: Tensor = (first + self.feed_forward(first))[:, 0]
        return out


class LocalityEncoder(nn.Module):
    """Layers of locality attention over the patches of one image and a class token; answers the class token.

    Parameters
    ----------
    dim, n_patches, depth, heads, dim_head, mlp : int
    dropout, emb_dropout : float
    temperature : {"per_head", "per_layer"}
    """

    others: Tensor

    def __init__(
        self,
        dim: int,
        *,
        n_patches: int,
        depth: int,
        heads: int,
        dim_head: int,
        mlp: int,
        dropout: float,
        emb_dropout: float,
        temperature: Temperature,
    ) -> None:
        super().__init__()
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.positions = nn.Parameter(0.02 * torch.randn(1, n_patches + 1, dim))
        self.dropout = nn.Dropout(emb_dropout)
        layer = {"heads": heads, "dim_head": dim_head, "mlp": mlp}
        self.layers = nn.ModuleList(
            LocalityLayer(dim, dropout=dropout, temperature=temperature, **layer) for _ in range(depth)
        )
        self.register_buffer("others", ~torch.eye(n_patches + 1, dtype=torch.bool), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return one vector (N, dim) per image of tokens (N, n_patches, dim)."""
        x = self.dropout(torch.cat([self.cls.expand(tokens.shape[0], -1, -1), tokens], dim=1) + self.positions)
        *before, last = self.layers
        for layer in before:
            x = layer(x, self.others)
        # nothing reads the other tokens after the last layer: a fifth of the work of four layers
        assert isinstance(last, LocalityLayer)
        return last.first_token(x)
