import inspect
import json
import re

import pytest
import torch

from au3dmm.models import MODELS, make_model
from tiny_networks import CHANNELS, IMAGE_PX, N_ALPHA, N_FRAMES, clips, heads, tiny

BOTH = list(MODELS)
OF_FRAMES = [name for name in MODELS if MODELS[name].INPUT == "frames"]


@pytest.mark.parametrize("name", BOTH)
def test_every_head_has_the_shape_that_the_prediction_promises(name):
    logits, alpha, occurrence = tiny(name, n_occurrence=7).eval()(clips(name))[:3]
    assert logits.shape == (3, 4)
    assert occurrence.shape == (3, N_FRAMES, 7)
    if MODELS[name].INPUT == "frames":
        assert alpha.shape == (3, N_FRAMES, N_ALPHA)
    else:
        assert alpha is None


@pytest.mark.parametrize("name", OF_FRAMES)
def test_heads_that_are_not_asked_for_are_not_there(name):
    model = tiny(name, n_alpha=0).eval()
    assert model(clips(name)).alpha is None
    assert not any("regress" in key for key in model.state_dict())
    if name != "mdhr":  # which is there to recognise units in frames, and nothing else
        assert model(clips(name)).occurrence is None
        assert not any("detect" in key for key in model.state_dict())


@pytest.mark.parametrize("name", BOTH)
def test_the_parameters_are_as_many_as_the_docstring_says(name):
    said = re.findall(r"(\d[\d ]*) parameters with the defaults(?:, (\d[\d ]*) of them trained)?", MODELS[name].__doc__)
    assert len(said) == 1
    total, trained = (int(number.replace(" ", "") or 0) for number in said[0])
    parameters = list(make_model(name).parameters())
    assert sum(p.numel() for p in parameters) == total
    assert sum(p.numel() for p in parameters if p.requires_grad) == (trained or total)


@pytest.mark.parametrize("name", BOTH)
def test_all_networks_begin_with_the_same_arguments(name):
    first = ["n_classes", "n_alpha", "n_frames", "channels", "image_px", "n_occurrence"]
    expected = first if MODELS[name].INPUT == "frames" else [a for a in first if a not in ("channels", "image_px")]
    parameters = inspect.signature(MODELS[name]).parameters
    assert list(parameters)[: len(expected)] == expected
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())


@pytest.mark.parametrize("name", BOTH)
def test_a_network_is_rebuilt_from_its_config_and_weights(name):
    model = tiny(name).eval()
    config = json.loads(json.dumps(model.config))
    assert set(config["options"]) == set(inspect.signature(MODELS[name]).parameters)
    again = make_model(config["name"], **config["options"]).eval()
    again.load_state_dict(model.state_dict())
    for before, after in zip(heads(model(clips(name))), heads(again(clips(name))), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vit", {}, "there is no model 'vit'; there are st_vit, resnet18_lstm"),
        ("st_vit", {"depth": 2}, "st_vit has no option 'depth'; it has n_classes, n_alpha"),
        ("st_vit", {"dim": "64"}, "st_vit: dim is '64', expected something like 64"),
        ("st_vit", {"dim": True}, "st_vit: dim is True"),
        ("st_vit", {"spatial_depth": 0}, "st_vit: spatial_depth is 0"),
        ("st_vit", {"dropout": 1.5}, "st_vit: dropout is 1.5, expected something like 0.1"),
        ("st_vit", {"dropout": float("nan")}, "st_vit: dropout is nan"),
        ("st_vit", {"image_px": 100}, "image_px = 100 is no multiple of patch_px = 16"),
        ("st_vit", {"shift": "diagonal"}, "shift is 'diagonal', expected one of diagonal_half, cardinal_1px"),
        ("st_vit", {"temperature": "one"}, "temperature is 'one', expected one of per_head, per_layer"),
        ("st_vit", {"temporal_positions": "sine"}, "positions is 'sine', expected"),
        (
            "resnet18_lstm",
            {"trunk": "resnet19"},
            "trunk is 'resnet19', expected one of resnet10_16, resnet18, resnet34",
        ),
        ("resnet18_lstm", {"image_px": 16}, "image_px is 16, expected at least 32"),
        ("alpha_lstm", {"n_alpha": 0}, "alpha_lstm: n_alpha is 0"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(name, options, message):
    with pytest.raises(ValueError, match=re.escape(message)) as err:
        make_model(name, **options)
    assert "\n" not in str(err.value)


@pytest.mark.parametrize("name", BOTH)
def test_a_batch_of_another_shape_is_refused_in_one_line(name):
    model = tiny(name)
    x = clips(name)
    with pytest.raises(ValueError, match=r"got (frames|alpha) of shape .*, expected \(B, L up to 5, "):
        model(torch.cat([x, x], dim=1))
    with pytest.raises(ValueError, match="of shape"):
        model(x[:, :, :1] if name != "i3d" else x[:, :, :1, :, :])
    with pytest.raises(ValueError, match="of shape"):
        model(x[0])
    with pytest.raises(ValueError, match=r"of type torch.uint8, expected floating point"):
        model(x.to(torch.uint8))
    with pytest.raises(ValueError, match=r"padding of shape \(3, 4\).*expected \(3, 5\)"):
        model(x, torch.zeros(3, N_FRAMES - 1, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"type torch.float32.*torch\.bool"):
        model(x, torch.zeros(3, N_FRAMES))


def test_i3d_takes_frames_of_other_sizes_and_the_others_do_not():
    wide = torch.rand(2, N_FRAMES, CHANNELS, IMAGE_PX, 2 * IMAGE_PX)
    assert tiny("i3d").eval()(wide).alpha.shape == (2, N_FRAMES, N_ALPHA)
    with pytest.raises(ValueError, match="W = 32"):
        tiny("st_vit")(wide)
