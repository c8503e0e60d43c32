import pytest
import torch

from au3dmm.models import MODELS
from tiny_networks import N_FRAMES, clips, heads, still, tiny

BOTH = list(MODELS)
SKIPPING = ["resnet18_lstm", "alpha_lstm", "au_d3dface"]
TOLERANCE = 1e-5


def per_frame(prediction):
    return [head for head in (prediction.alpha, prediction.occurrence, prediction.motion) if head is not None]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("n_missing", [1, 2, 4])
def test_a_padded_clip_gives_the_same_as_the_clip_alone(name, n_missing):
    model = still(name)
    x = clips(name)
    padding = torch.zeros(3, N_FRAMES, dtype=torch.bool)
    padding[1, :n_missing] = True
    padded, alone, whole = model(x, padding), model(x[1:2, n_missing:]), model(x)
    assert (padded.logits[1] - alone.logits[0]).abs().max() < TOLERANCE
    assert (padded.logits[1] - whole.logits[1]).abs().max() > 10 * TOLERANCE
    for in_padded, in_alone in zip(per_frame(padded), per_frame(alone), strict=True):
        assert (in_padded[1, n_missing:] - in_alone[0]).abs().max() < TOLERANCE
    # the other clips of the batch know nothing of it
    assert (padded.logits[[0, 2]] - whole.logits[[0, 2]]).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", BOTH)
def test_what_lies_in_padding_does_not_matter(name):
    model = still(name)
    x = clips(name)
    padding = torch.zeros(3, N_FRAMES, dtype=torch.bool)
    padding[:, :2] = True
    other = x.clone()
    other[:, :2] = 1 - other[:, :2]
    assert (model(x, padding).logits - model(other, padding).logits).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", BOTH)
def test_no_padding_and_padding_of_nothing_are_the_same(name):
    model = still(name)
    x = clips(name)
    nothing = torch.zeros(3, N_FRAMES, dtype=torch.bool)
    for without, given in zip(heads(model(x)), heads(model(x, nothing)), strict=True):
        assert (without - given).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", SKIPPING)
def test_what_goes_frame_by_frame_passes_over_a_frame_missing_in_the_middle(name):
    model = still(name)
    x = clips(name)
    padding = torch.zeros(3, N_FRAMES, dtype=torch.bool)
    padding[:, 2] = True
    there = [0, 1, 3, 4]
    gap, without = model(x, padding), model(x[:, there])
    assert (gap.logits - without.logits).abs().max() < TOLERANCE
    for in_gap, in_without in zip(per_frame(gap), per_frame(without), strict=True):
        assert (in_gap[:, there] - in_without).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("train", [False, True])
def test_a_clip_without_any_frame_is_answered_with_finite_numbers_and_gradients(name, train):
    model = tiny(name, n_occurrence=3).train(train)
    padding = torch.zeros(3, N_FRAMES, dtype=torch.bool)
    padding[0] = True
    answers = heads(model(clips(name), padding))
    assert all(torch.isfinite(head).all() for head in answers)
    sum(head.sum() for head in answers).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", [n for n in BOTH if n not in (*SKIPPING, "i3d", "mdhr")])
def test_order_matters_with_positions_and_does_not_without(name):
    x = clips(name)
    for positions, differs in (("learned", True), ("none", False)):
        model = tiny(name, temporal_positions=positions).eval()
        assert ((model(x).logits - model(x.flip(1)).logits).abs().max() > TOLERANCE) == differs
