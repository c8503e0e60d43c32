"""What docs/pictures.md tells people to type is there, and its Python runs."""

import re
import shlex
from pathlib import Path

from au3dmm.cli.app import cli
from small_recording import write_recording

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "pictures.md").read_text()


def test_every_command_has_the_options_it_is_shown_with():
    lines = re.findall(r"^    au3dmm (.+)$", TEXT, flags=re.M) + re.findall(r"`au3dmm (plot[^`]+)`", TEXT)
    assert len(lines) >= 10
    for line in lines:
        name, *words = shlex.split(line)
        command = cli.commands[name]
        if name == "plot":
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
    flat = {option for name in ("render", "view") for p in cli.commands[name].params for option in p.opts}
    flat |= {option for command in cli.commands["plot"].commands.values() for p in command.params for option in p.opts}
    flat |= {option for p in cli.commands["label"].params for option in p.opts}
    assert set(re.findall(r"`(--[a-z-]+)", TEXT)) <= flat


def test_its_python_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    session = tmp_path / "s01"
    session.mkdir()
    write_recording(session)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
    how = f'{str(session)!r}, bases={str(tmp_path / "bases.npz")!r}, detector="precomputed"'
    block = block.replace('"path/to/recording"', how).replace("AU12", "AU7")
    exec(compile(block, "docs/pictures.md", "exec"), {})
    assert (tmp_path / "smile.pdf").read_bytes().startswith(b"%PDF")


def test_every_file_it_links_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert target.startswith("https://") or (ROOT / "docs" / target).exists(), target
