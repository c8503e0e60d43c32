"""What every network answers."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Prediction(NamedTuple):
    """The answer of a network for B clips of L frames.

    Attributes
    ----------
    logits : (B, n_classes) Tensor
        Of the action unit that the whole clip shows; softmax gives probabilities.
    alpha : (B, L, n_alpha) Tensor or None
        Coefficients per frame, in standard deviations; None of a model without this head, and of models whose input
        are coefficients.
    occurrence : (B, L, n_occurrence) Tensor or None
        Logits of action units per frame, several at a time; sigmoid gives probabilities. None with ``n_occurrence=0``.

    Rows of frames that are padding hold finite numbers without meaning.
    """

    logits: Tensor
    alpha: Tensor | None
    occurrence: Tensor | None
