"""AU-D3DFace's temporal module: action units so far and frames up to now, decoded frame by frame (sec. 3.3)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from au3dmm.models.periodic_encoding import PeriodicEncoding
from au3dmm.models.post_norm import Added, HeadAttention, TokenwisePart

CrossView = Literal["past", "own"]
"""Which frames a frame may look at: itself and all before it, or itself alone (as FaceFormer's bias makes it)."""


class LayerMemory(NamedTuple):
    """Keys and values (B, heads, j, d / heads) of the j tokens and of the j frames that a layer has seen."""

    own_keys: Tensor
    own_values: Tensor
    frame_keys: Tensor
    frame_values: Tensor


class DecoderState(NamedTuple):
    """What the decoder keeps between frames: how many there were, and each layer's memory."""

    n_seen: int
    layers: tuple[LayerMemory, ...]


class TemporalLayer(nn.Module):
    """Masked self-attention of the unit tokens, their attention to frames, and FFN (eq. 6).

    Eq. 6 prints keys and values of the cross-attention as those of the tokens themselves; they are taken from the
    frames' features, without which eq. 5 would not depend on them.

    Parameters
    ----------
    dim, heads, mlp : int
    dropout : float
    """

    def __init__(self, dim: int, *, heads: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = HeadAttention(dim, heads=heads, dropout=dropout)
        self.cross_attention = HeadAttention(dim, heads=heads, dropout=dropout)
        self.added, self.crossed = Added(dim, dropout=dropout), Added(dim, dropout=dropout)
        self.tokenwise = TokenwisePart(dim, mlp=mlp, dropout=dropout)

    def forward(self, h: Tensor, frames: Tensor, before: Tensor, seen: Tensor) -> Tensor:
        """Return tokens (B, L, dim), frames (B, L, dim) given; masks (L, L) say what each token may look at."""
        h = self.added(h, self.self_attention(h, h, before))
        h = self.crossed(h, self.cross_attention(h, frames, seen))
        out: Tensor = self.tokenwise(h)
        return out

    def step(self, h: Tensor, frame: Tensor, memory: LayerMemory | None, own: bool) -> tuple[Tensor, LayerMemory]:
        """Return the last row of `forward`, and the memory with it; h and frame are (B, 1, dim)."""
        now = LayerMemory(*self.self_attention.keys_values(h), *self.cross_attention.keys_values(frame))
        if memory is not None:
            now = LayerMemory(*(torch.cat([old, new], dim=2) for old, new in zip(memory, now, strict=True)))
        h = self.added(h, self.self_attention.look(h, now.own_keys, now.own_values))
        some = slice(-1, None) if own else slice(None)
        crossed = self.cross_attention.look(h, now.frame_keys[:, :, some], now.frame_values[:, :, some])
        return self.tokenwise(self.crossed(h, crossed)), now


class TemporalDecoder(nn.Module):
    """Temporal embeddings z of L frames from the action units of the frames before, and features of frames so far.

    Token j is ``W y_j + b + PPE(j)``, that of the beginning ``b`` alone (eq. 2 and 4); token j - 1 answers for frame j,
    so that a frame's own units are not seen. Eq. 5 prints features of frames before j only; with them a frame could
    not be refined at all, so frame j itself is seen, and none after it.

    Frames carry PPE(j), too: attention has no other way to tell the present from the past.

    Parameters
    ----------
    dim : int
        d; even, and a multiple of `heads`.
    n_units : int
        N, action units.
    depth, heads, mlp : int
        N_d layers.
    period : int
        P of the positional encoding, frames.
    dropout : float
    view : {"past", "own"}
        Which frames a frame looks at.
    """

    def __init__(
        self,
        dim: int,
        *,
        n_units: int,
        depth: int,
        heads: int,
        mlp: int,
        period: int,
        dropout: float,
        view: CrossView = "past",
    ) -> None:
        super().__init__()
        if view not in ("past", "own"):
            raise ValueError(f'view is {view!r}, expected "past" or "own"')
        self.view = view
        self.embed = nn.Linear(n_units, dim)
        self.position = PeriodicEncoding(dim, period=period)
        self.layers = nn.ModuleList(TemporalLayer(dim, heads=heads, mlp=mlp, dropout=dropout) for _ in range(depth))

    def forward(self, units: Tensor, frames: Tensor) -> Tensor:
        """Decode all frames at once, the units of each being known (teacher forcing).

        Parameters
        ----------
        units : (B, L, N) Tensor
            0 to 1; the last frame's are not looked at.
        frames : (B, L, dim) Tensor
            Features.

        Returns
        -------
        (B, L, dim) Tensor
        """
        n = frames.shape[1]
        h = torch.cat([self._begin(frames), self.embed(units[:, :-1]) + self.position(1, n - 1)], dim=1)
        frames = frames + self.position(1, n)
        before = torch.ones(n, n, dtype=torch.bool, device=frames.device).tril()
        seen = torch.eye(n, dtype=torch.bool, device=frames.device) if self.view == "own" else before
        for layer in self.layers:
            h = layer(h, frames, before, seen)
        return h

    def step(self, units: Tensor | None, frame: Tensor, state: DecoderState | None) -> tuple[Tensor, DecoderState]:
        """Decode one more frame: what is said of frames before is remembered, not computed again.

        Parameters
        ----------
        units : (B, N) Tensor or None
            Of the frame before, 0 to 1; None for the first frame.
        frame : (B, dim) Tensor
            Features of this one.
        state : DecoderState or None
            As the call before returned it; None for the first frame.

        Returns
        -------
        z : (B, dim) Tensor
        state : DecoderState

        Raises
        ------
        ValueError
            If one of `units` and `state` is given without the other.
        """
        if (units is None) != (state is None):
            raise ValueError("units of the frame before and the state after it go together; expected both or neither")
        n_seen = 0 if state is None else state.n_seen
        frame = frame[:, None] + self.position(n_seen + 1, 1)
        h = self._begin(frame) if units is None else self.embed(units)[:, None] + self.position(n_seen, 1)
        memories = []
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, TemporalLayer)
            h, memory = layer.step(h, frame, None if state is None else state.layers[i], self.view == "own")
            memories.append(memory)
        return h[:, 0], DecoderState(n_seen + 1, tuple(memories))

    def _begin(self, frames: Tensor) -> Tensor:
        return self.embed.bias.to(frames.dtype).expand(frames.shape[0], 1, -1)
