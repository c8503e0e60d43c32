"""An LSTM over coefficients: from alpha to the action unit (FACEMORPHIC, Table 2)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from au3dmm.models.network import Network, optional
from au3dmm.models.prediction import Prediction
from au3dmm.models.recurrent import FrameLSTM


class AlphaLSTM(Network):
    """One LSTM layer of 256 over coefficients; a linear layer reads its last state.

    alpha (B, L, 32) -> states (B, L, 256) -> logits (B, 24). 303 128 parameters with the defaults.

    Parameters
    ----------
    n_classes, n_alpha, n_frames, n_occurrence : int
        As in `SpatioTemporalTransformer`.
    hidden, layers : int
    dropout : float
        Between layers.
    """

    INPUT: ClassVar[Literal["frames", "alpha"]] = "alpha"

    def __init__(
        self,
        *,
        n_classes: int = 24,
        n_alpha: int = 32,
        n_frames: int = 75,
        n_occurrence: int = 0,
        hidden: int = 256,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_frames, self.n_alpha = n_frames, n_alpha
        self.temporal = FrameLSTM(n_alpha, hidden=hidden, layers=layers, dropout=dropout)
        self.classify = nn.Linear(hidden, n_classes)
        self.detect = optional(n_occurrence, lambda n: nn.Linear(hidden, n))

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Prediction:
        """Return the prediction of coefficients (B, L, K); padding (B, L) True where there is no frame."""
        self.check(x, padding, {"K": self.n_alpha})
        clip, frames = self.temporal(x, padding)
        return Prediction(self.classify(clip), None, None if self.detect is None else self.detect(frames))
