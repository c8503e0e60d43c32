"""What every network answers."""

from __future__ import annotations

from collections.abc import Mapping
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
    auxiliary : mapping of str to Tensor, or None
        What only the loss reads, in training; None in evaluation, and of networks without. `mdhr` gives
        ``combination_log_probability`` (B, L, Q), of the Q combinations of units in regions of the face, the
        probabilities of each region summing to 1, and ``combination_units`` (Q, A): 1 where the combination has the
        unit, 0 where not, NaN where the unit is of another region. `au_d3dface` gives ``temporal`` (B, L, d), its
        temporal embeddings.
    motion : (B, L, n_motion) Tensor or None
        The refined face of each frame, coordinates of its offsets from the neutral one, mm (`core.motion_space`); of
        `au_d3dface`.

    Rows of frames that are padding hold finite numbers without meaning.
    """

    logits: Tensor
    alpha: Tensor | None
    occurrence: Tensor | None
    auxiliary: Mapping[str, Tensor] | None = None
    motion: Tensor | None = None
