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


def in_dataset(tmp_path, defaults, session="", name="dataset.toml"):
    """A session two folders below a dataset's file."""
    (tmp_path / name).write_text(f'[dataset]\nname = "d"\n{defaults}')
    folder = tmp_path / "raw" / "s01"
    folder.mkdir(parents=True)
    text = '[session]\nsession_id = "s01"\nsubject_id = "p01"\n' + (session or '[rgb]\nfile = "rgb.mp4"\n')
    (folder / "session.toml").write_text(text)
    return folder


def test_what_a_session_does_not_say_the_dataset_says(tmp_path):
    defaults = (
        '[defaults.rgb]\nfile = "rgb.mp4"\nexposure_us = 8000\n[defaults.events]\nfile = "events.raw"\n'
        '[defaults.sync]\nmethod = "trigger"\ntrigger_id = 3\n[defaults.session]\ntask = "smile"\n'
        '[defaults.source]\nlicence = "mine"\n'
    )
    manifest = read_session(in_dataset(tmp_path, defaults, "[sync]\ntrigger_id = 0\n")).manifest
    assert (manifest.rgb.file, manifest.rgb.exposure_us, manifest.events.file) == ("rgb.mp4", 8000, "events.raw")
    assert (manifest.sync.method, manifest.sync.trigger_id) == ("trigger", 0)
    assert manifest.session.task == "smile"
    assert manifest.source == {"licence": "mine"}


def test_defaults_count_like_the_sessions_own_words(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = in_dataset(tmp_path / "a", "", '[rgb]\nfile = "rgb.mp4"\nexposure_us = 8000\n')
    short = in_dataset(tmp_path / "b", "[defaults.rgb]\nexposure_us = 8000\n")
    for folder in (plain, short):
        (folder / "rgb.mp4").write_bytes(b"a")
    assert read_session(plain).input_fingerprint("rgb") == read_session(short).input_fingerprint("rgb")


def test_a_session_of_images_does_not_get_the_defaults_video(tmp_path):
    session = '[rgb]\nfolder = "frames"\ntimestamps = "t.csv"\n'
    manifest = read_session(in_dataset(tmp_path, '[defaults.rgb]\nfile = "rgb.mp4"\nwidth = 640\n', session)).manifest
    assert (manifest.rgb.file, manifest.rgb.folder, manifest.rgb.width) == (None, "frames", 640)


def test_defaults_of_events_make_no_events_where_there_are_none(tmp_path):
    defaults = '[defaults.events]\nwidth = 1280\nheight = 720\n[defaults.sync]\nmethod = "trigger"\n'
    assert read_session(in_dataset(tmp_path, defaults)).manifest.events is None


def test_the_nearest_dataset_counts_alone(tmp_path):
    (tmp_path / "dataset.toml").write_text('[dataset]\nname = "outer"\n[defaults.rgb]\nexposure_us = 1\nwidth = 7\n')
    (tmp_path / "inner").mkdir()
    folder = in_dataset(tmp_path / "inner", "[defaults.rgb]\nexposure_us = 2\n")
    rgb = read_session(folder).manifest.rgb
    assert (rgb.exposure_us, rgb.width) == (2, None)


def test_a_changed_default_is_seen_at_once(tmp_path):
    folder = in_dataset(tmp_path, "[defaults.rgb]\nexposure_us = 1000\n")
    assert read_session(folder).manifest.rgb.exposure_us == 1000
    (tmp_path / "dataset.toml").write_text('[dataset]\nname = "d"\n[defaults.rgb]\nexposure_us = 20000\n')
    assert read_session(folder).manifest.rgb.exposure_us == 20_000


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        (
            "[defaults.rgb]\nexposre_us = 1\n",
            r"dataset.toml: unknown name 'defaults.rgb.exposre_us': did you mean 'exp",
        ),
        ("[defaults.rgb]\nexposure_us = -1\n", r"dataset.toml: defaults.rgb.exposure_us: .*found -1"),
        ("defaults = 3\n", r"dataset.toml: defaults: input should be"),
        ("[defaults", r"dataset.toml: not valid TOML"),
    ],
)
def test_a_wrong_default_is_told_against_the_dataset(tmp_path, defaults, message):
    folder = in_dataset(tmp_path, "")
    (tmp_path / "dataset.toml").write_text(defaults)
    with pytest.raises(ConfigError, match=message):
        read_session(folder)


def test_a_wrong_name_of_the_session_is_told_against_the_session(tmp_path):
    folder = in_dataset(tmp_path, "[defaults.rgb]\nexposure_us = 1\n", "[rgb]\nfile = 'a'\nexposre_us = 1\n")
    with pytest.raises(ConfigError, match=r"session.toml: unknown name 'rgb.exposre_us'"):
        read_session(folder)


def test_a_section_that_is_no_table_is_told_not_merged(tmp_path):
    folder = in_dataset(tmp_path, "[defaults.sync]\nmethod = 'start'\n", "sync = 3\n[rgb]\nfile = 'a'\n")
    text = (folder / "session.toml").read_text()
    (folder / "session.toml").write_text("sync = 3\n" + text.replace("sync = 3\n", ""))
    with pytest.raises(ConfigError, match=r"session.toml: sync: input should be"):
        read_session(folder)


def test_files_may_be_named_by_their_whole_path_and_moving_them_changes_no_fingerprint(tmp_path):
    prints = []
    for place in ("disk_a", "disk_b"):
        raw = tmp_path / place
        raw.mkdir()
        (raw / "rgb.mp4").write_bytes(b"a")
        write_manifest(tmp_path / "session")
        path = tmp_path / "session" / "session.toml"
        path.write_text(path.read_text().replace('"rgb.mp4"', json.dumps(str(raw / "rgb.mp4"))))
        session = read_session(path)
        assert session.file(session.manifest.rgb.file) == raw / "rgb.mp4"
        prints.append(session.input_fingerprint("rgb"))
    assert prints[0] == prints[1]


SEGMENT = '[[annotations]]\nkind = "segment"\norigin = "coder"\nlabel = "AU12"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[annotations]]\nkind = "video_class"\norigin = "coder"', "a video_class needs label"),
        (SEGMENT + "onset_us = 5", "a segment needs offset_us"),
        (SEGMENT + "onset_us = 5\noffset_us = 5", r"onset_us, apex_us, offset_us are 5, 5, expected them to increase"),
        (SEGMENT + "onset_us = 5\napex_us = 4\noffset_us = 9", r"are 5, 4, 9, expected"),
        (SEGMENT + 'onset_us = 1\noffset_us = 2\nfile = "a.csv"', "a segment has no file"),
        ('[[annotations]]\nkind = "frame_occurrence"\norigin = "coder"', "a frame_occurrence needs file"),
        ('[[annotations]]\nkind = "frame_intensity"\norigin = "coder"\nfile = "a"\nonset_us = 1', "has no onset_us"),
        (SEGMENT.replace("coder", "guess") + "onset_us = 1\noffset_us = 2", r"annotations.0.origin: .*found 'guess'"),
        (SEGMENT + "onset_us = 1\noffset_us = 2\nvocabulary = 'A U'", r"annotations.0.vocabulary: "),
        (SEGMENT + "onset = 1\noffset_us = 2", r"unknown name 'annotations.0.onset'"),
    ],
)
def test_an_annotation_that_makes_no_sense_is_refused(tmp_path, text, message):
    write_manifest(tmp_path, text)
    with pytest.raises(ConfigError, match=message):
        read_session(tmp_path)


def test_annotations_change_nothing_that_is_computed(tmp_path):
    write_manifest(tmp_path)
    for name in ("rgb.mp4", "events.raw"):
        (tmp_path / name).write_bytes(b"a")
    parts = ("rgb", "events", "sync", "session", "landmarks")
    before = [read_session(tmp_path).input_fingerprint(part) for part in parts]
    write_manifest(tmp_path, SEGMENT + "onset_us = 1\noffset_us = 2")
    assert [read_session(tmp_path).input_fingerprint(part) for part in parts] == before
