import os
import re
import sys
import tomllib

import numpy as np
import pytest

from au3dmm.discovery import discover, ids_of, manifest_text
from au3dmm.discovery.recording import are_exposures
from au3dmm.errors import ConfigError
from au3dmm.io.events import EVENT_DTYPE, TRIGGER_DTYPE, write_evt3
from au3dmm.io.session import Manifest, read_session
from raw_files import HEIGHT, WIDTH, camera_events, dat_bytes, evt2_words, header

N, INTERVAL = 40, 33_333


def edges_of(trigger_id, *, n=N, interval=INTERVAL, jitter=0, kinds=2, seed=0):
    """Both edges of exposures of 8 ms."""
    middle = 1_000_000 + interval * np.arange(n)
    edges = np.zeros(kinds * n, TRIGGER_DTYPE)
    edges["t"] = (middle[:, None] + np.array([0, 8000])[:kinds]).ravel()
    edges["t"] += np.random.default_rng(seed).integers(-jitter, jitter + 1, len(edges))
    edges["p"], edges["id"] = np.tile([1, 0][:kinds], n), trigger_id
    return edges


def noise(n, seed=0):
    """Edges as flipped bits make them: of any input, at any time, in any direction."""
    rng = np.random.default_rng(seed)
    edges = np.zeros(n, TRIGGER_DTYPE)
    edges["t"], edges["id"] = rng.integers(1_000_000, 1_000_000 + N * INTERVAL, n), rng.integers(0, 16, n)
    edges["p"] = rng.integers(0, 2, n)
    return edges


def write_events(path, *edges):
    events = np.zeros(3, EVENT_DTYPE)
    events["t"] = [995_000, 1_000_000, 3_000_000]
    triggers = np.concatenate([np.zeros(0, TRIGGER_DTYPE), *edges])
    triggers = triggers[np.argsort(triggers["t"], kind="stable")]
    write_evt3(path, events, triggers, width=64, height=48)


def flip_bits(path, share, seed=0):
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(seed)
    at = rng.integers(len(data) // 5, len(data), round(share * len(data)))
    data[at] ^= np.left_shift(1, rng.integers(0, 8, len(at))).astype(np.uint8)
    path.write_bytes(data.tobytes())


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "S07_smile"
    folder.mkdir()
    (folder / "face.MP4").write_bytes(b"video")
    (folder / "times.csv").write_text("# made by the recorder\nframe_index,pts_us\n" + rows(N))
    (folder / "notes.csv").write_text("who,what\n")
    write_events(folder / "camera.raw", edges_of(0))
    return folder


def rows(n):
    return "".join(f"{i},{i * INTERVAL}\n" for i in range(n))


def read_back(folder, found):
    (folder / "session.toml").write_text(manifest_text(found, "s", "p"))
    return read_session(folder).manifest


def test_a_video_with_timestamps_and_triggers_is_described_and_read_back(folder):
    manifest = read_back(folder, discover(folder))
    assert (manifest.rgb.file, manifest.rgb.timestamps) == ("face.MP4", "times.csv")
    assert (manifest.events.file, manifest.events.format) == ("camera.raw", "EVT3")
    assert (manifest.sync.method, manifest.sync.trigger_id) == ("trigger", 0)
    assert (manifest.session.session_id, manifest.session.subject_id) == ("s", "p")


def test_without_triggers_the_clock_is_measured_by_motion_and_the_file_says_what_else_there_is(folder):
    write_events(folder / "camera.raw")
    found = discover(folder)
    assert read_back(folder, found).sync.method == "motion"
    assert "which is a guess" in manifest_text(found, "s", "p")


@pytest.mark.parametrize(("name", "kind"), [("camera.npz", "NPZ"), ("camera.dat", "DAT"), ("camera2.raw", "EVT2")])
def test_every_format_that_is_read_is_found(folder, name, kind):
    (folder / "camera.raw").unlink()
    np.savez(folder / "landmarks.npz", points=np.zeros(3), t=np.zeros(3))
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    events = camera_events(50, 1000)
    if kind == "NPZ":
        np.savez(folder / name, **{field: events[field] for field in "txyp"}, width=WIDTH, height=HEIGHT)
    else:
        words = header("2.0") + evt2_words(events, np.zeros(0, TRIGGER_DTYPE)).astype("<u4").tobytes()
        (folder / name).write_bytes(dat_bytes(events) if kind == "DAT" else words)
    found = discover(folder)
    assert (found.events.path.name, found.events.format, found.events.unreadable) == (name, kind, None)
    assert read_back(folder, found).events.format == kind


def test_several_trigger_inputs_are_left_for_a_person_to_choose(folder):
    write_events(folder / "camera.raw", edges_of(0), edges_of(3))
    found = discover(folder)
    assert found.events.trigger_ids == (0, 3)
    assert read_back(folder, found).sync.trigger_id is None
    assert "# trigger_id: 0, 3" in manifest_text(found, "s", "p")


@pytest.mark.parametrize("n", [1, 7, 40, 150])
def test_edges_that_flipped_bits_invent_are_not_the_cameras(folder, n):
    write_events(folder / "camera.raw", noise(n))
    found = discover(folder)
    assert sum(found.events.edges.values()) == n
    assert found.events.trigger_ids == ()
    assert read_back(folder, found).sync.method == "motion"
    why = f"its {n} trigger edge" + ("s" if n > 1 else "")
    assert why in manifest_text(found, "s", "p")
    assert f"do not look like those of {N} RGB exposures" in manifest_text(found, "s", "p")


def test_edges_of_the_camera_are_found_among_those_of_noise(folder):
    write_events(folder / "camera.raw", edges_of(5), noise(12))
    found = discover(folder)
    assert found.events.trigger_ids == (5,)
    assert read_back(folder, found).sync.trigger_id == 5
    assert "# edges that do not look like exposures: " in manifest_text(found, "s", "p")


@pytest.mark.parametrize(
    ("edges", "yes"),
    [
        (edges_of(0), True),
        (edges_of(0, kinds=1), True),  # a camera set to one edge
        (np.delete(edges_of(0), [7, 30, 31]), True),
        (edges_of(0, n=3 * N), True),  # it ran longer than it recorded
        (edges_of(0, jitter=4000), True),
        (edges_of(0, n=N // 2 - 1), False),
        (edges_of(0, interval=5 * INTERVAL), False),
        (edges_of(0, interval=INTERVAL // 5, n=5 * N), False),
        (edges_of(0)[:3], False),
    ],
)
def test_edges_are_weighed_against_the_rgb_frames(edges, yes):
    edges["t"].sort()
    assert are_exposures(edges, INTERVAL * np.arange(N)) is yes


def test_where_frames_cannot_be_counted_edges_have_to_be_regular():
    assert are_exposures(edges_of(0), None)
    assert not are_exposures(edges_of(0)[:20], None)
    assert not any(are_exposures(np.sort(noise(n, seed=n), order="t"), None) for n in range(4, 90))


def test_a_damaged_file_is_said_to_be_damaged_and_one_that_is_refused_gives_no_clock(folder):
    path = folder / "camera.raw"
    events = camera_events(60_000, 1_200_000, 1_000_000)
    write_evt3(path, events, np.zeros(0, TRIGGER_DTYPE), width=WIDTH, height=HEIGHT)
    flip_bits(path, 1e-3)
    found = discover(folder)
    assert sum(found.events.edges.values()) > 0, "flipped bits make edges"
    assert found.events.trigger_ids == ()
    assert "outside the 320x240 sensor" in found.events.damage
    text = manifest_text(found, "s", "p")
    assert "# damaged, lost: " in text
    assert "the file is damaged, which invents edges" in text
    write_evt3(path, events, edges_of(0), width=WIDTH, height=HEIGHT)
    flip_bits(path, 0.3)
    found = discover(folder)
    assert "too damaged" in found.events.unreadable
    assert found.events.trigger_ids == ()
    assert "# label will refuse it: too damaged" in manifest_text(found, "s", "p")


def test_a_folder_of_images_needs_its_timestamps(folder):
    (folder / "face.MP4").unlink()
    (folder / "frames").mkdir()
    (folder / "frames" / "0001.jpg").write_bytes(b"image")
    assert read_back(folder, discover(folder)).rgb.folder == "frames"
    (folder / "times.csv").unlink()
    with pytest.raises(ConfigError, match="frames/ holds images but no CSV says when"):
        discover(folder)


def test_what_is_missing_is_said_in_comments(folder):
    for name in ("camera.raw", "times.csv"):
        (folder / name).unlink()
    found = discover(folder)
    manifest = read_back(folder, found)
    assert manifest.events is None
    assert manifest.rgb.timestamps is None
    text = manifest_text(found, "s", "p")
    assert "no event file was found" in text
    assert "\n[sync]" not in text  # nothing to relate
    assert "the times in the video file are used" in text


def test_an_event_file_that_cannot_be_read_is_named_with_the_reason(folder):
    (folder / "camera.raw").write_bytes(b"nonsense, not events")
    found = discover(folder)
    assert (found.events.format, found.events.trigger_ids) == (None, ())
    text = manifest_text(found, "s", "p")
    assert "# it could not be read: not a known event format" in text
    assert "nobody knows whether it has trigger edges" in text
    assert "no trigger edges were found" not in text
    assert read_back(folder, found).events.file == "camera.raw"


@pytest.mark.parametrize(
    ("name", "what"), [("side.mov", "video"), ("second.dat", "event file"), ("more.csv", "CSV of timestamps")]
)
def test_two_files_that_could_be_meant_are_refused_and_named(folder, name, what):
    (folder / name).write_text("frame_index,pts_us\n0,0\n")
    with pytest.raises(ConfigError, match=f"2 could be the {what}: .*{name}"):
        discover(folder)


def test_an_empty_folder_a_file_and_nothing_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no RGB recording: found nothing; expected one video"):
        discover(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="a file; expected the folder"):
        discover(tmp_path / "file")
    with pytest.raises(ConfigError, match="no such folder"):
        discover(tmp_path / "nowhere")


def test_hidden_files_and_results_are_left_alone(folder):
    (folder / ".old.mp4").touch()
    (folder / "derivatives").mkdir()
    (folder / "derivatives" / "overlay.png").touch()
    assert str(discover(folder).video) == "face.MP4"


def test_odd_file_names_survive_the_manifest(folder):
    name = 'a "face" \\ in \x7fKöln.mp4'
    (folder / "face.MP4").rename(folder / name)
    text = manifest_text(discover(folder), "s", "p")
    assert Manifest.model_validate(tomllib.loads(text)).rgb.file == name


def test_ids_are_the_shortest_names_that_differ(tmp_path):
    one = ids_of([tmp_path / "S01_smile", tmp_path / "S02_smile"])
    assert list(one.values()) == [("S01_smile", "S01"), ("S02_smile", "S02")]
    two = ids_of([tmp_path / "sub-01" / "take 1", tmp_path / "sub-02" / "take 1"])
    assert list(two.values()) == [("sub-01_take_1", "sub-01"), ("sub-02_take_1", "sub-02")]
    assert next(iter(ids_of([tmp_path / "anna"]).values())) == ("anna", "anna")
    with pytest.raises(ConfigError, match="same name"):
        ids_of([tmp_path / "a", tmp_path / "a"])


needs_any_name = pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names must be Unicode there")


@needs_any_name
@pytest.mark.parametrize("name", ["face.MP4", "times.csv", "camera.raw"])
def test_a_file_name_that_is_not_utf8_is_refused_by_name(folder, name):
    odd = os.fsdecode(b"K\xf6ln_" + name.encode())
    (folder / name).rename(folder / odd)
    with pytest.raises(
        ConfigError, match=r"K\\udcf6ln_" + re.escape(name) + r"': the name is not UTF-8, .*rename it"
    ) as err:
        discover(folder)
    str(err.value).encode()


@needs_any_name
def test_a_folder_whose_name_is_not_utf8_is_refused(folder):
    odd = folder.with_name(os.fsdecode(b"K\xf6ln"))
    folder.rename(odd)
    with pytest.raises(ConfigError, match=r"K\\udcf6ln': the name is not UTF-8"):
        discover(odd)


@needs_any_name
def test_other_files_may_have_any_name(folder):
    (folder / os.fsdecode(b"K\xf6ln.txt")).touch()
    assert str(discover(folder).video) == "face.MP4"


def test_a_csv_with_an_endless_field_is_no_csv_of_timestamps(folder):
    (folder / "notes.csv").write_text("x" * 200_000 + "\n")
    assert str(discover(folder).timestamps) == "times.csv"
