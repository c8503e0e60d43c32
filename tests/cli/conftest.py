"""Command lines run in this process, on a small recording."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from au3dmm.cli import run
from small_recording import write_recording


@dataclass
class Answer:
    """What a command line gave: exit code, stdout, and the lines of stderr."""

    code: int
    out: str
    err: list[str]

    @property
    def error(self):
        """The one line that says what went wrong."""
        errors = [line for line in self.err if line.startswith("error: ")]
        assert len(errors) == 1, self.err
        assert not any("Traceback" in line for line in self.err)
        return errors[0]


@pytest.fixture
def au3dmm(capsys):
    """Run a command line in this process."""

    def call(*argv):
        capsys.readouterr()
        code = run([str(arg) for arg in argv])
        out, err = capsys.readouterr()
        return Answer(code, out, err.splitlines())

    return call


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """The recording, made once; and beside it `bases.npz`."""
    folder = tmp_path_factory.mktemp("template") / "s01"
    folder.mkdir()
    write_recording(folder)
    return folder


@pytest.fixture
def recording(template, tmp_path):
    """A copy of the recording, to be changed at will."""
    shutil.copytree(template, tmp_path / "s01")
    return tmp_path / "s01"


@pytest.fixture
def label(au3dmm, recording, template):
    """Label the recording, with more options."""

    def call(*options, session: Path = recording):
        given = {str(option) for option in options}
        bases = () if "--bases" in given else ("--bases", template.parent / "bases.npz")
        detector = () if "--detector" in given else ("--detector", "precomputed")
        return au3dmm("label", "--session", session, *bases, *detector, *options)

    return call


@pytest.fixture
def folder_of(recording):
    """Where the recording's files go."""
    return recording / "derivatives" / "au3dmm" / "label" / "sessions" / "s01"
