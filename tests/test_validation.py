import json

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.errors import ConfigError
from au3dmm.io.tables import read_table, vector_array, word_array, write_table
from au3dmm.validation import validate
from dataset_run import of_rgb_frames, put
from run_folder import METADATA, K, build_tables, edit_json, replace_column, stamp, write_ledger, write_run

OK = np.array([True, True, False, True, True, True])
RGB_LABELS = {**METADATA["align"], "clock": None, "windows": "frame"}


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def folder(run):
    return run / "sessions" / "s01"


def problems_of(run):
    return [str(problem) for problem in validate(run).problems]


def the_problem(run):
    found = problems_of(run)
    assert len(found) == 1, found
    assert "\n" not in found[0]
    return found[0]


def test_a_whole_run_has_no_problems(run, folder):
    for place in (run, folder):
        result = validate(place)
        assert result.problems == ()
        assert [p.name for p in result.sessions] == ["s01"]
        assert (result.files, result.rows) == (7, 25)


def test_a_folder_that_is_not_a_run_is_refused_and_a_run_inside_it_is_pointed_out(run, tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        validate(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="not a run"):
        validate(tmp_path)
    inside = tmp_path / "rec" / "derivatives" / "au3dmm" / "label"
    inside.parent.mkdir(parents=True)
    run.rename(inside)
    with pytest.raises(ConfigError, match=f"did you mean {inside}"):
        validate(tmp_path / "rec")
    (tmp_path / "empty" / "sessions").mkdir(parents=True)
    with pytest.raises(ConfigError, match="empty; expected a folder per session"):
        validate(tmp_path / "empty")


def test_a_changed_file_is_noticed_by_its_hash(run, folder):
    data = bytearray((folder / "landmarks.parquet").read_bytes())
    data[60] ^= 1  # in the pages: the footer still reads
    (folder / "landmarks.parquet").write_bytes(data)
    assert any("landmarks.parquet: sha256" in p and "as stage detect wrote it" in p for p in problems_of(run))


def test_a_missing_file_is_named_with_the_stage_that_wrote_it(run, folder):
    (folder / "clock.json").unlink()
    assert "clock.json: no such file; expected the output of stage sync" in the_problem(run)


def test_a_file_cut_short_is_told(run, folder):
    path = folder / "labels.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    write_ledger(folder)
    assert "labels.parquet: not a Parquet file, or cut short" in the_problem(run)


def test_leftovers_of_a_killed_run_are_told(run, folder):
    (folder / ".labels.parquet.writing").write_bytes(b"half")
    assert ".labels.parquet.writing: a half-written file" in the_problem(run)


def test_an_interrupted_run_says_which_stages_are_missing(run, folder):
    for name in ("labels.parquet", "event_frames.polarity.parquet"):
        (folder / name).unlink()
    write_ledger(folder, without=("frames", "align"))
    assert [p.split(": ")[1].split(";")[0] for p in problems_of(run)] == [
        "stage frames has not finished",
        "stage align has not finished",
    ]


@pytest.fixture
def rgb_only(folder):
    """Make the session one without events."""
    for name in ("event_frames.polarity.parquet", "clock.json"):
        (folder / name).unlink()
    fitted = read_table(folder / "coefficients.parquet", "coefficients")
    table = read_table(folder / "labels.parquet", "labels")
    write_table(folder / "labels.parquet", "labels", of_rgb_frames(table, fitted), RGB_LABELS)
    write_ledger(folder, without=("sync", "frames"))
    return folder


def test_a_session_without_events_needs_no_event_stages_but_labels(run, rgb_only):
    assert problems_of(run) == []
    (rgb_only / "labels.parquet").unlink()
    write_ledger(rgb_only, without=("sync", "frames", "align"))
    assert "stage align has not finished" in the_problem(run)


def test_labels_without_events_are_those_of_the_rgb_frames(run, rgb_only):
    table = read_table(rgb_only / "labels.parquet", "labels")
    other = pa.array(np.roll(table["rgb_frame_index"].to_numpy(), 1), pa.int32())
    write_table(rgb_only / "labels.parquet", "labels", put(table, "rgb_frame_index", other), RGB_LABELS)
    write_ledger(rgb_only, without=("sync", "frames"))
    assert "rgb_frame_index differs in row 0" in the_problem(run)
    write_table(rgb_only / "labels.parquet", "labels", table.slice(1), RGB_LABELS)
    write_ledger(rgb_only, without=("sync", "frames"))
    assert any("as many as coefficients.parquet: there are no events" in problem for problem in problems_of(run))


@pytest.mark.parametrize("text", ["", "[]", '{"format_version": 7}', "{"])
def test_an_unreadable_record_of_stages_is_told(run, folder, text):
    (folder / "stage.json").write_text(text)
    assert "stage.json: " in problems_of(run)[0]


def test_a_broken_entry_of_the_ledger_is_named(run, folder):
    ledger = json.loads((folder / "stage.json").read_text())
    ledger["stages"]["fit"] = 3
    (folder / "stage.json").write_text(json.dumps(ledger))
    assert any("a broken entry for stage fit" in line for line in problems_of(run))


def test_a_table_made_from_other_inputs_is_noticed(run, folder):
    built = build_tables()["labels"]
    metadata = {**stamp("align"), "inputs": {"coefficients": "0" * 64}}
    write_table(folder / "labels.parquet", "labels", built, metadata)
    write_ledger(folder)
    assert "labels.parquet: made from coefficients.parquet 000000000000...; expected the present fitff" in the_problem(
        run
    )


def test_a_fingerprint_that_is_not_the_one_recorded_is_noticed(run, folder):
    write_table(
        folder / "labels.parquet", "labels", build_tables()["labels"], {**METADATA["align"], "fingerprint": "x"}
    )
    write_ledger(folder)
    assert "labels.parquet: fingerprint x; expected alignfff" in the_problem(run)
    edit_json(folder / "clock.json", fingerprint="y")
    write_ledger(folder)
    assert "clock.json: fingerprint y" in problems_of(run)[1]


def test_two_bases_in_one_session_are_noticed(run, folder):
    other = {**METADATA["align"], "basis": {"file_hash": "sha256:" + "c" * 64}}
    write_table(folder / "labels.parquet", "labels", build_tables()["labels"], other)
    write_ledger(folder)
    assert "labels.parquet: made with basis cccccccccccc...; expected bbbbbbbbbbbb..." in the_problem(run)


def test_a_missing_or_foreign_column_is_a_problem_of_the_schema(run, folder):
    table = build_tables()["labels"]
    write_table(folder / "labels.parquet", "labels", table.drop_columns(["align"]), METADATA["align"])
    write_ledger(folder)
    assert "labels.parquet: no column align; expected labels schema version 3" in the_problem(run)
    table = table.append_column("mood", pa.array(["good"] * 6))
    write_table(folder / "labels.parquet", "labels", table, METADATA["align"])
    write_ledger(folder)
    assert "unknown column mood" in the_problem(run)


def test_a_row_too_few_is_noticed(run, folder):
    write_table(folder / "labels.parquet", "labels", build_tables()["labels"].slice(0, 5), METADATA["align"])
    write_ledger(folder)
    assert "labels.parquet: 5 rows; expected 6, as many as event_frames.polarity.parquet" in the_problem(run)


BAD_COLUMNS = [
    ("fit", "t_rgb_us", pa.array([0, 1, 2, 3, 4, 5], pa.int64()), "t_rgb_us differs in row 0 and 5 more"),
    ("detect", "t_rgb_us", pa.array([0, 5, 4, 6, 7, 8], pa.int64()), "t_rgb_us does not increase at row 2"),
    ("detect", "frame_index", pa.array([0, 1, 1, 3, 4, 5], pa.int32()), "frame_index does not increase at row 2"),
    ("align", "event_frame_index", pa.array([0, 1, 2, 3, 4, 6], pa.int32()), "event_frame_index is not consecutive"),
    ("frames", "n_events", pa.array([-1] * 6, pa.int64()), "n_events is negative; expected counts >= 0"),
    ("align", "t_start_us", pa.array([10**9] * 6, pa.int64()), "t_start_us >= t_end_us in row 0 and 5 more"),
    ("align", "t_label_us", pa.array([0] * 6, pa.int64()), "t_label_us lies outside its window in row 0"),
    ("align", "status", word_array(["fine"] * 6), "status fine; expected one of ok, no_face"),
    ("align", "align", word_array(["guess"] * 6), "align guess; expected one of exact, linear"),
    ("fit", "flags", pa.array([["odd"]] * 6, pa.list_(pa.string())), "flag odd; expected flags out of border"),
    (
        "fit",
        "alpha_au",
        vector_array(np.ones((6, K))),
        "alpha_au has a value in row 2; expected null where status is no_",
    ),
    ("fit", "alpha_au", vector_array(np.ones((6, K)), OK & (np.arange(6) > 0)), "alpha_au is null in row 0; expected"),
    ("fit", "aperture_left", pa.array([0.3] * 6, pa.float32()), "aperture_left has a value in row 2; expected null"),
    ("align", "mouth_open", pa.array([0.3] * 6, pa.float32()), "mouth_open has a value in row 2; expected null"),
    ("align", "confidence", pa.array([0.3] * 6, pa.float32()), "confidence has a value in row 2; expected null"),
    ("fit", "confidence", pa.array([0.3] * 5 + [1.5], pa.float32()), "confidence is 1.5 in row 5; expected 0 to 1"),
    ("fit", "alpha_au", vector_array(np.full((6, K), np.nan), OK), "alpha_au is not finite in row 0 and 4 more"),
    ("align", "alpha_au", vector_array(np.full((6, K), -0.1), OK), "alpha_au is negative in row 0 and 4 more"),
    ("fit", "alpha_au_std", vector_array(np.full((6, K), -0.1), OK), "alpha_au_std is negative"),
]


@pytest.mark.parametrize(
    ("stage", "column", "values", "said"), BAD_COLUMNS, ids=[f"{c[0]}-{c[3][:30]}" for c in BAD_COLUMNS]
)
def test_wrong_rows_are_told(run, folder, stage, column, values, said):
    replace_column(folder, stage, column, values)
    assert any(said in problem for problem in problems_of(run)), problems_of(run)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"shape": [1, 2, 3]}, "4 bytes per frame; expected 6 for shape [1, 2, 3] and dtype uint8"),
        ({"dtype": "float16"}, "4 bytes per frame; expected 8 for shape [1, 2, 2] and dtype float16"),
        ({"dtype": "colour"}, "metadata shape [1, 2, 2], dtype colour; expected the shape and dtype of a frame"),
        ({"shape": None}, "metadata shape None, dtype uint8; expected the shape and dtype of a frame"),
    ],
)
def test_event_frames_that_are_not_of_their_shape_are_told(run, folder, metadata, said):
    path = folder / "event_frames.polarity.parquet"
    write_table(path, "event_frames", build_tables()["event_frames"], {**METADATA["frames"], **metadata})
    write_ledger(folder)
    assert said in the_problem(run)


def test_signed_codes_may_be_negative(run, folder):
    for stage in ("fit", "align"):
        replace_column(folder, stage, "alpha_au", vector_array(np.full((6, K), -0.1), OK), params={"codes": "ridge"})
    assert problems_of(run) == []


def test_the_label_of_method_index_may_lie_outside_its_window(run, folder):
    outside = pa.array([0] * 6, pa.int64())
    replace_column(folder, "align", "t_label_us", outside, params={"method": "index"})
    assert problems_of(run) == []


def test_a_clock_without_numbers_is_told(run, folder):
    edit_json(folder / "clock.json", offset_us=None)
    write_ledger(folder)
    assert "clock.json: offset_us is None, expected a number" in the_problem(run)


def test_every_session_of_a_run_is_checked(run, folder, tmp_path):
    write_run(tmp_path / "other")
    (tmp_path / "other" / "sessions" / "s01").rename(run / "sessions" / "s02")
    (run / "sessions" / "s02" / "clock.json").unlink()
    assert len(validate(run).sessions) == 2
    assert "s02/clock.json" in the_problem(run)


def test_an_eye_that_cannot_be_seen_has_no_aperture_and_that_is_no_problem(run, folder):
    replace_column(folder, "fit", "aperture_right", pa.nulls(6, pa.float32()))
    replace_column(folder, "align", "aperture_right", pa.nulls(6, pa.float32()))
    assert problems_of(run) == []
