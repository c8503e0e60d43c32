"""A transformer over coefficients: from alpha to the action unit (FACEMORPHIC, Table 2)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from au3dmm.models.network import Network, optional
from au3dmm.models.prediction import Prediction
from au3dmm.models.transformer import DecoderLayer, FrameEncoder, Positions


class AlphaTransformer(Network):
    """Two encoder layers over the frames; two decoder layers in which one query per class looks for its unit.

    alpha (B, L, 32) -> tokens (B, L, 128) -> memory (B, L, 128) -> queries (B, 24, 128) -> logits (B, 24).

    The paper states layers and heads only. What its decoder decodes it does not say; a query per class (as in
    Query2Label, Liu et al. 2021) is our reading, with tokens of 128 and feed-forward parts of 256.
    680 856 parameters with the defaults.

    Parameters
    ----------
    n_classes, n_alpha, n_frames, n_occurrence : int
        As in `SpatioTemporalTransformer`.
    dim, encoder_depth, decoder_depth, heads, dim_head, mlp : int
    dropout : float
    temporal_positions : {"learned", "none"}
    """

    INPUT: ClassVar[Literal["frames", "alpha"]] = "alpha"

    def __init__(
        self,
        *,
        n_classes: int = 24,
        n_alpha: int = 32,
        n_frames: int = 75,
        n_occurrence: int = 0,
        dim: int = 128,
        encoder_depth: int = 2,
        decoder_depth: int = 2,
        heads: int = 2,
        dim_head: int = 64,
        mlp: int = 256,
        dropout: float = 0.1,
        temporal_positions: Positions = "learned",
    ) -> None:
        super().__init__()
        self.n_frames, self.n_alpha = n_frames, n_alpha
        self.to_tokens = nn.Linear(n_alpha, dim)
        sizes = {"heads": heads, "dim_head": dim_head, "mlp": mlp}
        self.encoder = FrameEncoder(
            dim, n_frames=n_frames, depth=encoder_depth, dropout=dropout, positions=temporal_positions, **sizes
        )
        self.queries = nn.Parameter(0.02 * torch.randn(1, n_classes, dim))
        self.decoder = nn.ModuleList(DecoderLayer(dim, dropout=dropout, **sizes) for _ in range(decoder_depth))
        self.norm = nn.LayerNorm(dim)
        # each class reads its own query
        self.weight = nn.Parameter(dim**-0.5 * torch.randn(n_classes, dim))
        self.bias = nn.Parameter(torch.zeros(n_classes))
        self.detect = optional(n_occurrence, lambda n: nn.Linear(dim, n))

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Prediction:
        """Return the prediction of coefficients (B, L, K); padding (B, L) True where there is no frame."""
        self.check(x, padding, {"K": self.n_alpha})
        clip, frames = self.encoder(self.to_tokens(x), padding)
        # the encoder's class token is remembered, too: a clip without any frame has something to look at
        memory = torch.cat([clip[:, None], frames], dim=1)
        keep = None
        if padding is not None:
            keep = torch.cat([torch.ones_like(padding[:, :1]), ~padding], dim=1)[:, None, None]
        queries = self.queries.expand(x.shape[0], -1, -1)
        for layer in self.decoder:
            queries = layer(queries, memory, keep)
        logits = (self.norm(queries) * self.weight).sum(dim=2) + self.bias
        return Prediction(logits, None, None if self.detect is None else self.detect(frames))
