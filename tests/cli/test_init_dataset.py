"""`au3dmm init --layout`, called as its own command: what it prints, and its exit codes."""

import json
from pathlib import Path

import click
import pytest

from adapter_trees import USERS, write_bp4d, write_disfa, write_facemorphic
from au3dmm.cli.init_dataset import InitCommand, init_dataset
from au3dmm.errors import ConfigError

RGB, EVENTS = "{subject}/{session}.mp4", "{subject}/{session}.raw"


@pytest.fixture
def init(capsys):
    """Run the command; return its exit code, stdout and the lines of stderr."""

    def call(*argv):
        capsys.readouterr()
        code = init_dataset.main(args=[str(arg) for arg in argv], standalone_mode=False)
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return call


@pytest.fixture
def pairs(tmp_path):
    for name in ("S1/a.mp4", "S1/a.raw", "S1/b.mp4", "S2/c.raw"):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "raw"


def how(source, *more):
    return (source, "--layout", "pairs", "--rgb", RGB, "--events", EVENTS, "--look", "none", *more)


def test_a_dry_run_prints_the_table_and_writes_nothing(init, pairs, tmp_path):
    code, out, err = init(*how(pairs, "--dry-run", "--out", tmp_path / "out"))
    lines = out.splitlines()
    assert lines[0].split() == ["session", "subject", "shows", "rgb", "events", "clock"]
    assert lines[1].split() == ["S1_a", "S1", "-", "S1/a.mp4", "S1/a.raw", "motion"]
    assert lines[-1] == "1 recording of 1 subject: nothing written; 2 left out"
    assert len(err) == 2
    assert err[0].startswith(f"left out: {pairs / 'S2/c.raw'}: events without RGB")
    assert code == 3
    assert not (tmp_path / "out").exists()


def test_a_run_says_what_became_of_each_recording(init, pairs, tmp_path):
    code, out, _ = init(*how(pairs, "--out", tmp_path / "out", "--name", "faces"))
    assert (code, out) == (3, "1 recording of 1 subject: 1 written; 2 left out\n")
    assert 'name = "faces"' in (tmp_path / "out/dataset.toml").read_text()
    manifest = tmp_path / "out/sessions/S1_a/session.toml"
    manifest.write_text(manifest.read_text() + "# mine\n")
    _, out, _ = init(*how(pairs, "--out", tmp_path / "out"))
    assert f"{manifest}: edited by hand, left as it is; --force writes it anew" in out
    assert "1 edited" in out


def test_a_recording_that_is_gone_is_told(init, pairs, tmp_path):
    init(*how(pairs, "--out", tmp_path / "out"))
    (pairs / "S1/a.mp4").rename(pairs / "S1/d.mp4")
    (pairs / "S1/a.raw").rename(pairs / "S1/d.raw")
    _, out, _ = init(*how(pairs, "--out", tmp_path / "out"))
    assert f"{tmp_path / 'out/sessions/S1_a/session.toml'}: its recording was not found this time" in out


def test_nothing_usable_is_exit_code_4(init, pairs, tmp_path):
    (pairs / "S1/a.raw").unlink()
    code, _, err = init(*how(pairs, "--out", tmp_path / "out"))
    assert code == 4
    assert len(err) == 3
    assert not (tmp_path / "out").exists()


def test_json_tells_the_same(init, pairs, tmp_path):
    _, out, _ = init(*how(pairs, "--out", tmp_path / "out", "--json"))
    value = json.loads(out)
    (session,) = value["sessions"]
    assert session["path"] == str(tmp_path / "out/sessions/S1_a/session.toml")
    assert (session["state"], session["problem"], session["notes"]) == ("written", None, [])
    assert {Path(one["path"]).name for one in value["left_out"]} == {"b.mp4", "c.raw"}
    assert value["not_found"] == []


def test_in_place_writes_beside_the_raw_files(init, tmp_path):
    for name in ("S1/a/rgb.mp4", "S1/a/e.raw"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    where = ("--rgb", "{subject}/{session}/rgb.mp4", "--events", "{subject}/{session}/e.raw", "--look", "none")
    assert init(tmp_path, "--layout", "pairs", *where, "--in-place")[0] == 0
    assert 'file = "rgb.mp4"' in (tmp_path / "S1/a/session.toml").read_text()
    assert (tmp_path / "dataset.toml").is_file()


def test_without_a_place_to_write_nothing_is_done(init, pairs):
    with pytest.raises(click.UsageError, match="give --out DATASET, or --in-place, or --dry-run"):
        init(*how(pairs))


def test_a_wrong_source_is_one_line(init, tmp_path):
    with pytest.raises(ConfigError, match=r"none: no such folder; expected FACEMORPHIC"):
        init(tmp_path / "none", "--layout", "facemorphic", "--dry-run")


def test_notes_of_recordings_are_printed(init, tmp_path):
    code, out, _ = init(write_facemorphic(tmp_path / "raw"), "--layout", "facemorphic", "--dry-run")
    assert code == 3
    assert f"note: {USERS[1]}_AU51_1: no event_1.raw: labels of RGB frames only" in out
    assert "5 recordings of 2 subjects: nothing written; 2 left out" in out


@pytest.mark.parametrize(("layout", "make"), [("bp4d", write_bp4d), ("disfa", write_disfa)])
def test_layouts_without_events_work(init, tmp_path, layout, make):
    code, out, _ = init(make(tmp_path / "raw"), "--layout", layout, "--out", tmp_path / "out")
    assert (code, out.splitlines()[-1]) == (0, "1 recording of 1 subject: 1 written; 0 left out")


def test_init_is_this_command_where_its_arguments_say_layout(pairs, tmp_path, capsys):
    @click.command(cls=InitCommand)
    @click.argument("folder")
    def plain(folder):
        """Describe one recording."""
        click.echo(f"one {folder}")
        return 0

    group = click.Group(commands={"init": plain})
    assert group.main(["init", "here"], standalone_mode=False) == 0
    assert capsys.readouterr().out == "one here\n"
    argv = [str(arg) for arg in how(pairs, "--out", tmp_path / "out")]
    assert group.main(["init", *argv], standalone_mode=False) == 3
    assert (tmp_path / "out/sessions/S1_a/session.toml").is_file()
    argv[argv.index("--layout") : argv.index("--layout") + 2] = ["--layout=pairs"]
    assert group.main(["init", *argv], standalone_mode=False) == 3
