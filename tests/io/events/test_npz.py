"""NPZ: its members, streaming, refusals in one line, and damaged files."""

from __future__ import annotations

import io
import pickle
import resource
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.events import open_events
from au3dmm.io.events.npz import NpzFile
from container_files import HEIGHT, WIDTH, check_mutants, random_events, random_triggers, read_all

EVENTS = random_events(5_000)
TRIGGERS = random_triggers(40, EVENTS)
SIZE: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}
FIELDS = {name: EVENTS[name] for name in "txyp"}


def save(path: Path, compressed: bool = False, **arrays: Any) -> NpzFile:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return NpzFile(path)


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.npz"


@pytest.mark.parametrize("compressed", [False, True])
def test_one_array_per_field_is_read_and_triggers_with_it(path: Path, compressed: bool) -> None:
    file = save(path, compressed, **FIELDS, **SIZE, triggers=TRIGGERS, t_shift_us=4096)
    events, triggers, report = read_all(file)
    assert np.array_equal(events, EVENTS)
    assert np.array_equal(triggers, TRIGGERS)
    assert np.array_equal(file.triggers(), TRIGGERS)
    assert (file.format, file.width, file.height, file.t_shift_us) == ("NPZ", WIDTH, HEIGHT, 4096)
    assert not any(report.counts.values())


def test_one_structured_array_is_read_and_triggers_by_field(path: Path) -> None:
    by_field = {f"trigger_{name}": TRIGGERS[name] for name in ("t", "id", "p")}
    events, triggers, _ = read_all(save(path, True, events=EVENTS, **SIZE, **by_field))
    assert np.array_equal(events, EVENTS)
    assert np.array_equal(triggers, TRIGGERS)


def test_other_names_types_and_signs_are_read(path: Path) -> None:
    arrays = {
        "timestamps": EVENTS["t"].astype(">u8"),
        "xs": EVENTS["x"].astype("i4"),
        "ys": EVENTS["y"].astype("i8"),
        "polarity": EVENTS["p"].astype("i1") * 2 - 1,
    }
    events, triggers, _ = read_all(save(path, **arrays, **SIZE))
    assert np.array_equal(events, EVENTS)
    assert len(triggers) == 0


def test_the_manifest_gives_the_size_where_the_file_does_not(path: Path) -> None:
    with pytest.raises(SessionError, match=r"events\.width and events\.height in session\.toml"):
        save(path, **FIELDS)
    assert NpzFile(path, 700, 500).width == 700
    save(path, **FIELDS, **SIZE)
    with pytest.raises(ConfigError, match=r"sensor size is not clear"):
        NpzFile(path, 700, 500)


def test_many_blocks_are_read_in_little_memory(path: Path) -> None:
    n = 1_500_000
    step = np.arange(n) // 3
    np.savez(path, t=step, x=(step % WIDTH).astype("u2"), y=(step % HEIGHT).astype("u2"), p=step % 2 == 0, **SIZE)
    file, total, last = NpzFile(path), 0, -1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for chunk in file.stream():
        assert chunk.events.run_us[0] in (last, last + 1)
        total, last = total + len(chunk.events), chunk.events.run_us[-1]
    assert (total, last) == (n, n // 3 - 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10  # KiB; the arrays take 28 MiB more


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"vertices": np.zeros(3), "faces": np.zeros(3)},
            r"recording: holds faces, height, vertices, width; expected",
        ),
        ({}, r"not an event recording: holds height, width; expected"),
        ({**FIELDS, "t": EVENTS["t"] / 1e6}, r"t is float64, expected whole microseconds"),
        ({**FIELDS, "x": EVENTS["x"].astype(object)}, r"x holds Python objects, which are not read"),
        ({"events": EVENTS.astype(object)}, r"events holds Python objects, which are not read"),
        ({**FIELDS, "x": EVENTS["x"][:, None]}, r"x has the shape \(5000, 1\), expected one value per event: \(N,\)"),
        ({"events": np.zeros((9, 4))}, r"events is an array \(9, 4\) of float64 whose columns have no names; write"),
        ({"events": EVENTS[["t", "x", "y"]]}, r"events has the fields t, x, y, expected t, x, y, p"),
        ({name: EVENTS[name][:0] for name in "txyp"}, r"no events: its arrays have length 0"),
        ({**FIELDS, "triggers": TRIGGERS["t"] / 2}, r"triggers is an array \(40,\) of float64 whose columns have no"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(SessionError, match=words) as caught:
        save(path, **arrays, **SIZE)
    assert "\n" not in str(caught.value)


def test_pickles_are_never_executed(path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return pytest.fail, ("executed",)

    payload = io.BytesIO()
    np.lib.format.write_array_header_1_0(payload, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    payload.write(pickle.dumps([Bomb()]))
    np.savez(path, x=EVENTS["x"], y=EVENTS["y"], p=EVENTS["p"], **SIZE)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("t.npy", payload.getvalue())
    with pytest.raises(SessionError, match="t holds Python objects"):
        NpzFile(path)


@pytest.mark.parametrize(("name", "n"), [("y", 4_990), ("p", 4_999), ("t", 5_001), ("x", 0)])
def test_arrays_of_unequal_length_are_refused_with_their_lengths(path: Path, name: str, n: int) -> None:
    lengths = ", ".join(f"{field} {n if field == name else 5_000}" for field in "txyp")
    other = np.resize(FIELDS[name], n)
    edges = {f"trigger_{field}": TRIGGERS[field] for field in ("t", "id", "p")}
    with pytest.raises(
        SessionError, match=f"arrays of unequal length: {lengths}; expected one value per event in each"
    ):
        save(path, **{**FIELDS, name: other}, **SIZE)
    with pytest.raises(SessionError, match="arrays of unequal length: trigger_t 40, trigger_id 39, trigger_p 40"):
        save(path, **FIELDS, **SIZE, **{**edges, "trigger_id": TRIGGERS["id"][:39]})


@pytest.mark.parametrize("kept", [4_800, 4_000, 0])
def test_an_array_that_promises_more_than_it_holds_gives_what_it_holds(path: Path, kept: int) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (5_000,)})
    np.savez(path, x=EVENTS["x"], y=EVENTS["y"], p=EVENTS["p"], **SIZE)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.npy", header.getvalue() + EVENTS["t"][:kept].tobytes())
    events, _, report = read_all(NpzFile(path))
    assert np.array_equal(events, EVENTS[:kept])
    assert report.counts["truncated"] == 5_000 - kept
    (span,) = report.spans
    assert (span.first, span.end, span.unit) == (kept, 5_000, "events")
    if kept == 4_800:
        report.check(path)
    else:
        lost = "1000 of 5000 events that the file announces are missing at its end"
        match = lost if kept else "no events: the 5000 that the file announces are not in it"
        with pytest.raises(SessionError, match=match):
            report.check(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_wrong_checksum_is_told_and_costs_no_event(path: Path, compressed: bool) -> None:
    save(path, compressed, **FIELDS, **SIZE)
    right = zlib.crc32(npy(EVENTS["x"]))
    data = path.read_bytes()
    assert data.count(right.to_bytes(4, "little")) == 2  # before the member, and in the directory
    path.write_bytes(data.replace(right.to_bytes(4, "little"), (right ^ 1).to_bytes(4, "little")))
    events, _, report = read_all(NpzFile(path))
    assert np.array_equal(events, EVENTS)
    assert report.counts["unknown_word"] == 1
    assert [(span.first, span.end) for span in report.spans] == [(0, 5_000)]


def test_what_comes_before_bytes_that_cannot_be_inflated_is_kept(path: Path) -> None:
    save(path, True, **FIELDS, **SIZE)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("y.npy")
    middle = info.header_offset + 40 + info.compress_size // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    events, _, report = read_all(NpzFile(path))
    good = int(np.argmin(events["y"] == EVENTS["y"][: len(events)]))
    assert 1_000 < good < 4_000
    assert report.truncated or report.counts["unknown_word"]


def test_a_file_that_is_cut_short_or_still_written_is_refused(path: Path) -> None:
    save(path, **FIELDS, **SIZE)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SessionError, match=r"not a whole NPZ file: .*; is it still being written\? Copy it again"):
        NpzFile(path)
    path.unlink()
    with pytest.raises(SessionError, match="cannot be read: No such file"):
        NpzFile(path)


def test_an_array_of_very_wide_events_is_refused(path: Path) -> None:
    wide = np.dtype({"names": list("txyp"), "formats": ["i8", "u2", "u2", "u1"], "itemsize": 1 << 20})
    with pytest.raises(SessionError, match=r"events has 1048576 bytes per event, expected at most 256"):
        save(path, True, events=np.zeros(4, wide), **SIZE)


def test_it_is_recognised_by_content_not_by_name(path: Path) -> None:
    save(path, **FIELDS, **SIZE)
    file = open_events(path.rename(path.with_name("recording.raw")))
    assert isinstance(file, NpzFile)
    assert np.array_equal(read_all(file)[0], EVENTS)


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_files_are_read_in_part_or_refused(path: Path, compressed: bool) -> None:
    save(path, compressed, **{name: values[:700] for name, values in FIELDS.items()}, **SIZE, triggers=TRIGGERS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = check_mutants(path.read_bytes(), path, range(400), lambda damaged: NpzFile(damaged, WIDTH, HEIGHT))
    assert outcome["refused"] > 100
    assert outcome["read"] > (20 if not compressed else 0)
    assert outcome["lines"] == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
