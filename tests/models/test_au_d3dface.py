"""AU-D3DFace as a whole: its heads, teacher forcing and its own feedback, its switches, and that it learns."""

import itertools

import pytest
import torch

from au3dmm.models import make_model

K, R, UNITS, N = 4, 6, 3, 5
SMALL = {
    "n_classes": 2,
    "n_alpha": K,
    "n_frames": N,
    "n_occurrence": UNITS,
    "n_motion": R,
    "dim": 8,
    "depth": 2,
    "heads": 2,
    "mlp": 8,
    "token_hidden": 6,
    "period": 3,
}


def network(seed=0, **options):
    torch.manual_seed(seed)
    return make_model("au_d3dface", **{**SMALL, **options})


def clips(n=2, seed=1):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, N, K, generator=random), (torch.rand(n, N, UNITS, generator=random) > 0.5).float()


def stirred(model, seed=3):
    """Give the refinement weights that are not zero."""
    torch.manual_seed(seed)
    torch.nn.init.normal_(model.refine.weight)
    return model


def test_a_new_network_leaves_the_coarse_sequence_as_it_is():
    model = network()
    x, units = clips()
    model.set_space(torch.randn(K, R))
    assert torch.equal(model(x, None, units).motion, x @ model.to_motion)
    assert (network(onto="neutral")(x, None, units).motion - x @ torch.eye(K, R)).abs().max() > 0.1


@pytest.mark.parametrize("onto", ["coarse", "neutral"])
def test_heads_are_those_of_their_equations(onto):
    """Eq. 9 and 10: S = neutral + D(z + sum_k z_k), p_k = sigmoid(w_k . (z + z_k))."""
    model = stirred(network(onto=onto, dropout=0.0))
    x, units = clips()
    found = model(x, None, units)
    known = model.see(x)
    z = model.temporal(units, known.memory)
    assert torch.equal(found.auxiliary["temporal"], z)
    for b, j in itertools.product(range(2), range(N)):
        decoder = model.refine.weight / (UNITS + 1)
        motion = decoder @ (z[b, j] + known.spatial[b, j].sum(0)) + model.refine.bias
        if onto == "coarse":
            motion = motion + model.to_motion.T @ x[b, j]
        assert (found.motion[b, j] - motion).abs().max() < 1e-5
        for k in range(UNITS):
            logit = model.unit_weight[k] @ (z[b, j] + known.spatial[b, j, k]) + model.unit_bias[k]
            assert abs(found.occurrence[b, j, k] - logit) < 1e-5


@pytest.mark.parametrize("feedback", ["probability", "binary"])
def test_its_own_feedback_is_teacher_forcing_with_what_it_said_itself(feedback):
    model = stirred(network(feedback=feedback)).eval()
    x, _ = clips()
    alone = model(x)
    p = torch.sigmoid(alone.occurrence)
    told = p if feedback == "probability" else (p > 0.5).float()
    assert (model(x, None, told).occurrence - alone.occurrence).abs().max() < 1e-5
    # frame by frame, a stream says the same
    said, state, rows = None, None, []
    for j in range(N):
        logits, motion, said, state = model.step(x[:, j], said, state)
        rows.append((logits, motion))
    assert (torch.stack([r[0] for r in rows], 1) - alone.occurrence).abs().max() < 1e-5
    assert (torch.stack([r[1] for r in rows], 1) - alone.motion).abs().max() < 1e-5


def test_kept_keys_give_what_computing_everything_again_gives():
    """The decoder asked anew for every frame, with all units said so far."""
    model = stirred(network()).eval()
    x, _ = clips()
    alone = model(x)
    known = model.see(x)
    told = torch.zeros(2, N, UNITS)
    for j in range(N):
        z = model.temporal(told[:, : j + 1], known.memory[:, : j + 1])[:, -1]
        logits = ((known.spatial[:, j] + z[:, None]) * model.unit_weight).sum(-1) + model.unit_bias
        assert (logits - alone.occurrence[:, j]).abs().max() < 1e-5
        told[:, j] = torch.sigmoid(logits)


@pytest.mark.parametrize("teach", [False, True])
def test_frames_to_come_change_nothing(teach):
    model = stirred(network()).eval()
    x, units = clips()
    whole = model(x, None, units if teach else None)
    for j in range(N - 1):
        other = x.clone()
        other[:, j + 1 :] += 1.0
        changed = model(other, None, units if teach else None)
        for name in ("occurrence", "motion"):
            assert (getattr(changed, name) - getattr(whole, name))[:, : j + 1].abs().max() < 1e-5


def test_units_of_a_frame_are_not_told_to_it_and_unknown_ones_are_half():
    model = stirred(network()).eval()
    x, units = clips()
    last = units.clone()
    last[:, -1] = 1 - last[:, -1]
    assert torch.equal(model(x, None, units).occurrence, model(x, None, last).occurrence)
    unknown = units.clone()
    unknown[:, 1] = float("nan")
    half = units.clone()
    half[:, 1] = 0.5
    assert torch.equal(model(x, None, unknown).occurrence, model(x, None, half).occurrence)


def test_padding_leaves_no_trace_with_a_teacher():
    model = stirred(network()).eval()
    x, units = clips()
    padding = torch.zeros(2, N, dtype=torch.bool)
    padding[1, :2] = True
    padded, alone = model(x, padding, units), model(x[1:, 2:], None, units[1:, 2:])
    assert (padded.occurrence[1, 2:] - alone.occurrence[0]).abs().max() < 1e-5
    assert (padded.motion[1, 2:] - alone.motion[0]).abs().max() < 1e-5
    assert (padded.logits[1] - alone.logits[0]).abs().max() < 1e-5


SWITCHES = {
    "mesh, both": {},
    "mesh, temporal": {"modules": "temporal"},
    "mesh, spatial": {"modules": "spatial"},
    "video, temporal": {"modules": "temporal", "mesh": False, "appearance": "features", "n_features": 7},
    "mesh and video, temporal": {"modules": "temporal", "appearance": "features", "n_features": 7},
    "mesh and video, spatial": {"modules": "spatial", "appearance": "features", "n_features": 7},
    "mesh and video, both": {"appearance": "features", "n_features": 7},
}


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("teach", [False, True])
def test_every_row_of_table_4_runs_and_its_gradients_reach_every_weight(name, teach):
    model = stirred(network(**SWITCHES[name]))
    x, units = clips()
    frames = torch.randn(2, N, 7) if model.appearance else None
    found = model(x, None, units if teach else None, frames)
    assert found.motion.shape == (2, N, R)
    assert found.occurrence.shape == (2, N, UNITS)
    assert (found.auxiliary is None) == (model.temporal is None)
    parts = (found.logits, found.occurrence, found.motion)
    torch.manual_seed(2)
    sum((part * torch.randn_like(part)).sum() for part in parts).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_without_the_temporal_module_frames_know_nothing_of_each_other():
    model = stirred(network(modules="spatial")).eval()
    x, _ = clips()
    other = x.clone()
    other[:, 0] += 1
    assert torch.equal(model(other).occurrence[:, 1:], model(x).occurrence[:, 1:])


@pytest.mark.parametrize("name", ["st_vit", "resnet18", "convolutions"])
def test_pictures_come_through_encoders_of_the_zoo(name):
    model = network(appearance=name, channels=2, image_px=32).eval()
    x, units = clips()
    frames = torch.rand(2, N, 2, 32, 32)
    found = model(x, None, units, frames)
    other = frames.clone()
    other[:, -1] = 1 - other[:, -1]
    changed = model(x, None, units, other)
    assert (changed.occurrence - found.occurrence)[:, -1].abs().max() > 1e-6
    assert (changed.occurrence - found.occurrence)[:, :-1].abs().max() < 1e-5
    assert (name != "resnet18") == any(p.requires_grad for p in model.appearance.parameters())


def test_parameters_are_as_many_as_their_parts():
    d, mlp, hidden = 8, 8, 6
    attention = 4 * d * d + 4 * d
    tokenwise = 2 * d * mlp + d + mlp + 2 * d
    encode = R * d + d + d * d + d
    temporal = UNITS * d + d + 2 * (2 * attention + 2 * 2 * d + tokenwise)
    spatial = UNITS * (R + 1) * hidden + hidden * d + d + 2 * (attention + 2 * d + tokenwise)
    heads = d * R + R + UNITS * (d + 1) + 2 * d + 2
    assert sum(p.numel() for p in network().parameters()) == encode + temporal + spatial + heads


def test_masks_and_space_are_kept_with_the_weights():
    model = network()
    maps = torch.randn(UNITS, R, R)
    model.set_space(torch.randn(K, R), maps)
    again = network(seed=5)
    again.load_state_dict(model.state_dict())
    x, _ = clips()
    assert torch.equal(again.eval()(x).motion, model.eval()(x).motion)
    assert torch.equal(again.tokens.maps, maps)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_occurrence": 0}, "n_occurrence is 0, expected action units that are coded frame by frame"),
        ({"n_motion": 2}, "n_motion is 2, expected at least n_alpha = 4"),
        ({"modules": "none"}, "modules is 'none', expected one of both, temporal, spatial"),
        ({"onto": "mean"}, "onto is 'mean', expected one of coarse, neutral"),
        ({"feedback": "soft"}, "feedback is 'soft', expected one of probability, binary"),
        ({"mesh": False}, 'mesh = false needs an appearance and modules = "temporal"'),
        ({"appearance": "swin"}, "appearance is 'swin', expected one of none, features, st_vit, resnet18"),
    ],
)
def test_options_that_exclude_each_other_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        network(**options)


def test_a_batch_of_another_shape_is_refused_in_one_line():
    x, units = clips()
    with pytest.raises(ValueError, match=r"units of shape \(2, 5, 2\), expected \(2, 5, 3\)"):
        network()(x, None, units[..., :2])
    with pytest.raises(ValueError, match="got such pictures, expected none"):
        network()(x, None, units, torch.zeros(2, N, 7))
    with_pictures = network(appearance="features", n_features=7)
    with pytest.raises(ValueError, match="got no pictures, expected frames or features"):
        with_pictures(x)
    with pytest.raises(ValueError, match=r"pictures \(2, 4, 7\) for coefficients \(2, 5, 4\)"):
        with_pictures(x, None, None, torch.zeros(2, 4, 7))
    with pytest.raises(ValueError, match=r"frames are \(2, 5, 6\), expected \(B, L, 7\)"):
        with_pictures(x, None, None, torch.zeros(2, N, 6))
    with pytest.raises(ValueError, match=r"maps is \(3, 5, 5\), expected \(3, 6, 6\)"):
        network().set_space(torch.zeros(K, R), torch.zeros(UNITS, 5, 5))


def test_a_reduced_network_learns_planted_motion_and_units_by_heart():
    """Truth is the coarse sequence without its noise and with a direction that no coefficient shows."""
    random = torch.Generator().manual_seed(4)
    t = torch.linspace(0, 3, N)
    phase = torch.rand(4, 1, K, generator=random) * 3
    clean = torch.sin(t[None, :, None] + phase)
    x = clean + 0.3 * torch.randn(clean.shape, generator=random)
    truth = torch.cat([clean, clean[..., :1] * clean[..., 1:2], torch.zeros(4, N, R - K - 1)], dim=2)
    units = (clean[..., :UNITS] > 0).float()
    model = network(dim=32, mlp=32, token_hidden=16, dropout=0.0).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)

    def measure(found):
        error = ((found.motion - truth) ** 2).sum(-1).mean()
        return error, torch.nn.functional.binary_cross_entropy_with_logits(found.occurrence, units)

    coarse = measure(model(x, None, units))[0].item()
    for _ in range(90):
        optimiser.zero_grad()
        error, bce = measure(model(x, None, units))
        (error + bce).backward()
        optimiser.step()
    with torch.no_grad():
        error, bce = measure(model.eval()(x))  # on its own, without the teacher
    assert error.item() < 0.1 * coarse
    assert bce.item() < 0.2
