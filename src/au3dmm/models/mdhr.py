"""MDHR: multi-scale dynamics and hierarchical relations for action units in each frame (Wang et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor, nn

from au3dmm.models.au_regions import regions_of, units_of
from au3dmm.models.au_relations import CrossRelations, Edges, LocalRelations, UnitSimilarity, UnitTimes
from au3dmm.models.facial_dynamics import FacialDynamics, Fusion
from au3dmm.models.network import Network, norm_head, optional
from au3dmm.models.prediction import Prediction
from au3dmm.models.real_frames import RealFrames
from au3dmm.models.resnet import ResNet
from au3dmm.models.token_block import TokenBlock


class MDHR(Network):
    """Maps of a ResNet, what moves in them (MFD), features per unit and their relations (HSR), and time (TCN).

    frames (B, L, C, H, W) -> four maps of each frame -> static + dynamic map (B L, 512, 7, 7) -> features of each unit
    (B, L, A, 512) -> graph attention -> convolutions in time -> occurrence (B, L, A). Logits of the clip's class (one
    linear layer on the mean map of all frames) and alpha (on each frame's) are ours, for labels that have them.

    What the paper and the released code leave open, or say differently: docs/models.md.

    93 249 534 parameters with the defaults.

    Parameters
    ----------
    n_classes, n_alpha, n_frames, channels, image_px : int
        As in `SpatioTemporalTransformer`; `image_px` at least 32. Maps are as large as `image_px` / 32, rounded up.
    n_occurrence : int
        Action units to recognise; at least 1.
    trunk : {"resnet50", "resnet18", "resnet34", "resnet101"}
    freeze_trunk : bool
    width : int
        Features of a unit.
    n_dynamic : int
        Channels of each scale of the dynamics; the released code's, as many as the last stage has.
    k : int
        Frames to either side that dynamics are averaged over.
    tcn_kernel : int
        Frames of the convolutions in time; odd.
    dropout : float
        Before linear layers.
    regions : {"bp4d", "disfa", "facemorphic", "face"}
        Which units are seen where (`au_regions.TABLES`).
    units : sequence of str
        Names of the units, ``AU12``. Training takes those of its labels; empty: some of `regions`, to try things out.
    region_layers : bool
        Whether regions have a layer of their own first, as in the released code for BP4D.
    mfd, afe, aux, crm, tcn : bool
        The paper's blocks, for its Table 3: multi-scale dynamics, features per unit, heads of combinations, relations
        across regions, convolutions in time.
    stages : sequence of int
    fusion : {"adaptive", "sum", "concatenate"}
        Scales of the dynamics and how they become one (Table 4).
    edges : {"cross_active", "cross", "local", "full"}
        Which units attend to which (Table 5).
    """

    INPUT: ClassVar[Literal["frames", "alpha"]] = "frames"

    def __init__(
        self,
        *,
        n_classes: int = 24,
        n_alpha: int = 32,
        n_frames: int = 16,
        channels: int = 1,
        image_px: int = 224,
        n_occurrence: int = 12,
        trunk: str = "resnet50",
        freeze_trunk: bool = False,
        width: int = 512,
        n_dynamic: int = 2048,
        k: int = 5,
        tcn_kernel: int = 5,
        dropout: float = 0.0,
        regions: str = "bp4d",
        units: Sequence[str] = (),
        region_layers: bool = True,
        mfd: bool = True,
        afe: bool = True,
        aux: bool = True,
        crm: bool = True,
        tcn: bool = True,
        stages: Sequence[int] = (1, 2, 3, 4),
        fusion: Fusion = "adaptive",
        edges: Edges = "cross_active",
    ) -> None:
        super().__init__()
        if image_px < 32:
            raise ValueError(f"image_px is {image_px}, expected at least 32")
        if n_occurrence < 1:
            raise ValueError("mdhr recognises action units in frames, and none is asked for; set loss.occurrence > 0")
        if mfd and n_frames < 2 * k:
            raise ValueError(
                f"clips of {n_frames} frames are shorter than the temporal window of 2 k = {2 * k}; take longer clips"
                " (data.n_frames) or a smaller options.k"
            )
        if crm and not afe:
            raise ValueError("crm = true relates features that each unit has of its own; it needs afe = true")
        if crm and edges == "cross_active" and not aux:
            raise ValueError("edges = 'cross_active' needs aux = true, which says what is active; or take other edges")
        names = tuple(units) or units_of(regions, n_occurrence)
        if len(names) != n_occurrence:
            raise ValueError(f"units names {len(names)} action units, expected n_occurrence = {n_occurrence}")
        self.n_frames, self.channels, self.image_px = n_frames, channels, image_px
        self.units, self.regions = names, regions_of(regions, names)
        self.trunk = ResNet(trunk, channels=channels, frozen=freeze_trunk)
        self.static = TokenBlock(self.trunk.n_features, width, dropout=dropout)
        self.dynamics = (
            FacialDynamics(
                self.trunk.n_maps, n_dynamic=n_dynamic, width=width, k=k, stages=tuple(stages), fusion=fusion
            )
            if mfd
            else None
        )
        n = n_occurrence
        self.local = LocalRelations(
            width, self.regions, n, afe=afe, aux=aux, region_layers=region_layers, dropout=dropout
        )
        self.cross = CrossRelations(width, self.regions, n, edges=edges) if crm else None
        self.times = UnitTimes(width, n, tcn_kernel) if tcn else None
        self.times_norm = nn.BatchNorm1d(n) if tcn else None
        self.detect = UnitSimilarity(width, n)
        self.classify = nn.Linear(width, n_classes)
        self.regress = optional(n_alpha, lambda n: norm_head(width, n))

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
        frames = RealFrames((x.shape[0], x.shape[1]), padding, training=self.training)
        maps = self.trunk.maps(frames.pick(x))
        height, width = maps[-1].shape[2:]
        whole = self.static(maps[-1].flatten(2).transpose(1, 2))
        if self.dynamics is not None:
            whole = whole + self.dynamics(maps, frames).flatten(2).transpose(1, 2)
        features, log_probability, active = self.local(whole.unflatten(1, (height, width)))
        if self.cross is not None:
            features = self.cross(features, active)
        if self.times is not None and self.times_norm is not None:
            features = frames.pick(self.times(frames.masked(frames.spread(features))))
            features = self.times_norm(features).relu()
        pooled = frames.spread(whole.mean(1))
        auxiliary = None
        if self.training and log_probability is not None:
            auxiliary = {
                "combination_log_probability": frames.spread(log_probability),
                "combination_units": self.local.patterns,
            }
        return Prediction(
            self.classify(frames.mean(pooled)),
            None if self.regress is None else self.regress(pooled),
            frames.spread(self.detect(features)),
            auxiliary,
        )
