"""Strips to look at: a neutral face, its apex, and the events of its onset."""

import json

import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.synthetic import dataset
from au3dmm.synthetic.contact_sheet import CELL_PX, _main_movement, task_strip
from au3dmm.synthetic.dataset import make_take
from au3dmm.synthetic.session_setup import Setup
from au3dmm.synthetic.takes import Take, session_files


@pytest.fixture(scope="module")
def jaw(tmp_path_factory):
    out = tmp_path_factory.mktemp("sheet")
    with pytest.MonkeyPatch.context() as patch:
        setup = Setup(rgb_size=(320, 240), event_size=(320, 180), simulate_fps=120.0, tail_us=10_000, background_hz=0)
        patch.setattr(dataset, "_setup", lambda small: setup)
        assert make_take(str(out), Take(0, 4, "AU26", 1, 0.6, "demo", "x").__dict__) is None
    folder, truth = session_files(4, "AU26", 1)
    return out / folder, out / truth


def test_the_jaw_drops_between_the_first_and_the_second_cell_and_events_are_where_it_moves(jaw):
    strip = task_strip(*jaw).astype(int)
    assert strip.shape == (CELL_PX, 3 * CELL_PX, 3)
    neutral, apex, events = np.split(strip, 3, axis=1)
    mouth, forehead = (slice(100, 180), slice(60, 140)), (slice(20, 60), slice(60, 140))
    dark = [(cell[mouth].sum(2) < 60).sum() for cell in (neutral, apex)]
    assert dark[1] > dark[0] + 150
    active = np.abs(events - [30, 37, 52]).sum(2) > 60
    assert active[mouth].mean() > 2 * active[forehead].mean()
    assert active[mouth].sum() > 100


def test_of_a_face_that_does_nothing_the_middle_is_shown():
    truth = {"session": "S001_NONE_1", "movements": [], "turns": [], "rgb_first_pts_us": 100, "rgb_last_pts_us": 300}
    shown = _main_movement(truth)
    assert (shown["start_us"], shown["apex_start_us"], shown["apex_end_us"]) == (200, 200, 200)
    blink = {"name": "blink", "start_us": 1}
    assert _main_movement({**truth, "movements": [blink]}) == blink


def test_a_file_that_is_no_truth_is_refused(jaw, tmp_path):
    for text in ("{", "[]", json.dumps({"simulated": False})):
        (tmp_path / "truth.json").write_text(text)
        with pytest.raises(SchemaError, match=r"not the truth of a synthetic session.*make it again"):
            task_strip(jaw[0], tmp_path / "truth.json")
