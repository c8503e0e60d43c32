"""A run that is killed leaves nothing that a second run does not put right."""

import os
import signal
import subprocess
import sys

import pytest

from au3dmm.validation import validate

# with everything of a file written under its temporary name, before it is renamed, and after
KILLED_AT_NTH_CALL = """
import os, signal, sys
from au3dmm.io import atomic
from au3dmm.cli import main
calls = []
def counted(real):
    def wrapped(*args):
        if len(calls) == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(args)
        real(*args)
    return wrapped
atomic.os.fsync, atomic.os.replace = counted(os.fsync), counted(os.replace)
main(sys.argv[2:])
"""


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("call", [0, 1, 3, 9, 16, 22])
def test_after_a_kill_the_next_run_gives_the_bytes_of_an_uninterrupted_one(label, recording, template, tmp_path, call):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert label("--out", whole).code == 0
    argv = ["label", "--session", recording, "--bases", template.parent / "bases.npz", "--detector", "precomputed"]
    command = [sys.executable, "-c", KILLED_AT_NTH_CALL, str(call), *map(str, argv), "--out", str(killed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert validate(killed).problems
    assert label("--out", killed).code == 0
    assert validate(killed).problems == ()
    assert contents(killed / "sessions" / "s01") == contents(whole / "sessions" / "s01")
