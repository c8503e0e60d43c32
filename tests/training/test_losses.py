"""Losses: as their equations say, blind to what is not known, refused where the model does not answer."""

import numpy as np
import pytest
import torch

from au3dmm.errors import ConfigError
from au3dmm.models import Prediction
from au3dmm.training.losses import (
    alpha_loss,
    asymmetric_loss,
    class_loss,
    combination_loss,
    occurrence_loss,
    training_loss,
)
from au3dmm.training_config import LossParams


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    known = torch.rand(3, 5, generator=g) < 0.6
    occurrence = (torch.rand(3, 5, 2, generator=g) < 0.5).float()
    occurrence[0] = torch.nan
    return {
        "alpha": torch.randn(3, 5, 4, generator=g),
        "alpha_std": torch.rand(3, 5, 4, generator=g),
        "known": known,
        "label": torch.tensor([1, -1, 0]),
        "occurrence": occurrence,
    }


@pytest.fixture
def prediction():
    g = torch.Generator().manual_seed(1)
    shapes = ((3, 4), (3, 5, 4), (3, 5, 2))
    return Prediction(*(torch.randn(shape, generator=g, requires_grad=True) for shape in shapes))


def test_the_total_is_the_weighted_sum_of_its_parts_by_their_equations(batch, prediction):
    found = training_loss(prediction, batch, LossParams(classes=2, alpha=3, occurrence=5))
    p = np.exp(prediction.logits.detach().double().numpy())
    p /= p.sum(1, keepdims=True)
    classes = -(np.log(p[0, 1]) + np.log(p[2, 0])) / 2
    error = (prediction.alpha.detach() - batch["alpha"]).double().numpy() ** 2
    alpha = np.mean([error[i, t, k] for i in range(3) for t in range(5) for k in range(4) if batch["known"][i, t]])
    q = 1 / (1 + np.exp(-prediction.occurrence.detach().double().numpy()[1:]))
    y = batch["occurrence"].numpy()[1:]
    occurrence = -np.mean(y * np.log(q) + (1 - y) * np.log(1 - q))
    for name, value in (("classes", classes), ("alpha", alpha), ("occurrence", occurrence)):
        assert found[name].item() == pytest.approx(value, rel=1e-5)
    assert found["total"].item() == pytest.approx(2 * classes + 3 * alpha + 5 * occurrence, rel=1e-5)


def test_what_is_not_known_has_no_gradient(batch, prediction):
    training_loss(prediction, batch, LossParams(occurrence=1))["total"].backward()
    assert (prediction.alpha.grad[~batch["known"]] == 0).all()
    assert (prediction.alpha.grad[batch["known"]] != 0).all()
    assert (prediction.logits.grad[1] == 0).all()
    assert (prediction.occurrence.grad[0] == 0).all()


def test_a_batch_that_knows_nothing_costs_nothing_and_stays_finite(batch, prediction):
    batch |= {"known": torch.zeros(3, 5, dtype=bool), "label": torch.full((3,), -1)}
    batch["occurrence"] = torch.full((3, 5, 2), torch.nan)
    found = training_loss(prediction, batch, LossParams(occurrence=1, alpha_by_std=True))
    assert found["total"].item() == 0
    found["total"].backward()
    assert all(torch.isfinite(part.grad).all() for part in prediction[:3])


def test_certain_coefficients_count_for_more_and_equal_ones_for_as_much_as_before():
    alpha, known = torch.zeros(1, 2, 1), torch.ones(1, 2, dtype=bool)
    error = torch.tensor([[[1.0], [2.0]]])
    assert alpha_loss(error, alpha, torch.full((1, 2, 1), 0.7), known, 0.25) == pytest.approx(2.5)
    std = torch.tensor([[[0.0], [1.0]]])
    weight = 1 / (std.ravel() ** 2 + 0.25**2)
    wanted = float((weight * torch.tensor([1.0, 4.0])).sum() / weight.sum())
    assert alpha_loss(error, alpha, std, known, 0.25).item() == pytest.approx(wanted)


def test_numbers_of_16_bits_do_not_overflow():
    huge = torch.full((1, 2, 4), 300.0, dtype=torch.float16)
    assert alpha_loss(huge, torch.zeros(1, 2, 4), huge, torch.ones(1, 2, dtype=bool)).item() == pytest.approx(9e4)
    assert class_loss(torch.tensor([[6e4, -6e4]], dtype=torch.float16), torch.tensor([0])).item() == 0
    assert torch.isfinite(occurrence_loss(huge, torch.zeros(1, 2, 4)))


def test_a_weight_for_what_the_model_does_not_predict_is_refused(batch, prediction):
    with pytest.raises(ConfigError, match=r"loss\.alpha = 1, but this model predicts no alpha"):
        training_loss(prediction._replace(alpha=None), batch, LossParams())
    with pytest.raises(ConfigError, match=r"loss\.occurrence = 1, but this model predicts no occurrence"):
        training_loss(prediction._replace(occurrence=None), batch, LossParams(occurrence=1))


WEIGHTS = (1.5, 0.5)


def test_the_asymmetric_loss_is_its_equation_over_what_was_coded(batch, prediction):
    found = asymmetric_loss(prediction.occurrence.detach(), batch["occurrence"], WEIGHTS)
    p = 1 / (1 + np.exp(-prediction.occurrence.detach().double().numpy()))
    y = batch["occurrence"].double().numpy()
    terms = [
        -w * (y[i, t, n] * np.log(p[i, t, n]) + p[i, t, n] * (1 - y[i, t, n]) * np.log(1 - p[i, t, n]))
        for i in range(1, 3)  # nobody coded the first clip
        for t in range(5)
        for n, w in enumerate(WEIGHTS)
    ]
    assert float(found) == pytest.approx(np.mean(terms), rel=1e-5)
    total = training_loss(
        prediction,
        batch,
        LossParams(classes=0, alpha=0, occurrence=2, occurrence_form="asymmetric", occurrence_weights=WEIGHTS),
    )
    assert float(total["total"].detach()) == pytest.approx(2 * np.mean(terms), rel=1e-5)


def test_the_probability_that_weighs_what_is_absent_takes_no_gradient():
    logits = torch.tensor([[[0.3, -1.2]]], requires_grad=True)
    asymmetric_loss(logits, torch.zeros(1, 1, 2)).backward()
    p = torch.sigmoid(logits.detach())
    assert torch.allclose(logits.grad, p * p / 2)  # d of -log(1 - p) is p, weighed by p, of two
    certain = asymmetric_loss(torch.tensor([[[-60.0, 60.0]]]), torch.tensor([[[0.0, 1.0]]]))
    assert float(certain) == pytest.approx(0, abs=1e-6)


def test_nothing_coded_is_no_loss_and_no_gradient():
    logits = torch.randn(2, 3, 2, requires_grad=True)
    loss = asymmetric_loss(logits, torch.full((2, 3, 2), torch.nan), WEIGHTS)
    loss.backward()
    assert float(loss.detach()) == 0
    assert (logits.grad == 0).all()


def test_the_loss_of_combinations_is_cross_entropy_of_regions_that_were_coded_whole():
    # two regions: units 0 and 2 with four combinations, unit 1 with two
    nan = torch.nan
    units = torch.tensor([[0, nan, 0], [0, nan, 1], [1, nan, 0], [1, nan, 1], [nan, 0, nan], [nan, 1, nan]])
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 6, generator=g)
    logs = torch.cat([torch.log_softmax(logits[..., :4], -1), torch.log_softmax(logits[..., 4:], -1)], -1)
    occurrence = torch.tensor([[[1.0, 0, 0], [nan, 1, 1], [nan, nan, nan]]])
    expected = -(logs[0, 0, 2] + logs[0, 0, 4] + logs[0, 1, 5]) / 3  # codes 10 and 0; unknown and 1
    assert float(combination_loss(logs, units, occurrence)) == pytest.approx(float(expected), rel=1e-6)
    assert float(combination_loss(logs, units, occurrence[:, 2:].expand(1, 3, 3))) == 0
    prediction = Prediction(
        torch.zeros(1, 1),
        None,
        torch.zeros(1, 3, 3),
        {"combination_log_probability": logs, "combination_units": units},
    )
    only = LossParams(classes=0, alpha=0, occurrence=1)
    parts = training_loss(prediction, {"occurrence": occurrence}, only)
    assert float(parts["total"]) == pytest.approx(np.log(2) + 0.01 * float(expected), rel=1e-5)
    without = training_loss(prediction, {"occurrence": occurrence}, only.model_copy(update={"combinations": 0.0}))
    assert set(without) == {"total", "occurrence"}
