"""The experiment of AU-D3DFace in miniature: pictures, controls, and a table of faces."""

from pathlib import Path

import pytest

from au3dmm.errors import ConfigError
from au3dmm.io.run_folder import RunFolder
from au3dmm.training.experiments import read_experiment, run_experiment
from au3dmm.training.run import TrainOptions
from mesh_run import write_mesh_run

FILE = Path(__file__).parents[2] / "pipelines" / "experiments" / "au_d3dface.toml"
CPU = TrainOptions(device="cpu")
TINY = {
    "options": {"dim": 8, "depth": 1, "heads": 1, "mlp": 8, "token_hidden": 4, "dropout": 0.0},
    "data": {"n_frames": 6, "every": 1, "image_px": 16},
    "mesh": {"n_motion": 8},
    "optimise": {"batch": 16, "epochs": 1, "lr": 0.01},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    return {name: write_mesh_run(folder, people=3, n=8, pipeline=name) for name in ("label", "paper")}


@pytest.fixture(scope="module")
def params():
    return read_experiment(FILE).model_copy(update={"reduced": TINY, "split": "val"})


@pytest.fixture(scope="module")
def result(runs, params, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return run_experiment(params, lambda run: runs[run.pipeline], out, reduced=True, seeds=(0,), options=CPU)


def test_all_parts_and_inputs_are_trained_and_measured(result, params):
    assert [found["name"] for found in result.results] == [run.name for run in params.runs]
    for found in result.results:
        assert set(found["meshes"]["rows"]) == {"coarse", "robust fit", "smoothed", "refined"}
    sizes = {found["name"]: found["n_parameters"] for found in result.results}
    assert sizes["mesh, temporal"] < sizes["mesh, both"] < sizes["mesh and video, both"]


def test_the_table_has_refined_faces_and_those_that_no_network_made(result):
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in result.table.splitlines() if "|" in line}
    first = result.results[0]["meshes"]["rows"]
    for name, row in (("coarse: paper", "coarse"), ("paper, Savitzky-Golay", "smoothed"), ("robust fit", "robust fit")):
        assert f"| {first[row]['vertex_rms_mm']:.3f} |" in lines[name]
    both = next(found for found in result.results if found["name"] == "mesh, both")
    assert f"| {both['meshes']['rows']['refined']['vertex_rms_mm']:.3f} |" in lines["mesh, both"]
    assert (result.out / "mesh-both" / "seed0" / "val" / "meshes.md").is_file()


def test_a_control_that_is_not_there_is_told_before_anything_is_trained(runs, params, tmp_path):
    def labelled(run):
        if run.pipeline == "label":
            raise ConfigError("no run 'label' beside it")
        return runs[run.pipeline]

    with pytest.raises(ConfigError, match="control 'robust fit': no run 'label' beside it"):
        run_experiment(params, labelled, tmp_path, reduced=True, options=CPU)
    empty = {**runs, "label": RunFolder(tmp_path / "empty")}
    with pytest.raises(ConfigError, match=r"control 'robust fit': .*sessions\.parquet: no such file"):
        run_experiment(params, lambda run: empty[run.pipeline], tmp_path, reduced=True, options=CPU)
    assert not list(tmp_path.glob("*/seed0"))
