import numpy as np
import pytest

from adapter_trees import plain_events
from au3dmm.adapters.looking import looked_into
from au3dmm.adapters.proposal import Proposal
from small_recording import FIRST_US, INTERVAL_US, N, write_events


@pytest.fixture
def triggered(tmp_path):
    path = tmp_path / "t.raw"
    write_events(path, FIRST_US + INTERVAL_US * np.arange(N))
    return path


def look(path, how, sync=None, rgb=None, **sections):
    about = {"session_id": "s", "subject_id": "p"}
    parts = {"session": about, "rgb": {"file": "rgb.mp4", **(rgb or {})}, "events": {"file": path}, **sections}
    return looked_into(Proposal("s", "p", parts), how, sync)


@pytest.mark.parametrize("how", ["start", "whole"])
def test_regular_edges_make_the_clock_that_of_the_trigger(triggered, how):
    found = look(triggered, how).sections
    assert found["sync"]["method"] == "trigger"
    assert found["sync"]["trigger_id"] == 0
    assert (found["events"]["format"], found["events"]["width"], found["events"]["height"]) == ("EVT3", 64, 48)


def test_who_does_not_look_finds_no_trigger(triggered):
    assert look(triggered, "header").sections["sync"] == {"method": "motion"}
    assert look(triggered, "none").sections["events"] == {"file": triggered}


def test_without_edges_motion_is_to_be_measured(tmp_path):
    assert look(plain_events(tmp_path / "e.raw"), "whole").sections["sync"] == {"method": "motion"}


def test_the_user_and_the_layout_know_better(triggered):
    assert look(triggered, "whole", sync="shared").sections["sync"] == {"method": "shared"}
    known = Proposal("s", "p", {"rgb": {}, "events": {"file": triggered}, "sync": {"method": "start"}})
    assert looked_into(known, "whole", None).sections["sync"] == {"method": "start"}
    assert "sync" not in look(triggered, "whole", rgb={"clock": "event"}).sections


def test_events_that_cannot_be_read_are_noted_and_the_recording_stays(tmp_path):
    (tmp_path / "e.raw").write_bytes(b"nothing")
    found = look(tmp_path / "e.raw", "start")
    assert "events cannot be read" in found.notes[0]
    assert found.sections["events"] == {"file": tmp_path / "e.raw"}


def test_a_recording_without_events_is_left_alone():
    plain = Proposal("s", "p", {"session": {}, "rgb": {"file": "rgb.mp4"}})
    assert looked_into(plain, "whole", "trigger") is plain
