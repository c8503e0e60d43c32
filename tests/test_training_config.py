"""Training files: what is given wins in its order, and what is wrong is named with what was meant."""

from pathlib import Path

import pytest

from au3dmm.errors import ConfigError
from au3dmm.models.au_regions import units_of
from au3dmm.training_config import TrainParams, load_training

PIPELINES = Path(__file__).parents[1] / "pipelines"


def test_changes_win_over_the_file_and_the_file_over_defaults(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('model = "i3d"\n[optimise]\nlr = 0.5\nbatch = 3\n[options]\ndropout = 0.2\n')
    params = load_training(path, ["batch=7", "options.n_features=8", "data.classes=task", "seed=4"])
    assert (params.model, params.seed, params.optimise.lr, params.optimise.batch) == ("i3d", 4, 0.5, 7)
    assert params.options == {"dropout": 0.2, "n_features": 8}
    assert params.data.classes == "task"
    assert params.data.n_frames == TrainParams().data.n_frames
    assert load_training(path, model="st_vit").model == "st_vit"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[optimise]\nlr = 0", r"mine\.toml: optimise\.lr: input should be greater than 0, found 0"),
        ("[optimize]\nlr = 1", r"mine\.toml: unknown name 'optimize': did you mean 'optimise'\?"),
        (
            "[loss]\nclasses = 0\nalpha = 0",
            r"weights classes, alpha, occurrence, mesh and landmarks are all 0; expected one above",
        ),
        ("optimise = 3", r"mine\.toml: optimise: "),
        ("model = ", r"mine\.toml: not valid TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, says):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_training(tmp_path / "mine.toml")


TWO_FORMS = """
form = "reduced"
[optimise]
lr = 0.5
batch = 3
[reduced]
model = "i3d"
[reduced.optimise]
batch = 2
"""


def test_of_a_file_with_two_forms_one_line_says_which_is_meant(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TWO_FORMS)
    small = load_training(path)
    assert (small.model, small.optimise.lr, small.optimise.batch) == ("i3d", 0.5, 2)
    assert load_training(path, ["batch=7"]).optimise.batch == 7
    path.write_text(TWO_FORMS.replace('"reduced"', '"full"'))
    full = load_training(path)
    assert (full.model, full.optimise.lr, full.optimise.batch) == ("st_vit", 0.5, 3)
    assert load_training(path, ["form=reduced"]) == small
    path.write_text(TWO_FORMS)
    assert load_training(path, ["form=full"]) == full


def test_the_full_form_of_the_shipped_reduced_file_is_the_papers_network():
    reduced = load_training(PIPELINES / "train_reduced.toml")
    assert (reduced.data.image_px, reduced.data.n_frames) == (112, 32)
    assert load_training(PIPELINES / "train_reduced.toml", ["form=full"]) == load_training(
        PIPELINES / "train_st_vit.toml"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('form = "small"', r"mine\.toml: form = 'small', expected 'full' or 'reduced'"),
        ('form = "reduced"', r"mine\.toml: form = 'reduced', but there is no \[reduced\] that says what is smaller"),
        ("reduced = 3", r"mine\.toml: reduced = 3, expected sections such as \[reduced\.data\]"),
        ("[reduced.data]\nframes = 3", r"mine\.toml: unknown name 'data\.frames': did you mean 'n_frames'"),
    ],
)
def test_what_is_wrong_with_a_form_is_named_whichever_is_used(tmp_path, text, says):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_training(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("batch", r"--set 'batch': expected key=value, such as optimise\.batch=8"),
        ("=3", r"expected key=value"),
        ("steps.n=3", r"--set steps\.n: no section 'steps'; there are: data, augment, loss, optimise, mesh, options"),
        ("zzz=1", r"--set zzz: unknown name: known names: alpha, "),
        ("optimise=1", r"--set optimise: unknown name"),
    ],
)
def test_what_is_wrong_in_a_change_is_named(change, says):
    with pytest.raises(ConfigError, match=says):
        load_training(None, [change])


def test_values_read_as_toml_and_words_as_they_stand():
    params = load_training(None, ["alpha_by_std=true", "optimise.lr=2e-3", "monitor=loss", 'representation="voxel"'])
    assert (params.loss.alpha_by_std, params.optimise.lr, params.optimise.monitor) == (True, 2e-3, "loss")
    assert params.data.representation == "voxel"


@pytest.mark.parametrize("text", ["AU1,AU12", "AU1, AU12", '["AU1", "AU12"]'])
def test_several_units_are_named_by_commas_or_as_a_list(text):
    assert load_training(None, [f"units={text}"]).data.units == ("AU1", "AU12")
    assert load_training(None, ["data.units=AU1"]).data.units == ("AU1",)
    assert load_training(None, ["data.units="]).data.units == ()


def test_a_unit_that_stands_twice_is_refused():
    with pytest.raises(ConfigError, match="unit AU4 stands twice, expected each unit once"):
        load_training(None, ["units=AU4,AU1,AU4"])


@pytest.mark.parametrize(("name", "n"), [("mdhr_bp4d", 12), ("mdhr_disfa", 8)])
def test_published_trainings_name_the_units_of_their_region_tables(name, n):
    params = load_training(PIPELINES / f"train_{name}.toml")
    assert params.data.units == units_of(params.options["regions"])
    assert len(params.data.units) == n
