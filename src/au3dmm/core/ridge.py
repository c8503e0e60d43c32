"""Least squares with a penalty on each coefficient, one problem at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import FitError


def solve_ridge(
    design: NDArray[np.floating], target: NDArray[np.floating], penalty: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Solve ``min ||design @ alpha - target||^2 + alpha.T diag(penalty) alpha``.

    Parameters
    ----------
    design : (M, K) array
        One row per observed coordinate, one column per component, px.
    target : (M,) array
        Observed minus mean coordinates, px.
    penalty : (K,) array
        Weight of each coefficient, px^2.

    Returns
    -------
    alpha : (K,) array
        Coefficients, in standard deviations.

    Raises
    ------
    FitError
        If shapes disagree, or the normal equations are singular.

    Examples
    --------
    >>> solve_ridge(np.eye(2), np.array([2.0, 4.0]), np.array([0.0, 1.0]))
    array([2., 2.])
    """
    if design.ndim != 2 or target.shape != design.shape[:1] or penalty.shape != design.shape[1:]:
        raise FitError(f"ridge: design {design.shape}, target {target.shape} and penalty {penalty.shape} disagree")
    try:
        return solve_normal(design.T @ design + np.diag(penalty), design.T @ target)[0]
    except FitError as err:
        raise FitError(f"ridge: {design.shape[0]} equations do not determine {design.shape[1]} coefficients") from err


def solve_normal(
    normal: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve ``normal @ x = right`` by Cholesky, and give the inverse, which is the posterior covariance of x.

    Parameters
    ----------
    normal : (K, K) array
        Symmetric, positive definite.
    right : (K,) array
        Right-hand side.

    Returns
    -------
    x : (K,) array
        Solution.
    covariance : (K, K) array
        Inverse of `normal`.

    Raises
    ------
    FitError
        If `normal` is not positive definite or not finite.
    """
    try:
        # inverse of the factor: it gives both, and fails unless the matrix is positive definite
        inverse = np.linalg.inv(np.linalg.cholesky(normal))
    except np.linalg.LinAlgError as err:
        raise FitError(f"ridge: the normal equations of {len(right)} coefficients are singular") from err
    if not np.isfinite(inverse).all():
        raise FitError(f"ridge: the normal equations of {len(right)} coefficients are singular")
    return inverse.T @ (inverse @ right), inverse.T @ inverse
