"""`au3dmm fit-bases` as a user types it: on a small corpus, on bad input, again, and interrupted."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from au3dmm.io.bases import read_bases
from au3dmm.io.corpora import synthetic
from au3dmm.io.mesh import Mesh, write_mesh
from small_corpus import make_corpus


@pytest.fixture(autouse=True)
def few_people_and_no_heads_of_the_users(monkeypatch, tmp_path):
    monkeypatch.setattr(synthetic, "read_synthetic", functools.partial(synthetic.read_synthetic, n_subjects=2))
    monkeypatch.setenv("AU3DMM_HEADS", str(tmp_path / "heads"))


@pytest.fixture(scope="session")
def meshes(tmp_path_factory):
    """A corpus as a tree of PLY files with a manifest, two takes of two people; triangles and landmarks shipped."""
    root = tmp_path_factory.mktemp("corpus")
    made = make_corpus(subjects=2).corpus
    for sequence in made.sequences[:3] + made.sequences[6:9]:
        folder = root / sequence.subject_id / "+".join(u.removeprefix("AU") for u in sequence.action_units)
        for i, row in enumerate(sequence.rows):
            folder.mkdir(parents=True, exist_ok=True)
            write_mesh(folder / f"{i:03d}.ply", Mesh(made.frames[row], made.faces))
    for subject, neutral in made.neutrals.items():
        (root / "neutral").mkdir(exist_ok=True)
        write_mesh(root / "neutral" / f"{subject}.ply", Mesh(neutral, made.faces))
    (root / "corpus.toml").write_text(
        'name = "mine"\nunit = "m"\nlicence = "ours"\nframes = "{subject}/{sequence}/{frame}.ply"\n'
        'neutral = "neutral/{subject}.ply"\naction_units = "folder"\n'
    )
    return root


def test_the_default_makes_a_basis_its_pictures_and_says_it_is_a_demo(au3dmm, tmp_path):
    out = tmp_path / "b.npz"
    answer = au3dmm("fit-bases", "--out", out, "--k-au", "5")
    assert answer.code == 0, answer.err
    assert "5 components" not in answer.out  # identity: two people and their mirror images give three
    assert "3 components\n" in answer.out
    assert any("DEMO BASIS" in line for line in answer.err)
    bases = read_bases(out)
    assert (bases.k_au, bases.k_id, bases.kind) == (5, 3, "demo")
    for name in ("b.components.png", "b.identity.png", "b.html"):
        assert (tmp_path / name).stat().st_size > 1000
        assert name in answer.out


def test_what_is_up_to_date_is_not_made_again(au3dmm, tmp_path):
    out = tmp_path / "b.npz"
    first = au3dmm("fit-bases", "--out", out, "--k-au", "4", "--no-pictures", "--json")
    before = out.read_bytes(), out.stat().st_mtime_ns
    again = au3dmm("fit-bases", "--out", out, "--k-au", "4", "--no-pictures", "--json", "--workers", "3")
    one, two = json.loads(first.out), json.loads(again.out)
    assert (one.pop("state"), two.pop("state")) == ("ran", "up to date")
    one.pop("seconds"), two.pop("seconds")
    assert one == two
    assert (out.read_bytes(), out.stat().st_mtime_ns) == before
    forced = json.loads(au3dmm("fit-bases", "--out", out, "--k-au", "4", "--no-pictures", "--json", "--force").out)
    assert forced["state"] == "ran"
    assert out.read_bytes() == before[0]
    other = au3dmm("fit-bases", "--out", out, "--k-au", "4", "--no-pictures", "--json", "--seed", "1")
    assert json.loads(other.out)["state"] == "ran"
    out.write_bytes(out.read_bytes()[:2000])  # cut short: made again
    mended = au3dmm("fit-bases", "--out", out, "--k-au", "4", "--no-pictures", "--json", "--seed", "1")
    assert json.loads(mended.out)["state"] == "ran"
    assert read_bases(out).k_au == 4


def test_several_numbers_make_several_files(au3dmm, tmp_path):
    answer = au3dmm("fit-bases", "--out", tmp_path / "b.npz", "--k-au", "3,6", "--no-pictures", "--json")
    told = json.loads(answer.out)
    assert set(told["bases"]) == set(told["models"]) == {"3", "6"}
    assert [read_bases(tmp_path / f"b.k{k}.npz").k_au for k in (3, 6)] == [3, 6]
    assert not (tmp_path / "b.npz").exists()


def test_a_pipeline_file_sets_what_options_do_not(au3dmm, tmp_path):
    (tmp_path / "p.toml").write_text('[bases]\nk_au = [3]\ncodes = "signed"\nepochs = 2\n')
    options = ("--out", tmp_path / "b.npz", "--pipeline", tmp_path / "p.toml", "--no-pictures")
    assert au3dmm("fit-bases", *options).code == 0
    assert read_bases(tmp_path / "b.npz").info["params"]["codes"] == "signed"
    assert au3dmm("fit-bases", *options, "--k-au", "4", "--codes", "nonnegative").code == 0
    info = read_bases(tmp_path / "b.npz").info
    assert (info["k_au"], info["params"]["codes"], info["params"]["epochs"]) == (4, "nonnegative", 2)


def test_a_tree_of_meshes_becomes_a_basis(au3dmm, meshes, tmp_path):
    out = tmp_path / "b.npz"
    answer = au3dmm("fit-bases", "--corpus", f"meshes:{meshes}", "--out", out, "--k-au", "3", "--no-pictures")
    assert answer.code == 0, answer.err
    bases = read_bases(out)
    assert bases.kind == "learned"
    assert bases.info["licence"] == "ours"
    assert (tmp_path / "au3dmm.corpora").is_dir()
    assert not any("DEMO" in line for line in answer.err)


def test_an_unreadable_mesh_among_many_is_named_and_counted(au3dmm, meshes, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(meshes, tree)
    bad = tree / "p1" / "4" / "004.ply"
    assert bad.exists()
    bad.write_bytes(bad.read_bytes()[:5000])
    (tmp_path / "p.toml").write_text("[bases]\nk_au = [3]\nmax_lost = 0.1\n")
    options = ("--corpus", f"meshes:{tree}", "--out", tmp_path / "b.npz", "--no-pictures")
    refused = au3dmm("fit-bases", *options, "--k-au", "3")  # one of 56 files is more than 1 %
    assert refused.code == 2
    assert "p1/4/004.ply" in refused.error
    assert not (tmp_path / "b.npz").exists()
    answer = au3dmm("fit-bases", *options, "--pipeline", tmp_path / "p.toml")
    assert answer.code == 0
    assert "p1/4/004.ply" in answer.out
    assert any("p1/4/004.ply was skipped" in line for line in answer.err)
    assert read_bases(tmp_path / "b.npz").info["corpora"][0]["lost_files"] == 1


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--corpus", "vocasset:x"), 2, "corpus 'vocasset:x': expected vocaset:DIR"),
        (("--corpus", "vocaset:"), 2, "no path in it"),
        (("--corpus", "vocaset:nowhere"), 2, "nowhere: no such file or folder"),
        (("--corpus", "synthetic:one"), 2, "'one' is no seed"),
        (("--k-au", "many"), 2, "expected numbers from 1 with commas"),
        (("--k-au", "4,4"), 2, "k_au names a number twice"),
        (("--k-au", "0"), 2, "expected numbers from 1"),
        (("--k-au", "100000"), 2, "ask for at most"),
        (("--k-id", "4"), 2, "2 subjects, mirrored, too, give 3"),
        (("--corpus", "synthetic", "--corpus", "synthetic:0"), 2, "given twice"),
        (("--out", "b.json"), 2, "a basis file ends in .npz"),
        (("--out", "/proc/x/b.npz"), 4, "cannot be written"),
        (("--head", "nobody"), 5, "nobody"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(au3dmm, tmp_path, monkeypatch, options, code, message):
    monkeypatch.chdir(tmp_path)
    answer = au3dmm("fit-bases", *options, "--no-pictures")
    assert (answer.code, message in answer.error) == (code, True), answer.error
    assert not list(tmp_path.glob("*.npz"))


def test_a_basis_of_other_corpora_and_a_foreign_file_are_not_replaced_unasked(au3dmm, meshes, tmp_path):
    out = tmp_path / "b.npz"
    mine = ("fit-bases", "--corpus", f"meshes:{meshes}", "--out", out, "--k-au", "3")
    assert au3dmm(*mine).code == 0
    before = out.read_bytes()
    refused = au3dmm("fit-bases", "--out", out, "--k-au", "3", "--no-pictures")
    assert refused.code == 2
    assert "holds a basis learnt from mine; --force replaces it" in refused.error
    assert out.read_bytes() == before
    assert au3dmm("fit-bases", "--out", out, "--k-au", "3", "--no-pictures", "--force").code == 0
    assert out.read_bytes() != before
    # the pictures showed the basis that was replaced
    assert not list(tmp_path.glob("b.*.png"))
    assert not (tmp_path / "b.html").exists()
    out.write_text("my thesis")
    refused = au3dmm(*mine, "--no-pictures")
    assert (refused.code, out.read_text()) == (2, "my thesis")
    assert "no basis file" in refused.error


def test_two_corpora_of_one_name_are_told_apart(au3dmm, tmp_path):
    options = ("--corpus", "synthetic:0", "--corpus", "synthetic:1", "--k-au", "4", "--no-pictures")
    assert au3dmm("fit-bases", "--out", tmp_path / "b.npz", *options).code == 0
    info = read_bases(tmp_path / "b.npz").info
    assert [c["name"] for c in info["corpora"]] == ["synthetic", "synthetic-2"]
    assert info["k_id"] == 7


def test_pictures_that_an_interrupted_run_did_not_draw_are_drawn_by_the_next(au3dmm, tmp_path, monkeypatch):
    from au3dmm.report import component_sheet

    out = tmp_path / "b.npz"
    assert au3dmm("fit-bases", "--out", out, "--k-au", "3").code == 0
    before = (tmp_path / "b.components.png").read_bytes()

    def interrupted(path, bases, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(component_sheet, "write_component_sheet", interrupted)
        assert au3dmm("fit-bases", "--out", out, "--k-au", "4").code == 130
    assert au3dmm("fit-bases", "--out", out, "--k-au", "4").code == 0
    assert (tmp_path / "b.components.png").read_bytes() != before


def test_two_runs_do_not_write_one_file_at_once(au3dmm, tmp_path):
    from au3dmm.io.atomic import file_lock

    with file_lock(tmp_path / "b.npz"):
        answer = au3dmm("fit-bases", "--out", tmp_path / "b.npz")
    assert answer.code == 4
    assert "another au3dmm is working on it" in answer.error


def test_a_bare_path_is_met_with_a_guess(au3dmm, meshes):
    assert f"did you mean meshes:{meshes}?" in au3dmm("fit-bases", "--corpus", meshes).error


def test_a_corpus_without_landmarks_says_how_to_bring_a_head(au3dmm, tmp_path):
    made = make_corpus(subjects=2).corpus
    folder = tmp_path / "trainingdata"
    folder.mkdir()
    np.save(folder / "data_verts.npy", made.frames)
    import pickle

    index = {}
    for s in made.sequences:
        index.setdefault(s.subject_id, {})[s.name] = {i: int(r) for i, r in enumerate(s.rows)}
    (folder / "subj_seq_to_idx.pkl").write_bytes(pickle.dumps(index, protocol=2))
    (folder / "templates.pkl").write_bytes(pickle.dumps(dict(made.neutrals), protocol=2))
    options = ("--corpus", f"vocaset:{folder}", "--out", tmp_path / "b.npz", "--k-au", "3", "--no-pictures")
    answer = au3dmm("fit-bases", *options)
    assert answer.code == 5
    assert "au3dmm assets import --flame FILE --landmarks FILE" in answer.error
    assert "corpus.toml" not in answer.error
    # the head that it was made from, brought as a user's own
    from au3dmm.io.heads import Head, write_head

    write_head(Head("mine", made.neutrals["p1"], made.faces, made.embedding, licence="ours"))
    assert au3dmm("fit-bases", *options).code == 0
    assert read_bases(tmp_path / "b.npz").kind == "learned"


def test_a_full_disk_leaves_nothing_half_written(au3dmm, tmp_path, monkeypatch):
    def full(fd):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    answer = au3dmm("fit-bases", "--out", tmp_path / "b.npz", "--k-au", "3", "--no-pictures")
    assert answer.code == 4
    assert "No space left on device" in answer.error
    assert not list(tmp_path.iterdir())


def test_a_killed_run_leaves_nothing_half_written_and_can_be_repeated(tmp_path, meshes):
    command = [sys.executable, "-m", "au3dmm", "fit-bases", "--corpus", f"meshes:{meshes}", "--k-au", "3"]
    command += ["--no-pictures", "--progress", "json"]
    whole = tmp_path / "whole.npz"
    subprocess.run([*command, "--out", str(whole)], check=True, capture_output=True)
    for after in ("read meshes", "learn K=3"):
        out = tmp_path / after.replace(" ", "_") / "b.npz"
        process = subprocess.Popen(
            [*command, "--out", str(out)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        deadline = time.monotonic() + 60
        for line in process.stderr:
            if f'"{after}"' in line or time.monotonic() > deadline:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        if out.exists():
            assert out.read_bytes() == whole.read_bytes()
        subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
        assert out.read_bytes() == whole.read_bytes()
