"""Every au3dmm command on every page is one that there is: its name, its options and their values."""

import re
import shlex

import click
import pytest

from au3dmm.cli.app import cli
from au3dmm.cli.init_dataset import init_dataset
from au3dmm.config import load_pipeline
from au3dmm.models import MODELS
from au3dmm.training_config import load_training
from markdown_pages import ROOT, code_of, name_of, pages

# what stands for something of the reader's own: DIR, F.raw, $R, {seed}, ..., <name>, mine.toml, NAME=DIR
PLACEHOLDER = re.compile(r"[A-Z][A-Z_/]*\d?(?:\.\w+)?|.*[${<*].*|.*\.\.\..*|.+=[A-Z/]+")
SHIPPED = {"run": "{}.toml", "train": "train_{}.toml", "experiment": "experiments/{}.toml"}
CODE = ("bash", "sh", "console", "", "indented")


def commands_of(text):
    """Yield (line, arguments, whether the command stands there to be typed)."""
    for code in code_of(text):
        if code.kind == "inline":
            if code.text.startswith("au3dmm "):
                yield code.line, code.text.removeprefix("au3dmm "), False
        elif code.kind in CODE:
            lines = code.text.replace("\\\n", "  ").splitlines()
            for n, line in enumerate(lines):
                for match in re.finditer(r"(?:^|[;|(]|\bdo|\bexec|-m)\s*au3dmm (?P<rest>.*)", line):
                    yield code.line + n, match["rest"], True


def words_of(rest):
    """Return the words of one command: up to a comment, the next command, or words that say what it does."""
    rest = re.split(r"\s{3,}(?![-\[\s$])", rest.strip())[0]
    lexer = shlex.shlex(rest.replace("[--", " --").replace("]", " "), posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words = []
    for word in lexer:
        if set(word) <= set(";&|()<>"):
            break
        words.append(word)
    return words


def check(words, complete):
    """Refuse words that click would refuse, but for values that stand for something."""
    command, path = cli, ["au3dmm"]
    while isinstance(command, click.Group):
        if not words:
            assert not complete, f"{' '.join(path)}: which of {', '.join(command.commands)}?"
            return
        if words[0].startswith("-"):
            break
        if not complete and words[0].isupper():
            return  # any of them
        assert words[0] in command.commands, f"{' '.join(path)} has no {words[0]!r}"
        command, path, words = command.commands[words[0]], [*path, words[0]], words[1:]
    if words in (["--help"], ["--version"]):
        return
    if path[1:] == ["init"] and "--layout" in words:
        command = init_dataset
    context = click.Context(command, info_name=" ".join(path))
    options = {name: param for param in command.params for name in (*param.opts, *param.secondary_opts)}
    if not complete and words and words[-1] in options and not options[words[-1]].is_flag:
        words = [*words, "VALUE"]  # named without one
    values, rest, _ = command.make_parser(context).parse_args(args=list(words))
    assert not rest, f"{rest} are too many"
    given = {name: value for name, value in values.items() if isinstance(value, str | list | tuple | bool) and value}
    for param in command.params:
        if complete and param.required:
            assert param.name in given, f"{' '.join(path)} needs {param.opts[0]}"
        if param.name in given and not isinstance(param.type, click.Path) and not getattr(param, "is_flag", False):
            value = given[param.name]
            for one in value if isinstance(value, list | tuple) else [value]:
                if not PLACEHOLDER.fullmatch(str(one)):
                    param.type.convert(one, param, context)
    check_shipped(path[1], given)


def check_shipped(name, given):
    """Refuse names of files that are not shipped, and values that a pipeline or a training file does not have."""
    folder = ROOT / "pipelines"
    keys = (
        ("pipeline",) if name in ("run", "label") else ("config", "file", "experiment")
    )  # elsewhere: which run is meant
    file = next((given[key] for key in keys if key in given), None)
    shipped = None
    if name in SHIPPED and file is not None and not PLACEHOLDER.fullmatch(file) and not file.endswith(".toml"):
        shipped = folder / SHIPPED[name].format(file)
        assert shipped.is_file(), f"{name} {file}: no {shipped.relative_to(ROOT)}"
    if name == "train":
        changes = [change for change in given.get("changes", ()) if not PLACEHOLDER.fullmatch(change)]
        model = given.get("model")
        shown = model is None or PLACEHOLDER.fullmatch(model)
        assert shown or model in MODELS or (folder / f"train_{model}.toml").is_file(), f"there is no model {model}"
        load_training(shipped, changes, model if model in MODELS else None)
    elif shipped is not None and name == "run":
        load_pipeline(shipped)


FOUND = [
    (name_of(path), line, rest, complete) for path in pages() for line, rest, complete in commands_of(path.read_text())
]


@pytest.mark.parametrize(("page", "line", "rest", "complete"), FOUND, ids=[f"{p}:{n}" for p, n, *_ in FOUND])
def test_every_command_on_a_page_is_one_that_there_is(page, line, rest, complete):
    try:
        check(words_of(rest), complete)
    except (click.ClickException, ValueError, AssertionError) as err:
        raise AssertionError(f"{page}:{line}: au3dmm {rest}: {err}") from err


def test_commands_are_found_wherever_they_stand():
    assert len(FOUND) > 150
    assert sum(complete for *_, complete in FOUND) > 80
    assert {"README.md", "docs/tutorial.md", "docs/flame.md", "docs/scaling.md"} <= {page for page, *_ in FOUND}


@pytest.mark.parametrize(
    "wrong",
    [
        "lable --session DIR",
        "label --session DIR --overlays",
        "label --overlay",
        "label --session DIR --sync guess",
        "run --dataset DIR --limit many",
        "run nowhere --dataset DIR",
        "events inform FILE",
        "train reduced --labels DIR --set data.n_frmes=3",
        "train --labels DIR --model resnet19",
        "doctor FILE",
    ],
)
def test_commands_that_there_are_not_are_refused(wrong):
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever refuses it
        check(words_of(wrong), complete=True)


@pytest.mark.parametrize("path", sorted((ROOT / "docs/examples").glob("*.sbatch")), ids=lambda p: p.name)
def test_the_examples_for_clusters_call_commands_that_there_are(path):
    found = [line for line in path.read_text().replace("\\\n", "  ").splitlines() if re.match(r"(exec )?au3dmm ", line)]
    assert found
    for line in found:
        # options of the reader's own come out of a variable
        check([word for word in words_of(line.split("au3dmm ", 1)[1]) if word != "${AU3DMM_OPTIONS:-}"], complete=True)


def test_every_make_target_and_script_on_a_page_is_there():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    n = 0
    for path in pages():
        for code in code_of(path.read_text()):
            for command in re.findall(r"^make ((?:[a-z]+ ?)+)", code.text, re.M):
                assert set(command.split()) <= targets, f"{name_of(path)}:{code.line}: make {command}"
                n += 1
            for script in re.findall(r"^(?:\S+=\S+ )*python ((?:benchmarks|docs)/\w+\.py)", code.text, re.M):
                assert (ROOT / script).is_file(), f"{name_of(path)}:{code.line}: {script}"
                n += 1
    assert n > 15
