"""Plain attention, the encoder of frames and the LSTM against torch's own on the same weights."""

import pytest
import torch
from torch import nn

from au3dmm.models.recurrent import FrameLSTM
from au3dmm.models.transformer import Attention, FrameEncoder

DIM, HEADS = 12, 3


def torch_attention(ours):
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.to_qkv.weight)
        theirs.in_proj_bias.zero_()
        theirs.out_proj.weight.copy_(ours.to_out[0].weight)
        theirs.out_proj.bias.copy_(ours.to_out[0].bias)
    return theirs


@pytest.mark.parametrize("across", [False, True])
def test_attention_is_that_of_torch(across):
    torch.manual_seed(0)
    ours = Attention(DIM, heads=HEADS, dim_head=DIM // HEADS, dropout=0.1).eval()
    x, context = torch.randn(2, 5, DIM), torch.randn(2, 7, DIM)
    hidden = torch.zeros(2, 7 if across else 5, dtype=torch.bool)
    hidden[0, :2] = True
    found = ours(x, keep=~hidden[:, None, None], context=context if across else None)
    normed = ours.norm(x)
    over = context if across else normed
    expected, _ = torch_attention(ours)(normed, over, over, key_padding_mask=hidden)
    assert (found - expected).abs().max() < 1e-5


def test_the_frame_encoder_is_that_of_torch():
    torch.manual_seed(0)
    ours = FrameEncoder(DIM, n_frames=6, depth=2, heads=HEADS, dim_head=DIM // HEADS, mlp=8, dropout=0.1).eval()
    x = torch.randn(2, 4, DIM)
    padding = torch.zeros(2, 4, dtype=torch.bool)
    padding[1, :2] = True
    clip, frames = ours(x, padding)

    # four frames of six have the last four positions; the class token comes first and is never hidden
    tokens = torch.cat([ours.cls.expand(2, -1, -1), x + ours.positions[2:]], dim=1)
    hidden = torch.cat([torch.zeros(2, 1, dtype=torch.bool), padding], dim=1)
    for layer in ours.layers:
        theirs = nn.TransformerEncoderLayer(DIM, HEADS, 8, activation="gelu", batch_first=True, norm_first=True)
        theirs.self_attn = torch_attention(layer.attention)
        theirs.norm1, theirs.norm2 = layer.attention.norm, layer.feed_forward[0]
        theirs.linear1, theirs.linear2 = layer.feed_forward[1], layer.feed_forward[4]
        for dropout in (theirs.dropout, theirs.dropout1, theirs.dropout2):
            dropout.p = 0.0
        tokens = theirs(tokens, src_key_padding_mask=hidden)
    tokens = ours.norm(tokens)
    assert (clip - tokens[:, 0]).abs().max() < 1e-5
    assert (frames - tokens[:, 1:]).abs().max() < 1e-5


def test_the_lstm_over_clips_of_several_lengths_is_that_of_torch():
    torch.manual_seed(0)
    ours = FrameLSTM(4, hidden=5, layers=2)
    x, lengths = torch.randn(3, 6, 4), [6, 1, 4]
    padding = torch.arange(6) < torch.tensor([[6 - n] for n in lengths])
    last, frames = ours(x, padding)
    for i, n in enumerate(lengths):
        expected, (state, _) = ours.lstm(x[i, 6 - n :])
        assert (last[i] - state[-1]).abs().max() < 1e-6
        assert (frames[i, 6 - n :] - expected).abs().max() < 1e-6
