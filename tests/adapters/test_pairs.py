import shutil

import pytest

from adapter_trees import write_images
from au3dmm.errors import ConfigError

RGB, EVENTS = "video/{subject}/{session}_rgb.mp4", "events/{subject}/{session}.raw"


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture
def tree(tmp_path):
    stems = ("S1/smile", "S1/frown", "S2/smile")
    return touch(tmp_path, *(f"video/{s}_rgb.mp4" for s in stems), *(f"events/{s}.raw" for s in stems))


def test_files_whose_fields_agree_belong_together(find, tree):
    found, left = find("pairs", tree, rgb=RGB, events=EVENTS)
    assert sorted(found) == ["S1_frown", "S1_smile", "S2_smile"]
    assert not left
    sections = found["S2_smile"].sections
    assert sections["session"] == {"session_id": "S2_smile", "subject_id": "S2"}
    assert sections["rgb"] == {"file": tree / "video/S2/smile_rgb.mp4"}
    assert sections["events"] == {"file": tree / "events/S2/smile.raw"}


def test_regular_expressions_do_the_same(find, tree):
    one = find("pairs", tree, rgb=RGB, events=EVENTS)[0]
    two = find(
        "pairs",
        tree,
        rgb=r"video/(?P<subject>\w+)/(?P<session>\w+)_rgb\.mp4",
        events=r"events/(?P<subject>\w+)/(?P<session>\w+)\.raw",
    )[0]
    assert one == two


def test_what_has_no_partner_is_listed(find, tree):
    (tree / "events/S1/frown.raw").unlink()
    (tree / "video/S2/smile_rgb.mp4").unlink()
    found, left = find("pairs", tree, rgb=RGB, events=EVENTS)
    assert sorted(found) == ["S1_smile"]
    assert left == {
        tree / "video/S1/frown_rgb.mp4": (
            "RGB without events: nothing matches --events for subject 'S1', session 'frown'"
        ),
        tree / "events/S2/smile.raw": "events without RGB: nothing matches --rgb for subject 'S2', session 'smile'",
    }


def test_two_files_for_one_recording_are_both_left_out_with_their_partner(find, tree):
    shutil.copy(tree / "events/S1/smile.raw", tree / "events/S1/smile.dat")
    found, left = find("pairs", tree, rgb=RGB, events="events/{subject}/{session}.*")
    assert sorted(found) == ["S1_frown", "S2_smile"]
    assert {path.name: why.split(" for ")[0].split(" of ")[0] for path, why in left.items()} == {
        "smile.raw": "2 events files",
        "smile.dat": "2 events files",
        "smile_rgb.mp4": "RGB with more than one events file",
    }


def test_action_unit_and_repetition_are_read_off_names(find, tmp_path):
    touch(tmp_path, "P1/AU06_rep2.avi")
    found, _ = find("pairs", tmp_path, rgb="{subject}/{au}_{run}.avi")
    assert found["P1_AU06_rep2"].sections["session"] == {
        "session_id": "P1_AU06_rep2",
        "subject_id": "P1",
        "au": "AU6",
        "run": 2,
    }


def test_a_session_that_names_its_subject_needs_no_prefix(find, tmp_path):
    touch(tmp_path, "P1/P1_a.mp4")
    assert list(find("pairs", tmp_path, rgb="{subject}/{session}.mp4")[0]) == ["P1_a"]


def test_without_a_subject_everyone_is_another_person_and_that_is_said(find, tmp_path):
    touch(tmp_path, "a.mp4")
    one = find("pairs", tmp_path, rgb="{session}.mp4")[0]["a"]
    assert (one.subject_id, one.notes) == ("a", ("no {subject} in the pattern: taken for a person of its own",))


def test_timestamps_beside_the_video_and_landmarks_by_pattern_are_taken(find, tree):
    (tree / "video/S1/smile_rgb_timestamps.csv").write_text("frame_index,pts_us\n0,0\n")
    (tree / "video/S1/frown_rgb.csv").write_text("something,else\n0,0\n")
    touch(tree, "lm/S1/smile.npz")
    found, left = find("pairs", tree, rgb=RGB, events=EVENTS, landmarks="lm/{subject}/{session}.npz")
    smile = found["S1_smile"].sections
    assert smile["rgb"]["timestamps"] == tree / "video/S1/smile_rgb_timestamps.csv"
    assert smile["landmarks"] == {"file": tree / "lm/S1/smile.npz"}
    assert "timestamps" not in found["S1_frown"].sections["rgb"]
    assert "landmarks" not in found["S2_smile"].sections
    assert not left


def test_folders_of_images_pair_like_videos(find, tmp_path):
    write_images(tmp_path / "S1/a/frames", ["0_10:00:00.00.png", "1_10:00:00.04.png"], (8, 6))
    write_images(tmp_path / "S1/b/frames", ["0.png", "1.png"], (8, 6))
    touch(tmp_path, "S1/a/e.raw", "S1/b/e.raw")
    where = {"rgb": "{subject}/{session}/frames", "events": "{subject}/{session}/e.raw"}
    found, left = find("pairs", tmp_path, **where)
    assert found["S1_a"].sections["rgb"]["median_interval_us"] == 40_000
    assert found["S1_a"].home == tmp_path / "S1/a"
    assert "--fps counts them" in left[tmp_path / "S1/b/frames"]
    found, left = find("pairs", tmp_path, **where, fps=25)
    assert found["S1_b"].sections["rgb"]["median_interval_us"] == 40_000
    assert not left


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--layout pairs needs --rgb, for example"),
        ({"rgb": "x/{session}.mp4"}, r"nothing matches --rgb 'x/\{session\}.mp4'"),
        ({"rgb": RGB, "events": "events/{session}.raw"}, r"--rgb names \{subject\}, \{session\}, --events \{session\}"),
    ],
)
def test_patterns_that_cannot_pair_are_refused(find, tree, options, message):
    with pytest.raises(ConfigError, match=message):
        find("pairs", tree, **options)
