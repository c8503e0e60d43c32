"""ResNet-18 and an LSTM: the first baseline of FACEMORPHIC (sec. 6)."""

from __future__ import annotations

from torch import Tensor

from au3dmm.models.network import hidden_head, optional
from au3dmm.models.prediction import Prediction
from au3dmm.models.recurrent import FrameLSTM
from au3dmm.models.resnet_trunk import ResNetNetwork


class ResNetLSTM(ResNetNetwork):
    """Features of frozen convolutions, three LSTM layers of 256, heads 128-24 (last state) and 128-32 (every state).

    frames (B, L, C, H, W) -> (B, L, 512) -> (B, L, 1024) -> states (B, L, 256) -> logits (B, 24), alpha (B, L, 32).

    14 134 008 parameters with the defaults, 2 963 768 of them trained.

    Parameters
    ----------
    n_classes, n_alpha, n_frames, channels, image_px, n_occurrence : int
        As in `SpatioTemporalTransformer`; `image_px` at least 32.
    trunk : {"resnet18", "resnet34", "resnet50", "resnet101"}
    freeze_trunk : bool
        The paper's; pointless without published weights (`load_trunk`).
    n_features, hidden, layers : int
    dropout : float
        Between the LSTM's layers.
    """

    def __init__(
        self,
        *,
        n_classes: int = 24,
        n_alpha: int = 32,
        n_frames: int = 75,
        channels: int = 1,
        image_px: int = 224,
        n_occurrence: int = 0,
        trunk: str = "resnet18",
        freeze_trunk: bool = True,
        n_features: int = 1024,
        hidden: int = 256,
        layers: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            n_frames=n_frames,
            channels=channels,
            image_px=image_px,
            trunk=trunk,
            freeze_trunk=freeze_trunk,
            n_features=n_features,
        )
        self.temporal = FrameLSTM(n_features, hidden=hidden, layers=layers, dropout=dropout)
        self.classify = hidden_head(hidden, n_classes)
        self.regress = optional(n_alpha, lambda n: hidden_head(hidden, n))
        self.detect = optional(n_occurrence, lambda n: hidden_head(hidden, n))

    def predict(self, features: Tensor, padding: Tensor | None = None) -> Prediction:
        """Return the prediction of frames' features (B, L, n_features)."""
        clip, frames = self.temporal(features, padding)
        return Prediction(
            self.classify(clip),
            None if self.regress is None else self.regress(frames),
            None if self.detect is None else self.detect(frames),
        )
