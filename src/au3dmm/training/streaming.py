"""A model on a stream of event frames: each is looked at once, and each answer speaks of the clip that ends there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from au3dmm.models import Network, Prediction
from au3dmm.training.augmentation import Change
from au3dmm.training.pictures import Scaling, cut

_CLIPS = 32
"""Clips of features at a time; clips of pictures go one by one, for which there is memory everywhere."""


class Answers(NamedTuple):
    """What a model says at M of the frames that came, one after another.

    Attributes
    ----------
    frame : (M,) int64 array
        Number of each frame in the stream, from 0.
    n_frames : (M,) int32 array
        Frames of the clip that ends there: fewer than the model's at the beginning.
    seen : (M,) bool array
        False where the clip shows no event at all, and the model was not asked.
    classes, alpha, occurrence : (M, ...) float32 arrays or None
        Probabilities of classes; coefficients, and probabilities of units, at the frame; 0 where not `seen`. None of a
        model that was not taught it.
    """

    frame: NDArray[np.int64]
    n_frames: NDArray[np.int32]
    seen: NDArray[np.bool_]
    classes: NDArray[np.float32] | None
    alpha: NDArray[np.float32] | None
    occurrence: NDArray[np.float32] | None


@dataclass(frozen=True)
class Seeing:
    """How a model sees frames.

    Attributes
    ----------
    shape, dtype : (int, int, int), numpy.dtype
        Channels, height and width of stored frames, and their type.
    scaling : Scaling
        What stored numbers mean.
    image_px : int
        Side of the square that the model sees.
    every : int
        A clip is every n-th frame.
    says_classes : bool
        Whether the model was taught classes.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    scaling: Scaling
    image_px: int
    every: int
    says_classes: bool


def looks_once(model: Network) -> bool:
    """Say whether a model computes each frame by itself, so that a stream need do so only once."""
    return hasattr(model, "encode") and hasattr(model, "predict")


class Stream:
    """Frames go in block by block, what the model says comes out.

    Models with ``encode`` and ``predict`` compute each frame once, and the features of the last clip are kept; of
    others the last clip's pictures. How the stream is cut into blocks changes answers by rounding alone.

    Parameters
    ----------
    model : Network
        In evaluation mode, on `device`; made by `make_model`.
    seeing : Seeing
        How it sees frames.
    device : torch.device
        Where it computes.
    step : int
        Answer at every n-th frame, the first being frame 0.
    """

    def __init__(self, model: Network, seeing: Seeing, device: torch.device, step: int = 1) -> None:
        self._model, self._seeing, self._device, self._step = model, seeing, device, step
        self._once = looks_once(model)
        self._back = seeing.every * np.arange(model.n_frames - 1, -1, -1)  # from a clip's end back to its frames
        self._done = 0
        self._live = np.zeros(0, bool)
        with torch.inference_mode():
            self._blank = self._look(np.full((1, *seeing.shape), seeing.scaling.zero, seeing.dtype))
            self._kept = self._blank[:0]

    def feed(self, frames: NDArray[Any], n_events: NDArray[np.int64]) -> Answers:
        """Return what the model says at the frames that come next.

        Parameters
        ----------
        frames : (N, C, H, W) array
            As stored in tables of event frames.
        n_events : (N,) int array
            Events of each; those without any are not looked at again.
        """
        n, live = len(frames), n_events > 0
        with torch.inference_mode():
            new = self._blank.repeat(n, *[1] * (self._blank.ndim - 1))
            if live.any():
                new[torch.from_numpy(live).to(new.device)] = self._look(frames[live])
            held = torch.cat([self._kept, new])
            lives = np.r_[self._live, live]
            rows = np.arange(-self._done % self._step, n, self._step)
            at = len(self._kept) + rows[:, None] - self._back
            seen = (lives[np.maximum(at, 0)] & (at >= 0)).any(1)
            answers = self._ask(held, at, seen, rows + self._done)
        first = max(0, len(held) - int(self._back[0]))
        self._kept, self._live = held[first:].clone(), lives[first:]
        self._done += n
        return answers

    def _look(self, frames: NDArray[Any]) -> Tensor:
        """Return what is kept of frames: their features, or their pictures."""
        seeing = self._seeing
        pixels = cut(frames, Change(), seeing.image_px, seeing.scaling)
        if not self._once:
            return pixels
        encode = cast(Callable[[Tensor], Tensor], self._model.encode)
        return encode(self._values(pixels[None], torch.zeros(1, len(frames), dtype=torch.bool))[0])

    def _values(self, pixels: Tensor, padding: Tensor) -> Tensor:
        pixels, padding = pixels.to(self._device), padding.to(self._device)
        gain = torch.ones(len(pixels), device=self._device)
        return self._seeing.scaling.apply(pixels, gain, torch.zeros_like(gain), padding)

    def _ask(self, held: Tensor, at: NDArray[np.int64], seen: NDArray[np.bool_], index: NDArray[np.int64]) -> Answers:
        options = self._model.config["options"]
        sizes = (options["n_classes"], options["n_alpha"], options["n_occurrence"])
        out = [np.zeros((len(at), size), np.float32) if size else None for size in sizes]
        if not self._seeing.says_classes:
            out[0] = None
        rows = np.flatnonzero(seen)
        size = _CLIPS if self._once else 1
        for some in (rows[i : i + size] for i in range(0, len(rows), size)):
            clips, padding = (
                held[torch.from_numpy(np.maximum(at[some], 0)).to(held.device)],
                torch.from_numpy(at[some] < 0),
            )
            said = self._predict(clips, padding)
            heads = (
                torch.softmax(said.logits.double(), -1),
                None if said.alpha is None else said.alpha[:, -1],
                None if said.occurrence is None else torch.sigmoid(said.occurrence[:, -1].double()),
            )
            for values, head in zip(out, heads, strict=True):
                if values is not None and head is not None:
                    values[some] = head.float().cpu().numpy()
        return Answers(index, (at >= 0).sum(1).astype(np.int32), seen, *out)

    def _predict(self, clips: Tensor, padding: Tensor) -> Prediction:
        if not self._once:
            return self._model(self._values(clips, padding), padding.to(self._device))
        predict = cast(Callable[[Tensor, Tensor], Prediction], self._model.predict)
        return predict(clips, padding.to(self._device))
