"""What all networks share: what they take, how they check it, and the options that rebuild them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from au3dmm.models.prediction import Prediction


class Network(nn.Module):
    """A network of clips: ``forward(x, padding=None) -> Prediction``.

    Attributes
    ----------
    INPUT : {"frames", "alpha"}
        What ``x`` is: frames (B, L, C, H, W) in 0 to 1, or coefficients (B, L, K).
    n_frames : int
        The longest clip. Shorter ones are taken as the end of one: the last frame is the last in both.
    config : dict
        ``{"name", "options"}``, plain JSON, set by `make_model`: ``make_model(config["name"], **config["options"])``
        is the same network with new weights.
    """

    INPUT: ClassVar[Literal["frames", "alpha"]]
    n_frames: int
    config: dict[str, Any]

    def __call__(self, x: Tensor, padding: Tensor | None = None, *more: Tensor | None) -> Prediction:
        """Return `forward`'s answer, typed; `more` is what a network takes beside."""
        answer: Prediction = super().__call__(x, padding, *more)
        return answer

    def taught(self, batch: Mapping[str, Any]) -> tuple[Tensor | None, ...]:
        """Return what `forward` takes beside x and padding in training: nothing, unless a network says otherwise."""
        return ()

    def seen(self, batch: Mapping[str, Any]) -> tuple[Tensor | None, ...]:
        """Return what `forward` takes beside x and padding when asked: nothing, unless a network says otherwise."""
        return ()

    def check(self, x: Tensor, padding: Tensor | None, sizes: dict[str, int | None]) -> None:
        """Refuse a batch of another shape than this network's.

        Parameters
        ----------
        x : (B, L, *sizes) Tensor
        padding : (B, L) bool Tensor or None
        sizes : dict
            Name and size of each axis after L; None where any will do.

        Raises
        ------
        ValueError
            One line: the shape or type found, what was expected.
        """
        name = type(self).__name__
        found = tuple(x.shape)
        wanted = ", ".join(["B", f"L up to {self.n_frames}", *(f"{k} = {v}" if v else k for k, v in sizes.items())])
        good = len(found) == 2 + len(sizes) and 0 < found[1] <= self.n_frames and found[0] > 0
        if not good or any(v not in (None, n) for n, v in zip(found[2:], sizes.values(), strict=True)):
            raise ValueError(f"{name} got {self.INPUT} of shape {found}, expected ({wanted})")
        if not x.is_floating_point():
            raise ValueError(f"{name} got {self.INPUT} of type {x.dtype}, expected floating point (frames: in 0 to 1)")
        if padding is not None and (padding.shape != x.shape[:2] or padding.dtype != torch.bool):
            raise ValueError(
                f"{name} got padding of shape {tuple(padding.shape)} and type {padding.dtype}, "
                f"expected {tuple(x.shape[:2])} and torch.bool"
            )


def optional(n_out: int, make: Callable[[int], nn.Module]) -> nn.Module | None:
    """Return the head ``make(n_out)``, or None where nothing is asked of it (0)."""
    return make(n_out) if n_out > 0 else None


def norm_head(dim: int, n_out: int) -> nn.Sequential:
    """Return LayerNorm and one linear layer: the head of the released spatio-temporal transformer."""
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, n_out))


def hidden_head(dim: int, n_out: int, *, hidden: int = 128) -> nn.Sequential:
    """Return two linear layers with a ReLU between: the head of the paper's baselines (128-32 and 128-24)."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, n_out))
