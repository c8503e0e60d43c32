"""HDF5: the layouts, compression, Prophesee's ECF, refusals in one line, and damaged files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from au3dmm.errors import SessionError
from au3dmm.io.events import open_events
from au3dmm.io.events.hdf5 import Hdf5File, open_hdf5
from container_files import (
    HEIGHT,
    PROPHESEE_EVENT,
    WIDTH,
    encode_ecf,
    random_events,
    random_triggers,
    read_all,
    write_dsec,
    write_m3ed,
    write_prophesee,
)

h5py = pytest.importorskip("h5py", reason="HDF5 needs h5py")

EVENTS = random_events(9_000)
TRIGGERS = random_triggers(50, EVENTS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.h5"


def arrays(path: Path, group: str = "", events: np.ndarray = EVENTS, **attributes: Any) -> Path:
    """Write one array per field."""
    with h5py.File(path, "a") as file:
        for name in "txyp":
            file[f"{group}/{name}"] = events[name]
        for name, value in attributes.items():
            file[group or "/"].attrs[name] = value
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "gzip", "chunks": (1_000,), "shuffle": True},
        {"compression": "lzf", "chunks": (777,)},
        {"chunks": (100_000,), "maxshape": (None,), "fletcher32": True},
    ],
)
def test_dsec_is_read_on_the_clock_of_its_other_files(path: Path, options: dict[str, Any]) -> None:
    file = open_hdf5(write_dsec(path, EVENTS, t_offset=400_000, **options))
    events, triggers, report = read_all(file)
    assert np.array_equal(events, EVENTS)  # t_offset is added
    assert len(triggers) == 0
    assert not any(report.counts.values())
    assert (file.format, file.width, file.height, file.t_shift_us) == ("HDF5", 640, 480, 0)
    assert file.header["layout"] == "DSEC"
    assert file.header["sensor_size"] == "640x480 as of DSEC, the file does not say"


def test_the_manifest_overrules_a_size_that_only_the_layout_suggests(path: Path) -> None:
    file = open_hdf5(write_dsec(path, EVENTS), 1280, 720)
    assert (file.width, file.height) == (1280, 720)
    assert "sensor_size" not in file.header


def test_a_larger_sensor_in_the_layout_of_dsec_is_refused_until_somebody_says_its_size(path: Path) -> None:
    events = EVENTS.copy()
    events["x"][100] = 719  # one event is enough: nobody said 640
    write_dsec(path, events)
    file = open_hdf5(path)
    assert file.assumed_size == "640x480 as of DSEC, the file does not say"
    with pytest.raises(SessionError, match=r"1 event, up to column 719, row \d+, lies outside .* --width and --height"):
        read_all(file)[2].check(path)
    file = open_hdf5(path, 720, 480)
    assert file.assumed_size == ""
    events_found, _, report = read_all(file)
    report.check(path)
    assert np.array_equal(events_found, events)


def test_m3ed_gives_the_left_camera_or_the_one_that_is_named(path: Path) -> None:
    other = random_events(500, seed=7)
    write_m3ed(path, EVENTS, other)
    left, right = open_hdf5(path), open_hdf5(path, group="/prophesee/right")
    assert np.array_equal(read_all(left)[0], EVENTS)
    assert np.array_equal(read_all(right)[0], other)
    assert (left.width, left.height, left.header["group"]) == (1280, 720, "/prophesee/left")
    with pytest.raises(SessionError, match=r"no /top; expected one of /prophesee/left, /prophesee/right"):
        open_hdf5(path, group="/top")
    with pytest.raises(SessionError, match=r"no t, x, y and p in /prophesee; expected one of /prophesee/left, "):
        open_hdf5(path, group="/prophesee")


@pytest.mark.parametrize("packing", [-1, 0, 1, 2, None])
@pytest.mark.parametrize("chunk", [1_000, 16_384])
def test_prophesee_files_are_read_with_their_triggers(path: Path, packing: int | None, chunk: int) -> None:
    file = open_hdf5(write_prophesee(path, EVENTS, TRIGGERS, packing=packing, chunk=chunk))
    events, triggers, report = read_all(file)
    assert np.array_equal(events, EVENTS)
    assert np.array_equal(triggers, TRIGGERS)
    assert np.array_equal(file.triggers(), TRIGGERS)
    assert not any(report.counts.values())
    assert (file.width, file.height, file.header["serial_number"]) == (WIDTH, HEIGHT, "00050123")


def test_a_time_shift_that_the_vendor_states_is_given_but_not_applied(path: Path) -> None:
    write_prophesee(path, EVENTS, TRIGGERS)
    with h5py.File(path, "a") as file:
        file.attrs["time_shift"] = "999424"
    file = open_hdf5(path)
    assert file.t_shift_us == 999_424
    assert np.array_equal(read_all(file)[0], EVENTS)


def test_chunks_that_the_filter_skipped_are_read_as_they_are(path: Path) -> None:
    write_prophesee(path, EVENTS, TRIGGERS, packing=0, chunk=1_000)
    with h5py.File(path, "a") as file:
        table = np.zeros(1_000, PROPHESEE_EVENT)
        for name in "txyp":
            table[name] = EVENTS[name][2_000:3_000]
        file["CD/events"].id.write_direct_chunk((2_000,), table.tobytes(), filter_mask=1)
    assert np.array_equal(read_all(open_hdf5(path))[0], EVENTS)


def test_a_damaged_chunk_costs_its_events_only(path: Path) -> None:
    write_prophesee(path, EVENTS, TRIGGERS, packing=0, chunk=500)
    with h5py.File(path, "a") as file:
        file["CD/events"].id.write_direct_chunk((3_000,), encode_ecf(EVENTS[3_000:3_500], 0)[:-40])
        file["CD/events"].id.write_direct_chunk((5_000,), encode_ecf(EVENTS[5_000:5_200], 2))
    events, triggers, report = read_all(open_hdf5(path))
    assert np.array_equal(events, np.delete(EVENTS, np.r_[3_000:3_500, 5_200:5_500]))
    assert len(triggers) == len(TRIGGERS)
    assert report.counts["unknown_word"] == 800
    assert [(span.first, span.end) for span in report.spans] == [(3_000, 5_500)]  # near: told as one


def test_a_compressed_chunk_that_is_damaged_costs_its_events_only(path: Path) -> None:
    write_dsec(path, EVENTS, compression="gzip", chunks=(500,))
    with h5py.File(path, "a") as file:
        file["events/x"].id.write_direct_chunk((1_000,), b"no deflate stream")
    events, _, report = read_all(open_hdf5(path))
    assert np.array_equal(events, np.delete(EVENTS, np.arange(1_000, 1_500)))
    assert report.counts["unknown_word"] == 500
    assert [(span.first, span.end) for span in report.spans] == [(1_000, 1_500)]


def test_a_plain_file_is_read_wherever_its_arrays_are(tmp_path: Path) -> None:
    for group in ("", "events", "a/b/camera"):
        file = open_hdf5(arrays(tmp_path / f"{len(group)}.h5", group, width=WIDTH, height=HEIGHT))
        assert np.array_equal(read_all(file)[0], EVENTS)
        assert (file.width, file.height) == (WIDTH, HEIGHT)
    table = tmp_path / "table.h5"
    with h5py.File(table, "w") as file:
        file["events"] = EVENTS
    assert np.array_equal(read_all(open_hdf5(table, WIDTH, HEIGHT))[0], EVENTS)


def test_several_recordings_are_refused_with_their_names(path: Path) -> None:
    arrays(arrays(path, "a/one"), "b/two")
    with pytest.raises(SessionError, match=r"2 recordings: /a/one, /b/two; say which: events\.h5#/a/one"):
        open_hdf5(path, WIDTH, HEIGHT)
    assert len(read_all(open_hdf5(path, WIDTH, HEIGHT, "/b/two"))[0]) == len(EVENTS)


def test_the_size_must_be_known(path: Path) -> None:
    with pytest.raises(SessionError, match=r"events\.width and events\.height in session\.toml"):
        open_hdf5(arrays(path))


def write_other(path: Path, **datasets: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"t": EVENTS["t"] / 1e6}, r"/t is float64, expected whole microseconds"),
        ({"x": EVENTS["x"].reshape(-1, 1)}, r"/x has the shape \(9000, 1\), expected one value per event"),
        ({"p": np.array([b"on"] * 9_000, object)}, r"/p holds Python objects"),
        ({name: EVENTS[name][:0] for name in "txyp"}, r"no events: the arrays in / have length 0"),
        ({"t_offset": 1.5}, r"t_offset is \(\) of float64, expected one whole number"),
        ({"t_offset": 2**62}, r"t_offset is 4611686018427387904 us"),
    ],
)
def test_arrays_that_cannot_be_events_are_refused(path: Path, change: dict[str, Any], words: str) -> None:
    write_other(path, **{**{name: EVENTS[name] for name in "txyp"}, **change})
    with pytest.raises(SessionError, match=words) as caught:
        open_hdf5(path, WIDTH, HEIGHT)
    assert "\n" not in str(caught.value)


def test_a_file_without_events_says_what_it_holds(path: Path) -> None:
    write_other(path, image_raw=np.zeros(3), x=EVENTS["x"])
    with pytest.raises(SessionError, match=r"not an event recording: holds image_raw, x; expected data sets t, x, y"):
        open_hdf5(path)


def test_arrays_of_unequal_length_count_as_truncated(path: Path) -> None:
    write_other(path, **{**{name: EVENTS[name] for name in "txyp"}, "p": EVENTS["p"][:8_000]})
    events, _, report = read_all(open_hdf5(path, WIDTH, HEIGHT))
    assert np.array_equal(events, EVENTS[:8_000])
    assert report.counts["truncated"] == 1_000


def test_what_a_stopped_writer_has_not_written_is_not_read_as_zeros(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name in "txyp":
            place = file.create_dataset(name, (50_000,), EVENTS[name].dtype, chunks=(1_000,))
            place[:9_000] = EVENTS[name]
    events, _, report = read_all(open_hdf5(path, WIDTH, HEIGHT))
    assert np.array_equal(events, EVENTS)
    assert report.counts["truncated"] == 41_000
    with pytest.raises(SessionError, match="41000 of 50000 events that the file announces are missing at its end"):
        report.check(path)


def test_a_file_that_is_cut_short_is_refused(path: Path) -> None:
    write_dsec(path, EVENTS)
    path.write_bytes(path.read_bytes()[:-5_000])
    with pytest.raises(SessionError, match=r"not a whole HDF5 file: .*truncated file.*; is it still being written\?"):
        open_hdf5(path)
    path.unlink()
    with pytest.raises(SessionError, match=r"No such file"):
        open_hdf5(path)


def test_a_filter_that_is_not_installed_is_named_with_its_remedy(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name in "txyp":
            file.create_dataset(
                name, (9_000,), EVENTS[name].dtype, chunks=(9_000,), compression=65_000, allow_unknown_filter=True
            )
    with pytest.raises(SessionError, match=r"compressed by an unknown filter \(HDF5 filter 65000\), .* write the file"):
        open_hdf5(path, WIDTH, HEIGHT)


def test_blosc_and_zstd_are_read_where_hdf5plugin_is(path: Path) -> None:
    plugin = pytest.importorskip("hdf5plugin", reason="Blosc and Zstandard need hdf5plugin")
    for options in (plugin.Blosc(cname="zstd"), plugin.Zstd(), plugin.LZ4()):
        assert np.array_equal(read_all(open_hdf5(write_dsec(path, EVENTS, **options)))[0], EVENTS)


def test_without_hdf5plugin_the_message_gives_the_command(path: Path) -> None:
    plugin = pytest.importorskip("hdf5plugin", reason="Blosc and Zstandard need hdf5plugin")
    write_dsec(path, EVENTS, **plugin.Blosc(cname="zstd"))
    code = (
        "import sys; sys.modules['hdf5plugin'] = None\n"
        "from pathlib import Path\nfrom au3dmm.errors import SessionError\n"
        "from au3dmm.io.events.hdf5 import open_hdf5\n"
        "try: open_hdf5(Path(sys.argv[1]))\nexcept SessionError as err: print(err)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "is compressed by Blosc (HDF5 filter 32001), which is not installed: pip install hdf5plugin" in done.stdout


def test_without_h5py_the_message_gives_the_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(SessionError, match="reading it needs h5py: pip install h5py"):
        open_hdf5(path)


def test_arrays_in_other_files_are_not_read(path: Path, tmp_path: Path) -> None:
    arrays(tmp_path / "other.h5")
    with h5py.File(path, "w") as file:
        for name in "txy":
            file[name] = EVENTS[name]
        file.create_dataset("p", (9_000,), "u1", external=[(str(tmp_path / "other.h5"), 0, 9_000)])
    with pytest.raises(SessionError, match=r"/p is stored in another file"):
        open_hdf5(path, WIDTH, HEIGHT)
    with h5py.File(path, "w") as file:
        file["recording"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
    with pytest.raises(SessionError, match="not an event recording"):
        open_hdf5(path, WIDTH, HEIGHT)


def test_it_is_recognised_by_content_not_by_name(path: Path) -> None:
    write_dsec(path, EVENTS)
    file = open_events(path.rename(path.with_name("recording.raw")))
    assert isinstance(file, Hdf5File)
    assert np.array_equal(read_all(file)[0], EVENTS)


def test_a_heap_on_which_the_library_would_loop_for_ever_is_refused(path: Path) -> None:
    data = bytearray(write_prophesee(path, EVENTS[:300], TRIGGERS[:0]).read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 64 : heap + 400] = bytes(336)
    path.write_bytes(data)
    with pytest.raises(SessionError, match="damaged HDF5 file: a heap without an end; copy the file again"):
        open_hdf5(path)


MUTANTS = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from au3dmm.io.events.hdf5 import open_hdf5
from container_files import check_mutants
path = Path(sys.argv[1])
data = path.read_bytes()
check_mutants(data, path, range(3), open_hdf5)  # what is loaded and compiled once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(*check_mutants(data, path, range(int(sys.argv[2])), open_hdf5).values())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("layout", ["dsec", "gzip", "ecf"])
def test_damaged_files_are_read_in_part_or_refused(path: Path, layout: str) -> None:
    # in a process of its own: the HDF5 library is written in C
    if layout == "ecf":
        write_prophesee(path, EVENTS[:2_000], TRIGGERS[:0], chunk=256)
    else:
        options: dict[str, Any] = {"chunks": (256,), "compression": "gzip"} if layout == "gzip" else {}
        write_dsec(path, EVENTS[:2_000], **options)
    tests = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", MUTANTS, str(path), "120", tests],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    refused, read, lines, growth = map(int, done.stdout.split())
    assert refused > 30
    assert read > 15
    assert lines == 1
    assert growth < 200 << 10
