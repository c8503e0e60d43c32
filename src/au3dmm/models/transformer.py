"""Pre-norm transformer layers, and an encoder of sequences of frames with a class token.

The layers follow the lineage of the released weights: LayerNorm before attention and before the feed-forward part,
queries, keys and values without bias, GELU.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Positions = Literal["learned", "none"]


class Attention(nn.Module):
    """Attention of several heads over normed tokens: ``softmax(q k^T / sqrt(d)) v``.

    Parameters
    ----------
    dim : int
        Size of a token.
    heads, dim_head : int
        ``heads * dim_head`` need not be `dim`.
    dropout : float
        Of the attention's weights and of the output, in training.
    """

    def __init__(self, dim: int, *, heads: int, dim_head: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * dim_head, dim), nn.Dropout(dropout))

    def forward(self, x: Tensor, *, keep: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """Return what each token gathers from the others, to be added to it.

        Parameters
        ----------
        x : (B, N, dim) Tensor
        keep : bool Tensor that broadcasts to (B, heads, N, M), or None
            Which tokens may be looked at; at least one in every row.
        context : (B, M, dim) Tensor or None
            Tokens, normed already, to look at instead of `x`.

        Returns
        -------
        (B, N, dim) Tensor
        """
        q, k, v = self.project(self.norm(x), context)
        return self.attend(q, k, v, keep)

    def project(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (B, heads, N, d) of normed tokens `x`, keys and values (B, heads, M, d) of `context`."""
        if context is None:
            q, k, v = self.to_qkv(x).chunk(3, dim=-1)
        else:
            for_q, for_kv = self.to_qkv.weight.tensor_split([self.to_qkv.out_features // 3])
            q = F.linear(x, for_q)
            k, v = F.linear(context, for_kv).chunk(2, dim=-1)
        return self._by_head(q), self._by_head(k), self._by_head(v)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None, scale: float | None = None) -> Tensor:
        """Return the heads' answers joined, (B, N, dim); `scale` None means 1 / sqrt(d)."""
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=keep, dropout_p=dropout, scale=scale)
        joined: Tensor = self.to_out(out.transpose(1, 2).flatten(2))
        return joined

    def _by_head(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class FeedForward(nn.Sequential):
    """LayerNorm, linear, GELU, linear: the part of a layer that looks at each token alone."""

    def __init__(self, dim: int, *, mlp: int, dropout: float) -> None:
        super().__init__(
            *(nn.LayerNorm(dim), nn.Linear(dim, mlp), nn.GELU(), nn.Dropout(dropout)),
            *(nn.Linear(mlp, dim), nn.Dropout(dropout)),
        )


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each added to what came in."""

    def __init__(self, dim: int, *, heads: int, dim_head: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(dim, heads=heads, dim_head=dim_head, dropout=dropout)
        self.feed_forward = FeedForward(dim, mlp=mlp, dropout=dropout)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return tokens (B, N, dim) after one layer; `keep` as in `Attention`."""
        x = x + self.attention(x, keep=keep)
        out: Tensor = x + self.feed_forward(x)
        return out


class DecoderLayer(nn.Module):
    """Self-attention of queries, their attention to a memory, and feed-forward."""

    def __init__(self, dim: int, *, heads: int, dim_head: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(dim, heads=heads, dim_head=dim_head, dropout=dropout)
        self.cross_attention = Attention(dim, heads=heads, dim_head=dim_head, dropout=dropout)
        self.feed_forward = FeedForward(dim, mlp=mlp, dropout=dropout)

    def forward(self, x: Tensor, memory: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return queries (B, N, dim) after looking at memory (B, M, dim), where `keep` (B, 1, 1, M) allows it."""
        x = x + self.attention(x)
        x = x + self.cross_attention(x, context=memory, keep=keep)
        out: Tensor = x + self.feed_forward(x)
        return out


class FrameEncoder(nn.Module):
    """A transformer over the features of L frames, with a class token that sums them up.

    Positions are counted from the clip's END: the last frame has the last position whatever L, so that a clip padded
    on the left and the clip alone are the same to it.

    Parameters
    ----------
    dim : int
        Size of a frame's features.
    n_frames : int
        The longest clip.
    depth, heads, dim_head, mlp : int
    dropout : float
    positions : {"learned", "none"}
        Whether a learned vector per position is added to the frames. "none" makes the encoder blind to order.
    """

    def __init__(
        self,
        dim: int,
        *,
        n_frames: int,
        depth: int,
        heads: int,
        dim_head: int,
        mlp: int,
        dropout: float,
        positions: Positions = "learned",
    ) -> None:
        super().__init__()
        if positions not in ("learned", "none"):
            raise ValueError(f'positions is {positions!r}, expected "learned" or "none"')
        self.n_frames = n_frames
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.positions = nn.Parameter(0.02 * torch.randn(n_frames, dim)) if positions == "learned" else None
        sizes = {"heads": heads, "dim_head": dim_head, "mlp": mlp}
        self.layers = nn.ModuleList(EncoderLayer(dim, dropout=dropout, **sizes) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode clips.

        Parameters
        ----------
        x : (B, L, dim) Tensor
        padding : (B, L) bool Tensor or None
            True where there is no frame: nothing looks at those.

        Returns
        -------
        clip : (B, dim) Tensor
        frames : (B, L, dim) Tensor
        """
        if self.positions is not None:
            x = x + self.positions[self.n_frames - x.shape[1] :]
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1)
        # the class token is never padding: every row has something to look at, and softmax stays finite
        keep = None if padding is None else F.pad(~padding, (1, 0), value=True)[:, None, None]
        for layer in self.layers:
            x = layer(x, keep)
        x = self.norm(x)
        return x[:, 0], x[:, 1:]
