"""Relations among action units (MDHR sec. 3.2): within regions of the face, across them, over time, and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from au3dmm.models.au_regions import Region, combinations_of, rows_of, same_region
from au3dmm.models.token_block import TokenBlock

Edges = Literal["cross_active", "cross", "local", "full"]
_SLOPE = 0.2  # of the LeakyReLU in graph attention (Velickovic et al. 2018)
_LEAST = 1e-6  # probabilities are kept as far from 0 and 1, so that logits are finite


class LocalAnswer(NamedTuple):
    """What is said of N units before they know of one another.

    Attributes
    ----------
    features : (M, N, C) Tensor
        Of each unit.
    log_probability : (M, Q) Tensor or None
        Of combinations, each region's probabilities summing to 1; None without the auxiliary heads.
    active : (M, N) bool Tensor or None
        The units of each region's most probable combination.
    """

    features: Tensor
    log_probability: Tensor | None
    active: Tensor | None


class LocalRelations(nn.Module):
    """Features of each unit from its region, and which combination of units each region shows.

    A map's overlapping slices (equation 7); per unit a 1 x 1 convolution with batch norm and ReLU, and the mean over
    the slice (AFE); per region a linear layer on the slice's mean, for 2^n combinations of its n units (8, Aux).

    Parameters
    ----------
    width : int
        C.
    regions : sequence of Region
    n_units : int
        N.
    afe : bool
        Without, all units share one convolution over the whole map.
    aux : bool
        Whether there are heads for combinations.
    region_layers : bool
        Whether each region has a convolution, batch norm and ReLU of its own before all that: so has the released code
        for BP4D, not that for DISFA, nor the paper.
    dropout : float
    """

    patterns: Tensor

    def __init__(
        self,
        width: int,
        regions: Sequence[Region],
        n_units: int,
        *,
        afe: bool = True,
        aux: bool = True,
        region_layers: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.regions, self.width, self.n_units = tuple(regions), width, n_units
        layer = {"dropout": dropout, "fan": width}
        sliced = regions if afe or aux else ()
        self.enter = nn.ModuleList(TokenBlock(width, width, dropout=dropout) for _ in sliced if region_layers)
        # the convolutions of a region's units, side by side
        self.extract = nn.ModuleList(TokenBlock(width, len(r.units) * width, **layer) for r in regions if afe)  # type: ignore[arg-type]
        self.share = None if afe else TokenBlock(width, width, dropout=dropout)
        self.combine = nn.ModuleList(nn.Linear(width, 2 ** len(region.units)) for region in regions if aux)
        self.register_buffer("patterns", combinations_of(regions, n_units), persistent=False)

    def forward(self, grid: Tensor) -> LocalAnswer:
        """Return what is said of maps (M, h, w, C)."""
        slices: list[Tensor] = []
        if self.extract or self.combine:
            slices = [grid[:, rows_of(region.part, grid.shape[1])].flatten(1, 2) for region in self.regions]
        for i, enter in enumerate(self.enter):
            slices[i] = enter(slices[i])
        if self.share is not None:
            features = self.share(grid.flatten(1, 2)).mean(1)[:, None].expand(-1, self.n_units, -1)
        else:
            parts = [
                extract(tokens).mean(1).unflatten(1, (-1, self.width))
                for tokens, extract in zip(slices, self.extract, strict=True)
            ]
            order = [unit for region in self.regions for unit in region.units]
            features = torch.cat(parts, 1)[:, [order.index(unit) for unit in range(self.n_units)]]
        if not self.combine:
            return LocalAnswer(features, None, None)
        said = [combine(tokens.mean(1)) for tokens, combine in zip(slices, self.combine, strict=True)]
        logs = [F.log_softmax(logits.float(), -1) for logits in said]
        return LocalAnswer(features, torch.cat(logs, 1), self._active([log.detach() for log in logs]))

    def _active(self, logs: Sequence[Tensor]) -> Tensor:
        patterns = torch.split(self.patterns, [log.shape[1] for log in logs])
        shown = [pattern[log.argmax(1)] for pattern, log in zip(patterns, logs, strict=True)]
        return (torch.stack(shown) == 1).any(0)  # NaN, of other regions, is not 1


class CrossRelations(nn.Module):
    """Graph attention from units to those that are active in other regions (equation 9, CRM).

    ``e_nm = LeakyReLU(r . [W v_n, W v_m])``, ``v'_n = ELU(sum_m softmax_m(e_nm) W v_m + v_n + b)``, over m = n and the
    units that `edges` allows. The sum with v_n, and b, are the released code's.

    Parameters
    ----------
    width : int
    regions : sequence of Region
    n_units : int
    edges : {"cross_active", "cross", "local", "full"}
        To units that are predicted to be there, in other regions; to all in other regions; to those of the same region;
        to all (the paper's Table 5).
    """

    allowed: Tensor

    def __init__(self, width: int, regions: Sequence[Region], n_units: int, *, edges: Edges = "cross_active") -> None:
        super().__init__()
        if edges not in get_args(Edges):
            raise ValueError(f"edges is {edges!r}, expected one of {', '.join(get_args(Edges))}")
        self.edges = edges
        self.linear = nn.Linear(width, width, bias=False)
        self.to_n = nn.Parameter(torch.empty(1, width))
        self.to_m = nn.Parameter(torch.empty(1, width))
        self.bias = nn.Parameter(torch.zeros(width))
        for weight in (self.linear.weight, self.to_n, self.to_m):
            nn.init.xavier_uniform_(weight)
        same = same_region(regions, n_units)
        allowed = {"cross_active": ~same, "cross": ~same, "local": same, "full": torch.ones_like(same)}[edges]
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(self, v: Tensor, active: Tensor | None) -> Tensor:
        """Return (M, N, C) of (M, N, C); `active` (M, N) says which units are there, and may be None if all count."""
        w = self.linear(v)
        return F.elu(self.attention(w, active) @ w + v + self.bias)

    def attention(self, w: Tensor, active: Tensor | None) -> Tensor:
        """Return how much unit n attends to unit m, (M, N, N), summing to 1 over m; w is W v."""
        scores = F.leaky_relu((w * self.to_n).sum(-1)[:, :, None] + (w * self.to_m).sum(-1)[:, None], _SLOPE)
        allowed = self.allowed.expand(w.shape[0], -1, -1)
        if self.edges == "cross_active":
            assert active is not None, "the network has auxiliary heads"
            allowed = allowed & active[:, None]
        allowed = allowed | torch.eye(w.shape[1], dtype=torch.bool, device=w.device)
        return F.softmax(scores.masked_fill(~allowed, -torch.inf), -1)


class UnitTimes(nn.Module):
    """A convolution in time for each channel of each unit: (B, L, N, C) to the same; zeros stand beyond a clip's ends.

    Parameters
    ----------
    width, n_units : int
        C and N.
    kernel : int
        Frames; odd, so that a frame is in the middle.
    """

    def __init__(self, width: int, n_units: int, kernel: int = 5) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"tcn_kernel is {kernel}, expected an odd number of frames")
        n = width * n_units
        self.convolve = nn.Conv1d(n, n, kernel, padding=kernel // 2, groups=n)

    def forward(self, v: Tensor) -> Tensor:
        """Return (B, L, N, C) of (B, L, N, C)."""
        out: Tensor = self.convolve(v.flatten(2).transpose(1, 2)).transpose(1, 2)
        return out.reshape(v.shape)


class UnitSimilarity(nn.Module):
    """The cosine between each unit's features and a direction that is learnt, both without negative parts.

    Not below 0, it is the probability that the unit is there (as in ME-GraphAU, Luo et al. 2022).

    Parameters
    ----------
    width, n_units : int
    """

    def __init__(self, width: int, n_units: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.empty(n_units, width))
        nn.init.xavier_uniform_(self.directions)

    def forward(self, v: Tensor) -> Tensor:
        """Return the logits of the probabilities (..., N) of features (..., N, C)."""
        with torch.autocast(v.device.type, enabled=False):
            v, directions = v.float().relu(), self.directions.float().relu()
            p = F.cosine_similarity(v, directions, dim=-1, eps=1e-12)
            return torch.logit(p.clamp(_LEAST, 1 - _LEAST))
