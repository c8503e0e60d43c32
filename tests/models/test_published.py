"""Names and shapes of published weights, by rules written down here anew, and what other files are answered with."""

import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from au3dmm.models.inception3d import InceptionI3D, same_padding
from au3dmm.models.published import load_trunk
from au3dmm.models.resnet import ResNet
from tiny_networks import CHANNELS, tiny


def batch_norm(name, n):
    return {
        **{f"{name}.{part}": (n,) for part in ("weight", "bias", "running_mean", "running_var")},
        f"{name}.num_batches_tracked": (),
    }


def torchvision_resnet(blocks, bottleneck):
    """Return names and shapes of torchvision's ResNet, classifier and all."""
    names = {"conv1.weight": (64, 3, 7, 7), **batch_norm("bn1", 64)}
    n_in = 64
    for stage, n_blocks in enumerate(blocks, start=1):
        width = 64 * 2 ** (stage - 1)
        n_out = width * (4 if bottleneck else 1)
        for block in range(n_blocks):
            convolutions = [(width, n_in, 1), (width, width, 3), (n_out, width, 1)]
            if not bottleneck:
                convolutions = [(width, n_in, 3), (width, width, 3)]
            where = f"layer{stage}.{block}"
            for i, (out, into, k) in enumerate(convolutions, start=1):
                names[f"{where}.conv{i}.weight"] = (out, into, k, k)
                names |= batch_norm(f"{where}.bn{i}", out)
            if block == 0 and (stage > 1 or n_in != n_out):
                names[f"{where}.downsample.0.weight"] = (n_out, n_in, 1, 1)
                names |= batch_norm(f"{where}.downsample.1", n_out)
            n_in = n_out
    return {**names, "fc.weight": (1000, n_in), "fc.bias": (1000,)}


def pytorch_i3d():
    """Return names and shapes of pytorch-i3d's InceptionI3d for Kinetics, classifier and all."""

    def unit(name, n_in, n_out, k=1):
        return {f"{name}.conv3d.weight": (n_out, n_in, k, k, k), **batch_norm(f"{name}.bn", n_out)}

    names = unit("Conv3d_1a_7x7", 3, 64, 7) | unit("Conv3d_2b_1x1", 64, 64) | unit("Conv3d_2c_3x3", 64, 192, 3)
    n_in = 192
    mixed = {  # GoogLeNet's table: 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, after the pool
        "3b": (64, 96, 128, 16, 32, 32),
        "3c": (128, 128, 192, 32, 96, 64),
        "4b": (192, 96, 208, 16, 48, 64),
        "4c": (160, 112, 224, 24, 64, 64),
        "4d": (128, 128, 256, 24, 64, 64),
        "4e": (112, 144, 288, 32, 64, 64),
        "4f": (256, 160, 320, 32, 128, 128),
        "5b": (256, 160, 320, 32, 128, 128),
        "5c": (384, 192, 384, 48, 128, 128),
    }
    for name, widths in mixed.items():
        one, three_in, three, five_in, five, pool = widths
        for branch, into, out, k in [
            *[("b0", n_in, one, 1), ("b1a", n_in, three_in, 1), ("b1b", three_in, three, 3)],
            *[("b2a", n_in, five_in, 1), ("b2b", five_in, five, 3), ("b3b", n_in, pool, 1)],
        ]:
            names |= unit(f"Mixed_{name}.{branch}", into, out, k)
        n_in = one + three + five + pool
    return {**names, "logits.conv3d.weight": (400, n_in, 1, 1, 1), "logits.conv3d.bias": (400,)}


TRUNKS = {
    "resnet18": (torchvision_resnet((2, 2, 2, 2), bottleneck=False), lambda: ResNet("resnet18")),
    "resnet50": (torchvision_resnet((3, 4, 6, 3), bottleneck=True), lambda: ResNet("resnet50")),
    "i3d": (pytorch_i3d(), InceptionI3D),
}
CLASSIFIER = ("fc.", "logits.")
NOT_TRAINED = ("running_mean", "running_var", "num_batches_tracked")


def on_paper(make):
    """Return a network of shapes without numbers."""
    with torch.device("meta"):
        return make()


@pytest.mark.parametrize(
    ("trunk", "n_names", "n_parameters"),
    # what the publishers say of their own networks: entries of the state dict, parameters
    [("resnet18", 122, 11_689_512), ("resnet50", 320, 25_557_032), ("i3d", 344, 12_697_264)],
)
def test_the_rules_here_give_the_published_numbers(trunk, n_names, n_parameters):
    names = TRUNKS[trunk][0]
    assert len(names) == n_names
    assert sum(torch.Size(s).numel() for k, s in names.items() if not k.endswith(NOT_TRAINED)) == n_parameters


@pytest.mark.parametrize("trunk", TRUNKS)
def test_names_and_shapes_are_the_published_ones(trunk):
    names, make = TRUNKS[trunk]
    ours = {key: tuple(value.shape) for key, value in on_paper(make).state_dict().items()}
    assert ours == {key: shape for key, shape in names.items() if not key.startswith(CLASSIFIER)}


@pytest.mark.parametrize("trunk", TRUNKS)
def test_the_docstring_counts_the_parameters(trunk):
    made = on_paper(TRUNKS[trunk][1])
    count = f"{sum(p.numel() for p in made.parameters()):,}".replace(",", " ")
    assert count in type(made).__doc__


def weights(names):
    random = torch.Generator().manual_seed(0)
    return {
        key: torch.tensor(7) if key.endswith("tracked") else torch.rand(shape, generator=random) + 0.1
        for key, shape in names.items()
    }


@pytest.mark.parametrize(
    ("name", "trunk", "first"),
    [("resnet18_lstm", "resnet18", "conv1"), ("mdhr", "resnet18", "conv1"), ("i3d", "i3d", "Conv3d_1a_7x7.conv3d")],
)
def test_published_weights_are_loaded_from_a_file(name, trunk, first, tmp_path):
    state = weights(TRUNKS[trunk][0])
    torch.save(state, tmp_path / "weights.pth")
    model = tiny(name).eval()
    model.load_trunk(tmp_path / "weights.pth")
    loaded = model.trunk.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items() if key != f"{first}.weight")
    # a grey picture is answered alike by three channels and by the network's two
    published, ours = state[f"{first}.weight"], loaded[f"{first}.weight"]
    assert (published.shape[1], ours.shape[1]) == (3, CHANNELS)
    assert torch.allclose(published.sum(dim=1), ours.sum(dim=1), rtol=1e-5)


def naive_resnet(state, images, bottleneck):
    """Return features of `images` by torchvision's names and strides, without its classes."""

    def conv(x, name, norm, stride, padding):
        x = F.conv2d(x, state[f"{name}.weight"], stride=stride, padding=padding)
        return F.batch_norm(x, *(state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    x = F.max_pool2d(F.relu(conv(images, "conv1", "bn1", 2, 3)), 3, 2, 1)
    for stage in (1, 2, 3, 4):
        block = 0
        while (where := f"layer{stage}.{block}") + ".conv1.weight" in state:
            stride = 2 if stage > 1 and block == 0 else 1
            short = x
            if f"{where}.downsample.0.weight" in state:
                short = conv(x, f"{where}.downsample.0", f"{where}.downsample.1", stride, 0)
            if bottleneck:  # torchvision's has the stride at the 3 x 3 convolution
                x = F.relu(conv(x, f"{where}.conv1", f"{where}.bn1", 1, 0))
                x = F.relu(conv(x, f"{where}.conv2", f"{where}.bn2", stride, 1))
                x = conv(x, f"{where}.conv3", f"{where}.bn3", 1, 0)
            else:
                x = F.relu(conv(x, f"{where}.conv1", f"{where}.bn1", stride, 1))
                x = conv(x, f"{where}.conv2", f"{where}.bn2", 1, 1)
            x = F.relu(x + short)
            block += 1
    return x.mean(dim=(2, 3))


@pytest.mark.parametrize(("depth", "bottleneck"), [("resnet18", False), ("resnet50", True)])
def test_a_resnet_computes_what_its_weights_were_published_for(depth, bottleneck):
    torch.manual_seed(0)
    trunk = ResNet(depth).eval()
    images = torch.rand(1, 3, 64, 64)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    normal = (images - mean) / std
    expected = naive_resnet(trunk.state_dict(), normal, bottleneck)
    assert torch.allclose(trunk(images), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


class Trunk(nn.Module):
    """One convolution and its batch norm: small weights, loaded by the same rules."""

    def __init__(self, channels=3):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)


NAMES = {"conv1.weight": (4, 3, 3, 3), **batch_norm("bn1", 4), "fc.weight": (10, 4)}


def load(trunk, path):
    load_trunk(trunk, path, first="conv1.weight", ignore=("fc.",))


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_grey_picture_is_answered_alike_whatever_the_channels(channels, tmp_path):
    torch.save(weights(NAMES), tmp_path / "weights.pth")
    grey = torch.rand(2, 1, 8, 8)
    answers = []
    for n in (3, channels):
        trunk = Trunk(n)
        load(trunk, tmp_path / "weights.pth")
        answers.append(trunk.conv1(grey.expand(-1, n, -1, -1)))
    assert torch.allclose(*answers, rtol=1e-5)


@pytest.mark.parametrize(
    "form",
    [
        lambda s: s,
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}, "epoch": 3},
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},  # before PyTorch 0.4.1
        lambda s: {k: v for k, v in s.items() if not k.startswith("fc.")},
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_forms_in_which_weights_are_published_are_understood(form, zipped, tmp_path):
    state = weights(NAMES)
    torch.save(form(state), tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    trunk = Trunk()
    load(trunk, tmp_path / "weights.pth")
    assert all(
        torch.equal(value, state[key]) for key, value in trunk.state_dict().items() if not key.endswith("tracked")
    )


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def bad_files(folder):
    state = weights(NAMES)
    torch.save({**state, "layer5.weight": torch.zeros(1)}, folder / "unknown.pth")
    torch.save({k: v for k, v in state.items() if k != "bn1.bias"}, folder / "missing.pth")
    torch.save(weights(batch_norm("features.norm0", 4)), folder / "densenet.pth")
    torch.save({**state, "bn1.bias": torch.zeros(3)}, folder / "shape.pth")
    torch.save({**state, "conv1.weight": torch.zeros(4, 4, 3, 3)}, folder / "four.pth")
    torch.save([1, 2], folder / "list.pth")
    (folder / "text.pth").write_text("no weights")
    (folder / "empty.pth").write_bytes(b"")
    (folder / "evil.pth").write_bytes(pickle.dumps({"conv1.weight": Evil()}))
    torch.save({"conv1.weight": Evil()}, folder / "evil_zip.pth")
    whole = (folder / "shape.pth").read_bytes()
    (folder / "half.pth").write_bytes(whole[: len(whole) // 2])
    (folder / "folder.pth").mkdir()


def test_other_files_are_refused_in_one_line_and_nothing_in_them_is_executed(tmp_path, capsys):
    bad_files(tmp_path)
    expected = {
        "unknown": "unknown.pth holds weights of another network: none missing, layer5.weight unknown; expected the 6",
        "missing": "missing.pth holds weights of another network: bn1.bias missing, none unknown",
        "densenet": r"densenet.pth .*: 5 \(conv1.weight, ...\) missing, 5 \(features.norm0.weight, ...\) unknown",
        "shape": r"shape.pth: bn1.bias has shape \(3,\), expected \(4,\)",
        "four": r"four.pth: conv1.weight has shape \(4, 4, 3, 3\), expected \(4, 2, 3, 3\)",
        "list": r"list.pth holds no state dict \(names and tensors\), but a list",
        "text": "text.pth cannot be read as PyTorch weights",
        "empty": "empty.pth cannot be read as PyTorch weights",
        "evil": "evil.pth cannot be read as PyTorch weights",
        "evil_zip": "evil_zip.pth cannot be read as PyTorch weights",
        "half": "half.pth cannot be read as PyTorch weights",
        "folder": "folder.pth cannot be read as PyTorch weights",
        "gone": "gone.pth is not there",
    }
    trunk = Trunk(2)
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    for name, message in expected.items():
        with pytest.raises(ValueError, match=message) as err:
            load(trunk, tmp_path / f"{name}.pth")
        assert "\n" not in str(err.value)
    assert "executed" not in capsys.readouterr().out
    assert all(torch.equal(value, before[key]) for key, value in trunk.state_dict().items())


@pytest.mark.parametrize(("size", "k", "s"), [(75, 7, 2), (30, 7, 2), (112, 3, 2), (7, 3, 1), (5, 2, 2), (1, 7, 2)])
def test_windows_over_padded_clips_are_the_size_over_the_stride_rounded_up(size, k, s):
    padded = same_padding(torch.ones(1, 1, size, size, size), (k,) * 3, (s,) * 3)
    assert (padded.shape[2] - k) // s + 1 == -(-size // s)
    at_the_front, at_the_end = padded[0, 0, :, k // 2, k // 2].nonzero()[[0, -1], 0]
    assert padded.shape[2] - 1 - at_the_end - at_the_front in (0, 1)
