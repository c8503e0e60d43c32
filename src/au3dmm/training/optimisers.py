"""Optimisers, and the learning rate of each step."""

from __future__ import annotations

import math

import torch
from torch import nn

from au3dmm.training_config import OptimiseParams


def rate_factor(step: int, total: int, params: OptimiseParams) -> float:
    """Return the learning rate of a step (from 0), as a share of the largest.

    Examples
    --------
    >>> p = OptimiseParams(schedule="cosine", warmup_steps=2)
    >>> [round(rate_factor(step, 6, p), 3) for step in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    if step < params.warmup_steps:
        return (step + 1) / params.warmup_steps
    if params.schedule == "constant":
        return 1.0
    done = (step - params.warmup_steps) / max(1, total - params.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def make_optimiser(weights: list[nn.Parameter], how: OptimiseParams) -> torch.optim.Optimizer:
    """Return the optimiser that a training file asks for."""
    if how.optimiser == "adamw":
        return torch.optim.AdamW(weights, how.lr, weight_decay=how.weight_decay)
    if how.optimiser == "adam":
        return torch.optim.Adam(weights, how.lr, weight_decay=how.weight_decay)
    return torch.optim.SGD(weights, how.lr, momentum=0.9, weight_decay=how.weight_decay)
