import shutil

import pytest

from adapter_trees import NEFER_CLIPS, write_nefer
from au3dmm.errors import ConfigError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_nefer(tmp_path_factory.mktemp("nefer"), frames=2)


@pytest.fixture
def tree(made, tmp_path):
    return shutil.copytree(made, tmp_path / "nefer")


def emotions(one):
    return tuple((a["origin"], a["label"]) for a in one.sections["annotations"])


def test_the_nth_clips_of_a_user_belong_together_with_both_emotions(find, tree):
    found, left = find("nefer", tree, fps=30)
    assert sorted(found) == ["user_03_01", "user_03_02", "user_03_03"]
    assert not left
    for one, (expected, reported) in zip(found.values(), NEFER_CLIPS, strict=True):
        assert emotions(one) == (("instructed", expected), ("reported", reported))
        assert {a["vocabulary"] for a in one.sections["annotations"]} == {"emotion"}
    assert found["user_03_02"].sections["rgb"]["folder"].name == "GOPR0805"
    assert found["user_03_02"].sections["events"]["file"].name == "user03_2022-06-08_15-11-06_cd.raw"


def test_images_without_times_need_a_rate(find, tree):
    found, left = find("nefer", tree)
    assert not found
    assert all("--fps counts them" in why for why in left.values())


def test_a_clip_too_few_pairs_nothing_by_order(find, tree):
    for path in (tree / "annotations").rglob("*event*.csv"):
        path.write_text("\n".join(line for line in path.read_text().splitlines() if "15-10-06" not in line))
    found, left = find("nefer", tree, fps=30)
    assert not found
    assert list(left.values()) == [
        "3 RGB and 2 event clips of user_03: which belong together cannot be told; use --rgb"
    ]


def test_clips_whose_expected_emotions_disagree_are_not_paired(find, tree):
    path = tree / "annotations/expected_emotions/validation_event.csv"
    path.write_text(path.read_text().replace("Fear", "Anger"))
    found, left = find("nefer", tree, fps=30)
    assert not found
    assert "GOPR0805 is Fear, user03_2022-06-08_15-11-06_cd is Anger" in next(iter(left.values()))


def test_a_missing_event_file_leaves_out_its_pair_only(find, tree):
    next(tree.rglob("*15-11-06_cd.raw")).unlink()
    found, left = find("nefer", tree, fps=30)
    assert sorted(found) == ["user_03_01", "user_03_03"]
    assert "1 places called GOPR0805 and 0 event files" in next(iter(left.values()))


def test_patterns_pair_other_names_and_emotions_follow(find, tmp_path):
    for session, emotion in (("a", "Fear"), ("b", "Anger")):
        for ending in ("mp4", "raw"):
            path = tmp_path / "P1" / f"{session}.{ending}"
            path.parent.mkdir(exist_ok=True)
            path.touch()
        table = tmp_path / "annotations" / "expected_emotions" / "all.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("a") as f:
            f.write(f"P1,{session},frame_0.png,{emotion}\n" if session == "a" else "")
    found, _ = find("nefer", tmp_path, rgb="{subject}/{session}.mp4", events="{subject}/{session}.raw")
    assert emotions(found["P1_a"]) == (("instructed", "Fear"),)
    assert "annotations" not in found["P1_b"].sections
    assert found["P1_b"].notes == ("no emotion in the annotations",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_03,GOPR0804\n", r"line 1: 'user_03,GOPR0804', expected user,clip,frame,emotion"),
        ("user_03,GOPR0804,a.png,Fear\nuser_03,GOPR0804,b.png,Anger\n", "clip 'GOPR0804' of user_03 is Fear and Anger"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(find, tree, text, message):
    shutil.rmtree(tree / "annotations")
    path = tree / "annotations/expected_emotions/a.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        find("nefer", tree)


def test_a_tree_without_annotations_is_refused(find, tmp_path):
    with pytest.raises(ConfigError, match="no annotations/expected_emotions"):
        find("nefer", tmp_path)
