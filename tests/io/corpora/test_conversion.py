import contextlib
import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import OutputError, SchemaError
from au3dmm.io.atomic import folder_lock
from au3dmm.io.corpora import blocks, conversion, conversion_cache
from au3dmm.io.corpora.conversion import convert_meshes
from corpora_trees import files_of, head_mesh, heads, write_files, write_ply


def stop_at(enough):
    def stop(done, total):
        if done >= enough:
            raise KeyboardInterrupt

    return stop


def count_reads(monkeypatch):
    seen = []
    real = blocks.read_frames
    monkeypatch.setattr(blocks, "read_frames", lambda path: seen.append(path) or real(path))
    return seen


def test_frames_come_out_in_order_in_metres_and_cannot_be_written(tmp_path):
    frames, files = write_files(tmp_path / "tree", 7)
    calls = []
    got = convert_meshes(files[::-1], tmp_path / "tree", tmp_path / "cache", progress=lambda *n: calls.append(n))
    np.testing.assert_array_equal(got.frames, frames[::-1])
    np.testing.assert_array_equal(got.faces, head_mesh().faces)
    assert got.frames.dtype == np.float32
    assert not got.frames.flags.writeable
    assert got.rows_ok.all()
    assert got.lost == ()
    assert calls == [(0, 7), (7, 7)]
    assert sorted(files_of(tmp_path / "cache")) == ["faces.npy", "frames.npy", "index.json"]


def test_the_unit_is_applied(tmp_path):
    write_ply(tmp_path / "a.ply", head_mesh().vertices * 1000)
    got = convert_meshes([tmp_path / "a.ply"], tmp_path, tmp_path / "cache", unit_m=0.001)
    np.testing.assert_allclose(got.frames[0], head_mesh().vertices, atol=1e-7)


def test_a_wrong_unit_is_recognised(tmp_path):
    write_ply(tmp_path / "a.ply", head_mesh().vertices * 1000)
    with pytest.raises(SchemaError, match=r"a head of 3\d\d m across, expected 0.05 to 3 m; is the unit mm\?"):
        convert_meshes([tmp_path / "a.ply"], tmp_path, tmp_path / "cache")


def test_an_npy_holds_a_whole_sequence(tmp_path):
    frames = heads(200)
    np.save(tmp_path / "long.npy", frames.astype(">f8"))
    np.save(tmp_path / "one.npy", frames[3])
    got = convert_meshes([tmp_path / "long.npy", tmp_path / "one.npy"], tmp_path, tmp_path / "cache")
    np.testing.assert_array_equal(got.frames, np.concatenate([frames, frames[3:4]]))
    np.testing.assert_array_equal(got.first_rows, [0, 200, 201])
    assert got.faces is None


def test_a_bad_frame_of_an_npy_is_named_by_its_number(tmp_path):
    frames = heads(200)
    frames[150, 3, 1] = np.inf
    np.save(tmp_path / "long.npy", frames)
    got = convert_meshes([tmp_path / "long.npy"], tmp_path, tmp_path / "cache")
    assert [(f.path, f.reason) for f in got.lost] == [("long.npy[150]", "1 of 56 vertices are not finite")]
    np.testing.assert_array_equal(np.flatnonzero(~got.rows_ok), [150])
    assert np.isnan(got.frames[150]).all()


def another_order(path, mesh):
    # triangles name the same corners by their new numbers: as a mesh it is the same
    order = np.random.default_rng(0).permutation(len(mesh.vertices))
    write_ply(path, mesh.vertices[order], np.argsort(order)[mesh.faces].astype(np.int32))


def nan(path, mesh):
    vertices = mesh.vertices.copy()
    vertices[[3, 9]] = np.nan
    write_ply(path, vertices)


def cut_short(path, mesh):
    write_ply(path, mesh.vertices)
    path.write_bytes(path.read_bytes()[:300])


BAD = {
    "other number of vertices": (lambda p, m: write_ply(p, m.vertices[:9], m.faces[:0]), "9 vertices, expected 56"),
    "other triangles": (lambda p, m: write_ply(p, m.vertices, m.faces[::-1, [0, 0, 1]]), "108 triangles other than"),
    "fewer triangles": (lambda p, m: write_ply(p, m.vertices, m.faces[1:]), "107 triangles other than the 108"),
    "other order": (another_order, "triangles other than"),
    "other order, same triangles": (lambda p, m: write_ply(p, np.roll(m.vertices, 20, axis=0)), "in another order"),
    "other unit": (lambda p, m: write_ply(p, m.vertices * 1000), "times as large as the others; another unit"),
    "collapsed": (lambda p, m: write_ply(p, m.vertices * 0), "all in one place"),
    "nan": (nan, "2 of 56 vertices are not finite"),
    "cut short": (cut_short, "cut short: 10 of its 56 vertices"),
    "empty": (lambda p, m: p.write_bytes(b""), "not a mesh"),
    "text": (lambda p, m: p.write_text("hello"), "not a mesh"),
    "a link to nowhere": (lambda p, m: p.symlink_to("nowhere.ply"), "No such file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_cannot_be_used_is_named_skipped_and_counted(tmp_path, kind):
    frames, files = write_files(tmp_path / "tree", 4)
    write, reason = BAD[kind]
    files[0].unlink()  # the first: it must not make all others look odd
    write(files[0], head_mesh())
    got = convert_meshes(files, tmp_path / "tree", tmp_path / "cache", max_lost=0.3)
    assert [file.path for file in got.lost] == ["00000.ply"]
    assert reason in got.lost[0].reason
    np.testing.assert_array_equal(got.rows_ok, [False, True, True, True])
    np.testing.assert_array_equal(got.frames[1:], frames[1:])
    with pytest.raises(SchemaError, match=r"1 or more of 4 frames cannot be used, expected at most 10 %: 00000.ply: "):
        convert_meshes(files, tmp_path / "tree", tmp_path / "cache", max_lost=0.1)


def test_the_same_triangles_in_another_order_are_no_other_topology(tmp_path):
    frames, files = write_files(tmp_path, 5)
    write_ply(files[2], frames[2], head_mesh().faces[::-1, [1, 2, 0]])
    got = convert_meshes(files, tmp_path, tmp_path / "cache")
    assert got.lost == ()
    np.testing.assert_array_equal(got.frames, frames)


def test_too_many_lost_files_end_the_run_early(tmp_path, many, monkeypatch):
    root, _, files = many
    bad = tmp_path / "bad.ply"
    bad.write_text("no mesh")
    reads = count_reads(monkeypatch)
    tree = [bad] * 50 + files[:470]
    monkeypatch.setattr(conversion, "file_name", lambda path, root: path.name)
    monkeypatch.setattr(blocks, "file_name", lambda path, root: path.name)
    with pytest.raises(SchemaError, match=r"50 or more of 520 frames .* bad.ply: .*; \.\.\.; mend or remove them"):
        convert_meshes(tree, root, tmp_path / "cache", workers=1)
    assert len(reads) == 128


def test_missing_or_unusable_trees_are_refused(tmp_path):
    with pytest.raises(SchemaError, match="no mesh files found"):
        convert_meshes([], tmp_path, tmp_path / "cache")
    _, files = write_files(tmp_path, 3)
    with pytest.raises(SchemaError, match=r"none of 3 sampled files .*/00000.ply: 56 vertices, expected 5023"):
        convert_meshes(files, tmp_path, tmp_path / "cache", n_vertices=5023)
    with pytest.raises(SchemaError, match=r"none of 3 sampled files .*: 108 triangles other than the 2 expected"):
        convert_meshes(files, tmp_path, tmp_path / "cache", faces=head_mesh().faces[:2])


def test_a_tree_is_converted_once_and_again_when_it_changes(tmp_path, monkeypatch):
    frames, files = write_files(tmp_path / "tree", 5)
    reads = count_reads(monkeypatch)

    def convert(**options):
        reads.clear()
        return convert_meshes(files, tmp_path / "tree", tmp_path / "cache", **options), len(reads)

    first, n = convert()
    assert n == 5
    again, n = convert()
    assert n == 0
    assert again.fingerprint == first.fingerprint
    write_ply(files[2], frames[0])
    os.utime(files[2], ns=(1, 1))
    changed, n = convert()
    assert n == 5
    np.testing.assert_array_equal(changed.frames[2], frames[0])
    assert changed.fingerprint != first.fingerprint
    _, n = convert(unit_m=2.0)
    assert n == 5
    write_ply(files[2], frames[2])
    back, _ = convert()
    assert back.fingerprint == first.fingerprint
    (tmp_path / "cache" / "frames.npy").write_bytes((tmp_path / "cache" / "frames.npy").read_bytes()[:-1])
    _, n = convert()
    assert n == 5


def test_what_is_finished_can_be_read_while_the_folder_cannot_be_written(tmp_path):
    frames, files = write_files(tmp_path / "tree", 3)
    cache = tmp_path / "cache"
    with folder_lock(cache), pytest.raises(OutputError, match="wait for it"):
        convert_meshes(files, tmp_path / "tree", cache)
    convert_meshes(files, tmp_path / "tree", cache)
    with folder_lock(cache):
        np.testing.assert_array_equal(convert_meshes(files, tmp_path / "tree", cache).frames, frames)


def test_a_cache_that_cannot_be_made_is_an_output_error(tmp_path):
    _, files = write_files(tmp_path / "tree", 3)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        convert_meshes(files, tmp_path / "tree", tmp_path / "file" / "cache")


def test_too_little_space_is_noticed_before_anything_is_read(tmp_path, monkeypatch):
    _, files = write_files(tmp_path / "tree", 3)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1000))
    with pytest.raises(OutputError, match=r"2.02e-06 GB needed for 3 frames, 1e-06 GB free; make room"):
        convert_meshes(files, tmp_path / "tree", tmp_path / "cache")
    assert list(files_of(tmp_path / "cache")) == []


def test_a_full_disk_is_an_output_error_and_the_next_run_goes_on(tmp_path, many, monkeypatch):
    root, frames, files = many
    real, calls = os.pwrite, []

    def full(fd, data, offset):
        calls.append(offset)
        if len(calls) > 300:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data[:100], offset)  # and a short write now and then

    monkeypatch.setattr(conversion, "_FRAMES_PER_BLOCK", 8)
    with monkeypatch.context() as m:
        m.setattr(os, "pwrite", full)
        with pytest.raises(
            OutputError, match=r"No space left on device; mend that and run again, what is done is kept"
        ):
            convert_meshes(files[:100], root, tmp_path / "cache", workers=1)
    assert not (tmp_path / "cache" / "index.json").exists()
    reads = count_reads(monkeypatch)
    got = convert_meshes(files[:100], root, tmp_path / "cache", workers=1)
    np.testing.assert_array_equal(got.frames, frames[:100])
    assert 0 < len(reads) < 100


def test_a_journal_of_blocks_of_another_size_is_not_gone_on_with(tmp_path, many, monkeypatch):
    root, frames, files = many
    with monkeypatch.context() as m:
        m.setattr(conversion, "_FRAMES_PER_BLOCK", 8)
        with pytest.raises(KeyboardInterrupt):
            convert_meshes(files[:100], root, tmp_path / "cache", workers=1, progress=stop_at(48))
    got = convert_meshes(files[:100], root, tmp_path / "cache", workers=1)
    np.testing.assert_array_equal(got.frames, frames[:100])


@pytest.mark.parametrize("cut", [0, 1, 25])
def test_an_interrupted_conversion_goes_on_with_the_same_bytes(tmp_path, many, monkeypatch, cut):
    root, _, files = many

    with pytest.raises(KeyboardInterrupt):
        convert_meshes(files, root, tmp_path / "a", workers=1, progress=stop_at(256))
    journal = tmp_path / "a" / ".journal.jsonl.writing"
    journal.write_bytes(journal.read_bytes()[: -cut or None])  # as a kill amid a write leaves it
    start = 256 if cut < 2 else 128
    for stop in (start + 128, 1000):  # once more interrupted: what is written after a torn line must count, too
        reads = count_reads(monkeypatch)
        with contextlib.suppress(KeyboardInterrupt):
            convert_meshes(files, root, tmp_path / "a", workers=1, progress=stop_at(stop))
        assert len(reads) == min(stop, 520) - start
        start = stop
    convert_meshes(files, root, tmp_path / "b", workers=1)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_run_killed_before_its_very_last_step_reads_nothing_again(tmp_path, monkeypatch):
    frames, files = write_files(tmp_path / "tree", 5)

    def killed(path, value):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(conversion_cache, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            convert_meshes(files, tmp_path / "tree", tmp_path / "cache")
    reads = count_reads(monkeypatch)
    got = convert_meshes(files, tmp_path / "tree", tmp_path / "cache")
    assert reads == []
    np.testing.assert_array_equal(got.frames, frames)


def test_what_another_tree_left_behind_is_not_mixed_in(tmp_path, many):
    root, frames, files = many

    with pytest.raises(KeyboardInterrupt):
        convert_meshes(files, root, tmp_path / "cache", workers=1, progress=stop_at(256))
    got = convert_meshes(files[::-1], root, tmp_path / "cache", workers=1)
    np.testing.assert_array_equal(got.frames, frames[::-1])


def test_names_of_any_bytes_are_read(tmp_path):
    frames, files = write_files(tmp_path / "tree", 2)
    odd = Path(os.fsdecode(os.fsencode(tmp_path / "tree") + b"/\xff\xe9.ply"))
    files[1].rename(odd)
    got = convert_meshes([files[0], odd], tmp_path / "tree", tmp_path / "cache")
    np.testing.assert_array_equal(got.frames, frames)
    assert json.loads((tmp_path / "cache" / "index.json").read_text())["counts"] == [1, 1]
