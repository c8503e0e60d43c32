import json

import pytest

from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.session import Manifest, read_session
from planted import write_manifest


@pytest.mark.shared
@pytest.mark.parametrize("name", ["pexels_trigger", "single_motion"])
def test_the_shared_manifests_are_read_as_they_are(shared_data, name):
    session = read_session(shared_data / "sessions" / name)
    assert session.session_id == name
    assert session.manifest.rgb.exposure_us == 8000
    assert session.file(session.manifest.rgb.file).is_file()


def test_the_schema_can_be_printed():
    schema = json.dumps(Manifest.model_json_schema())
    assert "trigger_id" in schema


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sycn]\nmethod = 'start'", r"unknown name 'sycn': did you mean 'sync'\?"),
        ("[sync]\nmetod = 'start'", r"unknown name 'sync.metod': did you mean 'method'\?"),
        ("[sync]\nmethod = 'trigered'", r"sync.method: .*'trigger', 'shared', 'start' or 'motion', found 'trigered'"),
        ("[sync]\nrising_edge = 'exposure_end'", r"sync: rising_edge and falling_edge cannot both be 'exposure_end'"),
        ("[sync]\nmethod =", "not valid TOML"),
    ],
)
def test_a_typo_gets_a_hint_in_one_line(tmp_path, text, message):
    path = write_manifest(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as err:
        read_session(tmp_path)
    assert str(path) in str(err.value)
    assert "\n" not in str(err.value)


@pytest.mark.parametrize("name", ["../other", "a b", "", ".hidden", "a/b"])
def test_a_session_id_is_never_a_path(tmp_path, name):
    path = write_manifest(tmp_path)
    path.write_text(path.read_text().replace('"s01"', json.dumps(name)))
    with pytest.raises(ConfigError, match=r"session.session_id: use letters, digits"):
        read_session(tmp_path)


def test_a_folder_without_a_manifest_says_how_to_get_one(tmp_path):
    with pytest.raises(ConfigError, match=r"no session.toml in it; `au3dmm init"):
        read_session(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        read_session(tmp_path / "none")


def test_rgb_needs_exactly_one_source(tmp_path):
    path = write_manifest(tmp_path)
    path.write_text(path.read_text().replace('file = "rgb.mp4"', "width = 640"))
    with pytest.raises(ConfigError, match="rgb: give exactly one of file"):
        read_session(tmp_path)


def test_images_need_timestamps(tmp_path):
    path = write_manifest(tmp_path)
    path.write_text(path.read_text().replace('file = "rgb.mp4"', 'folder = "frames"'))
    with pytest.raises(ConfigError, match="a folder of images needs timestamps"):
        read_session(tmp_path)


def test_a_file_that_the_manifest_names_and_is_not_there_is_named(tmp_path):
    write_manifest(tmp_path)
    with pytest.raises(SessionError, match=r"rgb.mp4: no such file; .*session.toml names it"):
        read_session(tmp_path).input_fingerprint("rgb")


def test_a_changed_video_or_section_changes_its_fingerprint_and_no_other(tmp_path):
    write_manifest(tmp_path)
    (tmp_path / "rgb.mp4").write_bytes(b"a" * 3_000_000)
    (tmp_path / "events.raw").write_bytes(b"b")
    session = read_session(tmp_path)
    parts = ("rgb", "events", "sync", "session", "landmarks")
    before = {p: session.input_fingerprint(p) for p in parts}
    (tmp_path / "rgb.mp4").write_bytes(b"a" * 2_999_999 + b"c")
    assert session.input_fingerprint("rgb") != before["rgb"]
    assert {p: session.input_fingerprint(p) for p in parts[1:]} == {p: before[p] for p in parts[1:]}
    write_manifest(tmp_path, "[sync]\nmethod = 'shared'")
    assert read_session(tmp_path).input_fingerprint("sync") != before["sync"]


def test_a_focal_length_belongs_to_the_camera_and_not_to_the_video(tmp_path):
    path = write_manifest(tmp_path)
    (tmp_path / "rgb.mp4").write_bytes(b"a")
    before = {p: read_session(tmp_path).input_fingerprint(p) for p in ("rgb", "camera")}
    path.write_text(path.read_text().replace('file = "rgb.mp4"', 'file = "rgb.mp4"\nfocal_px = 700.0'))
    after = {p: read_session(tmp_path).input_fingerprint(p) for p in ("rgb", "camera")}
    assert after["rgb"] == before["rgb"]
    assert after["camera"] != before["camera"]


def test_only_images_of_a_folder_count(tmp_path):
    path = write_manifest(tmp_path)
    path.write_text(path.read_text().replace('file = "rgb.mp4"', 'folder = "f"\ntimestamps = "t.csv"'))
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "0.png").write_bytes(b"a")
    (tmp_path / "t.csv").write_text("x")
    before = read_session(tmp_path).input_fingerprint("rgb")
    (tmp_path / "f" / ".DS_Store").write_bytes(b"b")
    (tmp_path / "f" / "notes.txt").write_bytes(b"c")
    assert read_session(tmp_path).input_fingerprint("rgb") == before
    (tmp_path / "f" / "1.png").write_bytes(b"d")
    assert read_session(tmp_path).input_fingerprint("rgb") != before


def test_events_without_a_word_on_clocks_are_refused(tmp_path):
    path = write_manifest(tmp_path)
    path.write_text(path.read_text().replace('[sync]\nmethod = "start"\n', ""))
    with pytest.raises(ConfigError, match=r"\[events\] needs a \[sync\].*'trigger'.*'shared'.*'start'"):
        read_session(tmp_path)


def test_rgb_times_on_the_event_clock_need_no_sync(tmp_path):
    path = write_manifest(tmp_path)
    text = path.read_text().replace('[sync]\nmethod = "start"\n', "")
    path.write_text(text.replace('file = "rgb.mp4"', 'file = "rgb.mp4"\nclock = "event"'))
    assert read_session(tmp_path).manifest.rgb.clock == "event"


def test_own_notes_are_welcome(tmp_path):
    write_manifest(tmp_path, '[notes]\nlens = "16 mm"\n[source]\nlicence = "CC-BY-4.0"')
    assert read_session(tmp_path).manifest.notes == {"lens": "16 mm"}
