"""The clock from trigger edges, for stage sync: which edges and exposures belong together, and how they are wired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import SyncParams
from au3dmm.core.clock import ClockFit, TieError, fit_trigger_clock
from au3dmm.errors import ConfigError, FitError, SessionError
from au3dmm.io.session import Session
from au3dmm.io.timestamps import Timestamps, read_timestamps

_START, _END = 0, 1  # kinds of exposure instants
_SUSPICIOUS_US = 50.0  # residuals of edges that are a camera's own are a few us
_POINTS = 2000


def from_triggers(
    session: Session,
    params: SyncParams,
    frames: Timestamps,
    triggers: NDArray[np.void],
    path: Path,
    near: tuple[float, float] | None = None,
) -> tuple[ClockFit, tuple[str, ...]]:
    """Match the edges of a recording with the exposures of its RGB frames.

    Edges whose polarity is not as the manifest says are noticed: if swapped they match, and as stated they do not (or
    far worse), they are taken as swapped, with a warning.

    Parameters
    ----------
    session, params, frames
        The recording, how it is matched, and the times of its frames.
    triggers : (M,) array of TRIGGER_DTYPE
    path : Path
        The event file, for messages.
    near : (float, float), optional
        See `fit_trigger_clock`.

    Returns
    -------
    fit : ClockFit
    warnings : tuple of str

    Raises
    ------
    TieError
        If several shifts explain the edges equally well; says nothing yet of what to do (`advice`).
    ConfigError, SessionError, FitError
        If the manifest does not say what is needed, there are no edges, or they do not fit the exposures.
    """
    edges = choose_edges(session, triggers, path)
    stated = _fit(session, params, frames, edges, near, swapped=False)
    if isinstance(stated, ClockFit) and stated.residual_us <= _SUSPICIOUS_US:
        return stated, ()
    swapped = _fit(session, params, frames, edges, near, swapped=True)
    better = isinstance(swapped, ClockFit) and (
        not isinstance(stated, ClockFit)
        or (swapped.n_matched >= stated.n_matched and 4 * swapped.residual_us < stated.residual_us)
    )
    if not better:
        if isinstance(stated, ClockFit):
            return stated, ()
        if isinstance(stated, TieError):
            raise TieError(f"{path}: {stated}", stated.spacing_us)
        raise FitError(f"{path}: {stated}; {advice(session, 'motion')}")
    assert isinstance(swapped, ClockFit), "only a fit is better"
    matches = f"{swapped.n_matched} of {swapped.n_expected} exposure instants match within {swapped.residual_us:.0f} us"
    other = "exposure_end" if session.manifest.sync.rising_edge == "exposure_start" else "exposure_start"
    if isinstance(stated, TieError):
        # as stated they match as well, but for the first or the last edge
        raise TieError(f"{path}: {stated} (with rising and falling edges swapped {matches})", stated.spacing_us)
    return swapped, (
        f"trigger edges are not as session.toml says: taken as swapped, {matches}; write sync.rising_edge = {other!r}",
    )


def trigger_evidence(fit: ClockFit) -> dict[str, Any]:
    """Return what the picture of a clock from triggers is drawn from; long lists are thinned out evenly."""
    return {
        "kind": "trigger",
        "t_rgb_us": _thin(fit.matched_us).tolist(),
        "residual_us": _thin(fit.residuals_us).round(2).tolist(),
        "edge": [("exposure_start", "exposure_end")[k] for k in _thin(fit.kinds)],
        "missing_t_rgb_us": _thin(fit.missing_us).tolist(),
        "spurious_t_us": _thin(fit.spurious_us).tolist(),
        "n_missing": len(fit.missing_us),
        "n_spurious": len(fit.spurious_us),
    }


def _thin(values: NDArray[Any]) -> NDArray[Any]:
    if len(values) <= _POINTS:
        return values
    return values[np.linspace(0, len(values) - 1, _POINTS).astype(np.int64)]


def choose_edges(session: Session, triggers: NDArray[np.void], path: Path) -> NDArray[np.void]:
    """Return the edges of the trigger input that the manifest names, or of the only one there is.

    Raises
    ------
    SessionError
        If there are none.
    ConfigError
        If there are several inputs and the manifest names none.
    """
    wanted = session.manifest.sync.trigger_id
    edges = triggers if wanted is None else triggers[triggers["id"] == wanted]
    there = sorted(set(triggers["id"].tolist()))
    if not len(edges):
        with_id = "" if wanted is None else f" with id {wanted}"
        elsewhere = f" (there are some with id {', '.join(map(str, there))})" if there else ""
        raise SessionError(
            f"{path}: no trigger edges{with_id}{elsewhere}, expected two for each RGB exposure; correct"
            " sync.trigger_id, or choose another method with --sync (for example --sync motion)"
        )
    if wanted is None and len(there) > 1:
        raise ConfigError(
            f"{session.path}: {path.name} has trigger edges of several inputs ({', '.join(map(str, there))}); say"
            " which with sync.trigger_id"
        )
    return edges


def advice(session: Session, method: str) -> str:
    """Return what to look at where edges and exposures do not fit, and which other method there is."""
    stamps = "rgb.timestamps" if session.manifest.rgb.timestamps else "the video times"
    return (
        f"check {stamps}, sync.trigger_id and sync.rising_edge, or choose another method with --sync (for example"
        f" --sync {method})"
    )


def _fit(
    session: Session,
    params: SyncParams,
    frames: Timestamps,
    edges: NDArray[np.void],
    near: tuple[float, float] | None,
    *,
    swapped: bool,
) -> ClockFit | FitError:
    rising_starts = (session.manifest.sync.rising_edge == "exposure_start") != swapped
    rising, falling = (_START, _END) if rising_starts else (_END, _START)
    edge_kind = np.where(edges["p"] > 0, rising, falling)
    instants, exposure_kind, edge_us, edge_kind = _pair_up(session, frames, edges["t"], edge_kind)
    try:
        return fit_trigger_clock(
            edge_us,
            instants,
            edge_kind=edge_kind,
            exposure_kind=exposure_kind,
            tolerance_us=params.tolerance_us,
            min_matched=params.min_matched,
            near=near,
        )
    except FitError as err:
        return err


def _pair_up(
    session: Session, frames: Timestamps, edge_us: NDArray[np.int64], edge_kind: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return exposure instants with their kinds, and the edges to match them with."""
    rgb = session.manifest.rgb
    if rgb.timestamps is not None:
        stamps, convention = read_timestamps(session.file(rgb.timestamps)), rgb.timestamp_convention
    else:
        # frame times are exposure midpoints already, where the length of the exposure is known
        known = rgb.exposure_us is not None
        stamps, convention = frames, "exposure_midpoint" if known else rgb.timestamp_convention
    exposures = stamps.exposures_us(convention, rgb.exposure_us)
    if exposures is not None:
        kinds = [k for k in (_START, _END) if (edge_kind == k).any()]  # a camera may be set to one edge only
        instants = np.concatenate([exposures[:, k] for k in kinds])
        return instants, np.repeat(kinds, len(exposures)), edge_us, edge_kind
    n = len(stamps.pts_us)
    if convention != "exposure_midpoint":
        kind = _START if convention == "exposure_start" else _END
        mine = edge_kind == kind
        return stamps.pts_us, np.full(n, kind), edge_us[mine], edge_kind[mine]
    start = np.flatnonzero((edge_kind[:-1] == _START) & (edge_kind[1:] == _END))
    if not len(start):
        raise ConfigError(
            f"{session.path}: trigger edges of one kind only, while frame times are exposure midpoints; give"
            " rgb.exposure_us, or exposure columns in the timestamps CSV"
        )
    middle = edge_us[start] + (edge_us[start + 1] - edge_us[start]) // 2
    return stamps.pts_us, np.zeros(n, np.int64), middle, np.zeros(len(middle), np.int64)
