"""Shifted patches against loops over pixels, written from eq. 3 of FACEMORPHIC and eq. 3-5 of Lee et al."""

import numpy as np
import pytest
import torch

from au3dmm.models.shifted_patches import ShiftedPatches

# where the view's pixel (0, 0) comes from: down, right
DIRECTIONS = {
    "diagonal_half": lambda p: [(-p // 2, -p // 2), (-p // 2, p // 2), (p // 2, -p // 2), (p // 2, p // 2)],
    "cardinal_1px": lambda p: [(0, -1), (0, 1), (-1, 0), (1, 0)],
}


def naive_tokens(image, p, directions, gain, offset, weight, bias):
    """Return tokens (n_patches, dim) of one image (C, H, W), pixel by pixel in float64."""
    n_channels, height, width = image.shape
    tokens = []
    for top in range(0, height, p):
        for left in range(0, width, p):
            values = []
            for down, right in [(0, 0), *directions]:
                for c in range(n_channels):
                    for y in range(top + down, top + down + p):
                        for x in range(left + right, left + right + p):
                            inside = 0 <= y < height and 0 <= x < width
                            values.append(image[c, y, x] if inside else 0.0)
            v = np.array(values)
            v = (v - v.mean()) / np.sqrt(v.var() + 1e-5) * gain + offset
            tokens.append(weight @ v + bias)
    return np.array(tokens)


@pytest.mark.parametrize("shift", ["diagonal_half", "cardinal_1px"])
@pytest.mark.parametrize(("channels", "p"), [(1, 4), (3, 8)])
def test_tokens_are_those_of_the_definition(shift, channels, p):
    torch.manual_seed(0)
    patches = ShiftedPatches(6, image_px=24, patch_px=p, channels=channels, shift=shift)
    torch.nn.init.uniform_(patches.norm.weight, 0.5, 2)
    torch.nn.init.normal_(patches.norm.bias)
    images = torch.rand(2, channels, 24, 24)
    tokens = patches(images).detach().double().numpy()
    weights = [
        t.detach().double().numpy()
        for t in (patches.norm.weight, patches.norm.bias, patches.linear.weight, patches.linear.bias)
    ]
    for image, found in zip(images.double().numpy(), tokens, strict=True):
        expected = naive_tokens(image, p, DIRECTIONS[shift](p), *weights)
        assert found.shape == expected.shape == ((24 // p) ** 2, 6)
        assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize(("shift", "reach"), [("diagonal_half", 8), ("cardinal_1px", 1)])
def test_a_token_sees_as_far_as_its_shifts_and_no_further(shift, reach):
    torch.manual_seed(0)
    patches = ShiftedPatches(6, image_px=64, patch_px=16, channels=1, shift=shift)
    image = torch.rand(1, 1, 64, 64, requires_grad=True)
    patches(image)[0, 5].sum().backward()  # the patch whose pixels are 16 to 31 in both directions
    rows = image.grad[0, 0].abs().sum(dim=1).nonzero()[:, 0]
    assert (rows.min().item(), rows.max().item()) == (16 - reach, 31 + reach)


def test_frames_in_another_memory_order_give_the_same():
    patches = ShiftedPatches(6, image_px=32, patch_px=16, channels=3, shift="diagonal_half")
    images = torch.rand(2, 3, 32, 32)
    assert torch.allclose(patches(images), patches(images.contiguous(memory_format=torch.channels_last)), atol=1e-6)
