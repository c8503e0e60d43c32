"""A synthetic dataset: whole, the same whoever makes it, made again only where it has to be."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tomli

from au3dmm.errors import ConfigError, ExecutorError, OutputError
from au3dmm.executors import Outcome
from au3dmm.io.atomic import file_lock
from au3dmm.io.participants import read_participants
from au3dmm.io.session import Manifest, read_session
from au3dmm.synthetic import dataset
from au3dmm.synthetic.dataset import make_take, write_dataset
from au3dmm.synthetic.film import Film
from au3dmm.synthetic.people import head_model
from au3dmm.synthetic.person import default_person
from au3dmm.synthetic.session import FILES, Identity, tell
from au3dmm.synthetic.session_setup import Setup
from au3dmm.synthetic.takes import Take, plan_takes, session_files
from au3dmm.synthetic.tasks import plan_task

TASKS = ["AU12", "AU51", "FREE"]
TINY = Setup(rgb_size=(160, 120), event_size=(160, 90), simulate_fps=40.0, tail_us=10_000)
OPTIONS = {"subjects": 1, "tasks": TASKS, "repetitions": 1, "seconds": 0.5, "small": True}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(dataset, "_setup", lambda small: TINY)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("dataset") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "_setup", lambda small: TINY)
        result = write_dataset(out, **OPTIONS)
    return out, result


def all_bytes(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def copied(out, tmp_path):
    for name, data in all_bytes(out).items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "data"


def test_every_session_has_its_files_and_the_truth_lies_outside(made):
    out, result = made
    assert result == {"sessions": 3, "made": 3, "up_to_date": 0, "subjects": 1, "others": []}
    names = {"dataset.toml", "participants.tsv"}
    for task in TASKS:
        folder, truth = session_files(0, task, 1)
        names |= {truth.as_posix(), *((folder / name).as_posix() for name in FILES)}
    assert set(all_bytes(out)) == names


def test_manifests_say_who_did_what_and_read_back(made):
    out, _ = made
    for task in TASKS:
        session = read_session(out / session_files(0, task, 1)[0])
        about = session.manifest.session
        assert (session.session_id, session.subject_id) == (f"S001_{task}_1", "S001")
        assert (about.task, about.au, about.run) == (task, task if task.startswith("AU") else None, 1)
        assert session.manifest.source["fingerprint"]
        session.check_files()


@pytest.mark.parametrize("emotion", ["Fear", None])
def test_a_manifest_says_which_emotion_was_asked_for(tmp_path, emotion):
    film = Film(default_person(1), plan_task("FEAR", 0.5, (1,)), TINY)
    tell(tmp_path, film, Identity("S001_FEAR_1", "S001", "FEAR", emotion=emotion), tmp_path / "t.json", seconds=0.5)
    told = Manifest.model_validate(tomli.loads((tmp_path / "session.toml").read_text())).annotations
    emotions = [(said.kind, said.origin, said.label) for said in told if said.vocabulary == "emotion"]
    assert emotions == ([("video_class", "instructed", emotion)] if emotion else [])


def test_the_tables_of_the_dataset_read_back_and_name_nobody(made):
    out, _ = made
    assert 'name = "au3dmm-synthetic"' in (out / "dataset.toml").read_text()
    people = read_participants(out / "participants.tsv")
    assert set(people) == {"S001"}
    assert set(people["S001"]) == {"skin", "hair", "eyes", "camera_distance_m", "synthetic"}


def test_the_truth_holds_who_what_when_and_where(made):
    out, _ = made
    truth = {task: json.loads((out / session_files(0, task, 1)[1]).read_text()) for task in TASKS}
    smile = truth["AU12"]
    (movement,) = [m for m in smile["movements"] if m["name"] == "AU12"]
    assert movement["start_us"] < movement["apex_start_us"] < movement["apex_end_us"] < movement["end_us"]
    alpha = np.array(smile["alpha_au"])[:, [smile["names_au"].index(f"AU12_{side}") for side in ("left", "right")]]
    assert not alpha[[0, -1]].any()
    assert (alpha.max(0) > 1.5).all()
    t_us = np.arange(smile["rgb_frames"]) * 1e6 / 30 + smile["rgb_first_pts_us"]
    at_apex = (t_us > movement["apex_start_us"]) & (t_us < movement["apex_end_us"])
    assert at_apex.any()
    np.testing.assert_allclose(alpha[at_apex], np.tile(alpha.max(0), (at_apex.sum(), 1)), rtol=1e-4)
    (turn,) = truth["AU51"]["turns"]
    assert turn["name"] == "AU51"
    yaw = np.array(truth["AU51"]["rotation_vector"])[:, 1]
    assert np.degrees(np.ptp(yaw)) > 15
    assert np.array(smile["alpha_id"]).shape == (22,)
    assert {tuple(t["alpha_id"]) for t in truth.values()} == {tuple(smile["alpha_id"])}
    assert any("neck" in line for line in smile["beyond_basis"])


def test_clocks_differ_from_session_to_session(made):
    out, _ = made
    truth = [json.loads((out / session_files(0, task, 1)[1]).read_text()) for task in TASKS]
    for key in ("drift_ppm", "offset_s", "rgb_first_pts_us"):
        assert len({t[key] for t in truth}) == 3, key


def test_a_second_run_makes_nothing_and_changes_no_file(made):
    out, _ = made
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    assert write_dataset(out, **OPTIONS)["made"] == 0
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("lost", ["rgb.mp4", "session.toml", "truth", "occurrence.csv"])
def test_what_is_missing_is_made_again_with_the_same_bytes(made, tmp_path, lost):
    out = copied(made[0], tmp_path)
    folder, truth = session_files(0, "AU51", 1)
    (out / (truth if lost == "truth" else folder / lost)).unlink()
    assert write_dataset(out, **OPTIONS)["made"] == 1
    assert all_bytes(out) == all_bytes(made[0])


def test_a_dataset_of_before_the_annotations_gets_them_without_being_filmed_again(made, tmp_path, monkeypatch):
    out = copied(made[0], tmp_path)
    for task in TASKS:
        folder = out / session_files(0, task, 1)[0]
        text = (folder / "session.toml").read_text()
        (folder / "session.toml").write_text(text[: text.index("\n[[annotations]]")])
        if task != TASKS[0]:  # whoever was killed here has written one
            (folder / "occurrence.csv").unlink()
    monkeypatch.setattr(dataset, "record", None)
    assert write_dataset(out, **OPTIONS)["made"] == 3
    assert all_bytes(out) == all_bytes(made[0])
    assert write_dataset(out, **OPTIONS)["made"] == 0


def test_other_options_make_it_again_and_more_of_it_adds_to_it(made, tmp_path):
    out = copied(made[0], tmp_path)
    more = write_dataset(out, **OPTIONS | {"tasks": ["AU12", "AU4"]})
    assert (more["made"], more["up_to_date"], more["others"]) == (1, 1, ["S001_AU51_1", "S001_FREE_1"])
    assert write_dataset(out, **OPTIONS | {"tasks": ["AU4"], "seed": 5})["made"] == 1


def test_a_session_does_not_depend_on_the_rest_of_the_dataset(made, tmp_path):
    write_dataset(tmp_path / "one", **OPTIONS | {"tasks": ["FREE"]})
    folder, truth = session_files(0, "FREE", 1)
    for name in (*(folder / file for file in FILES), truth):
        assert (tmp_path / "one" / name).read_bytes() == (made[0] / name).read_bytes(), name


def test_sessions_made_in_another_order_in_other_company_have_the_same_bytes(made, tmp_path):
    # what a number of workers changes
    takes = plan_takes(2, TASKS, 1, seed=0, seconds=0.5, head=head_model("demo"), small=True)
    for take in reversed(takes):
        assert make_take(str(tmp_path), take.__dict__) is None
    found, expected = all_bytes(tmp_path), all_bytes(made[0])
    for name in expected.keys() - {"dataset.toml", "participants.tsv"}:
        assert found[name] == expected[name], name


def test_jobs_go_to_as_many_workers_as_asked_for_and_what_they_find_wrong_is_raised(monkeypatch, tmp_path):
    asked = []

    class Fake:
        def __init__(self):
            self.jobs, self.closed = [], None

        def submit(self, job):
            self.jobs.append(job)

        def wait(self, timeout_s):
            answer = ("OutputError", "disk full") if self.jobs[0].key == "S001_AU51_1" else None
            return [Outcome(self.jobs.pop(0).key, answer)]

        def close(self, at_once=False):
            self.closed = at_once

    fake = Fake()
    monkeypatch.setattr(dataset, "make_executor", lambda name, n: asked.append((name, n)) or fake)
    done = []
    with pytest.raises(OutputError, match="disk full"):
        write_dataset(tmp_path / "data", **OPTIONS, workers=2, progress=lambda n, total: done.append((n, total)))
    assert asked == [("processes", 2)]
    assert done == [(1, 3)]
    assert fake.closed is True


def test_a_worker_that_dies_is_told_with_its_session(monkeypatch, tmp_path):
    class Fake:
        def submit(self, job):
            self.job = job

        def wait(self, timeout_s):
            return [Outcome(self.job.key, died="killed by SIGKILL")]

        def close(self, at_once=False):
            return

    monkeypatch.setattr(dataset, "make_executor", lambda name, n: Fake())
    with pytest.raises(ExecutorError, match=r"made S001_AU51_1 was lost: killed by SIGKILL; run again with fewer"):
        write_dataset(tmp_path / "data", **OPTIONS | {"tasks": ["AU51"]}, workers=2)


def test_columns_of_ones_own_stay_in_participants(made, tmp_path):
    out = copied(made[0], tmp_path)
    table = out / "participants.tsv"
    table.write_text(table.read_text().replace("subject_id", "consent\tsubject_id").replace("S001", "yes\tS001"))
    write_dataset(out, **OPTIONS)
    assert read_participants(table)["S001"]["consent"] == "yes"


def test_a_dataset_of_somebody_else_is_not_touched(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "dataset.toml").write_text('schema_version = 1\n[dataset]\nname = "faces"\n')
    with pytest.raises(ConfigError, match="a dataset that synth did not make"):
        write_dataset(tmp_path / "theirs", **OPTIONS)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").write_text("")
    with pytest.raises(ConfigError, match=r"holds 'thesis\.docx'.*choose a new folder"):
        write_dataset(tmp_path / "full", **OPTIONS)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="a file; expected a folder"):
        write_dataset(tmp_path / "file", **OPTIONS)


def test_a_recording_of_somebody_else_in_it_is_not_replaced(made, tmp_path):
    out = copied(made[0], tmp_path)
    manifest = out / session_files(0, "AU12", 1)[0] / "session.toml"
    text = manifest.read_text().replace("au3dmm.synthetic.dataset", "my camera")
    manifest.write_text(text)
    with pytest.raises(ConfigError, match="a recording that synth did not make"):
        write_dataset(out, **OPTIONS)
    assert manifest.read_text() == text


def test_two_runs_do_not_write_one_dataset(made):
    out, _ = made
    with file_lock(out / "dataset.toml"), pytest.raises(OutputError, match="another au3dmm is working on it"):
        write_dataset(out, **OPTIONS)


def test_a_worker_says_what_is_wrong_instead_of_raising_it(tmp_path):
    (tmp_path / "rawdata").write_text("in the way")
    take = Take(0, 0, "AU12", 1, 0.5, "demo", "x")
    kind, message = make_take(str(tmp_path), take.__dict__)
    assert kind == "OutputError"
    assert "cannot be written" in message


def test_an_unknown_head_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--head: 'flame'; expected demo, or ict:FILE"):
        write_dataset(tmp_path / "x", **OPTIONS | {"head": "flame"})
    with pytest.raises(ConfigError, match=r"no such file; expected the npz of ICT-FaceKit"):
        write_dataset(tmp_path / "x", **OPTIONS | {"head": "ict:nowhere.npz"})


RUN = """
import sys
from pathlib import Path
from au3dmm.synthetic import dataset
from test_dataset import OPTIONS, TINY
dataset._setup = lambda small: TINY
if __name__ == "__main__":
    dataset.write_dataset(Path(sys.argv[1]), **OPTIONS)
"""


def test_a_killed_run_leaves_nothing_half_written_and_is_finished_by_the_next(made, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    out = tmp_path / "data"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    process = subprocess.Popen([sys.executable, script, out], env=environment)
    deadline = time.monotonic() + 60
    while not any(out.rglob(".*.writing")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for manifest in out.rglob("session.toml"):
        read_session(manifest).check_files()
    write_dataset(out, **OPTIONS)
    made_again = {name: data for name, data in all_bytes(out).items() if not name.endswith(".lock")}
    assert made_again == all_bytes(made[0])
