"""What the two networks on a ResNet share: the trunk, one layer of features, and frames one by one."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor, nn

from au3dmm.models.network import Network
from au3dmm.models.prediction import Prediction
from au3dmm.models.resnet import ResNet


class ResNetNetwork(Network):
    """Frames to features by a ResNet and one linear layer with ReLU; subclasses say what follows (`predict`).

    The paper speaks of 1024 features of a ResNet-18 whose fully connected layers are trained, and ResNet-18 has 512:
    we take it that one such layer, 512 to 1024, stands in the place of the classifier.
    """

    INPUT: ClassVar[Literal["frames", "alpha"]] = "frames"

    def __init__(
        self, *, n_frames: int, channels: int, image_px: int, trunk: str, freeze_trunk: bool, n_features: int
    ) -> None:
        super().__init__()
        if image_px < 32:
            raise ValueError(f"image_px is {image_px}, expected at least 32")
        self.n_frames, self.channels, self.image_px = n_frames, channels, image_px
        self.trunk = ResNet(trunk, channels=channels, frozen=freeze_trunk)
        self.features = nn.Sequential(nn.Linear(self.trunk.n_features, n_features), nn.ReLU())

    def load_trunk(self, path: str | Path) -> None:
        """Copy torchvision's published weights of this trunk from a file (a state dict; nothing in it is executed).

        Raises
        ------
        ValueError
            One line, where the file, a name or a shape is not as expected.
        """
        self.trunk.load(path)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Prediction:
        """Return the prediction of frames (B, L, C, H, W) in 0 to 1; padding (B, L) True where there is no frame."""
        self.check(x, padding, {"C": self.channels, "H": self.image_px, "W": self.image_px})
        return self.predict(self.encode(x.flatten(0, 1)).view(*x.shape[:2], -1), padding)

    def encode(self, images: Tensor) -> Tensor:
        """Return features (N, n_features) of single frames (N, C, H, W): what a stream computes once per frame."""
        features: Tensor = self.features(self.trunk(images))
        return features

    def predict(self, features: Tensor, padding: Tensor | None = None) -> Prediction:
        """Return the prediction of frames' features (B, L, n_features)."""
        raise NotImplementedError
