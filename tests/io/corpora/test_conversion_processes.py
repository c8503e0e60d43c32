import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import OutputError
from au3dmm.io.corpora import conversion
from au3dmm.io.corpora.conversion import convert_meshes
from corpora_trees import files_of


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path, many):
    root, frames, files = many
    for workers in (1, 2):
        got = convert_meshes(files, root, tmp_path / str(workers), workers=workers)
        np.testing.assert_array_equal(got.frames, frames)
    assert files_of(tmp_path / "1") == files_of(tmp_path / "2")


KILLED = """
import sys, time
from pathlib import Path
from au3dmm.io.corpora.conversion import convert_meshes
root, cache = map(Path, sys.argv[1:])
def progress(done, total):
    print(done, flush=True)
    if done:
        time.sleep(0.1)
if __name__ == "__main__":
    convert_meshes(sorted(root.glob("*.ply")), root, cache, workers=2, progress=progress)
"""


def test_a_killed_conversion_goes_on_and_leaves_no_process_behind(tmp_path, many):
    root, frames, files = many
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    command = [sys.executable, script, root, tmp_path / "cache"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) >= 256:
                break
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(process.pid, signal.SIGKILL)
    assert len(children) >= 2
    until = time.monotonic() + 10
    while any(Path(f"/proc/{child}/stat").exists() for child in children) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [child for child in children if Path(f"/proc/{child}/stat").exists()]
    assert not (tmp_path / "cache" / "index.json").exists()
    calls = []
    got = convert_meshes(files, root, tmp_path / "cache", workers=1, progress=lambda *n: calls.append(n))
    assert 256 <= calls[0][0] < 520
    np.testing.assert_array_equal(got.frames, frames)
    convert_meshes(files, root, tmp_path / "whole", workers=1)
    assert files_of(tmp_path / "cache") == files_of(tmp_path / "whole")


def test_a_worker_that_dies_is_told(tmp_path, many, monkeypatch):
    root, _, files = many
    monkeypatch.setattr(conversion, "_start_worker", sys.exit)  # each ends before it has done anything
    with pytest.raises(OutputError, match="a worker process died"):
        convert_meshes(files, root, tmp_path / "cache", workers=2)
