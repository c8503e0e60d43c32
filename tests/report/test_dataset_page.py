import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from au3dmm.core.coverage import LEVELS
from au3dmm.errors import SchemaError
from au3dmm.io.dataset_state import read_dataset_state
from au3dmm.io.label_statistics import EDGES, read_label_statistics
from au3dmm.io.neutral_faces import NeutralRow
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import IndexRow, read_index
from au3dmm.io.tables import read_table, vectors
from au3dmm.report.dataset_card import dataset_card
from au3dmm.report.dataset_facts import dataset_counts, failure_groups, failure_reasons
from au3dmm.report.dataset_map import component_units, unit_map
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
    assert [where for where in checker.loads if not where.startswith("#")] == []
    assert "default-src 'none'" in page()


def test_the_number_of_sessions_and_people_is_in_the_title_and_names_are_escaped():
    title = re.search("<title>(.*)</title>", page())[1]
    assert title == "Faces &amp; &lt;co&gt;: 5 sessions of 2 subjects"
    assert "<not> a video" not in page()
    assert "&lt;not&gt; a video" in page()


def tables(text):
    """The long tables, as the page's script reads them, by name."""
    found = json.loads(re.search('<script type="application/json" id="tables">(.*?)</script>', text)[1])
    return {table["id"]: {column["name"]: column for column in table["columns"]} | table for table in found}


def test_failures_come_first_with_stage_reason_and_what_to_type():
    text = page()
    failed = text.index("Failed: 2 of 5 sessions")
    assert failed < text.index("Look at these first: 2 of 5 sessions") < text.index("Sessions (5)")
    section = text[failed : text.index("Look at these first")]
    for word in ("S2_a", "detect", "SessionError", "broken", "not valid TOML", "--retry-failed"):
        assert word in section


def test_failures_for_one_reason_are_told_once():
    rows = [
        IndexRow(f"s{i}", "p", status="failed", failure=f"raw/s{i}/rgb.mp4: {i} frames, expected 30") for i in range(4)
    ]
    rows.append(IndexRow("other", "q", status="failed", failure="no <space> left"))
    groups = failure_groups(rows, failure_reasons(rows, []))
    assert [(group["n"], group["why"]) for group in groups] == [
        (4, "raw/s0/rgb.mp4: 0 frames, expected 30"),
        (1, "no <space> left"),
    ]
    assert "no &lt;space&gt; left" in dataset_page(rows, {}, [], again="x")


def test_every_session_is_in_the_table_once_and_its_name_cannot_end_the_script():
    table = tables(page())["sessions"]
    column = table["session"]
    assert [column["words"][i] for i in column["at"]] == [row.session_id for row in ROWS]
    outcome = table["outcome"]
    assert [outcome["words"][i] for i in outcome["at"]] == ["labelled", "labelled", "failed", "no events", "failed"]
    evil = "</script><img src=x onerror=alert(1)>"
    text = dataset_page([IndexRow(evil, evil, evil, failure=evil, status="failed")], {}, [], again="x")
    assert evil not in text
    assert tables(text)["sessions"]["session"]["words"] == [evil]


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


def test_labels_are_counted_by_strength_and_drawn_by_what_was_asked_for(tmp_path):
    write_dataset(tmp_path / "ds", subjects=["S1", "S2"])
    run = write_run(tmp_path / "ds")
    rows, metadata = read_index(run.index)
    found = read_label_statistics(run, rows, metadata).alpha
    values = [
        vectors(read_table(run.session(row.session_id) / "labels.parquet", "labels"), "alpha_au")[0] for row in rows
    ]
    whole = np.concatenate(values)
    whole = whole[np.isfinite(whole).all(1)]
    bins = np.stack([np.histogram(whole[:, k], [-np.inf, *EDGES, np.inf])[0] for k in range(3)])
    assert np.array_equal(found.counts, bins)
    for row, one in zip(rows, values, strict=True):  # of so few frames the peak is the largest
        assert np.array_equal(found.peaks[row.session_id], np.nanmax(one, axis=0).astype(np.float64))
    drawn = unit_map(rows, found, component_units(found.names, {}))
    assert (drawn["row_names"], drawn["column_names"]) == (["AU1", "AU12"], ["AU1", "AU2", "AU12"])
    assert len(drawn["expected"]) == 2
    of = [found.peaks[row.session_id][2] for row in rows if row.au == "AU12"]
    assert drawn["values"][1][2] == round(float(np.median(of)), 2)


def test_labels_that_are_not_those_of_the_index_are_not_counted(tmp_path):
    write_dataset(tmp_path / "ds", subjects=["S1", "S2"])
    run = write_run(tmp_path / "ds")
    rows, metadata = read_index(run.index)
    with pytest.raises(SchemaError, match="expected the"):
        read_label_statistics(run, [replace(row, frames_event=row.frames_event + 1) for row in rows], metadata)
    (run.labels / "part-00000.parquet").write_bytes(b"PAR1")
    write_dataset_page(run)
    text = run.report.read_text()
    assert "<li>labels: dataset/labels/part-00000.parquet" in text
    assert "4 sessions of 2 subjects" in text


def test_a_run_that_was_not_put_together_says_how_far_it_has_come(tmp_path):
    write_dataset(tmp_path / "ds", subjects=["S1", "S2"])
    run = write_run(tmp_path / "ds", failed=["S2_AU1_1"])
    whole = dataset_counts(read_dataset_state(run).rows, {})
    shutil.rmtree(run.dataset)
    ledger = run.session("S1_AU1_1") / "stage.json"
    said = json.loads(ledger.read_text())
    said["stages"] = {"detect": said["stages"]["detect"]}
    ledger.write_text(json.dumps(said))
    write_dataset_page(run)
    text = run.report.read_text()
    assert "4 sessions of" in text
    assert "were not put together yet" in text
    table = tables(text)["sessions"]
    assert sorted(table["outcome"]["words"]) == ["failed", "labelled, apart", "not finished"]
    assert "not finished: done are detect" in table["more"]["words"]
    counts = dataset_counts(read_dataset_state(run).rows, read_dataset_state(run).unfinished)
    assert (counts["ok"], counts["unfinished"], counts["failed"]) == (whole["ok"] - 1, 1, 1)
    assert str(tmp_path) not in text


@pytest.mark.parametrize("damage", ["index", "failures", "nothing there"])
def test_what_is_damaged_is_said(tmp_path, damage):
    write_dataset(tmp_path / "ds", subjects=["S1", "S2"])
    run = write_run(tmp_path / "ds")
    if damage == "index":
        run.index.write_bytes(b"no parquet")
    elif damage == "failures":
        run.failures.write_text("{")
    else:
        shutil.rmtree(run.path)
        run.path.mkdir()
    write_dataset_page(run)
    said = {"index": "the index of sessions cannot be read", "failures": "why sessions failed cannot be read"}
    text = run.report.read_text()
    assert said.get(damage, "There is no session in this run yet") in text
    assert ("0 sessions of 0" if damage == "nothing there" else "4 sessions of") in text


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
