"""A model on a stream says what it says of clips alone, and files of events become the frames it was trained on."""

import json

import numpy as np
import pytest
import torch

from au3dmm.config import FramesParams
from au3dmm.errors import ConfigError, OutputError, SchemaError, SessionError
from au3dmm.io.events import TRIGGER_DTYPE, open_events
from au3dmm.io.events.evt3_writer import write_evt3
from au3dmm.io.tables import METADATA_KEY, read_table, vectors
from au3dmm.models import make_model
from au3dmm.training.evaluating import Trained
from au3dmm.training.framing import read_framing
from au3dmm.training.pictures import Scaling
from au3dmm.training.predicting import TABLE, predict
from au3dmm.training.streaming import Seeing, Stream
from au3dmm.training_config import TrainParams
from raw_files import camera_events

SCALING = Scaling("polarity", 1, 1 / 128, 128.0)
SMALL = {"n_classes": 3, "n_alpha": 4, "n_frames": 4, "channels": 1}
VIT = {"image_px": 16, "patch_px": 8, "dim": 16, "spatial_depth": 1, "temporal_depth": 1, "heads": 1, "dim_head": 16}
MODELS = {
    "st_vit": {**VIT, "n_occurrence": 2},
    "resnet18_lstm": {"image_px": 32},
    "i3d": {"image_px": 32},
}


def frames_of(n, side=20, seed=0):
    return np.random.default_rng(seed).choice(np.array([0, 128, 255], np.uint8), (n, 1, side, side))


def network(name):
    torch.manual_seed(0)
    return make_model(name, **SMALL, **MODELS[name]).eval()


def seeing(model, every=1):
    return Seeing((1, 20, 20), np.dtype(np.uint8), SCALING, model.config["options"]["image_px"], every, True)


def alone(model, frames, every, px):
    """The model's answer on a clip, written from the docs: resized, 0.5 is no event, nothing padded."""
    clip = torch.from_numpy(frames[::-every][: model.n_frames][::-1].copy())
    if px != clip.shape[-1]:
        clip = torch.nn.functional.interpolate(clip, (px, px), mode="bilinear", antialias=True, align_corners=False)
    x = ((clip.float() - 128) / 128 / 2 + 0.5).clamp(0, 1)
    with torch.inference_mode():
        return model(x[None])


@pytest.mark.parametrize(("name", "every"), [("st_vit", 1), ("st_vit", 3), ("resnet18_lstm", 2), ("i3d", 1)])
def test_an_answer_is_that_of_the_clip_that_ends_there(name, every):
    model, frames = network(name), frames_of(9 if name == "i3d" else 14)
    step = 4 if name == "i3d" else 1
    stream = Stream(model, seeing(model, every), torch.device("cpu"), step)
    parts = [
        stream.feed(frames[i : i + 5], np.ones(len(frames[i : i + 5]), np.int64)) for i in range(0, len(frames), 5)
    ]
    at = np.concatenate([part.frame for part in parts])
    assert at.tolist() == list(range(0, len(frames), step))
    for k, t in enumerate(at):
        said = alone(model, frames[: t + 1], every, model.config["options"]["image_px"])
        classes = np.concatenate([part.classes for part in parts])[k]
        np.testing.assert_allclose(classes, torch.softmax(said.logits, -1)[0], atol=1e-5)
        np.testing.assert_allclose(np.concatenate([p.alpha for p in parts])[k], said.alpha[0, -1], atol=1e-5)
        if said.occurrence is not None:
            found = np.concatenate([part.occurrence for part in parts])[k]
            np.testing.assert_allclose(found, torch.sigmoid(said.occurrence[0, -1]), atol=1e-5)
    lengths = np.concatenate([part.n_frames for part in parts])
    assert lengths.tolist() == [min(t // every + 1, model.n_frames) for t in at]


def test_how_a_stream_is_cut_into_blocks_changes_nothing():
    model, frames, n = network("st_vit"), frames_of(12), np.ones(12, np.int64)
    whole = Stream(model, seeing(model), torch.device("cpu")).feed(frames, n)
    stream = Stream(model, seeing(model), torch.device("cpu"))
    single = [stream.feed(frames[i : i + 1], n[:1]) for i in range(12)]
    np.testing.assert_allclose(whole.classes, np.concatenate([s.classes for s in single]), atol=1e-5)


def test_frames_without_events_are_remembered_and_empty_clips_not_answered():
    model, frames = network("st_vit"), frames_of(12)
    n_events = np.array([5, 0, 0, 0, 0, 0, 7, 1, 0, 0, 0, 0])
    frames[n_events == 0] = 128
    said = Stream(model, seeing(model), torch.device("cpu")).feed(frames, n_events)
    assert said.seen.tolist() == [True] * 4 + [False] * 2 + [True] * 5 + [False]
    assert not said.classes[~said.seen].any()
    expected = alone(model, frames[:9], 1, 16)
    np.testing.assert_allclose(said.classes[8], torch.softmax(expected.logits, -1)[0], atol=1e-5)


def test_only_the_last_clip_is_kept():
    model = network("st_vit")
    stream = Stream(model, seeing(model, every=2), torch.device("cpu"))
    for _ in range(5):
        stream.feed(frames_of(8), np.ones(8, np.int64))
    assert len(stream._kept) == len(stream._live) == 6


def trained(name="st_vit", frames=None, *, sensor=(64, 48), period=10_000, **said):
    """A checkpoint of a model that was trained on event frames of 16 px between RGB frames."""
    model = network(name)
    frames = FramesParams(size_px=16, **(frames or {}))
    labels = {
        "representation": SCALING.described(), "names_au": list("abcd"), "names_occurrence": ["AU1", "AU2"],
        "basis": "b", "k_au": 4,
        "event_frames": {"params": frames.model_dump(), "sensor": list(sensor), "period_us": period}, **said,
    }  # fmt: skip
    px = model.config["options"]["image_px"]
    params = TrainParams.model_validate({"model": name, "data": {"n_frames": 4, "image_px": px}})
    content = {"labels": labels, "model": model.config, "progress": {"step": 3}, "config": params.model_dump()}
    return Trained(model, params, ("AU1", "AU2", "AU4"), content)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "best.pt"
    path.write_bytes(b"x")
    return path


def recording(path, span_us=300_000, n=4000, gap_us=0):
    events = camera_events(n, span_us)
    events["x"] %= 64
    events["y"] %= 48
    if gap_us:
        events["t"][n // 2 :] += gap_us
    write_evt3(path, events, np.zeros(0, TRIGGER_DTYPE), width=64, height=48)
    return path


def test_a_file_becomes_a_row_per_window_of_the_mean_length(tmp_path, checkpoint):
    path = recording(tmp_path / "f.raw")
    said = predict(checkpoint, trained(), "f", open_events(path), tmp_path / "o", device="cpu")
    table = read_table(tmp_path / "o" / TABLE, "predictions")
    start, end = table["t_start_us"].to_numpy(), table["t_end_us"].to_numpy()
    assert (end - start == 10_000).all()
    assert (np.diff(start) == 10_000).all()
    assert len(table) == said.found["frames"] == said.found["rows"]
    assert 28 <= len(table) <= 31
    values, valid = vectors(table, "probabilities")
    assert valid.all()
    np.testing.assert_allclose(values.sum(1), 1, atol=1e-5)
    assert table["class"].to_pylist() == [("AU1", "AU2", "AU4")[i] for i in values.argmax(1)]
    assert said.found["windows"]["instead_of_rgb"]
    metadata = json.loads(table.schema.metadata[METADATA_KEY])
    assert metadata["schema_version"] == 1
    assert metadata["basis"]["names_au"] == list("abcd")
    assert said.overview.classes.shape == (len(table), 3)
    np.testing.assert_allclose(said.overview.classes, values, atol=1e-6)
    predict(checkpoint, trained(), "f", open_events(path), tmp_path / "again", device="cpu")
    assert (tmp_path / "o" / TABLE).read_bytes() == (tmp_path / "again" / TABLE).read_bytes()


def test_time_without_events_gives_rows_without_answers(tmp_path, checkpoint):
    path = recording(tmp_path / "f.raw", gap_us=1_000_000)
    said = predict(checkpoint, trained(), "f", open_events(path), tmp_path / "o", device="cpu")
    table = read_table(tmp_path / "o" / TABLE, "predictions")
    status = np.array(table["status"].to_pylist())
    n_events = table["n_events"].to_numpy()
    empty = np.array([not n_events[max(0, t - 3) : t + 1].any() for t in range(len(table))])
    assert empty.sum() > 90
    np.testing.assert_array_equal(status == "no_events", empty)
    np.testing.assert_array_equal(vectors(table, "alpha_au")[1], ~empty)
    assert said.found["no_events"] == empty.sum()


def test_sliding_windows_are_made_as_in_training(tmp_path, checkpoint):
    path = recording(tmp_path / "f.raw")
    model = trained(frames={"windows": "sliding", "accumulation_us": 20_000, "step_us": 5_000})
    predict(checkpoint, model, "f", open_events(path), tmp_path / "o", device="cpu", step=3)
    table = read_table(tmp_path / "o" / TABLE, "predictions")
    start, end = table["t_start_us"].to_numpy(), table["t_end_us"].to_numpy()
    assert (end - start == 20_000).all()
    assert (np.diff(start) == 15_000).all()
    assert (table["event_frame_index"].to_numpy() % 3 == 0).all()


def test_what_cannot_be_asked_is_refused_in_one_line(tmp_path, checkpoint):
    file = open_events(recording(tmp_path / "f.raw"))
    rgb = {**SCALING.described(), "name": "rgb"}
    cases = [
        (trained(representation=rgb), ConfigError, "trained on RGB frames"),
        (trained(representation=None), ConfigError, "reads coefficients, not events"),
        (trained(event_frames=None), ConfigError, "give --labels"),
        (trained(event_frames={"params": {}}), SchemaError, "damaged"),
        (trained(frames={"crop": "none"}, sensor=(64, 20)), SchemaError, "gives frames of 21 x 16 px"),
        (trained(representation={**SCALING.described(), "channels": 2}), SchemaError, "this au3dmm makes"),
        (trained(period=10_000_000), SessionError, "too short"),
    ]
    for model, kind, words in cases:
        with pytest.raises(kind, match=words) as caught:
            predict(checkpoint, model, "f", file, tmp_path / "o", device="cpu")
        assert "\n" not in str(caught.value)
    (tmp_path / "session.toml").write_text("")
    with pytest.raises(OutputError, match="holds a recording"):
        predict(checkpoint, trained(), "f", file, tmp_path, device="cpu")


def test_another_sensor_whose_frames_are_alike_is_warned_of(tmp_path, checkpoint, caplog):
    file = open_events(recording(tmp_path / "f.raw"))
    predict(checkpoint, trained(sensor=(640, 480)), "f", file, tmp_path / "o", device="cpu")
    assert "expect worse answers" in caplog.text


def test_periodic_windows_keep_their_rate():
    said = trained(frames={"windows": "periodic", "accumulation_us": 10_000, "fps": 30.0}).content
    framing = read_framing("x", said)
    assert (framing.params.accumulation_us, framing.period_us, framing.between_rgb) == (10_000, 33_333, False)
