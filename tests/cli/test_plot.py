"""`plot`, `render` and `view` as a user meets them."""

import json
import sys

import pytest
from PIL import Image

from au3dmm.cli.app import cli
from small_recording import N


@pytest.fixture
def labelled(label, recording, template, tmp_path, monkeypatch):
    assert label().code == 0
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return recording, "--bases", template.parent / "bases.npz"


def wide(path):
    with Image.open(path) as picture:
        return picture.size[0]


def test_every_kind_of_picture_is_drawn_in_the_current_folder_and_said(au3dmm, labelled, tmp_path):
    for kind in ("fit", "coefficients", "clock", "frames"):
        answer = au3dmm("plot", kind, *labelled, "--dpi", 60)
        assert answer.code == 0, answer.err
        path = tmp_path / "here" / f"s01_{kind}.png"
        assert answer.out.startswith(f"s01_{kind}.png (")
        assert abs(wide(path) - (600 if kind == "clock" else 60 * 175 / 25.4)) <= 1
        assert ("biometric" in answer.out) == (kind in ("fit", "frames"))
    assert sorted(p.name for p in (tmp_path / "here").iterdir()) == sorted(
        f"s01_{kind}.png" for kind in ("fit", "coefficients", "clock", "frames")
    )


def test_the_suffix_decides_what_is_written(au3dmm, labelled):
    for suffix, first in ((".pdf", b"%PDF"), (".svg", b"<?xml")):
        for kind in ("coefficients", "clock"):
            assert au3dmm("plot", kind, *labelled, "--out", f"x{suffix}", "--width", "double").code == 0
            with open(f"x{suffix}", "rb") as file:
                assert file.read(5).startswith(first)
    answer = au3dmm("plot", "coefficients", *labelled, "--out", "x.jpg")
    assert answer.code == 2
    assert "written as .png, .pdf, .svg, not as '.jpg'" in answer.error


def test_what_is_wrong_is_said_in_one_line(au3dmm, labelled, recording, tmp_path):
    wrong = {
        ("fit", recording): "give it with --bases FILE",
        ("clock", *labelled, "--width", "single"): "expected 153 mm or more",
        ("coefficients", *labelled, "--only", "AU77"): "no component 'AU77'",
        ("coefficients", *labelled, "--width", "broad"): "expected single, double",
        ("frames", tmp_path / "nowhere"): "no such folder",
        ("frames", *labelled, "--predictions", tmp_path / "p.parquet"): "no such file",
        ("confusion", tmp_path): "metrics.json: no such file; au3dmm evaluate makes it",
        ("components", tmp_path / "b.npz"): "no such file",
    }
    for words, expected in wrong.items():
        answer = au3dmm("plot", *words)
        assert answer.code in (2, 4), words
        assert expected in answer.error
    assert not list((tmp_path / "here").iterdir())


def test_a_basis_is_drawn(au3dmm, template, tmp_path):
    out = tmp_path / "c.svg"
    assert au3dmm("plot", "components", template.parent / "bases.npz", "--out", out, "--width", "single").code == 0
    text = out.read_text()
    assert "<!-- 12 AU components -->" in text  # letters are outlines, named in comments
    assert 'width="240.9' in text  # points: 85 mm


def test_a_confusion_is_drawn_of_an_evaluation(au3dmm, tmp_path):
    names, table = ["AU1", "AU12"], [[3, 1], [0, 4]]
    found = {"confusion": {"names": names, "table": table}, "model": "m", "split": "test", "n_videos": 8}
    found |= {"n_subjects": 2, "overall": {"top1": {"value": 0.875, "low": None, "high": None}}}
    (tmp_path / "metrics.json").write_text(json.dumps(found))
    answer = au3dmm("plot", "confusion", tmp_path, "--out", tmp_path / "c.png", "--width", "double", "--dpi", 60)
    assert answer.code == 0, answer.err
    assert abs(wide(tmp_path / "c.png") - 60 * 175 / 25.4) <= 1
    for damaged in ("{", "[]", '{"confusion": 3}', '{"confusion": {}}'):
        (tmp_path / "metrics.json").write_text(damaged)
        assert "metrics.json: " in au3dmm("plot", "confusion", tmp_path).error


def test_a_film_is_rendered(au3dmm, labelled):
    answer = au3dmm("render", *labelled, "--panel", 64, "--progress", "plain")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("s01_film.mp4 (")
    assert f"{N} frames" in answer.out
    assert "biometric" in answer.out
    assert "expected" not in answer.out
    assert "films are written as .mp4" in au3dmm("render", *labelled, "--out", "f.avi").error


def test_without_rerun_view_says_how_to_install_it(au3dmm, labelled, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    answer = au3dmm("view", *labelled, "--no-open")
    assert answer.code == 5
    assert "pip install 'au3dmm[rerun]'" in answer.error


def test_view_writes_and_does_not_open_what_is_saved(au3dmm, labelled, monkeypatch, tmp_path):
    try:
        import rerun  # noqa: F401
    except ImportError:
        pytest.skip("SKIPPED LOUDLY: rerun-sdk is not installed; pip install 'au3dmm[rerun]'")
    opened = []
    monkeypatch.setattr("subprocess.Popen", lambda *args, **how: opened.append(args))
    monkeypatch.setenv("DISPLAY", ":0")
    answer = au3dmm("view", *labelled, "--save", tmp_path / "v.rrd")
    assert answer.code == 0, answer.err
    assert (tmp_path / "v.rrd").stat().st_size > 1000
    assert not opened
    assert "opened in the Rerun viewer" in au3dmm("view", *labelled).out
    assert opened[0][0][-1] == "s01_view.rrd"
    assert ".rrd" in au3dmm("view", *labelled, "--save", "v.mp4").error


def test_help_names_the_formats_and_the_biometric_data(au3dmm):
    assert {"components", "fit", "coefficients", "clock", "frames", "confusion"} == set(cli.commands["plot"].commands)
    assert ".pdf" in au3dmm("plot", "--help").out
    assert "biometric" in au3dmm("render", "--help").out


def test_a_session_without_events_has_a_fit_and_coefficients_and_says_that_there_is_no_more(
    au3dmm, label, recording, template, monkeypatch, tmp_path
):
    manifest = recording / "session.toml"
    before, _, after = manifest.read_text().partition("[events]")
    rest = after[after.index("[landmarks]") :]
    manifest.write_text(before + rest)
    assert label().code == 0
    monkeypatch.chdir(tmp_path)
    session = (recording, "--bases", template.parent / "bases.npz")
    for kind in ("fit", "coefficients"):
        answer = au3dmm("plot", kind, *session, "--dpi", 60)
        assert answer.code == 0, answer.err
    for kind, what in (("clock", "clock"), ("frames", "event frames")):
        assert f"session 's01' has no events, and so no {what}" in au3dmm("plot", kind, *session).error
    assert "has no events, and so no event frames" in au3dmm("render", *session).error
