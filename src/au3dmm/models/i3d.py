"""I3D: the third baseline of FACEMORPHIC (sec. 6)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from au3dmm.models.inception3d import InceptionI3D
from au3dmm.models.network import Network, hidden_head, optional
from au3dmm.models.prediction import Prediction


class I3D(Network):
    """Inflated 3D convolutions over the whole clip, one feature of 256, heads 128-24 and 128-(L x 32).

    frames (B, L, C, H, W) -> (B, 1024, L / 8, H / 32, W / 32) -> mean -> (B, 256) -> logits (B, 24), alpha (B, L, 32).

    The alpha head writes all frames of a clip of `n_frames` at once. A shorter clip is filled up with black frames on
    the left, as padding is, and gets the last of what is written: a padded clip and the clip alone are the same, in
    evaluation (in training, batch norms also see the black frames). Frames may have any size from 32 px on.

    12 884 248 parameters with the defaults.

    Parameters
    ----------
    n_classes, n_alpha, n_frames, channels, image_px, n_occurrence : int
        As in `SpatioTemporalTransformer`; frames of other sizes than `image_px` are taken, too.
    n_features : int
    dropout : float
        Before the features, in training.
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
        n_features: int = 256,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if image_px < 32:
            raise ValueError(f"image_px is {image_px}, expected at least 32")
        self.n_frames, self.channels, self.image_px = n_frames, channels, image_px
        self.trunk = InceptionI3D(channels=channels)
        self.features = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.trunk.n_features, n_features), nn.ReLU())
        self.classify = hidden_head(n_features, n_classes)
        self.regress = optional(n_alpha, lambda n: hidden_head(n_features, n_frames * n))
        self.detect = optional(n_occurrence, lambda n: hidden_head(n_features, n_frames * n))

    def load_trunk(self, path: str | Path) -> None:
        """Copy pytorch-i3d's published weights from a file (a state dict; nothing in it is executed).

        Raises
        ------
        ValueError
            One line, where the file, a name or a shape is not as expected.
        """
        self.trunk.load(path)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Prediction:
        """Return the prediction of frames (B, L, C, H, W) in 0 to 1; padding (B, L) True where there is no frame."""
        self.check(x, padding, {"C": self.channels, "H": None, "W": None})
        n_given = x.shape[1]
        if padding is not None:
            x = x.masked_fill(padding[:, :, None, None, None], 0)
        x = F.pad(x, (0, 0, 0, 0, 0, 0, self.n_frames - n_given, 0))
        features = self.features(self.trunk(x.transpose(1, 2)).mean(dim=(2, 3, 4)))

        def frames(head: nn.Module | None) -> Tensor | None:
            return None if head is None else head(features).view(x.shape[0], self.n_frames, -1)[:, -n_given:]

        return Prediction(self.classify(features), frames(self.regress), frames(self.detect))
