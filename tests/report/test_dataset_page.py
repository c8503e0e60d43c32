import re

import pytest

from au3dmm.core.coverage import LEVELS
from au3dmm.io.neutral_faces import NeutralRow
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import IndexRow
from au3dmm.report.dataset_card import dataset_card
from au3dmm.report.dataset_page import dataset_page, retry_command, write_dataset_page
from dataset_run import write_dataset, write_run
from pages import Checker

METADATA = {
    "dataset": {"name": "Faces & <co>", "licence": "CC-BY-NC-4.0"},
    "basis": {"kind": "learned", "k_au": 32, "file_hash": "sha256:abc", "licence": "MIT"},
    "detector": {"name": "mediapipe"},
    "clock": {"methods": {"trigger": 2}, "uncertainty_us_max": 1500.0},
    "params": {"method": "subject", "seed": 0},
    "splits": {"source": "computed", "method": "subject", "leaking_subjects": 0},
    "package": "au3dmm 0.1.0",
}
ROWS = [
    IndexRow(
        "S1_a",
        "S1",
        "AU12",
        split="train",
        clock_method="trigger",
        frames_event=100,
        frames_labelled=90,
        label_rate=0.9,
    ),
    IndexRow(
        "S1_b", "S1", "AU2", split="train", clock_method="trigger", frames_event=50, frames_labelled=50, label_rate=1.0
    ),
    IndexRow("S2_a", "S2", "AU12", split="test", status="failed", failure="rgb.mp4: <not> a video | at all"),
    IndexRow("S2_b", "S2", None, "free", split="test", status="no_events", frames_rgb=10),
    IndexRow("broken", None, status="failed", failure="not valid TOML"),
]
FAILURES = [{"session_id": "S2_a", "stage": "detect", "error": "SessionError", "message": "m"}]


def page():
    return dataset_page(ROWS, METADATA, FAILURES, again="au3dmm run label --dataset . --retry-failed")


def test_the_page_is_whole_html_that_loads_nothing():
    checker = Checker()
    checker.feed(page())
    assert checker.open == []
    assert checker.loads == []
    assert "default-src 'none'" in page()


def test_the_number_of_sessions_and_people_is_in_the_title_and_names_are_escaped():
    title = re.search("<title>(.*)</title>", page())[1]
    assert title == "Faces &amp; &lt;co&gt;: 5 sessions of 2 subjects"
    assert "<not> a video" not in page()
    assert "&lt;not&gt; a video" in page()


def test_failures_come_first_with_stage_reason_and_what_to_type():
    text = page()
    failed = text.index("Failed: 2 of 5 sessions")
    assert failed < text.index("The whole") < text.index("Sessions (5)")
    section = text[failed : text.index("The whole")]
    for word in ("S2_a", "detect", "SessionError", "broken", "not valid TOML", "--retry-failed"):
        assert word in section


def test_every_session_is_in_the_table_once():
    table = page().split('id="sessions"')[1].split("</table>")[0]
    assert re.findall(r'<td class="name">(.*?)</td>', table) == [row.session_id for row in ROWS]


def test_equal_datasets_give_equal_pages_and_an_empty_one_gives_one_too():
    assert page() == page()
    assert "0 sessions of 0 subjects" in dataset_page([], {}, [], again="x")


def test_the_retry_command_names_the_pipeline(tmp_path):
    assert retry_command(RunFolder(tmp_path / "derivatives" / "au3dmm" / "my run")) == (
        "au3dmm run 'my run' --dataset . --retry-failed"
    )
    assert "--out DIR" in retry_command(RunFolder(tmp_path / "label"))


def test_the_page_of_a_run_lies_in_its_folder(tmp_path):
    write_dataset(tmp_path / "ds", subjects=["S1", "S2"])
    run = write_run(tmp_path / "ds", failed=["S2_AU1_1"])
    write_dataset_page(run)
    assert "4 sessions of 2 subjects" in run.report.read_text()
    assert str(tmp_path) not in run.report.read_text()


def test_the_card_counts_names_failures_and_says_what_is_inside():
    card = dataset_card(ROWS, METADATA)
    assert card.startswith("---\npretty_name: ")
    assert "license: cc-by-nc-4.0\n" in card
    assert "Labels of 140 of 150 event frames, from 2 of 5 sessions of 2 subjects." in card
    assert "## Failed: 2 of 5 sessions" in card
    assert "| S2_a | S2 | rgb.mp4: <not> a video \\| at all |" in card
    assert "| train | 2 | 0 | 1 | 150 | 140 |" in card
    assert "Not inside: pictures, events, landmarks, boxes, identity coefficients" in card
    assert "nobody is in two parts" in card


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"basis": {"kind": "demo"}}, "demo basis, for trying out only"),
        ({"splits": {"source": "splits.tsv", "leaking_subjects": 0}}, "As `splits.tsv` of the dataset says"),
        ({"splits": {"source": "computed", "method": "video", "leaking_subjects": 2}}, "**2 subjects are in more than"),
        (
            {"params": {"method": "kfold", "folds": 5}, "splits": {"source": "computed", "method": "kfold"}},
            "In 5 folds",
        ),
        ({"dataset": {}}, "Recordings and labels: not stated"),
    ],
)
def test_the_card_warns_where_it_should(change, words):
    assert words in dataset_card(ROWS, {**METADATA, **change})


def test_a_card_of_nothing_is_a_card_too():
    assert "from 0 of 0 sessions" in dataset_card([], {})


def test_the_check_of_the_uncertainty_is_drawn_with_what_it_does_not_show():
    within = [10 * i for i in range(1, 10)]
    counts = {"shown": 1000, "within": within}
    both = {"independent": counts, "shared": counts}
    check = {"frames": 300, "noise_px": 1.0, "levels": list(LEVELS), **both, "determined": [0.2, 0.9]}
    metadata = {**METADATA, "uncertainty": check, "basis": {**METADATA["basis"], "names_au": ["c01_<lid>", "c02"]}}
    text = dataset_page(ROWS, metadata, FAILURES, again="again")
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert text.count("<polyline") == 2
    assert text.count("<circle") == 2 * len(LEVELS)
    section = text[text.index("Does the stated uncertainty hold?") :]
    for words in ("300 lively frames", "It does not show what the face model", "c01_&lt;lid&gt;.", "4 and 8 %"):
        assert words in section
    assert "Does the stated uncertainty hold?" not in page()


NEUTRAL = [
    NeutralRow("S1", "", "poor", 0.12, ("one_frame", "expression"), 1, 1, 1, 2, 2.61, True),
    NeutralRow("S<3>", "S3_a", "good", 0.9, (), 90, 300, 1, 1, None, False),
]


def test_neutral_faces_are_listed_with_what_speaks_against_them():
    text = dataset_page(ROWS, METADATA, FAILURES, again="again", neutral=NEUTRAL)
    assert "Neutral faces: 1 of 2 doubtful" in text
    assert "one frame, expression" in text
    assert "poor, two people?" in text
    assert "S&lt;3&gt;" in text
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert "Neutral faces" not in page(), "nothing is said where nothing is known"
