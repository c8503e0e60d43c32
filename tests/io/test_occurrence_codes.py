"""Occurrence out of what people coded: occurrence itself, or intensity where there is nothing else."""

from collections import namedtuple

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.io.annotations import annotations_schema
from au3dmm.io.occurrence_codes import read_occurrence
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.tables import write_table
from training_run import statement

Session = namedtuple("Session", "session_id rows")
SESSIONS = (Session("b", slice(0, 4)), Session("a", slice(4, 8)))
NEAR = np.array([0, 1, 2, -1, 3, 2, 1, 0], np.int32)
NAN = np.nan


@pytest.fixture
def read(tmp_path):
    def call(*said, **options):
        run = RunFolder(tmp_path)
        rows = [statement(session, "S", label, i, value) | {"kind": kind} for session, kind, label, i, value in said]
        write_table(run.annotations, "annotations", pa.Table.from_pylist(rows, annotations_schema()), {})
        return read_occurrence(run, SESSIONS, NEAR, **options)

    return call


def graded(session, label, *values):
    return [(session, "frame_intensity", label, i, value) for i, value in enumerate(values)]


def coded(session, label, *values):
    return [(session, "frame_occurrence", label, i, value) for i, value in enumerate(values)]


def test_intensities_count_from_two_on_where_nothing_else_was_coded(read):
    occurrence, names = read(*graded("b", "AU12", 0, 1, 2), *graded("a", "AU1", 5, 4, None, 2))
    assert names == ("AU1", "AU12")
    np.testing.assert_array_equal(occurrence[:, 1], [0, 0, 1, *[NAN] * 5])
    np.testing.assert_array_equal(occurrence[:, 0], [*[NAN] * 4, 1, NAN, 1, 1])


def test_the_threshold_can_be_another(read):
    said = graded("b", "AU12", 0, 1, 2)
    np.testing.assert_array_equal(read(*said, intensity_from=1)[0][:4, 0], [0, 1, 1, NAN])
    np.testing.assert_array_equal(read(*said, intensity_from=3)[0][:4, 0], [0, 0, 0, NAN])


def test_occurrence_beside_it_wins_in_its_recording_and_its_gaps_stay_gaps(read):
    said = [*graded("b", "AU6", 5, 5, 5), *coded("b", "AU6", 0, None, 1), *graded("a", "AU6", 0, 3, 0, 1)]
    np.testing.assert_array_equal(read(*said)[0][:, 0], [0, NAN, 1, NAN, 0, 0, 1, 0])


def test_the_first_to_speak_of_a_frame_counts_whatever_the_order_of_recordings(read):
    said = [*coded("a", "AU4", 1, 1), *coded("b", "AU4", 0, 1), *coded("a", "AU4", 0, 0, 1)]
    np.testing.assert_array_equal(read(*said)[0][:, 0], [0, 1, NAN, NAN, NAN, 1, 1, 1])


def test_recordings_without_rows_and_other_words_do_not_count(read):
    occurrence, names = read(*coded("c", "AU2", 1), *coded("a", "AU4", 1))
    assert names == ("AU2", "AU4")
    assert np.isnan(occurrence[:, 0]).all()
    assert np.nansum(occurrence) == 1
    assert read()[0].shape == (8, 0)
