"""AU-D3DFace through the trainer: true motion beside labels, a network that learns it, and its measurement."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.evaluation.mesh_rows import meshes_markdown
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases, write_bases
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.training_labels import read_training_labels
from au3dmm.training import mesh_evaluating
from au3dmm.training.checkpoints import model_of, read_checkpoint
from au3dmm.training.mesh_clips import MeshClips
from au3dmm.training.mesh_data import read_mesh_data
from au3dmm.training.mesh_evaluating import NoTruth, evaluate_meshes, write_mesh_evaluation
from au3dmm.training.run import TrainOptions, train
from au3dmm.training.setup import read_part, read_setup
from au3dmm.training.units import unknown_units
from au3dmm.training_config import AugmentParams, DataParams, MeshParams, load_training
from demo_basis import few_components
from mesh_run import COMPONENTS, true_alpha, write_mesh_run, write_truth

SMALL = [
    *("options.dim=16", "options.depth=1", "options.heads=2", "options.mlp=16", "options.token_hidden=8"),
    *("options.dropout=0.0", "mesh.n_motion=8", "data.n_frames=6", "loss.classes=0", "loss.alpha=0"),
    *("loss.occurrence=0.1", "loss.mesh=1", "loss.smooth=0.1", "monitor=loss", "lr=2e-2", "batch=8", "epochs=30"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_mesh_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def mesh(run):
    return read_mesh_data(unknown_units(read_training_labels(run), ()), MeshParams(n_motion=8), range(8))


def test_targets_are_the_true_motion_in_millimetres(mesh):
    """Two routes: coordinates, and vertices of the rendered basis."""
    rendered = read_bases(asset_path(DEMO_BASES))
    session = mesh.labels.sessions[0]
    offsets = np.tensordot(true_alpha(0, 12), rendered.components_au, 1)
    found = mesh.space.offsets(mesh.target[session.rows])
    assert 1e3 * abs(found - offsets).max() < 0.01
    assert mesh.known.all()


def test_units_that_nobody_coded_are_those_of_the_basis_and_unknown(mesh):
    assert mesh.labels.names_occurrence == ("AU1", "AU4", "AU12")
    assert np.isnan(mesh.labels.occurrence).all()
    assert mesh.masks.units == ("AU1", "AU4", "AU12")


def test_clips_have_the_true_motion_of_their_frames(mesh):
    clips = MeshClips(mesh, range(2), DataParams(n_frames=15, every=1), ["AU1"])
    item = clips[0, 1]
    assert item["target"].shape == (15, 8)
    np.testing.assert_array_equal(item["target"][3:], mesh.target[mesh.labels.sessions[1].rows])
    assert item["target_known"].tolist() == [False] * 3 + [True] * 12
    with pytest.raises(ConfigError, match="true motion cannot be mirrored"):
        MeshClips(mesh, range(2), DataParams(), ["AU1"], augment=AugmentParams(flip=0.5))


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    result = train(run, load_training(None, SMALL, "au_d3dface"), out, TrainOptions(device="cpu"))
    return out, result


@pytest.fixture(scope="module")
def found(run, trained):
    return evaluate_meshes(trained[0] / "best.pt", run, "val", surfaces=1, controls={"again": run})


def test_it_learns_and_is_better_than_what_it_was_given(found):
    rows = found["rows"]
    assert list(rows) == ["coarse", "again", "smoothed", "refined"]
    assert rows["refined"]["vertex_rms_mm"] < 0.8 * rows["coarse"]["vertex_rms_mm"]
    assert rows["refined"]["surface_mean_mm"] < 0.9 * rows["coarse"]["surface_mean_mm"]
    assert rows["again"] == rows["coarse"]
    assert found["gain"]["coarse"]["vertex_rms_mm"] == 0
    # four recordings of twelve frames, one of them not labelled
    assert (found["recordings"], found["subjects"], found["frames"]) == (4, 1, 44)
    assert list(found["by_subject"]) == ["S2"]


def test_coarse_error_is_that_of_the_vertices(run, mesh, trained):
    out, _ = trained
    found = evaluate_meshes(out / "best.pt", run, "val", surfaces=0)["rows"]["coarse"]
    bases, rendered, squared = few_components(COMPONENTS), read_bases(asset_path(DEMO_BASES)), []
    for u, session in enumerate(mesh.labels.sessions[8:]):
        coarse = np.tensordot(mesh.labels.alpha[session.rows], bases.components_au, 1)
        true = np.tensordot(true_alpha(u, 12), rendered.components_au, 1)
        squared.append(1e6 * ((coarse - true) ** 2).sum(2).mean(1)[mesh.labels.valid[session.rows]])
    assert found["vertex_rms_mm"] == pytest.approx(np.sqrt(np.concatenate(squared).mean()), rel=1e-3)
    assert "surface_mean_mm" not in found


def test_the_tables_are_written(found, tmp_path):
    write_mesh_evaluation(tmp_path, found)
    assert json.loads((tmp_path / "meshes.json").read_text())["rows"].keys() == found["rows"].keys()
    page = (tmp_path / "meshes.md").read_text()
    assert page == meshes_markdown(found)
    assert "44 frames of 4 recordings, subjects: 1" in page
    assert "| refined | " in page


def test_a_checkpoint_holds_all_that_its_meshes_mean(trained, mesh):
    out, _ = trained
    content = read_checkpoint(out / "best.pt")
    model = model_of(out / "best.pt", content)
    np.testing.assert_allclose(model.to_motion, mesh.space.of_alpha, atol=1e-6)
    np.testing.assert_allclose(model.directions, mesh.space.directions, atol=1e-4)
    said = content["labels"]["mesh"]
    assert (said["topology_hash"], said["masks"]) == (
        mesh.space.topology_hash,
        dict(zip(mesh.masks.units, mesh.masks.sources, strict=True)),
    )
    assert (said["masks"].keys(), content["labels"]["occurrence_taught"]) == ({"AU1", "AU4", "AU12"}, False)
    log = (out / "log.csv").read_text().splitlines()
    assert {"mesh", "smooth"} <= set(log[0].split(","))


def test_a_training_that_goes_on_ends_with_the_same_bits(run, trained, tmp_path):
    out, _ = trained
    params = load_training(None, [*SMALL, "max_steps=57"], "au_d3dface")
    train(run, params, tmp_path / "part", TrainOptions(device="cpu"))
    whole = load_training(None, SMALL, "au_d3dface")
    train(run, whole, tmp_path / "part", TrainOptions(device="cpu", resume=True))
    one, other = (read_checkpoint(p / "last.pt")["state_dict"] for p in (out, tmp_path / "part"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def setup_of(run, tmp_path, *changes):
    return read_setup(run, load_training(None, [*SMALL, *changes], "au_d3dface"), cache=tmp_path)


def test_units_are_those_that_were_coded_whether_they_are_learnt_or_not(tmp_path, caplog):
    run = write_mesh_run(tmp_path, coded=True)
    for changes in ((), ("loss.occurrence=0",)):
        setup = setup_of(run, tmp_path, *changes)
        assert setup.labels.names_occurrence == ("AU1", "AU2", "AU51", "AU52")
        assert setup.make_model().n_units == 4
        # what the decoder is told
        assert np.nanmax(setup.train[(0, 0)]["occurrence"]) == 1
    two = setup_of(run, tmp_path, "data.units=AU51,AU1")
    assert two.labels.names_occurrence == ("AU1", "AU51")
    assert "AU2" not in caplog.text


def test_without_codes_the_decoder_is_told_one_half_and_faces_alone_are_learnt(run, tmp_path, caplog):
    setup = setup_of(run, tmp_path)
    assert "no action unit is coded frame by frame: faces alone are learnt; of 3 units" in caplog.text
    assert (setup.loss.occurrence, setup.params.loss.occurrence) == (0, 0.1)
    assert bool(torch.isnan(setup.train[(0, 0)]["occurrence"]).all())
    model = setup.make_model().eval()
    x, unknown = setup.train[(0, 0)]["coefficients"][None], torch.full((1, 6, 3), torch.nan)
    told = [model(x, None, units).occurrence for units in (unknown, torch.full((1, 6, 3), 0.5))]
    torch.testing.assert_close(*told)
    assert setup_of(run, tmp_path, "data.units=AU12,AU17").labels.names_occurrence == ("AU12", "AU17")
    with pytest.raises(ConfigError, match=r"loss.classes, loss.mesh and loss.landmarks are 0: there is nothing") as err:
        setup_of(run, tmp_path, "loss.mesh=0")
    assert "\n" not in str(err.value)


def test_what_cannot_work_is_refused_in_one_line(tmp_path):
    run = write_mesh_run(tmp_path)
    write_bases(tmp_path / "other.npz", few_components(("AU1", "AU4", "AU9", "AU26")))
    for change, message in (
        (f"mesh.bases={tmp_path}/other.npz", r"other\.npz: not the basis that .* was made with"),
        (f"mesh.truth={tmp_path}", r"mesh.truth: .*: no <session>.json of these recordings"),
        ("augment.flip=0.5", "true motion cannot be mirrored"),
        ("options.n_motion=9", "options.n_motion: it follows from labels and data"),
    ):
        with pytest.raises(ConfigError, match=message) as err:
            setup_of(run, tmp_path, change).make_model()
        assert "\n" not in str(err.value)
    run.bases.unlink()
    with pytest.raises(ConfigError, match=r"give its file: --set mesh\.bases=FILE"):
        setup_of(run, tmp_path)


def test_without_any_truth_it_learns_units_alone_and_says_so(run, tmp_path, caplog):
    setup_of(write_mesh_run(tmp_path / "true", coded=True), tmp_path)
    assert "true motion" not in caplog.text
    run = write_mesh_run(tmp_path, truth=False, coded=True)
    setup = setup_of(run, tmp_path)
    assert "true motion is known of no recording in train: refined faces are not taught" in caplog.text
    assert not setup.mesh.known.any()
    train(run, load_training(None, [*SMALL, "epochs=1"], "au_d3dface"), tmp_path / "out", TrainOptions(device="cpu"))
    with pytest.raises(ConfigError, match="no true motion is known of any recording in val"):
        evaluate_meshes(tmp_path / "out" / "best.pt", run, "val")


def test_meshes_of_another_topology_are_refused(tmp_path, run, trained):
    content = read_checkpoint(trained[0] / "best.pt")
    content["labels"]["mesh"]["topology_hash"] = "beef" * 16
    with pytest.raises(SchemaError, match="trained on meshes of topology beefbeefbeef"):
        read_mesh_data(unknown_units(read_training_labels(run), ()), MeshParams(n_motion=8), (), content)


def other_truth(folder):
    """Write a coded run whose truth shows AU26 where the other's shows AU17."""
    run = write_mesh_run(folder, coded=True)
    names = list(read_bases(asset_path(DEMO_BASES)).names_au)
    alpha = true_alpha(0, 12)
    alpha[:, [names.index("AU17"), names.index("AU26")]] = alpha[:, [names.index("AU26"), names.index("AU17")]]
    for path in sorted((folder / "truth").glob("*_AU1.json")):
        write_truth(path, 0, 12, alpha_au=alpha.tolist())
    return run, alpha


def test_motion_that_the_space_does_not_hold_counts_as_error(tmp_path):
    """A network that has learnt of AU17 alone, asked about people who open their jaws."""
    here = write_mesh_run(tmp_path / "here", coded=True)
    there, alpha = other_truth(tmp_path / "there")
    params = load_training(None, [*SMALL, "max_steps=1"], "au_d3dface")
    train(here, params, tmp_path / "out", TrainOptions(device="cpu"))
    same, found = (evaluate_meshes(tmp_path / "out" / "best.pt", run, "val", surfaces=0) for run in (here, there))
    bases, rendered, squared = few_components(COMPONENTS), read_bases(asset_path(DEMO_BASES)), []
    labels = read_training_labels(there)
    for u, session in enumerate(labels.sessions[8:]):
        coarse = np.tensordot(labels.alpha[session.rows], bases.components_au, 1)
        true = np.tensordot(alpha if u == 0 else true_alpha(u, 12), rendered.components_au, 1)
        squared.append(1e6 * ((coarse - true) ** 2).sum(2).mean(1)[labels.valid[session.rows]])
    assert found["rows"]["coarse"]["vertex_rms_mm"] == pytest.approx(np.sqrt(np.concatenate(squared).mean()), rel=1e-3)
    assert same["beyond_space_mm"] < 1e-3 < 0.1 < found["beyond_space_mm"]
    assert f"{found['beyond_space_mm']:.3f} mm (rms) of it lie beyond" in meshes_markdown(found)


def test_weights_to_begin_with_leave_the_space_of_these_faces(tmp_path):
    here = write_mesh_run(tmp_path / "here", coded=True)
    there, _ = other_truth(tmp_path / "there")
    params = load_training(None, [*SMALL, "max_steps=1"], "au_d3dface")
    train(here, params, tmp_path / "one", TrainOptions(device="cpu"))
    options = TrainOptions(device="cpu", init=tmp_path / "one" / "best.pt")
    train(there, params, tmp_path / "two", options)
    mine = setup_of(there, tmp_path).make_model()
    model = model_of(tmp_path / "two" / "last.pt", read_checkpoint(tmp_path / "two" / "last.pt"))
    begun = model_of(options.init, read_checkpoint(options.init))
    assert not torch.equal(begun.directions, mine.directions)
    for name in ("directions", "to_motion", "tokens.maps"):
        assert torch.equal(model.get_buffer(name), mine.get_buffer(name)), name


def test_models_that_refine_nothing_say_so(run, tmp_path):
    params = load_training(None, ["model=alpha_lstm", "data.n_frames=6", "loss.mesh=1", "epochs=1"], None)
    with pytest.raises(ConfigError, match=r"loss\.mesh = 1, but this model refines no faces; set it to 0"):
        train(run, params, tmp_path / "out", TrainOptions(device="cpu"))


def test_folds_are_measured_each_on_its_own_people_and_pooled(tmp_path):
    run = write_mesh_run(tmp_path, folds=3, n=8, coded=True)
    for fold in (0, 1):
        params = load_training(None, [*SMALL, "max_steps=1", f"data.fold={fold}"], "au_d3dface")
        train(run, params, tmp_path / f"f{fold}", TrainOptions(device="cpu"))
    paths = [tmp_path / f"f{fold}" / "last.pt" for fold in (0, 1)]
    each = [evaluate_meshes(path, run, surfaces=0) for path in paths]
    both = evaluate_meshes(paths, run, surfaces=0)
    assert both["frames"] == sum(one["frames"] for one in each)
    assert both["by_subject"] == each[0]["by_subject"] | each[1]["by_subject"]
    squares = [one["rows"]["refined"]["vertex_rms_mm"] ** 2 * one["frames"] for one in each]
    assert both["rows"]["refined"]["vertex_rms_mm"] == pytest.approx(np.sqrt(sum(squares) / both["frames"]))
    with pytest.raises(
        ConfigError, match=r"faces of subject 'S0' were measured twice.*; give checkpoints of different"
    ):
        evaluate_meshes([paths[0], paths[0]], run, surfaces=0)


def test_rows_are_called_by_names_of_their_own(run, trained):
    with pytest.raises(ConfigError, match="control 'refined': a row of this name is there already"):
        evaluate_meshes(trained[0] / "best.pt", run, "val", controls={"refined": run})


def test_a_network_that_looks_at_pictures_is_given_the_frames_of_its_clips(run, tmp_path):
    looking = ["options.appearance=convolutions", "data.image_px=16", "max_steps=1"]
    setup = setup_of(run, tmp_path, *looking)
    item = setup.train[0, 0]
    assert item["pixels"].shape == (6, 1, 16, 16)
    assert item["coefficients"].shape == (6, 4)
    train(run, load_training(None, [*SMALL, *looking], "au_d3dface"), tmp_path / "out", TrainOptions(device="cpu"))
    content = read_checkpoint(tmp_path / "out" / "best.pt")
    assert content["labels"]["representation"]["name"] == "polarity"
    assert model_of(tmp_path / "out" / "best.pt", content).appearance is not None
    assert evaluate_meshes(tmp_path / "out" / "best.pt", run, "val", surfaces=0)["frames"] == 44
    with pytest.raises(ConfigError, match=r"options\.appearance = 'features': there are none beside labels"):
        setup_of(run, tmp_path, "options.appearance=features")


def test_a_run_may_be_named_from_within_its_dataset(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run.path.parent)
    assert setup_of(RunFolder(Path(run.path.name)), tmp_path).mesh.known.all()


def test_truth_that_was_named_is_not_that_of_others_who_have_the_same_names(tmp_path):
    here = write_mesh_run(tmp_path / "here", coded=True)
    (tmp_path / "here" / "truth").rename(tmp_path / "elsewhere")
    params = load_training(None, [*SMALL, "max_steps=1", f"mesh.truth={tmp_path}/elsewhere"], "au_d3dface")
    train(here, params, tmp_path / "out", TrainOptions(device="cpu"))
    others = write_mesh_run(tmp_path / "others", coded=True, truth=False, film="b")
    with pytest.raises(NoTruth, match="no true motion is known"):
        evaluate_meshes(tmp_path / "out" / "best.pt", others, "val", surfaces=0)
    # the same people, labelled otherwise
    again = write_mesh_run(tmp_path / "again", coded=True, truth=False)
    assert evaluate_meshes(tmp_path / "out" / "best.pt", again, "val", surfaces=0)["recordings"] == 4


def test_rgb_frames_lie_where_training_put_them(run, trained, monkeypatch):
    asked = []

    def noting(*args, cache, **options):
        asked.append(cache)
        return read_part(*args, cache=cache, **options)

    monkeypatch.setattr(mesh_evaluating, "read_part", noting)
    evaluate_meshes(trained[0] / "best.pt", run, "val", surfaces=0)
    assert asked == [trained[0] / "cache" / "rgb"]
