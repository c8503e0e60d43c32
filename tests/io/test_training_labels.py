"""Labels of a run as arrays: every row in its place, null rows as zeros that say nothing, mixtures refused."""

import numpy as np
import pyarrow.parquet as pq
import pytest

import au3dmm
from au3dmm.errors import SchemaError
from au3dmm.io.label_dataset import label_parts
from au3dmm.io.sessions_index import read_index, write_index
from au3dmm.io.tables import read_metadata, write_table
from au3dmm.io.training_labels import read_training_labels
from training_run import METADATA, UNITS, K, alpha_of, write_training_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_training_run(tmp_path_factory.mktemp("run"), people=2, size=lambda p, u: 5 + u, coded=True)


def test_rows_lie_where_their_recording_says_and_hold_what_was_written(run):
    labels = read_training_labels(run)
    assert [s.session_id for s in labels.sessions] == [f"S{p}_{au}" for p in range(2) for au in UNITS]
    for session in labels.sessions:
        u, n = UNITS.index(session.au), session.n
        assert n == 5 + u
        there = np.arange(n) != 3
        np.testing.assert_array_equal(labels.valid[session.rows], there)
        np.testing.assert_array_equal(labels.alpha[session.rows][there], alpha_of(u, n)[there])
        np.testing.assert_array_equal(labels.alpha[session.rows][~there], 0)
        np.testing.assert_array_equal(labels.alpha_std[session.rows], np.where(there, 0.5, 0)[:, None] * np.ones(K))
        np.testing.assert_array_equal(labels.frame_index[session.rows], np.arange(n))
        assert session.event_frames("polarity").is_file()


def test_arrays_agree_with_read_labels_which_goes_another_way(run):
    labels, table = read_training_labels(run), au3dmm.read_labels(run.path)
    alpha, valid = au3dmm.vectors(table, "alpha_au")
    np.testing.assert_array_equal(labels.valid, valid)
    np.testing.assert_array_equal(labels.alpha[valid], alpha[valid])
    np.testing.assert_array_equal(labels.t_us, table["t_label_us"].to_numpy())
    assert list(labels.names_au) == au3dmm.names_au(table)
    np.testing.assert_allclose(labels.alpha @ labels.mirror, au3dmm.mirror_alpha(labels.alpha, table))


def test_coded_units_are_those_of_the_nearest_rgb_frame_and_nan_elsewhere(run):
    labels = read_training_labels(run, occurrence=True)
    assert labels.names_occurrence == UNITS
    session = labels.sessions[5]
    assert session.session_id == "S1_AU2"
    said = labels.occurrence[session.rows]
    np.testing.assert_array_equal(said[:, 1], [1, np.nan, 0, np.nan, 1, np.nan])
    assert np.isnan(said[:, [0, 2, 3]]).all()


def test_parts_of_different_bases_are_refused_and_named(tmp_path):
    run = write_training_run(tmp_path, people=1)
    path = label_parts(run.labels)[0]
    other = run.labels / "part-00001.parquet"
    metadata = read_metadata(path)
    table = pq.read_table(path)
    write_table(
        other, "dataset_labels", table, {**metadata, "basis": {**METADATA["basis"], "file_hash": "sha256:c0ffee"}}
    )
    with pytest.raises(SchemaError, match=r"2 bases cannot be one dataset: .*part-00000.*c0ffee in part-00001"):
        read_training_labels(run)
    write_table(other, "dataset_labels", table, {**metadata, "detector": {"name": "face_alignment"}})
    with pytest.raises(SchemaError, match=r"2 detectors cannot be one dataset: .*face_alignment in part-00001"):
        read_training_labels(run)


def test_an_index_of_other_rows_is_refused(tmp_path):
    run = write_training_run(tmp_path, people=1)
    rows, metadata = read_index(run.index)
    write_index(run.index, [rows[1], rows[0], *rows[2:]], metadata)  # its order says nothing
    assert len(read_training_labels(run).sessions) == 4
    write_index(run.index, rows[:-1], metadata)
    with pytest.raises(SchemaError, match=r"sessions\.parquet: not the index of .*3 recordings, 4 found"):
        read_training_labels(run)


def test_a_run_that_was_not_put_together_is_refused_with_what_to_do(tmp_path):
    run = write_training_run(tmp_path, people=1)
    for path in label_parts(run.labels):
        path.unlink()
    with pytest.raises(SchemaError, match=r"no part-\*\.parquet in it; expected consolidated labels; au3dmm run"):
        read_training_labels(run)
