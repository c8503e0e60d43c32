"""Weight files are read without running anything that is in them."""

import pickle
from collections import defaultdict

import numpy as np
import pytest
import torch

from au3dmm.detectors.fan_weights import folded, load_weights, read_weights
from au3dmm.errors import AssetError
from fan_oracle import small_networks


def test_a_training_checkpoint_gives_its_tensors_under_their_own_names(tmp_path):
    network, _ = small_networks()
    state = {"module." + name: value for name, value in network.state_dict().items()}
    optimiser = {"state": defaultdict(dict, {0: {"step": 1}}), "param_groups": [{"lr": 1e-3, "params": [0]}]}
    for kind in (True, False):  # torch's present format, and that of the published files
        torch.save(
            {"state_dict": state, "epoch": 3, "best_acc": np.float64(0.5), "arch": "x", "optimizer": optimiser},
            tmp_path / "depth.pth.tar",
            _use_new_zipfile_serialization=kind,
        )
        other, _ = small_networks(seed=1)
        assert load_weights(other, tmp_path / "depth.pth.tar") is other
        for name, value in network.state_dict().items():
            assert torch.equal(other.state_dict()[name], value)
    torch.save(network.state_dict(), tmp_path / "plain.pth")
    assert list(read_weights(tmp_path / "plain.pth")) == list(network.state_dict())


def test_folded_normalisations_change_nothing():
    from face_alignment.models.resnet import ResNetDepth

    torch.manual_seed(0)
    network = ResNetDepth(layers=[1, 1, 1, 1]).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    shown = torch.rand(1, 71, 256, 256)
    with torch.inference_mode():
        before = network(shown)
        after = folded(network)(shown)
    assert before.std() > 0.01
    np.testing.assert_allclose(after, before, atol=1e-4 * float(before.abs().max()))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("kind", [True, False])
def test_weights_that_would_run_code_are_refused_before_they_do(tmp_path, kind):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (tmp_path / "bare.pth").write_bytes(pickle.dumps({"state_dict": Trap()}, protocol=2))
    torch.save({"state_dict": Trap()}, tmp_path / "torch.pth", _use_new_zipfile_serialization=kind)
    for name in ("bare.pth", "torch.pth"):
        with pytest.raises(AssetError, match=f"{name}: not loaded: holds something other than tensors") as err:
            read_weights(tmp_path / name)
        assert "\n" not in str(err.value)
        assert "safe_globals" not in str(err.value)  # torch's advice is to trust it
    assert not (tmp_path / "sprung").exists()


def test_old_names_of_numpy_scalars_are_harmless(tmp_path):
    path = tmp_path / "old.pth"
    torch.save({"state_dict": {}, "best_acc": np.float64(0.5)}, path, _use_new_zipfile_serialization=False)
    old = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in old
    path.write_bytes(old)
    assert read_weights(path) == {}


def test_damaged_files_and_files_of_something_else_are_refused(tmp_path):
    path = tmp_path / "depth.pth"
    network, other = small_networks()
    torch.save(other.state_dict(), path)
    with pytest.raises(AssetError, match=r"weights of another network than Sequential \(lacks 2\.bias; 4 tensors"):
        load_weights(network, path)
    data = path.read_bytes()
    for damaged in (b"", b"no weights", data[: len(data) // 2], data[:100]):
        path.write_bytes(damaged)
        with pytest.raises(AssetError, match=r"depth\.pth: not loaded: .*copy the published file there again"):
            read_weights(path)
    torch.save([1, 2], path)
    with pytest.raises(AssetError, match=r"depth\.pth: holds no table of tensors"):
        read_weights(path)
