"""Another run's faces at the times of these labels."""

from dataclasses import replace

import numpy as np
import pytest

from au3dmm.errors import ConfigError
from au3dmm.io.training_labels import read_training_labels
from au3dmm.training import mesh_controls
from au3dmm.training.mesh_controls import at_times, control_motion
from au3dmm.training.mesh_data import read_mesh_data
from au3dmm.training.mesh_evaluating import coarse_motion
from au3dmm.training_config import MeshParams
from mesh_run import write_mesh_run
from training_run import METADATA, write_training_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_mesh_run(tmp_path_factory.mktemp("run"), people=2, n=12)


@pytest.fixture(scope="module")
def mesh(run):
    return read_mesh_data(read_training_labels(run), MeshParams(n_motion=8), range(8))


def thinned(labels, shift_us=0):
    """Return labels with every second row of each recording, later by so much."""
    rows, sessions = [], []
    for session in labels.sessions:
        mine = np.arange(session.first, session.first + session.n, 2)
        sessions.append(replace(session, first=len(rows), n=len(mine)))
        rows += mine.tolist()
    names = ("alpha", "alpha_std", "valid", "frame_index", "rgb_frame_index", "occurrence")
    arrays = {name: getattr(labels, name)[rows] for name in names}
    return replace(labels, **arrays, t_us=labels.t_us[rows] + shift_us, sessions=tuple(sessions))


def test_a_run_of_half_the_frames_is_read_at_the_times_between_them(mesh, run, monkeypatch):
    # coefficients of these recordings are linear in time; the frame that was lost (3) is none of every second
    monkeypatch.setattr(mesh_controls, "read_training_labels", lambda run: thinned(read_training_labels(run)))
    found = control_motion(mesh, "half", run)
    coarse = coarse_motion(mesh)
    there = np.isfinite(found).all(1)
    # frame 3 lies between 2 and 4; frame 11 is a whole frame, half an interval, after 10
    assert there.all()
    interpolated = [i for session in mesh.labels.sessions for i in range(session.first, session.first + 11)]
    known = [i for i in interpolated if mesh.labels.valid[i]]
    np.testing.assert_allclose(found[known], coarse[known], atol=1e-5)


def test_times_count_and_not_the_number_of_the_frame(mesh, run, monkeypatch):
    late = read_training_labels(run)
    monkeypatch.setattr(mesh_controls, "read_training_labels", lambda _: replace(late, t_us=late.t_us + 33_333))
    found, coarse = control_motion(mesh, "late", run), coarse_motion(mesh)
    rows = mesh.labels.sessions[0].rows
    np.testing.assert_allclose(found[rows][5:], coarse[rows][4:-1], atol=1e-6)
    assert np.isnan(found[rows][0]).all()  # a whole interval before its first row


def test_what_cannot_be_compared_is_refused_in_one_line(mesh, run, tmp_path, monkeypatch):
    labels = read_training_labels(run)
    other = write_training_run(tmp_path, people=2)
    assert METADATA["basis"]["file_hash"].endswith("a" * 64)
    with pytest.raises(ConfigError, match=r"control x: .*: labelled with basis aaaaaaaaaaaa, these labels with"):
        control_motion(mesh, "x", other)
    strangers = replace(labels, sessions=tuple(replace(s, session_id=f"T{s.session_id}") for s in labels.sessions))
    monkeypatch.setattr(mesh_controls, "read_training_labels", lambda _: strangers)
    with pytest.raises(ConfigError, match=r"control x: .*: labels none of the 8 recordings"):
        control_motion(mesh, "x", run)
    monkeypatch.setattr(mesh_controls, "read_training_labels", lambda _: replace(labels, t_us=labels.t_us + 10**9))
    with pytest.raises(ConfigError, match="though 8 recordings are in both: their clocks differ"):
        control_motion(mesh, "x", run)


def test_recordings_of_another_dataset_that_have_the_same_names_are_refused(mesh, tmp_path):
    other = write_mesh_run(tmp_path, people=2, n=12, film="b")
    with pytest.raises(ConfigError, match=r"its recording 'S0_AU1' is another film than that of") as err:
        control_motion(mesh, "x", other)
    assert "\n" not in str(err.value)


def test_frames_that_miss_one_between_them_are_near_at_any_rounding():
    """30 frames per second in whole us: intervals of 33 333 and 33 334."""
    t_us = np.array([0, 33_333, 66_666, 99_999, 166_667, 200_000])
    found = at_times(np.arange(6.0)[:, None], t_us, np.array([133_333]), 33_333.0)
    assert np.isfinite(found).all()
