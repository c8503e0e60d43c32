"""Measures on val: of recordings, not of clips; the same however clips are batched."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from au3dmm.models import Prediction
from au3dmm.training.measures import ClipScore, better, score_clips, summarise
from au3dmm.training_config import LossParams


def made(n=5, k=3, classes=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    batch = {
        "clip": [(f"S{i // 2}", i) for i in range(n)],
        "number": torch.arange(n),
        "label": torch.randint(0, classes, (n,), generator=g),
        "alpha": torch.randn(n, 6, k, generator=g),
        "alpha_std": torch.ones(n, 6, k),
        "known": torch.rand(n, 6, generator=g) < 0.7,
        "occurrence": torch.full((n, 6, 0), torch.nan),
    }
    return batch, Prediction(torch.randn(n, classes, generator=g), torch.randn(n, 6, k, generator=g), None)


def rows(batch, prediction, at):
    some = {name: value[at] for name, value in batch.items()}
    return some, Prediction(prediction.logits[at], prediction.alpha[at], None)


def test_batches_and_their_order_do_not_matter():
    batch, prediction = made()
    together = score_clips(prediction, batch, LossParams())
    apart = []
    for i in (3, 4, 0, 1, 2):
        one, answer = rows(batch, prediction, slice(i, i + 1))
        apart += score_clips(answer, one, LossParams())
    assert summarise(together) == summarise(apart)


def test_the_alpha_error_is_the_rms_over_all_known_values():
    batch, prediction = made()
    error = (prediction.alpha - batch["alpha"]).numpy()[batch["known"].numpy()]
    found = summarise(score_clips(prediction, batch, LossParams()))
    assert found["alpha"] == pytest.approx(np.sqrt((error.astype(np.float64) ** 2).mean()), rel=1e-6)


def test_a_recording_is_judged_by_all_of_its_clips_once():
    def clip(number, name, p, label):
        return ClipScore(number, name, label, np.log([p, 1 - p]), 0.0, 0, 1.0)

    sure, unsure = clip(0, "a", 0.99, 0), clip(1, "a", 0.4, 0)
    assert summarise([sure, unsure])["accuracy"] == 1
    assert summarise([sure, unsure, clip(2, "b", 0.9, 1)])["accuracy"] == 0.5
    assert "accuracy" not in summarise([clip(3, "c", 0.9, -1)])
    assert summarise([]) == {}


def test_what_no_frame_knows_is_left_out():
    batch, prediction = made()
    batch["known"][:] = False
    assert "alpha" not in summarise(score_clips(prediction, batch, LossParams()))
    assert "alpha" not in summarise(score_clips(prediction._replace(alpha=None), batch, LossParams(alpha=0)))


def test_f1_of_frames_is_averaged_over_the_units_that_occur_however_clips_are_batched():
    batch, prediction = made()
    g = torch.Generator().manual_seed(1)
    codes = (torch.rand(5, 6, 3, generator=g) < torch.tensor([0.5, 0.3, 0.0])).float()
    codes[torch.rand(5, 6, 3, generator=g) < 0.3] = torch.nan
    logits = torch.randn(5, 6, 3, generator=g)
    batch["occurrence"] = codes
    found = summarise(score_clips(prediction._replace(occurrence=logits), batch, LossParams(occurrence=1)))
    expected = []
    for k in range(2):
        known = torch.isfinite(codes[..., k])
        expected.append(f1_score(codes[..., k][known], logits[..., k][known] >= 0))
    assert found["f1"] == pytest.approx(np.mean(expected))
    apart = []
    for i in (3, 0, 4, 2, 1):
        one, answer = rows(batch, prediction, slice(i, i + 1))
        apart += score_clips(answer._replace(occurrence=logits[i : i + 1]), one, LossParams(occurrence=1))
    assert summarise(apart) == found
    assert "f1" not in summarise(score_clips(prediction, batch, LossParams()))
    assert better(0.5, 0.4, "f1")
    assert not better(0.4, 0.5, "f1")
    assert not better(0.5, 0.5, "f1")
    assert better(0.0, 0.0, "f1"), "the latest, as long as nothing is found"


def test_what_is_not_taught_is_not_measured():
    batch, prediction = made()
    assert "accuracy" not in summarise(score_clips(prediction, batch, LossParams(classes=0)))
