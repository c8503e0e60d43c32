"""Inception-v1 with inflated 3D convolutions (Carreira and Zisserman 2017), with the names of pytorch-i3d's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from au3dmm.models import published

# n_in, then the outputs of the branches: 1x1 | 1x1, 3x3 | 1x1, 3x3 | pool, 1x1
MIXED = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}


class Unit3D(nn.Module):
    """Convolution without bias, batch norm, ReLU; the output is the input's size over the stride, rounded up."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(n_in, n_out, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(n_out, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, n_out, T', H', W')."""
        return F.relu(self.bn(self.conv3d(same_padding(x, self.kernel, self.stride))), inplace=True)


class SamePool3d(nn.Module):
    """Maximum over a window; zeros around, which never win against what comes out of a ReLU."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, T', H', W')."""
        return F.max_pool3d(same_padding(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four branches side by side; their channels joined."""

    def __init__(self, n_in: int, n_out: Sequence[int]) -> None:
        super().__init__()
        self.b0 = Unit3D(n_in, n_out[0])
        self.b1a = Unit3D(n_in, n_out[1])
        self.b1b = Unit3D(n_out[1], n_out[2], 3)
        self.b2a = Unit3D(n_in, n_out[3])
        self.b2b = Unit3D(n_out[3], n_out[4], 3)
        self.b3a = SamePool3d((3, 3, 3), (1, 1, 1))
        self.b3b = Unit3D(n_in, n_out[5])

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, sum of the branches' channels, T, H, W)."""
        branches = (self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x)))
        return torch.cat(branches, dim=1)


class InceptionI3D(nn.Module):
    """Clips (N, C, T, H, W) in 0 to 1 to features (N, 1024, T', H', W'), T' = T / 8 and H' = H / 32, rounded up.

    12 287 264 parameters with 3 channels.

    Parameters
    ----------
    channels : int
    """

    n_features = 1024

    def __init__(self, *, channels: int = 3) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit3D(channels, 64, 7, 2)
        self.MaxPool3d_2a_3x3 = SamePool3d((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(64, 64)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, 3)
        self.MaxPool3d_3a_3x3 = SamePool3d((1, 3, 3), (1, 2, 2))
        pools = {
            "Mixed_4b": ("MaxPool3d_4a_3x3", SamePool3d((3, 3, 3), (2, 2, 2))),
            "Mixed_5b": ("MaxPool3d_5a_2x2", SamePool3d((2, 2, 2), (2, 2, 2))),
        }
        for name, sizes in MIXED.items():
            if name in pools:
                self.add_module(*pools[name])
            self.add_module(name, Mixed(*sizes))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1024, T', H', W'). The published weights take pictures in -1 to 1."""
        x = 2 * x - 1
        for module in self.children():
            x = module(x)
        return x

    def load(self, path: str | Path) -> None:
        """Copy pytorch-i3d's weights from a file; see `published.load_trunk`."""
        published.load_trunk(self, path, first="Conv3d_1a_7x7.conv3d.weight", ignore=("logits.",))


def same_padding(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Return `x` with zeros around, so that a window of `kernel` at every `stride` gives size / stride, rounded up.

    An odd one goes to the end, as in TensorFlow, where the weights come from.
    """
    padding: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max(k - (size % s or s), 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding) if any(padding) else x
