"""Multi-scale facial dynamics (MDHR sec. 3.1): how maps of a trunk change from frame to frame, at several scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from au3dmm.models.real_frames import RealFrames

Fusion = Literal["adaptive", "sum", "concatenate"]
_N_STAGES = 4
_N_CUES = 16  # channels that each scale gives to find the weights; the released code's


class FacialDynamics(nn.Module):
    """Maps of four stages to one map per frame of what moves around it.

    Of stage l: ``d^t = x^t - x^(t-1)`` (equation 1); a convolution of side and stride 8, 4, 2 or 1, batch norm and ReLU
    make all maps as small as the last stage's (2); the mean over the ``2 k`` differences between the frames t - k and
    t + k (3). Frames before the first and after the last are like these, so that nothing moves there (sec. 4.1).
    Scales are weighed place by place, ``w = softmax(Conv(Concat))`` (4), and summed (5); a 1 x 1 convolution, batch
    norm and ReLU follow, as in the released code.

    Parameters
    ----------
    n_maps : sequence of int
        Channels of the four stages.
    n_dynamic : int
        Channels of each scale's small map.
    width : int
        Channels of the answer.
    k : int
        Frames to either side.
    stages : sequence of int
        Which scales, of 1 to 4.
    fusion : {"adaptive", "sum", "concatenate"}
        How scales become one (the paper's Table 4).
    """

    def __init__(
        self,
        n_maps: Sequence[int],
        *,
        n_dynamic: int,
        width: int,
        k: int,
        stages: Sequence[int] = (1, 2, 3, 4),
        fusion: Fusion = "adaptive",
    ) -> None:
        super().__init__()
        if not stages or sorted(set(stages)) != list(stages) or not set(stages) <= set(range(1, _N_STAGES + 1)):
            raise ValueError(f"stages is {list(stages)}, expected some of 1, 2, 3, 4, in order; mfd = false: none")
        if fusion not in get_args(Fusion):
            raise ValueError(f"fusion is {fusion!r}, expected one of {', '.join(get_args(Fusion))}")
        self.k, self.stages, self.fusion = k, tuple(stages), fusion
        sides = [2 ** (_N_STAGES - stage) for stage in stages]
        self.reduce = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n_maps[stage - 1], n_dynamic, side, side), nn.BatchNorm2d(n_dynamic), nn.ReLU())
            for stage, side in zip(stages, sides, strict=True)
        )
        if fusion == "adaptive":
            self.cues = nn.ModuleList(
                nn.Sequential(nn.Conv2d(n_dynamic, _N_CUES, 1), nn.BatchNorm2d(_N_CUES), nn.ReLU()) for _ in stages
            )
            self.weigh = nn.Conv2d(_N_CUES * len(stages), len(stages), 1)
        n = n_dynamic * (len(stages) if fusion == "concatenate" else 1)
        self.project = nn.Sequential(nn.Conv2d(n, width, 1), nn.BatchNorm2d(width), nn.ReLU())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan))

    def forward(self, maps: Sequence[Tensor], frames: RealFrames) -> Tensor:
        """Return (M, width, h, w) of the stages' maps (M, C_l, h_l, w_l); h and w as in the last stage.

        Stages whose size is no multiple of the convolution's side are filled up on the right and below with places at
        which nothing moves: at 224 px none is, at 112 px the first three are.
        """
        scales = [
            self._scale(maps[stage - 1], reduce, frames) for stage, reduce in zip(self.stages, self.reduce, strict=True)
        ]
        projected: Tensor = self.project(self.fuse(scales))
        return projected

    def _scale(self, x: Tensor, reduce: nn.Module, frames: RealFrames) -> Tensor:
        moved = frames.pick(differences(frames.spread(x), frames.there))
        side = reduce[0].stride[0]  # type: ignore[index]
        small = reduce(F.pad(moved, (0, -x.shape[3] % side, 0, -x.shape[2] % side)))
        still = small[0]  # of the first frame, before which nothing moved: what stands for frames outside of the clip
        return frames.pick(window_mean(frames.masked(frames.spread(small), still), still, self.k))

    def fuse(self, scales: Sequence[Tensor]) -> Tensor:
        """Return one map of those of the scales, all (M, n_dynamic, h, w)."""
        if self.fusion == "concatenate":
            return torch.cat(list(scales), 1)
        if self.fusion == "sum":
            return torch.stack(list(scales)).sum(0)
        weights = self.weights(scales)
        weighed = [weights[:, i : i + 1] * scale for i, scale in enumerate(scales)]
        return torch.stack(weighed).sum(0)

    def weights(self, scales: Sequence[Tensor]) -> Tensor:
        """Return the weight of each scale at each place (M, S, h, w), which sum to 1 over scales."""
        cues = [cue(scale) for cue, scale in zip(self.cues, scales, strict=True)]
        return F.softmax(self.weigh(torch.cat(cues, 1)), dim=1)


def differences(x: Tensor, there: Tensor | None = None) -> Tensor:
    """Return each frame minus the one before it; 0 where one of the two is not there.

    Parameters
    ----------
    x : (B, L, ...) Tensor
    there : (B, L) bool Tensor or None
        None: all are.
    """
    d = torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]], 1)
    if there is None:
        return d
    both = torch.cat([torch.zeros_like(there[:, :1]), there[:, 1:] & there[:, :-1]], 1)
    return d * both.view(*both.shape, *[1] * (x.ndim - 2))


def window_mean(x: Tensor, outside: Tensor, k: int) -> Tensor:
    """Return the mean over frames t - k + 1 to t + k, for each t; `outside` stands for what is before and after.

    Parameters
    ----------
    x : (B, L, C, h, w) Tensor
    outside : (C, h, w) Tensor
    k : int
    """
    edge = outside.expand(x.shape[0], 1, *outside.shape)  # len() would fix the number of clips in exports
    longer = torch.cat([edge.expand(-1, k - 1, -1, -1, -1), x, edge.expand(-1, k, -1, -1, -1)], 1)
    return F.avg_pool3d(longer.transpose(1, 2), (2 * k, 1, 1), stride=1).transpose(1, 2)
