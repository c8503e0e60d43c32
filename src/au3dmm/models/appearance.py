"""Features of single frames for networks that look at meshes and at pictures: the zoo's frame encoders, by name."""

from __future__ import annotations

from torch import Tensor, nn

from au3dmm.models.resnet import ResNet
from au3dmm.models.st_vit import SpatioTemporalTransformer

ENCODERS = ("none", "features", "st_vit", "resnet18", "resnet34", "resnet50", "resnet101", "convolutions")
"""``features``: made elsewhere (AU-D3DFace takes those of a Video Swin transformer), given in place of frames.
``convolutions``: four of them and a mean, for a CPU."""

_WIDTHS = (16, 32, 64, 128)


class Appearance(nn.Module):
    """Frames (B, L, C, H, W) to features (B, L, F), frame by frame.

    Parameters
    ----------
    name : str
        One of `ENCODERS` but ``none``.
    channels, image_px : int
        Of frames.
    n_features : int
        F of ``features``; the encoders have their own.
    frozen : bool
        Whether a ResNet's weights stay as they are. Those of the others learn.

    Attributes
    ----------
    n_features : int
        F.

    Raises
    ------
    ValueError
        If there is no such encoder.
    """

    def __init__(self, name: str, *, channels: int, image_px: int, n_features: int, frozen: bool) -> None:
        super().__init__()
        if name not in ENCODERS[1:]:
            raise ValueError(f"appearance is {name!r}, expected one of {', '.join(ENCODERS)}")
        self.encoder: nn.Module
        self.sizes: tuple[int, ...]
        if name == "features":
            self.encoder, self.n_features, self.sizes = nn.Identity(), n_features, (n_features,)
        elif name == "convolutions":
            self.encoder, self.n_features = _convolutions(channels), _WIDTHS[-1]
            self.sizes = (channels, image_px, image_px)
        elif name == "st_vit":
            whole = SpatioTemporalTransformer(n_classes=1, n_alpha=0, n_frames=1, channels=channels, image_px=image_px)
            self.encoder, self.n_features = nn.Sequential(whole.patches, whole.spatial), whole.temporal.cls.shape[2]
            self.sizes = (channels, image_px, image_px)
        else:
            resnet = ResNet(name, channels=channels, frozen=frozen)
            self.encoder, self.n_features, self.sizes = resnet, resnet.n_features, (channels, image_px, image_px)

    def forward(self, frames: Tensor) -> Tensor:
        """Return features (B, L, F) of frames (B, L, C, H, W) in 0 to 1, or of features as they are.

        Raises
        ------
        ValueError
            If frames have other sizes.
        """
        if frames.shape[2:] != self.sizes:
            raise ValueError(f"frames are {tuple(frames.shape)}, expected (B, L, {', '.join(map(str, self.sizes))})")
        features: Tensor = self.encoder(frames.flatten(0, 1))
        return features.view(*frames.shape[:2], -1)


def _convolutions(channels: int) -> nn.Sequential:
    """Return four convolutions, each halving the picture, and the mean over what is left."""
    layers: list[nn.Module] = []
    for n_in, n_out in zip((channels, *_WIDTHS), _WIDTHS, strict=False):
        layers += [nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.GroupNorm(4, n_out), nn.GELU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
