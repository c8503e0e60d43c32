"""MDHR's parts against their equations, written down anew; what it learns, and what it refuses."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from au3dmm.models import make_model
from au3dmm.models.au_regions import TABLES, combinations_of, regions_of, rows_of, same_region, units_of
from au3dmm.models.au_relations import CrossRelations, LocalRelations, UnitSimilarity, UnitTimes
from au3dmm.models.facial_dynamics import FacialDynamics, differences, window_mean
from au3dmm.models.real_frames import RealFrames
from au3dmm.training.losses import training_loss
from au3dmm.training_config import LossParams

TOLERANCE = 1e-5
N_MAPS = (4, 6, 8, 10)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unlike_new(module, seed=0):
    """Give batch norms running statistics of their own, as after training."""
    g = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.copy_(torch.randn(part.num_features, generator=g))
            part.running_var.copy_(torch.rand(part.num_features, generator=g) + 0.5)
            part.weight.data.copy_(torch.rand(part.num_features, generator=g) + 0.5)
            part.bias.data.copy_(torch.randn(part.num_features, generator=g) + 0.5)
    return module.eval()


def normal(x, norm, axis):
    """Return batch norm in evaluation, in numpy; channels are in `axis`."""
    shape = [1] * x.ndim
    shape[axis] = -1
    mean, var, weight, bias = (
        value.detach().double().numpy().reshape(shape)
        for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / np.sqrt(var + norm.eps) * weight + bias


def strided(x, convolution):
    """Return a convolution whose side is its stride, as a sum over windows, in numpy: (N, C, H, W)."""
    weight, bias = (value.detach().double().numpy() for value in (convolution.weight, convolution.bias))
    side = convolution.stride[0]
    out = np.zeros((len(x), len(weight), x.shape[2] // side, x.shape[3] // side))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            window = x[:, :, i * side : (i + 1) * side, j * side : (j + 1) * side]
            out[:, :, i, j] = np.einsum("nchw,dchw->nd", window, weight) + bias
    return out


def dynamics_by_its_equations(mfd, maps, n_clips, n_frames, k):
    """Return equations 1 to 5 with the frames of each clip literally repeated at both ends."""
    averages = []
    for stage, reduce in zip(mfd.stages, mfd.reduce, strict=True):
        x = maps[stage - 1].double().numpy()
        x = x.reshape(n_clips, n_frames, *x.shape[1:])
        longer = np.concatenate([x[:, :1]] * (k + 1) + [x] + [x[:, -1:]] * (k + 1), axis=1)
        d = longer[:, 1:] - longer[:, :-1]  # d[i] belongs to frame i - k of the clip
        small = np.maximum(normal(strided(d.reshape(-1, *x.shape[2:]), reduce[0]), reduce[1], 1), 0)
        small = small.reshape(n_clips, -1, *small.shape[1:])
        mean = [small[:, t + k - k + 1 : t + k + k + 1].mean(1) for t in range(n_frames)]
        averages.append(np.stack(mean, 1).reshape(n_clips * n_frames, *small.shape[2:]))
    if mfd.fusion == "sum":
        whole = sum(averages)
    elif mfd.fusion == "concatenate":
        whole = np.concatenate(averages, 1)
    else:
        cues = [np.maximum(normal(strided(a, cue[0]), cue[1], 1), 0) for a, cue in zip(averages, mfd.cues, strict=True)]
        logits = strided(np.concatenate(cues, 1), mfd.weigh)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        whole = sum(weights[:, i : i + 1] * average for i, average in enumerate(averages))
    return np.maximum(normal(strided(whole, mfd.project[0]), mfd.project[1], 1), 0)


@pytest.mark.parametrize(
    ("fusion", "stages"), [("adaptive", (1, 2, 3, 4)), ("sum", (2, 4)), ("concatenate", (1, 3)), ("adaptive", (3,))]
)
def test_dynamics_are_what_their_equations_say(fusion, stages):
    torch.manual_seed(0)
    mfd = unlike_new(FacialDynamics(N_MAPS, n_dynamic=5, width=7, k=2, stages=stages, fusion=fusion))
    maps = [random(12, n, 2 * side, 2 * side, seed=n) for n, side in zip(N_MAPS, (8, 4, 2, 1), strict=True)]
    with torch.no_grad():
        found = mfd(maps, RealFrames((2, 6), None, training=False)).numpy()
    expected = dynamics_by_its_equations(mfd, maps, 2, 6, 2)
    assert found.shape == (12, 7, 2, 2)
    assert expected.max() > 0.1
    np.testing.assert_allclose(found, expected, atol=TOLERANCE * expected.max())


def test_weights_of_scales_sum_to_one_at_every_place():
    torch.manual_seed(0)
    mfd = FacialDynamics(N_MAPS, n_dynamic=5, width=7, k=2).eval()
    weights = mfd.weights([random(3, 5, 2, 2, seed=i) for i in range(4)])
    assert weights.shape == (3, 4, 2, 2)
    assert torch.allclose(weights.sum(1), torch.ones(3, 2, 2))
    assert weights.std() > 0.01


def test_a_face_that_does_not_move_has_the_dynamics_of_nothing_whatever_it_looks_like():
    torch.manual_seed(0)
    mfd = unlike_new(FacialDynamics(N_MAPS, n_dynamic=5, width=7, k=2))
    frames = RealFrames((1, 6), None, training=False)
    sizes = [(n, side, side) for n, side in zip(N_MAPS, (16, 8, 4, 2), strict=True)]
    one, other = ([random(1, *size, seed=s).expand(6, -1, -1, -1) for size in sizes] for s in (1, 2))
    assert torch.equal(mfd(one, frames), mfd(other, frames))
    moving = [x.clone() for x in one]
    moving[1][3] += 1
    assert (mfd(one, frames)[3] - mfd(moving, frames)[3]).abs().max() > 10 * TOLERANCE


def test_a_window_reaches_k_frames_to_either_side_and_no_further():
    x = torch.zeros(1, 9, 1, 1, 1)
    x[0, 4] = 1  # the difference between frames 3 and 4
    mean = window_mean(x, torch.zeros(1, 1, 1), 2).flatten()
    assert mean.tolist() == [0, 0, 0.25, 0.25, 0.25, 0.25, 0, 0, 0]


def test_differences_skip_frames_that_are_not_there():
    x = torch.tensor([[1.0, 4.0, 9.0, 16.0, 25.0]])
    assert differences(x).tolist() == [[0, 3, 5, 7, 9]]
    there = torch.tensor([[False, True, True, False, True]])
    assert differences(x, there).tolist() == [[0, 0, 5, 0, 0]]


def local_by_its_equations(local, grid):
    """Return features of units, and log probabilities of combinations per region, unit by unit in numpy."""
    grid = grid.double().numpy()

    def layer(tokens, block):
        weight, bias = (v.detach().double().numpy() for v in (block.linear.weight, block.linear.bias))
        return np.maximum(normal(tokens @ weight.T + bias, block.norm, 2), 0)

    features, logs = np.zeros((len(grid), local.n_units, local.width)), []
    rows = {"upper": [0, 1, 2], "middle": [2, 3, 4], "lower": [4, 5, 6], "whole": range(7)}
    for r, region in enumerate(local.regions):
        tokens = grid[:, list(rows[region.part])].reshape(len(grid), -1, local.width)
        if local.enter:
            tokens = layer(tokens, local.enter[r])
        every = layer(tokens, local.extract[r]).mean(1)
        for i, unit in enumerate(region.units):
            features[:, unit] = every[:, i * local.width : (i + 1) * local.width]
        weight, bias = (v.detach().double().numpy() for v in (local.combine[r].weight, local.combine[r].bias))
        logits = tokens.mean(1) @ weight.T + bias
        logs.append(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
    return features, logs


@pytest.mark.parametrize("region_layers", [False, True])
def test_features_and_combinations_come_from_each_regions_rows(region_layers):
    torch.manual_seed(0)
    units = units_of("facemorphic")
    regions = regions_of("facemorphic", units)
    local = unlike_new(LocalRelations(6, regions, len(units), region_layers=region_layers))
    grid = random(3, 7, 7, 6)
    with torch.no_grad():
        features, log_probability, active = local(grid)
    expected, logs = local_by_its_equations(local, grid)
    np.testing.assert_allclose(features, expected, atol=TOLERANCE * expected.max())
    np.testing.assert_allclose(log_probability, np.concatenate(logs, 1), atol=TOLERANCE)
    for region, log in zip(regions, logs, strict=True):
        n = len(region.units)
        for row in range(3):  # big-endian, as in the released lists
            code = int(log[row].argmax())
            digits = [bool(code >> (n - 1 - i) & 1) for i in range(n)]
            assert active[row, list(region.units)].tolist() == digits


def test_a_unit_knows_nothing_of_rows_outside_its_part_of_the_face():
    torch.manual_seed(0)
    units = units_of("disfa")
    local = unlike_new(LocalRelations(6, regions_of("disfa", units), 8))
    grid = random(1, 7, 7, 6)
    other = grid.clone()
    other[:, 3:] += 1
    before, after = local(grid).features[0], local(other).features[0]
    changed = {unit for unit, a, b in zip(units, before, after, strict=True) if not torch.equal(a, b)}
    assert changed == {"AU6", "AU9", "AU12", "AU25", "AU26"}


def attention_by_its_equation(cross, v, active, same):
    """Return equation 9 node by node, with the sum with v and the bias."""
    v = v.double().numpy()
    w, r_n, r_m, b = (p.detach().double().numpy() for p in (cross.linear.weight, cross.to_n, cross.to_m, cross.bias))
    out = np.zeros_like(v)
    for f in range(len(v)):
        h = v[f] @ w.T
        for n in range(v.shape[1]):
            neighbours = [n]
            for m in range(v.shape[1]):
                allowed = {
                    "cross_active": not same[n, m] and active[f, m],
                    "cross": not same[n, m],
                    "local": same[n, m],
                    "full": True,
                }[cross.edges]
                if m != n and allowed:
                    neighbours.append(m)
            e = np.array([r_n[0] @ h[n] + r_m[0] @ h[m] for m in neighbours])
            e = np.exp(np.where(e > 0, e, 0.2 * e))
            total = sum(a * h[m] for a, m in zip(e / e.sum(), neighbours, strict=True)) + v[f, n] + b
            out[f, n] = np.where(total > 0, total, np.expm1(np.minimum(total, 0)))
    return out


@pytest.mark.parametrize("edges", ["cross_active", "cross", "local", "full"])
def test_attention_is_its_equation_over_the_edges_asked_for(edges):
    torch.manual_seed(0)
    regions = regions_of("bp4d", units_of("bp4d"))
    cross = CrossRelations(5, regions, 12, edges=edges)
    cross.bias.data.normal_()
    v, active = random(4, 12, 5), random(4, 12, seed=1) > 0
    same = np.zeros((12, 12), bool)
    for region in regions:
        same[np.ix_(region.units, region.units)] = True
    with torch.no_grad():
        found = cross(v, active)
    np.testing.assert_allclose(found, attention_by_its_equation(cross, v, active, same), atol=TOLERANCE)


def test_the_edges_of_bp4d_are_those_of_the_released_code():
    # its rows for AU1, AU6, AU10 and AU12, of 1 2 4 6 7 10 12 14 15 17 23 24
    allowed = ~same_region(regions_of("bp4d", units_of("bp4d")), 12)
    rows = ["000101111111", "111011111111", "111110111000", "111111000111"]
    for unit, row in zip((0, 3, 5, 6), rows, strict=True):
        assert "".join(str(int(x)) for x in allowed[unit]) == row


def test_convolutions_in_time_are_sums_over_five_frames_of_each_channel():
    torch.manual_seed(0)
    times, v = UnitTimes(3, 2), random(2, 7, 2, 3)
    weight, bias = (p.detach().double().numpy() for p in (times.convolve.weight, times.convolve.bias))
    expected = np.zeros(v.shape)
    for t in range(7):
        for j in range(5):
            if 0 <= t + j - 2 < 7:
                expected[:, t] += weight[:, 0, j].reshape(2, 3) * v[:, t + j - 2].double().numpy()
    expected += bias.reshape(2, 3)
    np.testing.assert_allclose(times(v).detach(), expected, atol=TOLERANCE)


def test_the_probability_is_the_cosine_with_each_units_own_direction():
    torch.manual_seed(0)
    similar, v = UnitSimilarity(6, 3), random(4, 3, 6).abs()
    s = similar.directions.detach().double().numpy().clip(min=0)
    v64 = v.double().numpy()
    p = np.einsum("mnc,nc->mn", v64, s) / np.linalg.norm(v64, axis=2) / np.linalg.norm(s, axis=1)
    assert 0.1 < p.min() < p.max() < 1
    np.testing.assert_allclose(torch.sigmoid(similar(v)).detach(), p, atol=TOLERANCE)
    assert torch.isfinite(similar(torch.zeros(1, 3, 6))).all()


@pytest.mark.parametrize("table", TABLES)
def test_every_unit_of_a_table_has_one_region_and_combinations_speak_of_each(table):
    units = units_of(table)
    regions = regions_of(table, units)
    assert sorted(unit for region in regions for unit in region.units) == list(range(len(units)))
    patterns = combinations_of(regions, len(units))
    assert len(patterns) == sum(2 ** len(region.units) for region in regions)
    assert len(set(map(str, patterns.tolist()))) == len(patterns)


def test_tables_are_those_of_the_datasets():
    assert units_of("bp4d") == tuple(f"AU{n}" for n in (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24))
    assert units_of("disfa") == tuple(f"AU{n}" for n in (1, 2, 4, 6, 9, 12, 25, 26))
    known = (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25, 26, 27, 43, 45, 51, 52, 53, 54, 55, 56)
    assert units_of("facemorphic") == tuple(f"AU{n}" for n in known)
    assert set(units_of("facemorphic")) <= set(units_of("face"))
    sizes = {table: [2 ** len(r.units) for r in regions_of(table, units_of(table))] for table in ("bp4d", "disfa")}
    assert sizes == {"bp4d": [16, 2, 8, 16], "disfa": [8, 4, 8]}


def test_sides_of_a_unit_are_seen_where_the_unit_is():
    (region,) = regions_of("face", ["AU12_right", "AU12_left"])
    assert (region.name, region.units) == ("corners", (0, 1))


@pytest.mark.parametrize("height", range(1, 12))
def test_slices_cover_every_map_and_overlap(height):
    upper, middle, lower = (set(range(height)[rows_of(part, height)]) for part in ("upper", "middle", "lower"))
    assert upper | middle | lower == set(range(height))
    assert all((upper, middle, lower, upper & middle, middle & lower))
    assert len(upper & lower) <= 1


SMALL = {"trunk": "resnet18", "width": 16, "n_dynamic": 8, "k": 2, "n_frames": 6, "channels": 1, "n_alpha": 0}


def small(**options):
    torch.manual_seed(0)
    return make_model("mdhr", **{**SMALL, "n_classes": 1, "image_px": 64, "n_occurrence": 12, **options})


@pytest.mark.parametrize(("image_px", "side"), [(224, 7), (112, 4), (64, 2), (56, 2), (33, 2), (32, 1)])
def test_maps_are_as_large_as_the_image_over_32_rounded_up_at_every_scale(image_px, side):
    model = small(image_px=image_px).eval()
    images = torch.rand(2, 1, image_px, image_px)
    with torch.no_grad():
        maps = model.trunk.maps(images)
        frames = RealFrames((1, 2), None, training=False)
        assert maps[-1].shape[2:] == (side, side)
        assert model.dynamics(maps, frames).shape == (2, 16, side, side)
        assert model(images[None]).occurrence.shape == (1, 2, 12)


@pytest.mark.parametrize(
    "without",
    [
        {},
        {"mfd": False},
        {"crm": False, "afe": False, "aux": False},
        {"crm": False, "aux": False},
        {"crm": False, "afe": False},
        {"crm": False},
        {"tcn": False},
        {"mfd": False, "crm": False, "afe": False, "aux": False, "tcn": False},
        {"aux": False, "edges": "full"},
        {"stages": [2, 4], "fusion": "sum"},
        {"fusion": "concatenate", "region_layers": False},
    ],
)
def test_blocks_can_be_left_out_and_all_that_is_left_learns(without):
    model = small(**{"edges": "cross", **without})
    answer = model(torch.rand(2, 6, 1, 64, 64))
    assert (answer.auxiliary is None) == (without.get("aux") is False)
    said = list((answer.auxiliary or {}).values())[:1]
    sum((head * torch.randn_like(head)).sum() for head in (answer.logits, answer.occurrence, *said)).backward()
    blind = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert blind == []
    assert model.eval()(torch.rand(2, 6, 1, 64, 64)).auxiliary is None


def test_blocks_that_are_left_out_have_no_weights():
    whole = {key.split(".")[0] for key, _ in small().named_parameters()}
    bare = small(mfd=False, crm=False, afe=False, aux=False, tcn=False)
    assert whole - {key.split(".")[0] for key, _ in bare.named_parameters()} == {
        "dynamics",
        "cross",
        "times",
        "times_norm",
    }
    assert {key.split(".")[1] for key, _ in bare.named_parameters() if key.startswith("local")} == {"share"}


def test_batch_norms_see_only_frames_that_are_there_in_training():
    x = torch.rand(2, 6, 1, 64, 64)
    padding = torch.zeros(2, 6, dtype=torch.bool)
    padding[1, :4] = True
    other = torch.where(padding[:, :, None, None, None], 5.0, x)
    a, b = small(), small()
    for model, clips in ((a, x), (b, other)):
        model(clips, padding)
    assert all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_the_units_of_each_regions_most_probable_combination_are_active():
    model = small(edges="cross_active").eval()
    for bias, unit in ((9.0, True), (-9.0, False)):
        with torch.no_grad():
            for head in model.local.combine:
                head.weight.zero_()
                head.bias.zero_()
                head.bias[-1] = bias  # the combination of all units of the region
                head.bias[0] = -bias
        active = model.local(torch.rand(1, 2, 2, 16)).active
        assert active.all() if unit else not active.any()


def test_a_reduced_network_learns_planted_units_by_heart():
    # AU1 is a bright top, AU6 a middle that is bright from the second half on, AU12 a bottom that flickers
    model = small(n_occurrence=3, units=["AU1", "AU6", "AU12"], n_frames=4, freeze_trunk=True)
    truth = (torch.rand(6, 1, 3) > 0.5).float().repeat(1, 4, 1)
    truth[:, :2, 1] = 0
    x = 0.3 + 0.05 * torch.rand(6, 4, 1, 64, 64)
    x[:, :, :, :24] += 0.4 * truth[:, :, 0, None, None, None]
    x[:, :, :, 24:40] += 0.4 * truth[:, :, 1, None, None, None]
    x[:, ::2, :, 40:] += 0.4 * truth[:, ::2, 2, None, None, None]
    loss = LossParams(classes=0, alpha=0, occurrence=1, occurrence_form="asymmetric", occurrence_weights=(1, 1, 1))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(18):
        optimiser.zero_grad()
        parts = training_loss(model(x), {"occurrence": truth}, loss)
        parts["total"].backward()
        optimiser.step()
    assert set(parts) == {"total", "occurrence", "combinations"}
    with torch.no_grad():
        said = model.eval()(x).occurrence > 0
    assert (said == truth.bool()).float().mean() > 0.95
    assert 0.2 < truth.mean() < 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 4}, "clips of 6 frames are shorter than the temporal window of 2 k = 8; take longer clips"),
        ({"n_occurrence": 0}, "mdhr recognises action units in frames, and none is asked for; set loss.occurrence > 0"),
        ({"n_occurrence": 2, "units": ["AU1", "AU25"]}, "regions = 'bp4d' has no region for AU25; it knows AU1, AU2"),
        ({"n_occurrence": 2, "units": ["AU1", "AU25"]}, "AU24; disfa and facemorphic and face would do"),
        ({"n_occurrence": 2, "units": ["AU1", "AU99"]}, "no table does: leave these units out"),
        ({"n_occurrence": 2, "units": ["AU1", "AU1"]}, "units has AU1 twice"),
        ({"n_occurrence": 2, "units": ["AU1"]}, "units names 1 action units, expected n_occurrence = 2"),
        ({"n_occurrence": 13}, "regions = 'bp4d' has 12 action units, not n_occurrence = 13"),
        ({"regions": "bp5d"}, "regions is 'bp5d', expected one of bp4d, disfa, facemorphic, face"),
        ({"aux": False}, "edges = 'cross_active' needs aux = true"),
        ({"afe": False}, "it needs afe = true"),
        ({"edges": "some"}, "edges is 'some', expected one of cross_active, cross, local, full"),
        ({"fusion": "mean"}, "fusion is 'mean', expected one of adaptive, sum, concatenate"),
        ({"stages": [4, 1]}, "stages is [4, 1], expected some of 1, 2, 3, 4, in order"),
        ({"stages": [0]}, "stages is [0], expected"),
        ({"tcn_kernel": 4}, "tcn_kernel is 4, expected an odd number of frames"),
        ({"image_px": 16}, "image_px is 16, expected at least 32"),
        ({"units": "AU1"}, "units is 'AU1', expected something like ()"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(options, message):
    with pytest.raises(ValueError, match=re.escape(message)) as err:
        small(**options)
    assert "\n" not in str(err.value)


def test_a_region_of_too_many_units_is_refused():
    units = [f"AU{n}{side}" for n in (12, 13, 14, 15, 20) for side in ("_left", "_right")]
    with pytest.raises(ValueError, match=r"'corners' of regions = 'face' has 10 of the units, expected at most 8"):
        regions_of("face", units)
