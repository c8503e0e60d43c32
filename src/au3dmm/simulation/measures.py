"""How far fitted action units are from the truth, in mm on the face and in coefficients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.coverage import Coverage, covered
from au3dmm.core.std_factors import best_codes
from au3dmm.simulation.classifier import cross_validated_hits
from au3dmm.simulation.estimate import Estimate
from au3dmm.simulation.foresight import Foresight, foresight
from au3dmm.simulation.recordings import Recordings
from au3dmm.simulation.training import LearntBasis

_MM = 1e3
_DRAWS = 300
_RIDGE = 1e-5  # of the mean squared length of a component: keeps codes that explain nothing small
_RARE = 0.01  # components whose target varies less than this share of the liveliest one's say nothing


@dataclass(frozen=True)
class UnitMeasure:
    """One action unit: relative displacement error, and true displacement at the apex, mm (means over points)."""

    disp: float
    apex_mm: float


@dataclass(frozen=True)
class Measures:
    """Results of one method on one set of recordings; NaN where there is nothing to measure.

    Attributes
    ----------
    disp, disp_se : float
        Sum over clips of the mean distance between fitted and true displacement of the metric points in apex frames,
        as a share of the same sum of the true displacement's length: predicting no motion scores 1. With the standard
        error over subjects (bootstrap), like all ``_se``.
    dmed : float
        Median over clips of the same ratio.
    corr : float
        Mean over components of the correlation with the target code; see `target_codes`.
    leak, leak_se : float
        Mean rms displacement fitted to neutral frames, as a share of that fitted to apex frames.
    leak_mm, jitter_mm : float
        The former in mm; and rms change from one neutral frame to the next over the root of 2.
    accuracy, accuracy_se : float
        Share of clips told apart from mean and maximum of alpha, on subjects not learnt from.
    accuracy_pose : float
        The same with mean, least and largest rotation beside them, for movements of the head.
    disp_active, n_active : float, int
        disp over the clips whose first frame is not neutral, and how many there are.
    purity : float
        Share of the frames taken as neutral that are.
    frames_per_second : float
        Of processor time, all of the fit.
    units : dict of str to UnitMeasure
        By what the clips show.
    worse_than_zero : tuple of str
        Action units with an error above 1.
    coverage : Coverage
        Of ``alpha_au_std``.
    foresight : Foresight
        Of the frames' confidence.
    """

    disp: float
    disp_se: float
    dmed: float
    corr: float
    leak: float
    leak_se: float
    leak_mm: float
    jitter_mm: float
    accuracy: float
    accuracy_se: float
    accuracy_pose: float
    disp_active: float
    n_active: int
    purity: float
    frames_per_second: float
    units: dict[str, UnitMeasure]
    worse_than_zero: tuple[str, ...]
    coverage: Coverage
    foresight: Foresight

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, NaN as None, for JSON."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def measure(
    recordings: Recordings,
    found: Estimate,
    basis: LearntBasis,
    *,
    target: NDArray[np.float64] | None = None,
    alpha: NDArray[np.floating] | None = None,
    classify: bool = True,
) -> Measures:
    """Measure an estimate.

    Parameters
    ----------
    recordings : Recordings
        With the truth.
    found : Estimate
        By any method.
    basis : LearntBasis
        What alpha counts.
    target : (S, C, T, K) array, optional
        What alpha should be, of the same recordings and basis; default: non-negative `target_codes`.
    alpha : (S, C, T, K) array, optional
        Instead of the estimate's own, for controls that change it afterwards.
    classify : bool
        Whether to train classifiers, the slowest part.
    """
    codes = np.asarray(found.alpha if alpha is None else alpha, np.float64)
    components = basis.metric
    error, size = clip_errors(recordings, codes, components)
    gram = np.einsum("kva,mva->km", components, components) / components.shape[1]
    rms_mm = _MM * np.sqrt(np.maximum(np.einsum("...k,km,...m->...", codes, gram, codes), 0))
    still, apex = recordings.still, recordings.apex
    quiet, loud = _sums(rms_mm, still), _sums(rms_mm, apex)
    change = np.diff(codes, axis=2)
    step = np.einsum("...k,km,...m->...", change, gram, change)
    pairs = _sums(step, still[:, :, 1:] & still[:, :, :-1])
    if target is None:
        target = target_codes(recordings, components)
    hits, hits_pose = _hits(codes, found, recordings) if classify else (None, None)
    began = recordings.active_start & np.isfinite(error)
    relative = (error / size)[np.isfinite(error)]
    units = {
        label: UnitMeasure(float(error[:, c].sum() / size[:, c].sum()), float(_MM * size[:, c].mean()))
        for c, label in enumerate(recordings.labels)
        if np.isfinite(error[:, c]).all()
    }

    def disp_of(who: NDArray[np.int64]) -> float:
        return _ratio(np.nansum(error[who]), np.nansum(size[who]))

    def leak_of(who: NDArray[np.int64]) -> float:
        return _ratio(quiet[who, 0].sum() * loud[who, 1].sum(), quiet[who, 1].sum() * loud[who, 0].sum())

    every = np.arange(len(codes))
    return Measures(
        disp=disp_of(every),
        disp_se=_standard_error(disp_of, len(codes)),
        dmed=float(np.median(relative)) if len(relative) else np.nan,
        corr=_correlation(codes, target),
        leak=leak_of(every),
        leak_se=_standard_error(leak_of, len(codes)),
        leak_mm=_ratio(quiet[:, 0].sum(), quiet[:, 1].sum()),
        jitter_mm=_MM * float(np.sqrt(_ratio(pairs[:, 0].sum(), 2 * pairs[:, 1].sum()))),
        accuracy=np.nan if hits is None else float(hits.mean()),
        accuracy_se=np.nan if hits is None else _standard_error(lambda who: float(hits[who].mean()), len(codes)),
        accuracy_pose=np.nan if hits_pose is None else float(hits_pose.mean()),
        disp_active=_ratio(error[began].sum(), size[began].sum()),
        n_active=int(began.sum()),
        purity=_purity(found, still),
        frames_per_second=found.frames_per_second,
        units=units,
        worse_than_zero=tuple(label for label, unit in units.items() if unit.disp > 1),
        coverage=covered(codes, found.alpha_std, target),
        foresight=foresight(recordings, found, components),
    )


def clip_errors(
    recordings: Recordings, alpha: NDArray[np.float64], components: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean error and the mean size of displacements in each clip's apex frames, (S, C) each, m.

    NaN for clips in which the face does not move.
    """
    flat = components.reshape(len(components), -1).astype(np.float32)
    error = np.full(alpha.shape[:2], np.nan)
    size = np.full(alpha.shape[:2], np.nan)
    for s in range(len(alpha)):
        apex = recordings.apex[s]
        true = recordings.displacement(s, apex)
        fitted = (alpha[s][apex].astype(np.float32) @ flat).reshape(true.shape)
        clip = np.nonzero(apex)[0]
        count = np.bincount(clip, minlength=alpha.shape[1]).astype(np.float64)
        count[count == 0] = np.nan
        for out, vectors in ((error, fitted - true), (size, true)):
            length = np.sqrt(np.einsum("nva,nva->nv", vectors, vectors)).mean(1)
            out[s] = np.bincount(clip, length, alpha.shape[1]) / count
    return error, size


def target_codes(
    recordings: Recordings, components: NDArray[np.float64], nonnegative: bool = True
) -> NDArray[np.float64]:
    """Return the codes (S, C, T, K) that explain the true displacements best, in the components' unit.

    Least squares over the metric points, with a ridge of 1e-5 of the components' mean square, and codes >= 0 if
    `nonnegative`: what a fit of this basis could reach that sees everything.
    """
    flat = components.reshape(len(components), -1)
    gram = flat @ flat.T
    ridge = _RIDGE * float(np.diag(gram).mean())
    codes = np.zeros((*recordings.weights.shape[:3], len(components)))
    for s, shapes in enumerate(recordings.expressions):
        per_expression = shapes.reshape(len(shapes), -1).astype(np.float64) @ flat.T
        products = recordings.weights[s].reshape(-1, len(shapes)).astype(np.float64) @ per_expression
        if nonnegative:
            found = best_codes(products, gram)
        else:
            found = np.linalg.solve(gram + ridge * np.eye(len(gram)), products.T).T
        codes[s] = found.reshape(codes.shape[1:])
    return codes


def _correlation(alpha: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    x, y = (a.reshape(-1, a.shape[-1]) for a in (alpha, target))
    x, y = x - x.mean(0), y - y.mean(0)
    energy = (y * y).sum(0)
    lively = energy > _RARE * energy.max(initial=0)
    if not lively.any():
        return float("nan")
    x, y = x[:, lively], y[:, lively]
    norm = np.sqrt((x * x).sum(0) * (y * y).sum(0))
    return float(np.mean(np.where(norm > 0, (x * y).sum(0) / np.where(norm > 0, norm, 1), 0)))


def _hits(
    alpha: NDArray[np.float64], found: Estimate, recordings: Recordings
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    n_subjects, n_clips = alpha.shape[:2]
    if n_subjects < 2 or recordings.condition.kind in ("combined", "speech"):
        return None, None  # their clips are no classes
    groups = np.repeat(np.arange(n_subjects), n_clips)
    classes = np.tile(np.arange(n_clips), n_subjects)
    features = np.concatenate([alpha.mean(2), alpha.max(2)], axis=2).reshape(len(groups), -1)
    hits = cross_validated_hits(features, classes, groups).reshape(n_subjects, n_clips)
    if recordings.condition.kind != "facemorphic":
        return hits, None
    # small rotations of the head from its mean in the clip: the entries that are sines of the angles
    turn = found.rotation[..., [1, 0, 1], [2, 2, 0]].astype(np.float64)
    pose = np.concatenate([turn.mean(2), turn.min(2), turn.max(2)], axis=2).reshape(len(groups), -1)
    both = cross_validated_hits(np.concatenate([features, pose], axis=1), classes, groups)
    return hits, both.reshape(n_subjects, n_clips)


def _purity(found: Estimate, still: NDArray[np.bool_]) -> float:
    flat = still.reshape(len(still), -1)
    taken = [flat[s, rows] for s, parts in enumerate(found.neutral_rows) for rows in parts]
    return float(np.concatenate(taken).mean()) if taken else float("nan")


def _sums(values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return sum and count (S, 2) of each subject's chosen values."""
    return np.stack([np.where(chosen, values, 0).sum((1, 2)), chosen.sum((1, 2))], axis=1)


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below > 0 else float("nan")


def _standard_error(statistic: Callable[[NDArray[np.int64]], float], n: int) -> float:
    """Return the standard deviation of a statistic of subjects, drawn again with replacement."""
    if n < 2:
        return float("nan")
    rng = np.random.default_rng(0)
    draws = np.array([statistic(rng.integers(0, n, n)) for _ in range(_DRAWS)])
    return float(draws.std()) if np.isfinite(draws).all() else float("nan")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return round(value, 5) if np.isfinite(value) else None
    return value
