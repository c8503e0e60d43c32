"""The temporal module against its equations, causal, and the same frame by frame as all at once."""

import math

import pytest
import torch
from torch import nn

from au3dmm.models.periodic_encoding import PeriodicEncoding, periodic_encoding
from au3dmm.models.post_norm import HeadAttention
from au3dmm.models.temporal_decoder import TemporalDecoder

DIM, HEADS, UNITS, PERIOD = 12, 3, 4, 3


def decoder(**options):
    torch.manual_seed(0)
    sizes = {"n_units": UNITS, "depth": 2, "heads": HEADS, "mlp": 8, "period": PERIOD, "dropout": 0.1}
    return TemporalDecoder(DIM, **{**sizes, **options}).eval()


def inputs(n=7, clips=2):
    random = torch.Generator().manual_seed(1)
    units = (torch.rand(clips, n, UNITS, generator=random) > 0.5).float()
    return units, torch.randn(clips, n, DIM, generator=random)


def test_periodic_encoding_is_that_of_its_equation_with_2i_over_d():
    found = periodic_encoding(8, 6, 5)
    for j in range(8):
        for i in range(3):
            angle = (j % 5) / 10_000 ** (2 * i / 6)
            assert abs(found[j, 2 * i] - math.sin(angle)) < 1e-6
            assert abs(found[j, 2 * i + 1] - math.cos(angle)) < 1e-6
    # the printed exponent 2 j / d would make all frequencies of a frame one
    assert (found[1, 0] - found[1, 2]).abs() > 0.1


def test_periodic_encoding_repeats_from_any_place_on():
    module = PeriodicEncoding(4, period=3)
    assert torch.equal(module(2, 6), periodic_encoding(8, 4, 3)[2:])
    assert torch.equal(module(2, 3), module(5, 3))
    with pytest.raises(ValueError, match="dim is 3, expected an even number"):
        periodic_encoding(2, 3, 2)


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    ours = HeadAttention(DIM, heads=HEADS, dropout=0.1).eval()
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.to_q.weight, ours.to_kv.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.to_q.bias, ours.to_kv.bias]))
        theirs.out_proj.load_state_dict(ours.to_out.state_dict())
    x, context = torch.randn(2, 5, DIM), torch.randn(2, 7, DIM)
    keep = torch.rand(5, 7) > 0.3
    keep[:, 0] = True
    expected, _ = theirs(x, context, context, attn_mask=~keep)
    assert (ours(x, context, keep) - expected).abs().max() < 1e-5


def plain_attention(module, x, context, keep):
    """softmax(Q K^T / sqrt(d / heads)) V, head by head, row by row."""
    size = DIM // HEADS
    q, kv = module.to_q(x), module.to_kv(context)
    k, v = kv[..., :DIM], kv[..., DIM:]
    rows = []
    for j in range(x.shape[0]):
        heads = []
        for h in range(HEADS):
            part = slice(h * size, (h + 1) * size)
            allowed = [m for m in range(context.shape[0]) if keep[j, m]]
            weights = torch.softmax(k[allowed][:, part] @ q[j, part] / size**0.5, dim=0)
            heads.append(weights @ v[allowed][:, part])
        rows.append(module.to_out(torch.cat(heads)))
    return torch.stack(rows)


@pytest.mark.parametrize("view", ["past", "own"])
def test_the_decoder_is_that_of_its_equations(view):
    """Eq. 2, 4 and 6, restated clip by clip and row by row."""
    ours = decoder(view=view)
    units, frames = inputs()
    found = ours(units, frames)
    ppe = periodic_encoding(20, DIM, PERIOD)
    for clip in range(len(frames)):
        n = frames.shape[1]
        begin = [ours.embed.bias]
        h = torch.stack(
            begin + [ours.embed.weight @ units[clip, j - 1] + ours.embed.bias + ppe[j] for j in range(1, n)]
        )
        f = torch.stack([frames[clip, j - 1] + ppe[j] for j in range(1, n + 1)])
        before = torch.tensor([[m <= j for m in range(n)] for j in range(n)])
        seen = before if view == "past" else torch.eye(n, dtype=torch.bool)
        for layer in ours.layers:
            h = layer.added.norm(plain_attention(layer.self_attention, h, h, before) + h)
            h = layer.crossed.norm(plain_attention(layer.cross_attention, h, f, seen) + h)
            first, last = layer.tokenwise.mlp[0], layer.tokenwise.mlp[3]
            ffn = torch.relu(h @ first.weight.T + first.bias) @ last.weight.T + last.bias
            h = layer.tokenwise.added.norm(ffn + h)
        assert (found[clip] - h).abs().max() < 1e-5


@pytest.mark.parametrize("view", ["past", "own"])
def test_frames_and_units_to_come_change_nothing(view):
    ours = decoder(view=view)
    units, frames = inputs()
    whole = ours(units, frames)
    for j in range(frames.shape[1]):
        other_units, other_frames = units.clone(), frames.clone()
        other_units[:, j:] = 1 - other_units[:, j:]  # a frame's own units are not seen either
        other_frames[:, j + 1 :] += 1.0
        changed = ours(other_units, other_frames)
        assert (changed[:, : j + 1] - whole[:, : j + 1]).abs().max() < 1e-6
    other_frames = frames.clone()
    other_frames[:, 3] += 1.0
    assert (ours(units, other_frames)[:, 3] - whole[:, 3]).abs().max() > 1e-3


def test_frames_before_matter_in_the_view_of_the_past_and_not_in_the_own():
    units, frames = inputs()
    other = frames.clone()
    other[:, 0] += 1.0
    # keys and values of one's own frame alone: what lies before comes in by self-attention, which one layer has once
    for view, matters in (("past", True), ("own", False)):
        ours = decoder(view=view, depth=1)
        assert ((ours(units, other) - ours(units, frames))[:, 4].abs().max() > 1e-4) == matters


@pytest.mark.parametrize("view", ["past", "own"])
def test_frame_by_frame_with_kept_keys_is_all_at_once(view):
    ours = decoder(view=view)
    units, frames = inputs(n=9)  # three periods
    whole = ours(units, frames)
    state, told, rows = None, None, []
    for j in range(9):
        z, state = ours.step(told, frames[:, j], state)
        rows.append(z)
        told = units[:, j]
        assert state.n_seen == j + 1
    assert (torch.stack(rows, dim=1) - whole).abs().max() < 1e-5


def test_a_step_computes_keys_and_values_of_one_frame_alone():
    ours = decoder()
    _, frames = inputs(n=6)
    seen = []
    for layer in ours.layers:
        layer.self_attention.to_kv.register_forward_hook(lambda _m, args, _o: seen.append(args[0].shape[1]))
        layer.cross_attention.to_kv.register_forward_hook(lambda _m, args, _o: seen.append(args[0].shape[1]))
        layer.tokenwise.mlp.register_forward_hook(lambda _m, args, _o: seen.append(args[0].shape[1]))
    state, told = None, None
    for j in range(6):
        _, state = ours.step(told, frames[:, j], state)
        told = torch.zeros(2, UNITS)
    # whatever the history: what grows is only what attention looks at
    assert seen == [1] * (6 * 2 * 3)
    assert state.layers[0].own_keys.shape[2] == 6


def test_units_and_state_go_together():
    with pytest.raises(ValueError, match="expected both or neither"):
        decoder().step(torch.zeros(1, UNITS), torch.zeros(1, DIM), None)
    with pytest.raises(ValueError, match="view is 'future', expected"):
        decoder(view="future")
    with pytest.raises(ValueError, match="dim is 12 with 5 heads, expected a multiple"):
        decoder(heads=5)
