"""The spatio-temporal transformer of FACEMORPHIC (sec. 6): patches within a frame, then frames within a clip."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from au3dmm.models.locality import LocalityEncoder, Temperature
from au3dmm.models.network import Network, norm_head, optional
from au3dmm.models.prediction import Prediction
from au3dmm.models.shifted_patches import Shift, ShiftedPatches
from au3dmm.models.transformer import FrameEncoder, Positions


class SpatioTemporalTransformer(Network):
    """Shifted patches, locality attention within each frame, and a transformer over the frames' class tokens.

    frames (B, L, C, H, W) -> patches (B L, 196, 64) -> class token per frame (B, L, 64) -> class token of the clip
    (B, 64) and frames in their context (B, L, 64) -> logits (B, 24), alpha (B, L, 32).

    Defaults are the released weights' shapes. What the paper says otherwise or leaves out: docs/models.md.
    666 492 parameters with the defaults.

    Parameters
    ----------
    n_classes, n_alpha, n_frames, channels, image_px : int
        Action units, coefficients (0: no such head), longest clip, channels and size of a frame.
    n_occurrence : int
        Action units to detect per frame; 0: no such head.
    patch_px : int
        Divides `image_px`.
    dim, spatial_depth, temporal_depth, heads, dim_head, mlp : int
    dropout, emb_dropout : float
    shift : {"diagonal_half", "cardinal_1px"}
        See `ShiftedPatches`.
    temperature : {"per_head", "per_layer"}
        See `LocalityAttention`.
    temporal_positions : {"learned", "none"}
        The paper has them, the released weights do not.
    """

    INPUT: ClassVar[Literal["frames", "alpha"]] = "frames"

    def __init__(
        self,
        *,
        n_classes: int = 24,
        n_alpha: int = 32,
        n_frames: int = 75,
        channels: int = 1,
        image_px: int = 224,
        n_occurrence: int = 0,
        patch_px: int = 16,
        dim: int = 64,
        spatial_depth: int = 4,
        temporal_depth: int = 4,
        heads: int = 4,
        dim_head: int = 64,
        mlp: int = 32,
        dropout: float = 0.1,
        emb_dropout: float = 0.1,
        shift: Shift = "diagonal_half",
        temperature: Temperature = "per_layer",
        temporal_positions: Positions = "learned",
    ) -> None:
        super().__init__()
        self.n_frames, self.channels, self.image_px = n_frames, channels, image_px
        self.patches = ShiftedPatches(dim, image_px=image_px, patch_px=patch_px, channels=channels, shift=shift)
        sizes = {"heads": heads, "dim_head": dim_head, "mlp": mlp}
        self.spatial = LocalityEncoder(
            dim,
            n_patches=self.patches.n_patches,
            depth=spatial_depth,
            dropout=dropout,
            emb_dropout=emb_dropout,
            temperature=temperature,
            **sizes,
        )
        self.temporal = FrameEncoder(
            dim, n_frames=n_frames, depth=temporal_depth, dropout=dropout, positions=temporal_positions, **sizes
        )
        self.classify = norm_head(dim, n_classes)
        self.regress = optional(n_alpha, lambda n: norm_head(dim, n))
        self.detect = optional(n_occurrence, lambda n: norm_head(dim, n))

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Prediction:
        """Return the prediction of frames (B, L, C, H, W) in 0 to 1; padding (B, L) True where there is no frame."""
        self.check(x, padding, {"C": self.channels, "H": self.image_px, "W": self.image_px})
        return self.predict(self.encode(x.flatten(0, 1)).view(*x.shape[:2], -1), padding)

    def encode(self, images: Tensor) -> Tensor:
        """Return features (N, dim) of single frames (N, C, H, W): what a stream computes once per frame."""
        features: Tensor = self.spatial(self.patches(images))
        return features

    def predict(self, features: Tensor, padding: Tensor | None = None) -> Prediction:
        """Return the prediction of frames' features (B, L, dim)."""
        clip, frames = self.temporal(features, padding)
        return Prediction(
            self.classify(clip),
            None if self.regress is None else self.regress(frames),
            None if self.detect is None else self.detect(frames),
        )
