"""A synthetic session is whole, keeps its promises about clocks and truth, and is the same every time."""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from au3dmm.core.basis import Bases
from au3dmm.core.landmarks import LandmarkEmbedding
from au3dmm.errors import SchemaError
from au3dmm.io.annotations import read_annotations
from au3dmm.io.events import open_events
from au3dmm.io.session import read_session
from au3dmm.io.video import read_frames
from au3dmm.synthetic.person import default_person, make_person
from au3dmm.synthetic.session import TINY, write_session

FILES = ["events.raw", "occurrence.csv", "rgb.mp4", "rgb_timestamps.csv", "session.toml", "truth.json"]


def egg():
    """A head without features: an ellipsoid whose lower front opens (AU26), bulges on a side, or widens."""
    k = np.arange(600) + 0.5
    y, turn = 1 - 2 * k / 600, np.pi * (1 + np.sqrt(5)) * k
    ball = np.stack([np.sqrt(1 - y * y) * np.cos(turn), y, np.sqrt(1 - y * y) * np.sin(turn)], 1)
    hull = ConvexHull(ball)
    faces = hull.simplices.astype(np.int32)
    a, b, c = (ball[faces[:, i]] for i in range(3))
    inward = (np.cross(b - a, c - a) * (a + b + c)).sum(1) < 0
    faces[inward] = faces[inward][:, ::-1]
    head = ball * [0.07, 0.11, 0.09]
    front = (ball[:, 2] > 0.3)[:, None]
    fields = [front * (ball[:, 1:2] < -0.3) * [0, -0.01, 0], front * (ball[:, :1] > 0) * [0.0, 0.004, 0.004]]
    fields.append(front * (ball[:, :1] < 0) * [0.0, 0.004, 0.004])
    seen = np.flatnonzero(ball[faces].mean(1)[:, 2] > 0.5)[:68]
    spots = LandmarkEmbedding(seen.astype(np.int32), np.full((68, 3), 1 / 3))
    names = ("AU26", "AU12_left", "AU12_right")
    bases = Bases(head, faces, (head * [0.05, 0, 0])[None], np.stack(fields), np.ones(1), np.ones(3), spots, names)
    colours = np.where(np.sin(40 * ball[:, :1]) * np.sin(30 * ball[:, 1:2]) > 0, 200, 90) * np.ones(3)
    return bases, colours.astype(np.uint8)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    seen = []
    truth = write_session(
        folder,
        seconds=0.5,
        session_id="egg",
        setup=TINY,
        person=make_person(*egg(), seed=0),
        progress=lambda done, total: seen.append((done, total)),
    )
    return folder, truth, seen


@pytest.fixture(scope="module")
def stream(recorded):
    events, triggers = [], []
    for chunk in open_events(recorded[0] / "events.raw").stream():
        events.append(chunk.events.unpack())
        triggers.append(chunk.triggers)
    return np.concatenate(events), np.concatenate(triggers)


def test_every_file_is_there_and_the_manifest_reads(recorded):
    folder, truth, _ = recorded
    assert sorted(p.name for p in folder.iterdir()) == FILES
    session = read_session(folder)
    assert session.session_id == "egg"
    assert session.manifest.session.simulated_events
    assert session.manifest.sync.method == "trigger"
    assert (session.manifest.rgb.width, session.manifest.rgb.height) == TINY.rgb_size
    assert session.manifest.rgb.frames == truth["rgb_frames"] == 15
    assert json.loads((folder / "truth.json").read_text()) == json.loads(json.dumps(truth))


def test_the_video_has_the_times_of_the_csv_start_offset_included(recorded):
    folder, _, _ = recorded
    rows = np.loadtxt(folder / "rgb_timestamps.csv", delimiter=",", skiprows=1, dtype=np.int64)
    frames = list(read_frames(folder / "rgb.mp4"))
    assert [pts for pts, _ in frames] == rows[:, 1].tolist()
    assert rows[0].tolist() == [0, 20_000, 16_000, 24_000]
    np.testing.assert_array_equal((rows[:, 2] + rows[:, 3]) // 2, rows[:, 1])
    assert frames[0][1].shape == (240, 320, 3)


def test_trigger_edges_lie_where_the_clock_says(recorded, stream):
    folder, truth, _ = recorded
    _, triggers = stream
    rows = np.loadtxt(folder / "rgb_timestamps.csv", delimiter=",", skiprows=1, dtype=np.int64)
    expected = truth["offset_raw_s"] * 1e6 + (1 + truth["drift_ppm"] * 1e-6) * rows[:, 2:]
    np.testing.assert_allclose(triggers["t"], expected.ravel(), atol=0.51)
    assert triggers["p"].tolist() == [1, 0] * 15
    assert set(triggers["id"].tolist()) == {truth["trigger_id"]} == {0}


def test_the_truth_about_the_events_is_what_a_reader_finds(recorded, stream):
    folder, truth, _ = recorded
    events, _ = stream
    assert len(events) == truth["event_count"] > 3_000
    assert int(events["p"].sum()) == truth["event_count_on"]
    assert (int(events["t"][0]), int(events["t"][-1])) == (truth["first_event_raw_us"], truth["last_event_raw_us"])
    assert open_events(folder / "events.raw").t_shift_us == truth["raw_base_us"]
    assert truth["offset_s"] * 1e6 + truth["raw_base_us"] == pytest.approx(truth["offset_raw_s"] * 1e6, abs=1)


def test_the_24_bit_clock_runs_over_inside_the_video(recorded):
    _, truth, _ = recorded
    assert truth["wraps_24bit_inside"] == 1
    assert truth["rgb_first_frame_raw_us"] < 1 << 24 < truth["rgb_last_frame_raw_us"]


def test_events_cover_every_frame_and_come_with_the_motion(recorded, stream):
    _, truth, _ = recorded
    events, _ = stream
    assert truth["first_event_raw_us"] < truth["rgb_first_frame_raw_us"] - 20_000
    assert truth["last_event_raw_us"] > truth["rgb_last_frame_raw_us"] + 20_000
    (movement,) = [m for m in truth["movements"] if m["name"] == "smile"]
    to_raw = [truth["offset_raw_s"] * 1e6 + movement[key] for key in ("start_us", "end_us")]
    during = ((events["t"] > to_raw[0]) & (events["t"] < to_raw[1])).sum() / (to_raw[1] - to_raw[0])
    still = ((events["t"] < to_raw[0]) | (events["t"] > to_raw[1])).sum()
    still = still / (events["t"][-1] - events["t"][0] - (to_raw[1] - to_raw[0]))
    assert during > 1.2 * still


def test_the_truth_starts_and_ends_neutral_and_smiles_in_between(recorded):
    _, truth, _ = recorded
    alpha = np.array(truth["alpha_au"])
    assert alpha.shape == (15, 3)
    assert truth["names_au"] == ["AU26", "AU12_left", "AU12_right"]
    assert not alpha[[0, -1]].any()
    assert (alpha[7, 1:] > 1.5).all()
    assert len(truth["rotation_vector"]) == len(truth["scale_px_per_m"]) == len(truth["translation_px"]) == 15


def test_the_action_units_of_its_frames_read_back_as_annotations(recorded):
    folder, truth, _ = recorded
    table = read_annotations(read_session(folder)).to_pylist()
    assert {(row["kind"], row["origin"], row["vocabulary"]) for row in table} == {
        ("frame_occurrence", "simulated", "au")
    }
    smile = {row["frame_index"] for row in table if row["label"] == "AU12" and row["value"]}
    alpha = np.array(truth["alpha_au"])[:, truth["names_au"].index("AU12_left")]
    assert smile == set(np.flatnonzero(alpha >= 0.6).tolist())
    assert len(smile) > 3


def test_progress_counts_every_picture_once(recorded):
    _, _, seen = recorded
    assert [done for done, _ in seen] == list(range(1, seen[-1][1] + 1))
    assert all(b[1] == a[1] for a, b in pairwise(seen))


def test_writing_again_gives_the_same_bytes_and_another_seed_others(recorded, tmp_path):
    folder, _, _ = recorded
    for name, seed in (("again", 0), ("other", 1)):
        person = make_person(*egg(), seed=seed)
        write_session(tmp_path / name, seed=seed, seconds=0.5, session_id="egg", setup=TINY, person=person)
    for name in FILES:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    for name in ("events.raw", "rgb.mp4", "truth.json"):
        assert (folder / name).read_bytes() != (tmp_path / "other" / name).read_bytes(), name


def test_the_embedded_head_is_somebody_whose_face_is_skin_in_front():
    person = default_person(0)
    assert person.alpha_id.shape == (person.bases.k_id,)
    assert np.abs(person.alpha_id).max() <= 1.5
    assert person.albedo.shape == person.neutral.shape
    vertices = person.placed(np.zeros(person.bases.k_au), np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(vertices, person.neutral)
    colours = person.lit(vertices)
    assert np.isfinite(colours).all()
    assert colours[:, 0].max() > 0.3


def test_colours_of_another_head_are_refused():
    bases, colours = egg()
    with pytest.raises(SchemaError, match=r"albedo \(10, 3\) for a head of \(600, 3\)"):
        make_person(bases, colours[:10], 0)
