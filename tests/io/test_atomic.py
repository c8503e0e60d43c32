import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from au3dmm.errors import OutputError
from au3dmm.io.atomic import atomic_path, file_lock, folder_lock, remove_leftovers, write_bytes, write_json


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a" / "labels.parquet"
    write_bytes(path, b"first")

    def write_half():
        with atomic_path(path) as tmp:
            tmp.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"first"
    assert [p.name for p in path.parent.iterdir()] == ["labels.parquet"]


def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path, what in ((pipe, "a pipe"), (tmp_path / "link", "a pipe"), (Path("/dev/null"), "a device")):
        with pytest.raises(OutputError, match=f"{path}: {what}, which a file cannot take the place of"):
            write_bytes(path, b"text")
        with pytest.raises(OutputError, match=f"{path}: {what}"), file_lock(path):
            pass
    assert pipe.is_fifo()
    assert (tmp_path / "link").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "pipe"]
    assert not Path("/dev/null").is_file()


def test_a_link_is_replaced_and_what_it_points_to_is_not_touched(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert ((tmp_path / "link").read_bytes(), (tmp_path / "link").is_symlink()) == (b"new", False)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"labels.parquet: cannot be written: No space left on device"):
        write_bytes(tmp_path / "labels.parquet", b"x")
    assert not list(tmp_path.iterdir())


def test_a_really_full_disk_is_one_line():
    with pytest.raises(OutputError, match="cannot be written"):
        write_bytes(Path("/proc/au3dmm/labels.parquet"), b"x")


def test_an_input_that_cannot_be_read_is_not_called_a_failure_to_write(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out"):
        (tmp_path / "elsewhere" / "in").read_bytes()
    assert not list(tmp_path.iterdir())


def test_json_of_equal_values_has_equal_bytes(tmp_path):
    write_json(tmp_path / "a", {"b": 1, "a": [1.5, None]})
    write_json(tmp_path / "b", {"a": [1.5, None], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_leftovers_of_a_killed_writer_are_removed_and_nothing_else(tmp_path):
    write_bytes(tmp_path / "labels.parquet", b"x")
    (tmp_path / ".labels.parquet.writing").write_bytes(b"half")
    (tmp_path / ".hidden").write_bytes(b"keep")
    assert [p.name for p in remove_leftovers(tmp_path)] == [".labels.parquet.writing"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".hidden", "labels.parquet"]


def test_a_second_run_on_one_folder_is_refused_and_a_killed_one_frees_it(tmp_path):
    code = (
        "import sys, time, pathlib\nfrom au3dmm.io.atomic import folder_lock\n"
        "with folder_lock(pathlib.Path(sys.argv[1])):\n print('held', flush=True)\n time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another au3dmm is working"), folder_lock(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
    with folder_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_says_so():
    with pytest.raises(OutputError, match="choose another folder with --out"), folder_lock(Path("/proc/au3dmm")):
        pass


def test_a_file_is_locked_until_it_is_released_and_nothing_stays_behind(tmp_path):
    from au3dmm.io.atomic import file_lock

    with file_lock(tmp_path / "new" / "a.npz"):
        with (
            pytest.raises(OutputError, match=r"a.npz: another au3dmm is working on it"),
            file_lock(tmp_path / "new" / "a.npz"),
        ):
            pass
        with file_lock(tmp_path / "new" / "b.npz"):
            pass
    with file_lock(tmp_path / "new" / "a.npz"):
        pass
    assert not list((tmp_path / "new").iterdir())
