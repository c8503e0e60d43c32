import json
import re

import numpy as np
import pytest

from adapter_trees import START_US, USERS, clock_name, facemorphic_clip, write_facemorphic, write_images
from au3dmm.errors import ConfigError
from au3dmm.io.bases import read_npz
from au3dmm.io.landmark_files import read_landmark_file
from small_recording import INTERVAL_US, N, landmarks_px

SMILE = f"{USERS[0]}_AU12_1"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_facemorphic(tmp_path_factory.mktemp("facemorphic"))


@pytest.fixture
def clip(tmp_path):
    """A clip that a test may change, and the tree it is in."""
    folder = tmp_path / "recordings" / "u" / "AU_12"
    facemorphic_clip(folder, 1, n=6)
    return folder


def test_clips_are_found_in_the_authors_layout(find, tree):
    found, _ = find("facemorphic", tree)
    assert {name: one.subject_id for name, one in found.items()} == {
        SMILE: USERS[0],
        f"{USERS[0]}_AU12_2": USERS[0],
        f"{USERS[0]}_FREE_1": USERS[0],
        f"{USERS[1]}_AU51_1": USERS[1],
        f"{USERS[1]}_READING_2_1": USERS[1],
    }
    one = found[SMILE].sections
    assert one["session"]["au"] == "AU12"
    assert one["session"]["run"] == 1
    assert one["sync"] == {"method": "start"}  # what the authors take it for
    assert one["rgb"]["frames"] == N
    assert abs(one["rgb"]["median_interval_us"] - INTERVAL_US) <= 1


def test_free_and_reading_clips_are_sessions_without_a_class(find, tree):
    found, _ = find("facemorphic", tree)
    for name, task in ((f"{USERS[0]}_FREE_1", "free"), (f"{USERS[1]}_READING_2_1", "reading")):
        assert "au" not in found[name].sections["session"]
        assert found[name].sections["session"]["task"] == task


def test_missing_pieces_are_told(find, tree):
    found, left = find("facemorphic", tree)
    clips = tree / "recordings" / USERS[1]
    assert left == {
        clips / "AU_7" / "event_1.raw": "events without RGB: no frames_1 beside it",
        clips / "AU_9" / "frames_1": "no images in it",
    }
    assert found[f"{USERS[1]}_AU51_1"].notes == ("no event_1.raw: labels of RGB frames only",)
    assert "events" not in found[f"{USERS[1]}_AU51_1"].sections


def test_the_source_may_be_the_folder_of_recordings_itself(find, tree):
    assert list(find("facemorphic", tree / "recordings")[0]) == list(find("facemorphic", tree)[0])


def test_the_annotated_frames_become_a_segment_on_the_rgb_clock(find, tree):
    found, _ = find("facemorphic", tree)
    (said,) = found[SMILE].sections["annotations"]
    assert (said["kind"], said["origin"], said["label"]) == ("segment", "coder", "AU12")
    assert (said["onset_us"], said["offset_us"]) == (5 * INTERVAL_US, 15 * INTERVAL_US)
    (clamped,) = found[f"{USERS[1]}_AU51_1"].sections["annotations"]
    assert clamped["offset_us"] == 5 * INTERVAL_US  # the file says 400
    none = found[f"{USERS[0]}_AU12_2"]
    assert "annotations" not in none.sections
    assert none.notes == ("annotation.json: the annotators saw no action unit",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"start": 4, "end": 4}', "frames 4 to 4 of 6"),
        ('{"start": -1, "end": 4}', "frames -1 to 4 of 6"),
        ('{"start": [], "end": []}', "annotation.json left out: TypeError"),
        ('{"start": 1}', "left out: KeyError"),
        ("[1, 2]", "left out: TypeError"),
        ("{", "left out: JSONDecodeError"),
    ],
)
def test_an_annotation_that_makes_no_sense_is_told_and_left_out(find, clip, text, message):
    (clip / "event_frames_1" / "annotation.json").write_text(text)
    one = find("facemorphic", clip.parents[2])[0]["u_AU12_1"]
    assert "annotations" not in one.sections
    assert message in one.notes[0]


def test_numbers_that_a_web_page_sent_as_text_count(find, clip):
    (clip / "event_frames_1" / "annotation.json").write_text(json.dumps({"start": "1", "end": "3"}))
    one = find("facemorphic", clip.parents[2])[0]["u_AU12_1"]
    assert one.sections["annotations"][0]["offset_us"] == 3 * INTERVAL_US


def test_the_authors_landmarks_become_precomputed_ones(find, tree, tmp_path):
    one = find("facemorphic", tree)[0][SMILE]
    made = {part.name: part for part in one.made}
    assert one.sections["landmarks"] == {"file": "landmarks.npz"}
    made["landmarks.npz"].write(tmp_path / "landmarks.npz")
    read = read_landmark_file(tmp_path / "landmarks.npz")
    index = [i for i in range(N) if i != 3]  # no face was found there
    assert read.frame_index.tolist() == index
    np.testing.assert_allclose(read.landmarks_px, landmarks_px()[index])


def test_the_authors_coefficients_are_kept_as_plain_arrays(find, tree, tmp_path):
    one = find("facemorphic", tree)[0][SMILE]
    {part.name: part for part in one.made}["facemorphic_alphas.npz"].write(tmp_path / "a.npz")
    arrays = read_npz(tmp_path / "a.npz")
    assert arrays["alphas"].shape == (N, 32)
    assert np.isnan(arrays["alphas"][3]).all()
    np.testing.assert_array_equal(arrays["alphas"][4], np.full(32, 4.0))
    np.testing.assert_array_equal(arrays["identity_alphas"], np.arange(22.0))


def savez(path, value):
    np.savez_compressed(path, value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"landmarks": [np.zeros((68, 3))] * 5}, "landmarks of 5 frames, but there are 6 images"),
        ({"landmarks": [np.zeros((478, 2))] * 6}, r"\(478, 2\), expected \(68, 2\) or \(68, 3\) landmarks per frame"),
        ({"landmarks": [np.zeros((68, 3))] * 5 + [np.zeros((68, 2))]}, r"\(68, 2\) and \(68, 3\), expected"),
        ({"landmarks": [[]] * 6}, "no face in any frame"),
        ({"points": []}, "no list 'landmarks'"),
        ({"landmarks": [["a"] * 68] * 6}, "expected"),
        (np.zeros(3), "expected a dict"),
    ],
)
def test_landmarks_of_another_form_are_left_out_saying_what_was_expected(find, clip, value, message):
    savez(clip / "frames_1" / "landmarks.npz", value)
    one = find("facemorphic", clip.parents[2])[0]["u_AU12_1"]
    assert "landmarks" not in one.sections
    assert re.search(message, one.notes[0])


def test_mediapipes_points_are_no_landmarks_but_are_told(find, clip):
    (clip / "frames_1" / "landmarks.npz").rename(clip / "frames_1" / "landmarks_mediapipe.npz")
    assert "478 points" in find("facemorphic", clip.parents[2])[0]["u_AU12_1"].notes[0]


def test_other_spellings_are_tolerated(find, tmp_path):
    user = tmp_path / "u"
    times = [clock_name(START_US + INTERVAL_US * i, "-") for i in range(3)]
    write_images(user / "au-6" / "RGB_2", [f"frame_{i}_{t}.png" for i, t in enumerate(times)], (8, 6))
    (user / "au-6" / "event_2.RAW").touch()
    (user / "AU_4").mkdir()
    (user / "AU_4" / "frames_1.mp4").touch()
    (user / "AU_4" / "event_1.hdf5").touch()
    (user / "AU_smile").mkdir()
    found, left = find("facemorphic", tmp_path)
    assert sorted(found) == ["u_AU4_1", "u_AU6_2"]
    assert found["u_AU4_1"].sections["rgb"] == {"file": user / "AU_4" / "frames_1.mp4"}
    assert left == {user / "AU_smile": "expected a name such as AU_12, AU_FREE or AU_READING"}


def test_a_tree_that_is_no_facemorphic_is_refused(find, tmp_path):
    (tmp_path / "x" / "y").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"no recordings/<user>/AU_<n>/ below it"):
        find("facemorphic", tmp_path)
