"""The spatial module against its equations: tokens of masked vertices, and relations between them."""

import numpy as np
import torch
from torch import nn

from au3dmm.core.motion_space import motion_space
from au3dmm.models.spatial_units import UnitRelations, UnitTokens

K, V, UNITS, DIM, HIDDEN = 3, 20, 4, 8, 6


def test_a_token_is_an_mlp_of_the_masked_offsets_of_all_vertices():
    """Eq. 7 on vertices: v_k = MLP(M_k (S - neutral)), with the weights that ours stand for."""
    rng = np.random.default_rng(0)
    space = motion_space(rng.normal(size=(K, V, 3)) * 1e-3, "t", 5, rng.normal(size=(9, V, 3)) * 1e-3)
    masks = rng.random((UNITS, V)) < 0.4
    masks[0], masks[1] = np.arange(V) < 1, True  # one vertex: three dimensions of five; and no mask at all
    maps = np.stack([space.masked(mask) for mask in masks])
    torch.manual_seed(0)
    tokens = UnitTokens(n_motion=5, n_units=UNITS, dim=DIM, hidden=HIDDEN).double()
    tokens.maps.copy_(torch.from_numpy(maps))

    motion = rng.normal(size=(7, 5))
    offsets = space.offsets(motion)
    found = tokens(torch.from_numpy(motion)).detach().numpy()
    weight, bias = tokens.weight.detach().numpy(), tokens.bias.detach().numpy()
    last = tokens.rest[1]
    for k, mask in enumerate(masks):
        # the first layer's weights of all vertices: P_k c is linear in the masked offsets M_k S
        columns = np.concatenate([(space.directions * mask[:, None]).reshape(5, -1) * 1e-3])  # offsets of each c_r
        all_vertices = np.linalg.pinv(columns) @ maps[k].T @ weight[k]  # (3 V, hidden)
        hidden = np.maximum((offsets * mask[:, None]).reshape(7, -1) @ all_vertices + bias[k], 0)
        expected = hidden @ last.weight.detach().numpy().T + last.bias.detach().numpy()
        assert abs(found[:, k] - expected).max() < 1e-5


def test_motion_outside_of_a_mask_does_not_move_its_token():
    rng = np.random.default_rng(0)
    components = np.zeros((2, V, 3))
    components[0, :10], components[1, 10:] = 1e-3 * rng.normal(size=(2, 10, 3))
    space = motion_space(components, "t", 2)
    mask = np.arange(V) < 10
    tokens = UnitTokens(n_motion=2, n_units=1, dim=DIM, hidden=HIDDEN).double()
    tokens.maps.copy_(torch.from_numpy(space.masked(mask)[None]))
    alpha = np.array([[1.0, 0.0], [1.0, 3.0], [2.0, 0.0]])
    found = tokens(torch.from_numpy(alpha @ space.of_alpha))
    assert (found[0] - found[1]).abs().max() < 1e-9
    assert (found[0] - found[2]).abs().max() > 1e-3


def test_relations_are_torchs_post_norm_encoder():
    torch.manual_seed(0)
    ours = UnitRelations(DIM, depth=2, heads=2, mlp=6, dropout=0.1).eval()
    x, extra = torch.randn(3, UNITS, DIM), torch.randn(3, DIM)
    theirs = []
    for layer in ours.layers:
        torchs = nn.TransformerEncoderLayer(DIM, 2, 6, dropout=0.0, activation="relu", batch_first=True)
        a = layer.attention
        with torch.no_grad():
            torchs.self_attn.in_proj_weight.copy_(torch.cat([a.to_q.weight, a.to_kv.weight]))
            torchs.self_attn.in_proj_bias.copy_(torch.cat([a.to_q.bias, a.to_kv.bias]))
        torchs.self_attn.out_proj = a.to_out
        torchs.linear1, torchs.linear2 = layer.tokenwise.mlp[0], layer.tokenwise.mlp[3]
        torchs.norm1, torchs.norm2 = layer.added.norm, layer.tokenwise.added.norm
        theirs.append(torchs)
    expected, more = x, torch.cat([x, extra[:, None]], dim=1)
    for torchs in theirs:
        expected, more = torchs(expected), torchs(more)
    assert (ours(x) - expected).abs().max() < 1e-5
    # a token beside them is looked at, and not returned
    assert (ours(x, extra) - more[:, :UNITS]).abs().max() < 1e-5
