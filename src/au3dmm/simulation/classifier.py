"""A multinomial logistic regression, cross-validated over groups: how well coefficients tell clips apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from au3dmm.errors import FitError

_FOLDS = 5


def cross_validated_hits(
    features: NDArray[np.floating], classes: NDArray[np.integer], groups: NDArray[np.integer], folds: int = _FOLDS
) -> NDArray[np.bool_]:
    """Say which rows are recognised by a classifier that has seen nothing of their group.

    Parameters
    ----------
    features : (n, D) array
        Standardised within each fold, by what is learnt from.
    classes, groups : (n,) int arrays
        What is to be told apart; rows of one group (a subject) are never both learnt from and tested on.
    folds : int
        Groups are dealt out to this many, in turn; fewer if there are fewer groups.

    Returns
    -------
    (n,) bool array

    Raises
    ------
    FitError
        If there are fewer than two groups.
    """
    names, number = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise FitError(f"accuracy: {len(names)} subject; expected at least 2, to test on others than are learnt from")
    fold = number % min(folds, len(names))
    hits = np.zeros(len(features), bool)
    for part in np.unique(fold):
        learn, test = fold != part, fold == part
        mean, scale = features[learn].mean(0), features[learn].std(0)
        scale = np.where(scale > 0, scale, 1.0)
        known = np.unique(classes[learn])
        weights = fit_logistic((features[learn] - mean) / scale, np.searchsorted(known, classes[learn]))
        score = with_ones((features[test] - mean) / scale) @ weights
        hits[test] = known[np.argmax(score, axis=1)] == classes[test]
    return hits


def fit_logistic(features: NDArray[np.floating], classes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Minimise ``sum(-log p) + 1/2 |W|^2`` (the constants are not penalised); return W and constants (D + 1, classes).

    Parameters
    ----------
    features : (n, D) array
        Standardised.
    classes : (n,) int array
        From 0 on.
    """
    x = with_ones(features)
    n_classes = int(classes.max()) + 1
    truth = np.eye(n_classes)[classes]
    shrink = np.ones((x.shape[1], 1))
    shrink[-1] = 0

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w = flat.reshape(x.shape[1], n_classes)
        score = x @ w
        log_p = score - logsumexp(score, axis=1, keepdims=True)
        value = -float((truth * log_p).sum()) + 0.5 * float((shrink * w * w).sum())
        return value, (x.T @ (np.exp(log_p) - truth) + shrink * w).ravel()

    found = minimize(loss, np.zeros(x.shape[1] * n_classes), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(found.x.reshape(x.shape[1], n_classes))


def with_ones(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Append a column of ones."""
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)
