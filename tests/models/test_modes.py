import copy

import pytest
import torch

from au3dmm.models import MODELS
from tiny_networks import N_FRAMES, clips, heads, tiny

BOTH = list(MODELS)
ON_RESNET = ["resnet18_lstm", "resnet18_transformer"]


@pytest.mark.parametrize("name", BOTH)
def test_gradient_reaches_every_trained_parameter(name):
    model = tiny(name, n_occurrence=3)
    torch.manual_seed(2)
    sum((head * torch.randn_like(head)).sum() for head in heads(model(clips(name)))).backward()
    blind = [
        key for key, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().max() > 0)
    ]
    assert blind == []


@pytest.mark.parametrize("name", BOTH)
def test_evaluation_is_deterministic_and_training_drops_out(name):
    dropout = {} if name in ("resnet18_lstm", "alpha_lstm") else {"dropout": 0.5}
    model = tiny(name, **dropout).eval()
    x = clips(name)
    assert torch.equal(model(x).logits, model(x).logits)
    model.train()
    assert torch.equal(model(x).logits, model(x).logits) == (not dropout)


@pytest.mark.parametrize("name", BOTH)
def test_bfloat16_runs_forward_and_backward(name):
    model = tiny(name, n_occurrence=3)
    x = clips(name)
    padding = torch.zeros(3, N_FRAMES, dtype=torch.bool)
    padding[0, :3] = True
    padding[1] = True
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answers = heads(model(x, padding))
        loss = sum(head.float().square().mean() for head in answers)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)
    model.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(x, padding).logits.float()
    # three significant digits in each of some layers
    assert (half - model(x, padding).logits).abs().max() < 0.05


@pytest.mark.parametrize("name", ["st_vit", "alpha_transformer"])
def test_masks_stay_finite_in_half_precision(name):
    model = tiny(name, n_occurrence=3).eval()
    x = clips(name)
    padding = torch.zeros(3, N_FRAMES, dtype=torch.bool)
    padding[0, :3] = True
    padding[1] = True
    whole = heads(model(x, padding))
    halves = heads(copy.deepcopy(model).half()(x.half(), padding))
    for half, full in zip(halves, whole, strict=True):
        assert torch.isfinite(half).all()
        assert (half.float() - full).abs().max() < 0.02


@pytest.mark.parametrize("name", ON_RESNET)
def test_frozen_convolutions_stay_as_they_are_in_training(name):
    model = tiny(name).train()
    before = copy.deepcopy(model.trunk.state_dict())
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        model(clips(name)).logits.square().sum().backward()
        optimiser.step()
    after = model.trunk.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert model.features.training
    assert not any(module.training for module in model.trunk.modules())


@pytest.mark.parametrize("name", ON_RESNET)
def test_convolutions_that_are_not_frozen_learn(name):
    model = tiny(name, freeze_trunk=False).train()
    before = copy.deepcopy(model.trunk.state_dict())
    model(clips(name)).logits.square().sum().backward()
    assert model.trunk.conv1.weight.grad.abs().max() > 0
    assert not torch.equal(before["bn1.running_mean"], model.trunk.bn1.running_mean)
    model.eval()
    assert not model.trunk.training


@pytest.mark.parametrize("name", ["st_vit", *ON_RESNET])
def test_frames_encoded_one_by_one_give_what_the_clip_gives(name):
    model = tiny(name).eval()
    x = clips(name, n_clips=1)
    features = torch.cat([model.encode(x[:, i]) for i in range(N_FRAMES)])
    stream, clip = model.predict(features[None]), model(x)
    assert (stream.logits - clip.logits).abs().max() < 1e-5
    assert (stream.alpha - clip.alpha).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["st_vit", "alpha_transformer", "alpha_lstm"])
def test_a_few_steps_learn_two_clips_by_heart(name):
    # at one clip per class a network that cannot tell the clips apart stays at a loss of log 2
    model = tiny(name, dropout=0.0).train()
    x, label = clips(name, n_clips=2), torch.tensor([0, 1])
    x[1] = 1 - x[0] ** 2 if MODELS[name].INPUT == "frames" else -x[0]
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x).logits, label)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2
