"""`label` with the default detector: on a rendered face, and on the real recordings beside the project."""

import json
import shutil

import numpy as np
import pytest

import au3dmm as package
from au3dmm.errors import AssetError
from au3dmm.io.weights import mediapipe_files, weights_folder
from au3dmm.synthetic import session as synthetic


@pytest.fixture(scope="module")
def weights():
    try:
        return mediapipe_files(weights_folder())
    except AssetError as err:
        pytest.skip(f"SKIPPED LOUDLY: {err}")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered") / "synthetic"
    synthetic.write_session(folder, seconds=0.5, setup=synthetic.TINY)
    return folder


@pytest.mark.weights
def test_a_rendered_face_is_labelled_with_the_demo_basis(au3dmm, weights, rendered, tmp_path):
    shutil.copytree(rendered, tmp_path / "synthetic")
    answer = au3dmm("label", "--session", tmp_path / "synthetic", "--overlay", "--json")
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    truth = json.loads((rendered / "truth.json").read_text())
    assert result["frames_rgb"] == result["frames_face"] == result["frames_event"] == truth["rgb_frames"]
    assert abs(result["clock"]["offset_us"] - 1e6 * truth["offset_raw_s"]) < 50
    assert result["basis"]["kind"] == "demo"
    assert any("DEMO BASIS" in line for line in answer.err)
    assert result["rmse_iod_median"] < 0.05
    answer = au3dmm("validate", tmp_path / "synthetic" / "derivatives" / "au3dmm" / "label")
    assert answer.code == 0, answer.out


@pytest.mark.shared
@pytest.mark.weights
def test_a_real_recording_is_labelled_with_its_clock_and_coefficients_that_move(au3dmm, weights, shared_data, tmp_path):
    session = shared_data / "sessions" / "pexels_trigger"
    answer = au3dmm("label", "--session", session, "--out", tmp_path / "run", "--json")
    assert answer.code == 0, answer.err
    result, truth = json.loads(answer.out), json.loads((session / "truth.json").read_text())
    assert result["frames_face"] >= 0.99 * result["frames_rgb"] == 0.99 * 472
    # the offset is that of RGB time 0; drift is judged by where the last frame comes to lie
    last_us = truth["rgb_last_pts_us"]
    found_us = result["clock"]["offset_us"] + (1 + result["clock"]["drift_ppm"] * 1e-6) * last_us
    assert abs(result["clock"]["offset_us"] - 1e6 * truth["offset_raw_s"]) < 50
    assert abs(found_us - truth["rgb_last_frame_event_us"] - truth["raw_base_us"]) < 50
    table = package.read_labels(result["outputs"]["labels"])
    assert len(table) == result["frames_event"] == 472
    alpha, valid = package.vectors(table, "alpha_au")
    assert np.nanstd(alpha[valid], axis=0).max() > 0.3
    assert au3dmm("validate", tmp_path / "run").code == 0
