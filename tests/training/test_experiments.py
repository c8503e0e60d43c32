"""Experiments: shipped files are sound, runs are kept, tables say what was measured."""

import json
from pathlib import Path

import numpy as np
import pytest

from au3dmm.config import load_pipeline
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.training_labels import read_training_labels
from au3dmm.models import make_model
from au3dmm.training.clips import Clips
from au3dmm.training.experiments import read_experiment, run_experiment, training_params
from au3dmm.training.loop import LAST
from au3dmm.training.run import TrainOptions
from au3dmm.training_config import DataParams, ExperimentParams
from training_run import METADATA, UNITS, write_training_run

# au_d3dface.toml needs true motion: test_mesh_experiment.py
EXPERIMENTS = (Path(__file__).parents[2] / "pipelines" / "experiments").glob("*.toml")
SHIPPED = sorted(path for path in EXPERIMENTS if path.stem != "au_d3dface")
TINY = {
    "options": {},
    "data": {"n_frames": 8, "every": 1, "image_px": 16},
    "augment": {"crop_min": 1.0},
    "optimise": {"batch": 8, "epochs": 2, "lr": 0.01},
}
NETWORKS = {
    "st_vit": {"patch_px": 8, "dim": 8, "heads": 1, "dim_head": 8, "spatial_depth": 1, "temporal_depth": 1},
    "alpha_lstm": {"hidden": 8},
    "alpha_transformer": {"dim": 8, "heads": 1, "dim_head": 8, "mlp": 8},
    "mdhr": {"trunk": "resnet10_16", "width": 8, "n_dynamic": 8, "k": 2},
}
MOST = 3
SIZES = {"mdhr": {"data": {"image_px": 32}}}
CPU = TrainOptions(device="cpu")


FELT = {
    "AU1": {"instructed": "Fear", "reported": "Fear"},
    "AU2": {"instructed": "Anger", "reported": "None"},
    "AU51": {"instructed": "Sadness", "reported": "None"},
    "AU52": {"instructed": "Disgust"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_training_run(tmp_path_factory.mktemp("dataset"), people=3, n=12, emotions=FELT, coded=True)


def small(path, models=NETWORKS):
    """Return a shipped experiment with tiny networks: those that a CPU trains within a second, on events."""
    params = read_experiment(path)
    runs = [
        one.model_copy(
            update={
                "values": {**one.values, "options": {**one.values.get("options", {}), **NETWORKS[one.model]}},
                "reduced": SIZES.get(one.model, {}),
            }
        )
        for one in params.runs
        if one.model in models and one.values.get("data", {}).get("modality") != "rgb"
    ]
    if runs[0].model == "mdhr":  # the networks of the others are made by another test
        runs = [*runs[: MOST - 1], runs[-1]]
    return params.model_copy(update={"runs": tuple(runs), "reduced": TINY, "split": "val"})


def test_there_are_experiments():
    there = {path.stem for path in SHIPPED}
    assert there >= {
        "mdhr_blocks",
        "mdhr_layers",
        "mdhr_edges",
        "table2",
        "table3",
        "table5",
        "table6",
        "misalignment",
        "frame_rates",
    }


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_experiment_runs_and_its_table_says_what_was_measured(run, path, tmp_path):
    params = small(path)
    assert params.runs
    result = run_experiment(params, lambda _: run, tmp_path, reduced=True, seeds=(0,), options=CPU)
    lines = result.table.splitlines()
    assert lines[0] == f"# {params.title}"
    for one, found in zip([one for one in params.runs if one.table], result.results, strict=True):
        (row,) = [line for line in lines if line.startswith(f"| {one.name} |")]
        if "top1" in params.metrics:
            assert f"| {100 * found['overall']['top1']['value']:.1f} |" in row
        if "f1" in params.metrics:
            assert f"| {100 * found['overall']['f1']['value']:.1f} |" in row
        for value in one.paper.values():
            assert f"| {value:g} |" in row
    assert (tmp_path / "table.md").read_text() == result.table
    assert json.loads((tmp_path / "results.json").read_text())["results"] == result.results


def test_every_row_of_mdhr_is_another_network_in_both_forms():
    sizes = []
    for path in SHIPPED:
        params = read_experiment(path)
        for reduced in (False, True):
            rows = [training_params(params, run, 0, reduced).options for run in params.runs if run.model == "mdhr"]
            assert len(rows) == len({json.dumps(row, sort_keys=True) for row in rows})
            sizes += [len(rows)]
            for options in rows if reduced else ():
                make_model("mdhr", n_frames=16, image_px=64, n_occurrence=3, **options)
    assert sorted(sizes)[-6:] == [5, 5, 9, 9, 10, 10]


def test_what_is_trained_is_kept_and_seeds_are_averaged(run, tmp_path):
    path = next(path for path in SHIPPED if path.stem == "table2")
    params = small(path)
    run_experiment(params, lambda _: run, tmp_path, reduced=True, seeds=(0,), options=CPU)
    (first,) = tmp_path.glob("lstm/seed0/" + LAST)
    before = first.stat().st_mtime_ns
    result = run_experiment(params, lambda _: run, tmp_path, reduced=True, seeds=(0, 1), options=CPU)
    assert first.stat().st_mtime_ns == before
    assert len(result.results) == 4
    values = [100 * r["overall"]["top1"]["value"] for r in result.results if r["name"] == "LSTM"]
    assert f"| LSTM | {np.mean(values):.1f} +- {np.std(values, ddof=1):.1f} |" in result.table
    assert "seeds 0, 1" in result.table


def test_one_row_alone_leaves_the_others_in_the_table(run, tmp_path):
    params = small(next(path for path in SHIPPED if path.stem == "table2"))
    how = {"reduced": True, "seeds": (0,), "options": CPU}
    whole = run_experiment(params, lambda _: run, tmp_path, **how)
    one = run_experiment(params, lambda _: run, tmp_path, rows=("LSTM",), **how)
    assert one.table == whole.table
    alone = run_experiment(params, lambda _: run, tmp_path / "b", rows=("LSTM",), **how)
    assert "| LSTM |" in alone.table
    assert "| Transformer |" not in alone.table
    with pytest.raises(ConfigError, match="no such row; there are: Transformer; LSTM"):
        run_experiment(params, lambda _: run, tmp_path, rows=("GRU",), **how)


def test_rows_measured_on_labels_that_have_changed_leave_the_table(tmp_path, caplog):
    params = small(next(path for path in SHIPPED if path.stem == "table2"))
    one, other = (row.name for row in params.runs[:2])
    how = {"reduced": True, "seeds": (0,), "options": CPU}
    first, changed = (
        write_training_run(tmp_path / name, people=3, n=12, metadata={**METADATA, "fingerprint": name}) for name in "ab"
    )
    run_experiment(params, lambda _: first, tmp_path / "out", rows=[one], **how)
    found = run_experiment(params, lambda _: changed, tmp_path / "out", rows=[other], **how)
    assert [row["name"] for row in found.results] == [other]
    assert f"| {one} |" not in found.table
    assert f"row {one!r}, seed 0, was measured on labels that have changed since" in caplog.text


def test_labels_and_values_that_have_changed_are_told_before_anything_is_trained(tmp_path):
    params = small(next(path for path in SHIPPED if path.stem == "table2"))
    one, other = (row.name for row in params.runs[:2])
    how = {"reduced": True, "seeds": (0, 1), "options": CPU}
    first, changed = (
        write_training_run(tmp_path / name, people=3, n=12, metadata={**METADATA, "fingerprint": name}) for name in "ab"
    )
    run_experiment(params, lambda _: first, tmp_path / "out", rows=[other], **how)
    events = []
    with pytest.raises(
        SchemaError, match=rf"^row '{other}', seed 0 \(and 1 more\): .*the labels, or who is in which"
    ) as e:
        run_experiment(params, lambda _: changed, tmp_path / "out", on_event=events.append, **how)
    assert "train anew with --anew" in str(e.value)
    assert not events, "the first row is new, and would be trained for nothing"
    longer = params.model_copy(update={"reduced": {**TINY, "optimise": {**TINY["optimise"], "lr": 0.02}}})
    with pytest.raises(ConfigError, match=rf"^row '{other}', seed 0 .*begun with optimise.lr = 0.01, now 0.02; keep"):
        run_experiment(longer, lambda _: first, tmp_path / "out", on_event=events.append, **how)
    run_experiment(params, lambda _: changed, tmp_path / "out", rows=[one], **how)
    anew = {**how, "options": TrainOptions(device="cpu", anew=True)}
    assert len(run_experiment(params, lambda _: changed, tmp_path / "out", **anew).results) == 4


def test_a_run_may_begin_with_the_weights_of_another(run, tmp_path):
    one = {"name": "first", "model": "alpha_lstm", "values": {"options": {"hidden": 8}}}
    two = {"name": "second", "model": "alpha_lstm", "init": "first", "values": {"options": {"hidden": 8}}}
    params = ExperimentParams.model_validate({"title": "t", "split": "val", "runs": [one, two], "base": TINY_ALPHA})
    result = run_experiment(params, lambda _: run, tmp_path, options=CPU)
    assert [r["name"] for r in result.results] == ["first", "second"]
    with pytest.raises(ValueError, match="no run before it"):
        ExperimentParams.model_validate({"title": "t", "runs": [two, one]})


TINY_ALPHA = {"data": {"n_frames": 8}, "optimise": {"batch": 8, "epochs": 1}}


def test_the_reduced_form_wins_over_runs_and_runs_over_base():
    params = ExperimentParams.model_validate(
        {
            "title": "t",
            "base": {"data": {"n_frames": 20, "every": 2}},
            "reduced": {"data": {"every": 5}},
            "runs": [{"name": "a", "model": "st_vit", "values": {"data": {"every": 3}}}],
        }
    )
    full, reduced = (training_params(params, params.runs[0], 7, small) for small in (False, True))
    assert (full.data.n_frames, full.data.every, full.seed) == (20, 3, 7)
    assert (reduced.data.n_frames, reduced.data.every) == (20, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = 't'\n", "runs"),
        ("title = 't'\n[[runs]]\nname = 'a'\nmodel = 'st_vit'\nvalues = { data = { frames = 3 } }\n", "frames"),
        ("title = 't'\n[[runs]]\nname = 'a'\nmodel = 'i3d'\n[[runs]]\nname = 'A'\nmodel = 'i3d'\n", "same name"),
        ("title = 't'\nmetrics = ['luck']\n[[runs]]\nname = 'a'\nmodel = 'i3d'\n", "metrics"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, text, said):
    (tmp_path / "e.toml").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_experiment(tmp_path / "e.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reduced", [False, True])
def test_clips_of_all_frame_rates_span_the_same_time_and_see_the_same_share_of_it(reduced):
    path = next(path for path in SHIPPED if path.stem == "frame_rates")
    params = read_experiment(path)
    seconds, share = [], []
    for run, fps in zip(params.runs, (30, 60, 120, 240), strict=True):
        frames = load_pipeline(path.parents[1] / f"{run.pipeline}.toml").frames
        assert frames.windows == "periodic"
        assert frames.accumulation_us == round(1e6 / fps)
        data = training_params(params, run, 0, reduced).data
        seconds.append(data.n_frames * data.every * frames.accumulation_us * 1e-6)
        share.append(data.every)
    np.testing.assert_allclose(seconds, 2.5 if not reduced else 64 / 30, atol=1e-3)
    assert len(set(share)) == 1


@pytest.mark.parametrize("shift", [3, -3])
def test_shifted_labels_are_those_of_later_frames_and_missing_at_the_end(run, shift):
    labels = read_training_labels(run, occurrence=False)
    data = DataParams(n_frames=12)
    plain, late = (Clips(labels, [0], data.model_copy(update={"shift": s}), UNITS)[(0, 0)] for s in (0, shift))
    n = 12 - abs(shift)
    here, there = (slice(0, n), slice(shift, None)) if shift > 0 else (slice(-shift, None), slice(0, n))
    np.testing.assert_array_equal(late["alpha"][here], plain["alpha"][there])
    np.testing.assert_array_equal(late["known"][here], plain["known"][there])
    outside = np.ones(12, bool)
    outside[here] = False
    assert not late["known"].numpy()[outside].any()


def test_shifted_codes_are_missing_outside_of_the_recording_too(tmp_path):
    coded = write_training_run(tmp_path, people=2, n=12, coded=True)
    labels = read_training_labels(coded, occurrence=True)
    data = [DataParams(n_frames=12, shift=shift) for shift in (0, 3, -4)]
    plain, late, early = (Clips(labels, [0], one, UNITS)[(0, 0)]["occurrence"].numpy() for one in data)
    np.testing.assert_array_equal(late[:9], plain[3:])
    np.testing.assert_array_equal(early[4:], plain[:8])
    assert np.isfinite(plain[0]).any(), "it would be repeated"
    assert np.isnan(late[9:]).all()
    assert np.isnan(early[:4]).all()
