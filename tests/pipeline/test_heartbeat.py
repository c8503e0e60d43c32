import os
import time

import pytest

from au3dmm.io.run_folder import RunFolder
from au3dmm.pipeline.heartbeat import (
    Heartbeat,
    Stopped,
    remove_signs,
    running,
    running_folder,
    signs_of_life,
    tell_to_stop,
)


def test_a_task_tells_how_far_it_is_and_stops_when_told(tmp_path):
    run = RunFolder(tmp_path)
    with signs_of_life(run, "1"):
        beat = Heartbeat(run, "1", "fit-s01")
        beat({"event": "progress", "stage": "fit", "done": 3, "total": 9})
        (said,) = running(run, "1")
        assert (said["task"], said["stage"], said["done"], said["total"]) == ("fit-s01", "fit", 3, 9)
        beat.end()
        assert running(run, "1") == []
        tell_to_stop(run, "1")
        with pytest.raises(Stopped):
            Heartbeat(run, "1", "fit-s02").look()
    remove_signs(run, "1")
    assert not running_folder(run, "1").exists()


def test_a_run_that_ended_tells_tasks_that_still_run(tmp_path):
    run = RunFolder(tmp_path)
    with signs_of_life(run, "1"):
        beat = Heartbeat(run, "1", "a")
        beat.look()
    with pytest.raises(Stopped):
        beat.look()


def test_what_a_killed_run_left_goes_after_a_week_and_not_before(tmp_path):
    run = RunFolder(tmp_path)
    for name, age_s in (("old", 8 * 86400), ("new", 3600)):
        folder = running_folder(run, name)
        folder.mkdir(parents=True)
        (folder / "a.json").write_text("{}")
        for path in (folder / "a.json", folder):
            os.utime(path, (time.time() - age_s,) * 2)
    with signs_of_life(run, "1"):
        assert sorted(path.name for path in run.state.iterdir()) == ["running-1", "running-new"]
