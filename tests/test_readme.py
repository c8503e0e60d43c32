"""What README tells a newcomer to type runs: its Python, on a labelled recording, and the commands it names."""

import re
import shutil
from pathlib import Path

import pytest

import au3dmm

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture(scope="module")
def labelled(tiny_session, tmp_path_factory):
    dataset = tmp_path_factory.mktemp("readme") / "demo"
    shutil.copytree(tiny_session, dataset / "rawdata" / "tiny")
    result = au3dmm.run_dataset(dataset, options=au3dmm.RunOptions(executor="serial"))
    assert result.exit_code == 0
    return tiny_session, dataset


def test_the_python_of_the_readme_runs_in_the_order_it_stands(labelled, tmp_path, capsys):
    session, dataset = labelled
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(blocks) >= 6
    namespace: dict[str, object] = {}
    for block in blocks:
        code = block.replace(
            "out/demo/derivatives/au3dmm/label/sessions/S001_AU12_1", "out/demo/derivatives/au3dmm/label/sessions/tiny"
        )
        code = code.replace("out/demo", str(dataset)).replace(
            '"path/to/recording"', f"{str(session)!r}, out={str(tmp_path)!r}"
        )
        exec(compile(code, "README.md", "exec"), namespace)
    assert "18 of 18 frames" in capsys.readouterr().out


def test_every_command_the_readme_names_exists():
    from au3dmm.cli.app import cli

    named = set(re.findall(r"(?:`|^    )au3dmm ([a-z-]+)", README, flags=re.M))
    assert {"label", "fit-bases", "assets", "inspect", "validate", "doctor", "init", "schema", "weights"} <= named
    assert named <= set(cli.commands)


def test_every_file_the_readme_links_to_is_there():
    root = Path(__file__).parents[1]
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert target.startswith("https://") or (root / target).exists(), target
