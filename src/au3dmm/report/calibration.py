"""What a run's own check of its uncertainty found, in numbers and words that pages and pictures show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from au3dmm.core.coverage import WIDE, nominal
from au3dmm.errors import SchemaError

KINDS = {"independent": "each landmark errs by itself", "shared": "neighbouring landmarks err together"}
"""The two sorts of noise, in words."""

_ENOUGH = 100  # codes that a share can be told from
_HARDLY = 1 / 3  # a component of which landmarks take away less of the prior's variance is hardly seen


@dataclass(frozen=True)
class Calibration:
    """A check of the uncertainty, ready to be shown.

    Attributes
    ----------
    frames : int
        Planted frames.
    noise_px : float
        Noise they were given, px at 144 px between the outer eye corners.
    shown : dict of str to int
        By kind: codes that were counted.
    curves : dict of str to list of (float, float)
        By kind: stated share and share found, 0 to 1; empty where too few codes were shown.
    within : dict of str to (float, float)
        By kind: share within 1 and 2.5 standard deviations.
    hardly_seen : list of str
        Names of the components that the landmarks hardly tell, least seen first.
    """

    frames: int
    noise_px: float
    shown: dict[str, int]
    curves: dict[str, list[tuple[float, float]]]
    within: dict[str, tuple[float, float]]
    hardly_seen: list[str]

    @property
    def told(self) -> str:
        """What was done and found, in two sentences."""
        done = (
            f"Fitted codes of {self.frames} lively frames were taken for the truth, their landmarks were given noise of"
            f" the recordings' own size ({self.noise_px:.2g} px at 144 px between the outer eye corners), and they were"
            " fitted again."
        )
        if not self.within:
            return f"{done} Too little moves in them to count how often they were found within the stated uncertainty."
        found = "; ".join(
            f"{100 * one:.0f} and {100 * two:.0f} % where {KINDS[kind]}" for kind, (one, two) in self.within.items()
        )
        return (
            f"{done} Of the codes that show something (above 0.25, planted or found), so many were within one and"
            f" within {WIDE} stated standard deviations: {found}. 68 and 95 % would be exact, more is"
            " cautious, less is too sure."
        )


LIMITS = (
    "This checks the arithmetic of the fit for these people, poses and this noise. It does not show what the face model"
    " lacks, a wrong neutral face, or how a detector misreads faces: docs/accuracy.md measures what of that can be"
    " simulated."
)
"""What a check does not show."""


def calibration_of(metadata: Mapping[str, Any], source: str = "the table") -> Calibration | None:
    """Return the check that a table's metadata tell of; None if they tell of none, as those of older versions.

    Parameters
    ----------
    metadata : mapping
        Of coefficients, labels or the index of a dataset.
    source : str
        For messages: whose metadata.

    Raises
    ------
    SchemaError
        If the check is incomplete.
    """
    check = metadata.get("uncertainty")
    if not check:
        return None
    try:
        levels = [float(level) for level in check["levels"]]
        shown, curves, within = {}, {}, {}
        for kind in KINDS:
            shown[kind] = int(check[kind]["shown"])
            shares = [n / max(shown[kind], 1) for n in check[kind]["within"]]
            if shown[kind] >= _ENOUGH:
                curves[kind] = [(nominal(level), share) for level, share in zip(levels, shares, strict=True)]
                within[kind] = (shares[levels.index(1.0)], shares[levels.index(WIDE)])
        names = (metadata.get("basis") or {}).get("names_au") or []
        return Calibration(
            int(check["frames"]),
            float(check["noise_px"]),
            shown,
            curves,
            within,
            _hardly_seen(names, check["determined"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as err:
        raise SchemaError(
            f"{source}: the check of the uncertainty is incomplete ({err!r}); expected what the fit writes; run the fit"
            " stage again"
        ) from err


def _hardly_seen(names: Sequence[str], determined: Sequence[float]) -> list[str]:
    if len(names) != len(determined):
        return []
    pairs = sorted(zip(determined, names, strict=True))
    return [str(name) for share, name in pairs if share < _HARDLY]
