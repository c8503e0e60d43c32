import numpy as np
import pyarrow as pa
import pytest

from au3dmm.errors import SessionError
from au3dmm.io.annotations import annotations_schema, count_frames, read_annotations
from au3dmm.io.session import read_session
from recordings import noise_images, write_csv, write_video

ROWS = "frame_index,AU6,AU12\n0,0,1\n1,9,1\n2,1,\n3,1,0\n"


def write_session(folder, text, au='au = "12"', n=4):
    rgb = 'file = "rgb.mp4"\ntimestamps = "times.csv"'
    write_csv(folder / "times.csv", [33_333 * i for i in range(n)])
    path = folder / "session.toml"
    path.write_text(f'[session]\nsession_id = "s01"\nsubject_id = "p01"\n{au}\n[rgb]\n{rgb}\n{text}')
    return read_session(path)


def frames(file="codes.csv", kind="frame_occurrence", **more):
    lines = [f'kind = "{kind}"', 'origin = "coder"', f'file = "{file}"', *(f'{k} = "{v}"' for k, v in more.items())]
    return "[[annotations]]\n" + "\n".join(lines) + "\n"


def test_a_session_of_which_nothing_is_said_gives_an_empty_table(tmp_path):
    table = read_annotations(write_session(tmp_path, "", au=""))
    assert table.num_rows == 0
    assert table.schema == annotations_schema()


def test_the_action_unit_of_the_session_is_a_class_that_was_asked_for(tmp_path):
    (row,) = read_annotations(write_session(tmp_path, "")).to_pylist()
    assert row == {
        "session_id": "s01",
        "subject_id": "p01",
        "source": "session",
        "kind": "video_class",
        "origin": "instructed",
        "vocabulary": "au",
        "label": "AU12",
        "frame_index": None,
        "t_start_us": None,
        "t_apex_us": None,
        "t_end_us": None,
        "value": None,
    }


def test_who_spells_the_session_out_has_said_it_once(tmp_path):
    same = '[[annotations]]\nkind = "video_class"\norigin = "instructed"\nlabel = "AU12"\n'
    other = same.replace("instructed", "reported")
    table = read_annotations(write_session(tmp_path, same + other + same))
    assert table["origin"].to_pylist() == ["instructed", "reported"]


def test_both_emotions_of_a_recording_are_kept_apart(tmp_path):
    said = '[[annotations]]\nkind = "video_class"\nvocabulary = "emotion"\n'
    text = said + 'origin = "instructed"\nlabel = "Fear"\n' + said + 'origin = "reported"\nlabel = "Surprise"\n'
    table = read_annotations(write_session(tmp_path, text, au=""))
    assert list(zip(table["origin"].to_pylist(), table["label"].to_pylist(), strict=True)) == [
        ("instructed", "Fear"),
        ("reported", "Surprise"),
    ]
    assert set(table["source"].to_pylist()) == {"session.toml"}


def test_a_segment_keeps_its_times(tmp_path):
    text = '[[annotations]]\nkind = "segment"\norigin = "coder"\nlabel = "AU12"\n'
    text += "onset_us = 5\napex_us = 7\noffset_us = 9\n"
    row = read_annotations(write_session(tmp_path, text, au="")).to_pylist()[0]
    assert (row["t_start_us"], row["t_apex_us"], row["t_end_us"], row["frame_index"]) == (5, 7, 9, None)


def test_codes_lie_beside_the_frames_and_what_was_not_coded_is_null(tmp_path):
    (tmp_path / "codes.csv").write_text(ROWS)
    table = read_annotations(write_session(tmp_path, frames(), au=""))
    assert table["label"].to_pylist() == ["AU6"] * 4 + ["AU12"] * 4
    assert table["frame_index"].to_pylist() == [0, 1, 2, 3] * 2
    assert table["value"].to_pylist() == [0, None, 1, 1, 1, 1, None, 0]
    assert set(table["source"].to_pylist()) == {"codes.csv"}
    assert table.schema == annotations_schema()


def test_a_label_that_was_coded_in_no_frame_gives_no_rows(tmp_path):
    (tmp_path / "codes.csv").write_text("frame_index,AU6,AU12\n" + "".join(f"{i},9,0\n" for i in range(4)))
    assert set(read_annotations(write_session(tmp_path, frames(), au=""))["label"].to_pylist()) == {"AU12"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            range(5),
            r"5 rows for 4 RGB frames of .*: 1 row of the file \(frame 4\) have no RGB frame; expected a row for",
        ),
        (range(3), r"3 rows for 4 RGB frames of .*: 1 RGB frames \(frame_index 3\) have no row"),
        (
            (0, 1, 5, 6),
            r"2 rows of the file \(frame 5 to 6\) have no RGB frame and 2 RGB frames \(frame_index 2 to 3\)",
        ),
    ],
)
def test_rows_that_are_not_those_of_the_frames_are_refused_saying_which(tmp_path, rows, message):
    (tmp_path / "codes.csv").write_text("frame_index,AU6\n" + "".join(f"{i},1\n" for i in rows))
    with pytest.raises(SessionError, match=message):
        read_annotations(write_session(tmp_path, frames()))


def test_overlap_takes_the_rows_and_frames_that_match(tmp_path):
    (tmp_path / "codes.csv").write_text("frame_index,AU6\n2,1\n3,0\n4,1\n")
    table = read_annotations(write_session(tmp_path, frames(coverage="overlap"), au=""))
    assert list(zip(table["frame_index"].to_pylist(), table["value"].to_pylist(), strict=True)) == [(2, 1), (3, 0)]


def test_codes_of_another_recording_are_refused_even_so(tmp_path):
    (tmp_path / "codes.csv").write_text("frame_index,AU6\n200,1\n201,0\n")
    with pytest.raises(SessionError, match=r"rows for frames 200 to 201, none of which is among the 4 of .*another"):
        read_annotations(write_session(tmp_path, frames(coverage="overlap")))


def test_files_that_count_from_1_mean_the_first_frame_of_a_video(tmp_path):
    (tmp_path / "codes.csv").write_text("".join(f"{i},{i}\n" for i in range(1, 5)))
    text = frames(kind="frame_intensity", format="disfa", label="AU1")
    table = read_annotations(write_session(tmp_path, text, au=""))
    assert table["frame_index"].to_pylist() == [0, 1, 2, 3]
    assert table["value"].to_pylist() == [1, 2, 3, 4]


def test_files_that_count_from_1_mean_the_numbers_of_images(tmp_path):
    session = write_session(tmp_path, frames(format="bp4d", coverage="overlap"), au="", n=3)
    text = session.path.read_text().replace('file = "rgb.mp4"', 'folder = "f"')
    session.path.write_text(text)
    (tmp_path / "f").mkdir()
    for number in (99, 100, 102):  # sorted as text, 100 comes first
        (tmp_path / "f" / f"{number}.jpg").touch()
    (tmp_path / "codes.csv").write_text("0,1,2\n" + "".join(f"{i},{i % 2},9\n" for i in range(99, 104)))
    table = read_annotations(read_session(tmp_path))
    assert table["frame_index"].to_pylist() == [0, 1, 2]
    assert table["value"].to_pylist() == [1, 0, 0]


def test_frames_of_a_video_without_csv_are_counted_without_decoding(tmp_path):
    write_video(tmp_path / "rgb.mp4", noise_images(5))
    session = write_session(tmp_path, "")
    session.path.write_text(session.path.read_text().replace('timestamps = "times.csv"', ""))
    assert count_frames(read_session(tmp_path)) == 5


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SessionError, match=r"codes.csv: no such file; .*session.toml names it"):
        read_annotations(write_session(tmp_path, frames()))


def test_tables_of_sessions_can_be_joined(tmp_path):
    (tmp_path / "codes.csv").write_text(ROWS)
    one, two = (read_annotations(write_session(tmp_path, text)) for text in (frames(), ""))
    assert pa.concat_tables([one, two]).num_rows == one.num_rows + 1
    assert np.all(np.array(one["session_id"].to_pylist()) == "s01")
