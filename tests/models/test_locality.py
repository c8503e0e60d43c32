"""Locality attention against loops over tokens, written from eq. 6-8 of Lee et al."""

import numpy as np
import pytest
import torch
from scipy.special import erf

from au3dmm.models.locality import LocalityEncoder, LocalityLayer

SIZES = {"heads": 3, "dim_head": 5, "mlp": 7}
DIM, N = 6, 9


def layer_norm(x, weight, bias):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * weight + bias


def naive_layer(x, w, temperature):
    """Return tokens (N, DIM) after one layer, head by head and token by token in float64."""
    heads, d = SIZES["heads"], SIZES["dim_head"]
    normed = layer_norm(x, w["attention.norm.weight"], w["attention.norm.bias"])
    q, k, v = np.split(normed @ w["attention.to_qkv.weight"].T, 3, axis=1)
    gathered = np.zeros((len(x), heads * d))
    for head in range(heads):
        of_head = slice(head * d, (head + 1) * d)
        tau = w["attention.temperature"]
        tau = tau[head] if temperature == "per_head" else np.exp(tau)
        for i in range(len(x)):
            others = [j for j in range(len(x)) if j != i]  # eq. 7: a token's own score is minus infinity
            scores = np.array([q[i, of_head] @ k[j, of_head] for j in others]) * tau
            share = np.exp(scores - scores.max())
            share /= share.sum()
            gathered[i, of_head] = sum(s * v[j, of_head] for s, j in zip(share, others, strict=True))
    x = x + gathered @ w["attention.to_out.0.weight"].T + w["attention.to_out.0.bias"]
    h = layer_norm(x, w["feed_forward.0.weight"], w["feed_forward.0.bias"])
    h = h @ w["feed_forward.1.weight"].T + w["feed_forward.1.bias"]
    h = h * (1 + erf(h / np.sqrt(2))) / 2
    return x + h @ w["feed_forward.4.weight"].T + w["feed_forward.4.bias"]


def a_layer(temperature):
    torch.manual_seed(0)
    layer = LocalityLayer(DIM, dropout=0.1, temperature=temperature, **SIZES).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.3 * torch.rand_like(parameter)
    return layer, {key: value.double().numpy() for key, value in layer.state_dict().items()}


@pytest.mark.parametrize("temperature", ["per_head", "per_layer"])
def test_a_layer_is_that_of_the_definition(temperature):
    layer, weights = a_layer(temperature)
    x = torch.randn(2, N, DIM)
    found = layer(x, ~torch.eye(N, dtype=torch.bool)).detach().numpy()
    for tokens, answer in zip(x.double().numpy(), found, strict=True):
        assert np.abs(naive_layer(tokens, weights, temperature) - answer).max() < 1e-5


@pytest.mark.parametrize("temperature", ["per_head", "per_layer"])
def test_the_first_token_alone_is_the_first_token_of_all(temperature):
    layer, _ = a_layer(temperature)
    x = torch.randn(4, N, DIM)
    whole = layer(x, ~torch.eye(N, dtype=torch.bool))[:, 0]
    assert (layer.first_token(x) - whole).abs().max() < 1e-5


@pytest.mark.parametrize("temperature", ["per_head", "per_layer"])
def test_the_temperature_begins_as_in_plain_attention(temperature):
    layer = LocalityLayer(DIM, dropout=0.0, temperature=temperature, **SIZES)
    tau = layer.attention.temperature.detach()
    assert tau.shape == ((3,) if temperature == "per_head" else ())
    expected = torch.tensor(5**-0.5)
    assert torch.allclose(tau if temperature == "per_head" else tau.exp(), expected)


@pytest.mark.parametrize("temperature", ["per_head", "per_layer"])
def test_the_encoder_answers_the_class_token_of_all_layers(temperature):
    torch.manual_seed(0)
    encoder = LocalityEncoder(
        DIM, n_patches=N - 1, depth=3, dropout=0.1, emb_dropout=0.1, temperature=temperature, **SIZES
    ).eval()
    tokens = torch.randn(2, N - 1, DIM)
    found = encoder(tokens).detach().numpy()
    with_class = torch.cat([encoder.cls.expand(2, -1, -1), tokens], dim=1) + encoder.positions
    for x, answer in zip(with_class.detach().double().numpy(), found, strict=True):
        for layer in encoder.layers:
            x = naive_layer(x, {k: v.double().numpy() for k, v in layer.state_dict().items()}, temperature)
        assert np.abs(x[0] - answer).max() < 1e-5
