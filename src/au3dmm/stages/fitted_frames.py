"""What the fit found in the usable frames of a session: for checking the uncertainty that it states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.fitting import ExpressionFit
from au3dmm.core.self_check import CHECK_FRAMES, SelfCheck, check_uncertainty, liveliest
from au3dmm.core.uncertainty import Uncertainty


@dataclass(frozen=True)
class FittedFrames:
    """Blocks of frames put together; only those that are usable count.

    Attributes
    ----------
    blocks : list of ExpressionFit
        One after another.
    usable : (T,) bool array
        Of all their frames.
    """

    blocks: Sequence[ExpressionFit]
    usable: NDArray[np.bool_]

    def check(
        self,
        refit: Callable[[NDArray[np.float64]], ExpressionFit],
        doubt_of: Callable[[ExpressionFit, NDArray[np.float64]], Uncertainty],
        neutral: NDArray[np.float64],
        weights: NDArray[np.float64],
        size_px: float,
    ) -> SelfCheck:
        """Plant the codes of at most 150 lively frames, and find them again; see `check_uncertainty`."""
        alpha = np.concatenate([block.alpha for block in self.blocks])
        rows = np.flatnonzero(self.usable)
        rows = rows[liveliest(alpha[rows], CHECK_FRAMES)]
        fitted = np.concatenate([block.fitted for block in self.blocks])[rows]
        camera = np.concatenate([block.camera for block in self.blocks])[rows, :, :3]
        return check_uncertainty(refit, doubt_of, alpha[rows], fitted, camera, neutral, weights, size_px=size_px)

    def determined(self) -> list[float]:
        """Return for each coefficient how much of the prior's variance landmarks take away, mean over frames, 0 to 1.

        Near 0: the landmarks hardly move with this component, and do not tell what it does.
        """
        variance = np.concatenate([block.alpha_std for block in self.blocks])[self.usable] ** 2
        return [round(float(share), 3) for share in 1 - variance.mean(0)]
