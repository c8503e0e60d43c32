"""What training minimises: the class of the video, the coefficients of every frame, and the units coded in frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from au3dmm.errors import ConfigError
from au3dmm.models import Prediction
from au3dmm.training.mesh_losses import landmark_loss, landmark_points, mesh_loss, project, smoothness_loss
from au3dmm.training_config import LossParams


def training_loss(prediction: Prediction, batch: dict[str, Any], params: LossParams) -> dict[str, Tensor]:
    """Return the loss of a batch and its parts.

    ``total = classes * CE + alpha * MSE + occurrence * BCE`` (FACEMORPHIC sec. 6: ``L = L_AU + lambda L_alpha``), with
    the weights of `params`; a part without a label in the batch is 0. BCE is the asymmetric loss with
    ``occurrence_form = "asymmetric"``, and ``combinations * CE`` is added where the network tells combinations of
    units (MDHR equation 12). Of refined faces ``mesh``, ``landmarks`` and ``smooth``, too (`mesh_losses`).

    Parameters
    ----------
    prediction : Prediction
        Of a model.
    batch : dict
        See `Clips`.
    params : LossParams
        Weights.

    Returns
    -------
    dict
        ``total``, and of what has a weight ``classes``, ``alpha``, ``occurrence``, ``combinations``, ``mesh``,
        ``landmarks``, ``smooth``: scalars.

    Raises
    ------
    ConfigError
        If the model does not predict what has a weight.

    Notes
    -----
    The paper sums squared errors over coefficients; here they are averaged, so that lambda does not depend on K (its
    lambda is ours divided by K).
    """
    parts: dict[str, Tensor] = {}
    if params.classes:
        parts["classes"] = class_loss(prediction.logits, batch["label"], params.label_smoothing)
    if params.alpha:
        if prediction.alpha is None:
            raise ConfigError(f"loss.alpha = {params.alpha:g}, but this model predicts no alpha; set loss.alpha = 0")
        floor = params.std_floor if params.alpha_by_std else None
        parts["alpha"] = alpha_loss(prediction.alpha, batch["alpha"], batch["alpha_std"], batch["known"], floor)
    if params.occurrence:
        if prediction.occurrence is None:
            raise ConfigError(
                f"loss.occurrence = {params.occurrence:g}, but this model predicts no occurrence; set it to 0"
            )
        if params.occurrence_form == "asymmetric":
            parts["occurrence"] = asymmetric_loss(
                prediction.occurrence, batch["occurrence"], params.occurrence_weights or None
            )
        else:
            parts["occurrence"] = occurrence_loss(prediction.occurrence, batch["occurrence"])
    auxiliary = prediction.auxiliary or {}
    if params.occurrence and params.combinations and "combination_units" in auxiliary:
        told = auxiliary["combination_log_probability"]
        parts["combinations"] = combination_loss(told, auxiliary["combination_units"], batch["occurrence"])
    if params.mesh:
        if prediction.motion is None:
            raise ConfigError(f"loss.mesh = {params.mesh:g}, but this model refines no faces; set it to 0")
        parts["mesh"] = mesh_loss(prediction.motion, batch["target"], batch["target_known"])
    if params.landmarks:
        if prediction.motion is None:
            raise ConfigError(f"loss.landmarks = {params.landmarks:g}, but this model refines no faces; set it to 0")
        parts["landmarks"] = _of_landmarks(prediction.motion.float(), batch)
    if params.smooth and "temporal" in auxiliary:
        # in training, of networks with a temporal module; it says nothing of how good an answer is
        parts["smooth"] = smoothness_loss(auxiliary["temporal"].float(), ~batch["padding"])
    total = torch.stack([getattr(params, name) * value for name, value in parts.items()]).sum()
    return {"total": total, **parts}


def _of_landmarks(motion: Tensor, batch: dict[str, Any]) -> Tensor:
    # before projecting: where nothing is known the camera is zeros, and x / 0 has no gradient that a mask could stop
    known = batch["landmarks_known"]
    points = landmark_points(motion, batch["landmark_directions"][0], batch["landmark_neutral"])[known][None]
    found, unit = batch["landmarks"][known][None], batch["landmark_unit"][known][None]
    return landmark_loss(project(points, batch["cameras"][known][None]), found, unit, known[known][None])


def class_loss(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross entropy over the clips whose class is known, 0 if none is.

    Parameters
    ----------
    logits : (B, C) tensor
    label : (B,) int64 tensor
        -1: unknown.
    smoothing : float
        Share of the target that is spread over all classes.
    """
    each = F.cross_entropy(logits.float(), label, ignore_index=-1, label_smoothing=smoothing, reduction="sum")
    return each / (label >= 0).sum().clamp(min=1)


def alpha_loss(predicted: Tensor, alpha: Tensor, std: Tensor, known: Tensor, std_floor: float | None = None) -> Tensor:
    """Return the mean squared error over the coefficients of all frames that have labels, 0 if none has.

    Parameters
    ----------
    predicted, alpha, std : (B, L, K) tensors
        Prediction, labels, and standard deviations of labels; what stands in frames that are not known does not count.
    known : (B, L) bool tensor
        Whether the frame has a label.
    std_floor : float, optional
        If given, squared errors are weighed by ``1 / (std^2 + std_floor^2)``, divided by the mean weight of the batch:
        the loss stays as large as without.
    """
    error = (predicted.float() - alpha)[known] ** 2
    if std_floor is not None:
        weight = 1 / (std[known] ** 2 + std_floor**2)
        error = error * weight / weight.mean()
    return error.sum() / max(error.numel(), 1)


def occurrence_loss(logits: Tensor, occurrence: Tensor) -> Tensor:
    """Return the mean binary cross entropy over all that was coded, 0 if nothing was.

    Parameters
    ----------
    logits, occurrence : (B, L, A) tensors
        Occurrence is 0 or 1, NaN where nobody said.
    """
    said = torch.isfinite(occurrence)
    each = F.binary_cross_entropy_with_logits(logits.float()[said], occurrence[said], reduction="sum")
    return each / said.sum().clamp(min=1)


def asymmetric_loss(logits: Tensor, occurrence: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """Return the mean over all that was coded of ``-w_n [y log p + p (1 - y) log(1 - p)]``, 0 if nothing was.

    MDHR equation 10 (the paper sums, its released code averages). The factor p is a weight and takes no gradient: an
    absent unit that is known to be absent counts for little.

    Parameters
    ----------
    logits, occurrence : (B, L, A) tensors
        Of p; occurrence is 0 or 1, NaN where nobody said.
    weights : sequence of A numbers, optional
        w; see `frequencies.inverse_rates`. Default: 1.
    """
    logits = logits.float()
    said = torch.isfinite(occurrence)
    y = torch.where(said, occurrence, 0.0)
    each = y * F.logsigmoid(logits) + torch.sigmoid(logits.detach()) * (1 - y) * F.logsigmoid(-logits)
    if weights is not None:
        each = each * torch.tensor(weights, dtype=each.dtype, device=each.device)
    return (-each[said]).sum() / said.sum().clamp(min=1)


def combination_loss(log_probability: Tensor, units: Tensor, occurrence: Tensor) -> Tensor:
    """Return the mean cross entropy of the combination that each region shows, 0 if none is known.

    MDHR equation 11, averaged over frames and regions. A region in which any unit was not coded does not count.

    Parameters
    ----------
    log_probability : (B, L, Q) tensor
        Of combinations, each region's probabilities summing to 1.
    units : (Q, A) tensor
        What units a combination has: 1, 0, NaN of another region.
    occurrence : (B, L, A) tensor
        0 or 1, NaN where nobody said.
    """
    shown = (units.isnan() | (units == occurrence[:, :, None])).all(-1)
    return (-log_probability[shown]).sum() / shown.sum().clamp(min=1)
