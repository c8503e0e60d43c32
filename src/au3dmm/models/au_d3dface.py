"""AU-D3DFace: coarse 3D faces refined in their sequence, with action units recognised frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from au3dmm.models.appearance import Appearance
from au3dmm.models.network import Network
from au3dmm.models.packing import Packing
from au3dmm.models.prediction import Prediction
from au3dmm.models.spatial_units import UnitRelations, UnitTokens
from au3dmm.models.temporal_decoder import CrossView, DecoderState, TemporalDecoder

Modules = Literal["both", "temporal", "spatial"]
Onto = Literal["coarse", "neutral"]
Feedback = Literal["probability", "binary"]


class _Frames(NamedTuple):
    """What is known of frames before any is decoded: coarse motion (B, L, R), what the decoder looks at (B, L, d),
    and spatial embeddings (B, L, N, d) or None.
    """

    motion: Tensor
    memory: Tensor | None
    spatial: Tensor | None


class AUD3DFace(Network):
    """A transformer over frames, one over action units, and from both the refined face and the units' probabilities.

    coefficients (B, L, K) -> motion (B, L, R) -> memory (B, L, d) [with features of pictures] -> temporal z (B, L, d);
    motion -> unit tokens (B L, N, d) -> spatial z (B, L, N, d); z + sum_k z_k -> motion (B, L, R);
    z + z_k -> occurrence (B, L, N).

    Coarse meshes are those of our fit, ``neutral + alpha C``, so that coefficients say all of them, and motion spaces
    (`au3dmm.core.motion_space`) all of their offsets: mm, the squared length of a row is the mean square over vertices.
    `set_space` gives the matrices; they are buffers, which checkpoints hold.

    In training, units of the frames before are those that were coded (`units`); without them, and in evaluation, those
    that the network itself found. Kuang, Kephart and Ji, "AU-Aware Dynamic 3D Face Reconstruction from Videos with
    Transformer". What it leaves out, and where we depart: docs/models.md.
    1 091 428 parameters with the defaults.

    Parameters
    ----------
    n_classes, n_alpha, n_frames : int
        Of recordings, of the coarse fit, and of the longest clip (the paper: 20 frames in 2 s).
    n_occurrence : int
        N, action units; at least 1.
    n_motion : int
        R, at least `n_alpha`.
    n_vertices : int
        Of the mesh.
    dim, depth, heads, mlp, token_hidden : int
        d, N_d layers of each transformer, their heads and widths.
    period : int
        P of the positional encoding: frames of a second.
    dropout : float
    modules : {"both", "temporal", "spatial"}
        Which of the two transformers there are (the paper's Table 4).
    mesh : bool
        Whether the decoder sees the coarse motion; without, pictures only.
    appearance : str
        Which features of pictures (`appearance.ENCODERS`); "none": mesh only. In "both" and "temporal" they stand
        beside the mesh; in "spatial", where the paper does not say, they are one more token.
    channels, image_px, n_features : int
        Of pictures, or of given features.
    freeze_appearance : bool
        Whether a ResNet's weights stay as they are.
    view : {"past", "own"}
        See `TemporalDecoder`.
    onto : {"coarse", "neutral"}
        What the decoded motion is added to. Eq. 9 adds it to the neutral face; added to the coarse one, training begins
        with the coarse sequence.
    feedback : {"probability", "binary"}
        What the network tells itself of the units of a frame.

    Raises
    ------
    ValueError
        If options exclude each other.
    """

    INPUT: ClassVar[Literal["frames", "alpha"]] = "alpha"

    def __init__(
        self,
        *,
        n_classes: int = 24,
        n_alpha: int = 32,
        n_frames: int = 20,
        n_occurrence: int = 12,
        n_motion: int = 64,
        n_vertices: int = 5023,
        dim: int = 128,
        depth: int = 3,
        heads: int = 4,
        mlp: int = 256,
        token_hidden: int = 64,
        period: int = 10,
        dropout: float = 0.1,
        modules: Modules = "both",
        mesh: bool = True,
        appearance: str = "none",
        channels: int = 1,
        image_px: int = 224,
        n_features: int = 1024,
        freeze_appearance: bool = True,
        view: CrossView = "past",
        onto: Onto = "coarse",
        feedback: Feedback = "probability",
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("modules", modules, ("both", "temporal", "spatial")),
            ("onto", onto, ("coarse", "neutral")),
            ("feedback", feedback, ("probability", "binary")),
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}, expected one of {', '.join(known)}")
        if n_occurrence < 1:
            raise ValueError("au_d3dface: n_occurrence is 0, expected action units that are coded frame by frame")
        if n_motion < n_alpha:
            raise ValueError(f"n_motion is {n_motion}, expected at least n_alpha = {n_alpha}: the coarse motion itself")
        if not mesh and (appearance == "none" or modules != "temporal"):
            raise ValueError('mesh = false needs an appearance and modules = "temporal": unit tokens are of meshes')
        self.n_frames, self.n_alpha, self.n_motion, self.n_units = n_frames, n_alpha, n_motion, n_occurrence
        self.modules_used, self.uses_mesh, self.onto, self.feedback = modules, mesh, onto, feedback
        # coefficients times this are motion
        self.register_buffer("to_motion", torch.eye(n_alpha, n_motion))
        # offsets of vertices, mm, at a coordinate of 1: not computed with, but what motion means
        self.register_buffer("directions", torch.zeros(n_motion, n_vertices, 3))
        self.to_motion: Tensor
        self.directions: Tensor
        self.appearance = None
        if appearance != "none":
            self.appearance = Appearance(
                appearance, channels=channels, image_px=image_px, n_features=n_features, frozen=freeze_appearance
            )
        n_seen = 0 if self.appearance is None else self.appearance.n_features
        sizes = {"depth": depth, "heads": heads, "mlp": mlp}
        self.encode_motion = self.to_memory = self.temporal = None
        self.tokens = self.relations = self.picture_token = None
        if modules != "spatial":
            if mesh:
                self.encode_motion = nn.Linear(n_motion, dim)
            self.to_memory = nn.Linear((dim if mesh else 0) + n_seen, dim)
            self.temporal = TemporalDecoder(
                dim, n_units=n_occurrence, period=period, dropout=dropout, view=view, **sizes
            )
        if modules != "temporal":
            self.tokens = UnitTokens(n_motion=n_motion, n_units=n_occurrence, dim=dim, hidden=token_hidden)
            self.relations = UnitRelations(dim, dropout=dropout, **sizes)
            if modules == "spatial" and n_seen:
                self.picture_token = nn.Linear(n_seen, dim)
        self.refine = nn.Linear(dim, n_motion)
        if onto == "coarse":
            nn.init.zeros_(self.refine.weight)
            nn.init.zeros_(self.refine.bias)
        # eq. 10: one projection per unit
        self.unit_weight = nn.Parameter(dim**-0.5 * torch.randn(n_occurrence, dim))
        self.unit_bias = nn.Parameter(torch.zeros(n_occurrence))
        self.classify = nn.Linear(dim, n_classes)

    def set_space(self, to_motion: Tensor, maps: Tensor | None = None, directions: Tensor | None = None) -> None:
        """Say what coefficients and masks mean, once, before training.

        Parameters
        ----------
        to_motion : (K, R) Tensor
            Coefficients times this are motion.
        maps : (N, R, R) Tensor, optional
            P_k of each unit's mask; see `UnitTokens`. Of no use without the spatial module.
        directions : (R, V, 3) Tensor, optional
            Those of the motion space, mm.

        Raises
        ------
        ValueError
            If shapes are not this network's.
        """
        given = [("to_motion", to_motion, self.to_motion)]
        if maps is not None and self.tokens is not None:
            given.append(("maps", maps, self.tokens.maps))
        if directions is not None:
            given.append(("directions", directions, self.directions))
        for name, value, buffer in given:
            if value.shape != buffer.shape:
                raise ValueError(f"{name} is {tuple(value.shape)}, expected {tuple(buffer.shape)}")
            buffer.copy_(value)

    def forward(
        self,
        x: Tensor,
        padding: Tensor | None = None,
        units: Tensor | None = None,
        frames: Tensor | None = None,
    ) -> Prediction:
        """Refine clips and recognise action units in them.

        Parameters
        ----------
        x : (B, L, K) Tensor
            Coefficients of the coarse sequence.
        padding : (B, L) bool Tensor or None
            True where there is no frame.
        units : (B, L, N) Tensor, optional
            What was coded, 0 or 1, NaN where nobody said (taken as one half): the decoder is told of it (teacher
            forcing). Without, it is told what the network says itself, frame by frame.
        frames : (B, L, C, H, W) or (B, L, F) Tensor, optional
            Pictures in 0 to 1, or features, of networks that have an appearance.

        Returns
        -------
        Prediction
            With `motion`; in training with ``auxiliary["temporal"]`` (B, L, d), where there is a temporal module.
        """
        self.check(x, padding, {"K": self.n_alpha})
        self._check_more(x, units, frames)
        order = Packing(padding)
        known = self.see(order.pack(x), None if frames is None else order.pack(frames))
        z: Tensor | None = None
        if self.temporal is not None and known.memory is not None:
            if units is not None:
                told = order.pack(units)
                told = torch.where(torch.isfinite(told), told, 0.5).to(known.memory.dtype)
                z = self.temporal(told, known.memory)
            else:
                z = self._decode(known)
        logits, motion, joined = self.say(z, known)
        clip = _mean_over_frames(order.unpack(joined), padding)
        return Prediction(
            self.classify(clip),
            None,
            order.unpack(logits),
            {"temporal": order.unpack(z)} if z is not None and self.training else None,
            order.unpack(motion),
        )

    def taught(self, batch: Mapping[str, Any]) -> tuple[Tensor | None, ...]:
        """Return the units that were coded, of a batch, and its pictures where this network looks at any."""
        return (batch["occurrence"], *self.seen(batch)[1:])

    def seen(self, batch: Mapping[str, Any]) -> tuple[Tensor | None, ...]:
        """Return no units, as nobody says them, and the pictures where this network looks at any."""
        return () if self.appearance is None else (None, batch["pictures"])

    def see(self, x: Tensor, frames: Tensor | None = None) -> _Frames:
        """Return what both modules need of frames (B, L, K), whatever came before them: a stream has one at a time."""
        motion = x @ self.to_motion
        pictures = None if self.appearance is None or frames is None else self.appearance(frames)
        memory = spatial = None
        if self.to_memory is not None:
            parts = [] if pictures is None else [pictures]
            if self.encode_motion is not None:
                parts.append(self.encode_motion(motion))
            memory = self.to_memory(torch.cat(parts, dim=2))
        if self.tokens is not None and self.relations is not None:
            extra = None
            if self.picture_token is not None and pictures is not None:
                extra = self.picture_token(pictures).flatten(0, 1)
            spatial = self.relations(self.tokens(motion.flatten(0, 1)), extra).unflatten(0, motion.shape[:2])
        return _Frames(motion, memory, spatial)

    def say(self, z: Tensor | None, known: _Frames) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, L, N), refined motion (B, L, R) and the joined embeddings (B, L, d): eq. 9 and 10."""
        if known.spatial is None:
            assert z is not None, "one of the modules is there"
            joined, each = z, z[:, :, None]
        else:
            total = known.spatial.sum(dim=2)
            joined = total if z is None else z + total
            each = known.spatial if z is None else known.spatial + z[:, :, None]
        logits = (each * self.unit_weight).sum(dim=3) + self.unit_bias
        # the sum grows with the number of terms: a linear decoder of their mean is the same, and learns as fast for any
        n_terms = (z is not None) + (known.spatial is not None) * self.n_units
        motion = self.refine(joined / n_terms)
        return logits, known.motion + motion if self.onto == "coarse" else motion, joined

    def step(
        self, x: Tensor, told: Tensor | None = None, state: DecoderState | None = None, frame: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, DecoderState | None]:
        """Take one more frame of a stream.

        Parameters
        ----------
        x : (B, K) Tensor
            Coefficients.
        told, state
            As the call before returned them; None for the first frame.
        frame : (B, C, H, W) or (B, F) Tensor, optional
            Picture or features.

        Returns
        -------
        logits : (B, N) Tensor
        motion : (B, R) Tensor
        told : (B, N) Tensor
            What the next call is told of this frame's units.
        state : DecoderState or None
        """
        known = self.see(x[:, None], None if frame is None else frame[:, None])
        z = None
        if self.temporal is not None and known.memory is not None:
            z, state = self.temporal.step(told, known.memory[:, 0], state)
        logits, motion, _ = self.say(None if z is None else z[:, None], known)
        return logits[:, 0], motion[:, 0], self.told(logits[:, 0]), state

    def told(self, logits: Tensor) -> Tensor:
        """Return what the decoder is told of units (..., N) that the network itself found."""
        return torch.sigmoid(logits) if self.feedback == "probability" else (logits > 0).to(logits.dtype)

    def _decode(self, known: _Frames) -> Tensor:
        assert self.temporal is not None
        assert known.memory is not None
        rows, told, state = [], None, None
        for j in range(known.motion.shape[1]):
            z, state = self.temporal.step(told, known.memory[:, j], state)
            rows.append(z)
            spatial = None if known.spatial is None else known.spatial[:, j : j + 1]
            logits, _, _ = self.say(z[:, None], _Frames(known.motion[:, j : j + 1], None, spatial))
            told = self.told(logits[:, 0])
        return torch.stack(rows, dim=1)

    def _check_more(self, x: Tensor, units: Tensor | None, frames: Tensor | None) -> None:
        if (frames is None) != (self.appearance is None):
            expected = "none: this network has no appearance" if self.appearance is None else "frames or features"
            raise ValueError(f"AUD3DFace got {'no' if frames is None else 'such'} pictures, expected {expected}")
        if frames is not None and frames.shape[:2] != x.shape[:2]:
            raise ValueError(f"AUD3DFace got pictures {tuple(frames.shape)} for coefficients {tuple(x.shape)}")
        if units is not None and units.shape != (*x.shape[:2], self.n_units):
            raise ValueError(
                f"AUD3DFace got units of shape {tuple(units.shape)}, expected {(*x.shape[:2], self.n_units)}"
            )


def _mean_over_frames(x: Tensor, padding: Tensor | None) -> Tensor:
    """Return the mean (B, d) over the frames (B, L, d) that are there, 0 of a clip without any."""
    if padding is None:
        return x.mean(dim=1)
    there = (~padding)[:, :, None]
    return torch.where(there, x, 0).sum(dim=1) / there.sum(dim=1).clamp(min=1)
