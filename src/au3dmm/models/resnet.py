"""ResNet (He et al. 2015) as a trunk of features, with the names of torchvision's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from au3dmm.models import published

# what published weights were trained on: mean and deviation of ImageNet's red, green and blue in 0 to 1
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a short cut."""

    expansion = 1

    def __init__(self, n_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _short_cut(n_in, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, width, H / stride, W / stride)."""
        short = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)) + short)
        return out


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (with the stride, as torchvision has it) and 1 x 1 convolutions, and a short cut."""

    expansion = 4

    def __init__(self, n_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _short_cut(n_in, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 4 width, H / stride, W / stride)."""
        short = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.relu(self.bn3(self.conv3(x)) + short)
        return out


DEPTHS: dict[str, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int], int]] = {
    "resnet10_16": (BasicBlock, (1, 1, 1, 1), 16),
    "resnet18": (BasicBlock, (2, 2, 2, 2), 64),
    "resnet34": (BasicBlock, (3, 4, 6, 3), 64),
    "resnet50": (Bottleneck, (3, 4, 6, 3), 64),
    "resnet101": (Bottleneck, (3, 4, 23, 3), 64),
}
"""Blocks, how many each stage has, and channels of the first one's; ``resnet10_16`` is ours, for a CPU: nobody has
published weights of it.
"""


class ResNet(nn.Module):
    """Images (N, C, H, W) in 0 to 1 to features (N, n_features), without the classifier.

    11 176 512 parameters (resnet18, 3 channels, 512 features), 23 508 032 (resnet50, 2048 features), 309 456
    (resnet10_16, 128 features).

    Parameters
    ----------
    depth : {"resnet10_16", "resnet18", "resnet34", "resnet50", "resnet101"}
    channels : int
    frozen : bool
        Its weights take no gradient, and its batch norms keep their running statistics in training, too.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, depth: str = "resnet18", *, channels: int = 3, frozen: bool = False) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise ValueError(f"trunk is {depth!r}, expected one of {', '.join(DEPTHS)}")
        block, repeats, n = DEPTHS[depth]
        self.frozen = frozen
        self.conv1 = nn.Conv2d(channels, n, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(n)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        widths = (n, 2 * n, 4 * n, 8 * n)
        n_in = (n, *(width * block.expansion for width in widths))
        stages = [
            _stage(block, before, width, count, stride)
            for before, width, count, stride in zip(n_in, widths, repeats, (1, 2, 2, 2), strict=False)
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.n_features, self.n_maps = n_in[-1], n_in[1:]
        mean, std = _normalisation(channels)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if frozen:
            self.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> ResNet:
        """Set training mode; a frozen trunk stays as in evaluation."""
        super().train(mode and not self.frozen)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, n_features) of images (N, C, H, W) in 0 to 1, H and W at least 32."""
        return self.maps(images)[-1].mean(dim=(2, 3))

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what the four stages make of images (N, C, H, W) in 0 to 1.

        Stage l = 1 to 4 gives (N, n_maps[l - 1], h, w), h and w being H and W over 2^(l + 1), rounded up.
        """
        x = (images - self.mean) / self.std
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        first = self.layer1(x)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)

    def load(self, path: str | Path) -> None:
        """Copy torchvision's weights from a file; see `published.load_trunk`."""
        published.load_trunk(self, path, first="conv1.weight", ignore=("fc.",))


def _stage(block: type[BasicBlock | Bottleneck], n_in: int, width: int, n: int, stride: int) -> nn.Sequential:
    return nn.Sequential(block(n_in, width, stride), *(block(width * block.expansion, width, 1) for _ in range(1, n)))


def _short_cut(n_in: int, n_out: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and n_in == n_out:
        return None
    return nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))


def _normalisation(channels: int) -> tuple[Tensor, Tensor]:
    def column(values: Sequence[float]) -> Tensor:
        colours = torch.tensor(values)
        return (colours if channels == 3 else colours.mean().expand(channels)).clone().view(-1, 1, 1)

    return column(IMAGENET_MEAN), column(IMAGENET_STD)
