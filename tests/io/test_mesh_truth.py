"""The truth of rendered recordings, at any time between frames; other files are refused in one line."""

import json

import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases
from au3dmm.io.mesh_truth import read_label_delays, read_session_truth
from demo_basis import few_components
from mesh_run import true_alpha, write_mesh_run, write_truth


def test_frames_are_as_written_and_linear_between(tmp_path):
    write_truth(tmp_path / "a.json", 1, 6)
    truth, alpha = read_session_truth(tmp_path / "a.json"), true_alpha(1, 6)
    assert truth.interval_us == pytest.approx(33_333)
    np.testing.assert_allclose(truth.at(np.arange(6), np.zeros(6)), alpha)
    half = truth.at(np.array([2, 3]), np.array([16_666.5, -16_666.5]))
    np.testing.assert_allclose(half, np.tile((alpha[2] + alpha[3]) / 2, (2, 1)), atol=1e-9)
    # a little before the first frame and after the last they stay; farther off, or without a frame, nobody knows
    ends = truth.at(np.array([0, 5, -1, 6, 5]), np.array([-9_000, 9_000, 0, 0, 40_000]))
    np.testing.assert_allclose(ends[:2], alpha[[0, 5]])
    assert np.isnan(ends[2:]).all()


def test_delays_are_those_of_the_labels_rows(tmp_path):
    assert not read_label_delays(write_mesh_run(tmp_path, people=1).labels).any()
    assert len(read_label_delays(tmp_path / "none")) == 0


def test_another_basis_than_the_rendered_one_is_refused(tmp_path):
    write_truth(tmp_path / "a.json", 0, 4)
    truth = read_session_truth(tmp_path / "a.json")
    truth.check(read_bases(asset_path(DEMO_BASES)), tmp_path / "a.json")
    with pytest.raises(SchemaError, match=r"rendered with 34 action unit components \(AU1, .*the basis has 3"):
        truth.check(few_components(), tmp_path / "a.json")
    write_truth(tmp_path / "b.json", 0, 4, basis={"topology_hash": "beef" * 16})
    with pytest.raises(SchemaError, match="mesh of topology beefbeefbeef, the basis has"):
        read_session_truth(tmp_path / "b.json").check(few_components(), tmp_path / "b.json")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", json.dumps({"alpha_au": "x"}), '{"alpha_au": [[1]], "names_au": ["AU1", "AU2"]}'],
)
def test_other_files_are_refused_in_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SchemaError, match="not the truth of a rendered recording") as err:
        read_session_truth(path)
    assert "\n" not in str(err.value)
    with pytest.raises(SchemaError, match="cannot be read"):
        read_session_truth(tmp_path / "none.json")


def test_values_that_are_none_are_refused(tmp_path):
    write_truth(tmp_path / "a.json", 0, 3, alpha_au=[[1.0], [2.0], [3.0]])
    with pytest.raises(SchemaError, match=r"alpha_au \(3, 1\) of 34 components; expected finite"):
        read_session_truth(tmp_path / "a.json")
