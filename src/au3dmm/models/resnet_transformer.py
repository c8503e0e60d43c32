"""ResNet-18 and a transformer encoder: the second baseline of FACEMORPHIC (sec. 6)."""

from __future__ import annotations

from torch import Tensor, nn

from au3dmm.models.network import hidden_head, optional
from au3dmm.models.prediction import Prediction
from au3dmm.models.resnet_trunk import ResNetNetwork
from au3dmm.models.transformer import FrameEncoder, Positions


class ResNetTransformer(ResNetNetwork):
    """Features of frozen convolutions, a transformer encoder with a class token, heads 128-24 and 128-32.

    frames (B, L, C, H, W) -> (B, L, 512) -> (B, L, 1024) -> tokens (B, L, 256) -> class token (B, 256) and frames
    (B, L, 256) -> logits (B, 24), alpha (B, L, 32).

    The paper leaves the encoder's sizes out: ours are two layers of 4 heads of 64 over tokens of 256, the LSTM's width.

    13 103 608 parameters with the defaults, 1 933 368 of them trained.

    Parameters
    ----------
    n_classes, n_alpha, n_frames, channels, image_px, n_occurrence : int
    trunk : {"resnet18", "resnet34", "resnet50", "resnet101"}
    freeze_trunk : bool
    n_features : int
        All as in `ResNetLSTM`.
    dim, depth, heads, dim_head, mlp : int
    dropout : float
    temporal_positions : {"learned", "none"}
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
        dim: int = 256,
        depth: int = 2,
        heads: int = 4,
        dim_head: int = 64,
        mlp: int = 512,
        dropout: float = 0.1,
        temporal_positions: Positions = "learned",
    ) -> None:
        super().__init__(
            n_frames=n_frames,
            channels=channels,
            image_px=image_px,
            trunk=trunk,
            freeze_trunk=freeze_trunk,
            n_features=n_features,
        )
        self.to_tokens = nn.Linear(n_features, dim)
        self.temporal = FrameEncoder(
            dim,
            n_frames=n_frames,
            depth=depth,
            heads=heads,
            dim_head=dim_head,
            mlp=mlp,
            dropout=dropout,
            positions=temporal_positions,
        )
        self.classify = hidden_head(dim, n_classes)
        self.regress = optional(n_alpha, lambda n: hidden_head(dim, n))
        self.detect = optional(n_occurrence, lambda n: hidden_head(dim, n))

    def predict(self, features: Tensor, padding: Tensor | None = None) -> Prediction:
        """Return the prediction of frames' features (B, L, n_features)."""
        clip, frames = self.temporal(self.to_tokens(features), padding)
        return Prediction(
            self.classify(clip),
            None if self.regress is None else self.regress(frames),
            None if self.detect is None else self.detect(frames),
        )
