"""AEDAT4: compressions, several streams, triggers, refusals in one line, and damaged files."""

from __future__ import annotations

import resource
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.errors import SessionError
from au3dmm.io.events import open_events
from au3dmm.io.events.aedat4 import Aedat4File
from au3dmm.io.events.aedat4_packets import LARGEST_PACKET, DamagedError, decompress, parse_events, parse_triggers
from container_files import HEIGHT, WIDTH, check_mutants, random_events, random_triggers, read_all, write_aedat4

EVENTS = random_events(20_000)
TRIGGERS = random_triggers(60, EVENTS)
CODECS = (None, "lz4", "zstd")
PACKET = 1_000

# an event packet and a trigger packet as iniVation's dv-processing 2.0 writes them, without compression
DV_EVENTS = bytes.fromhex(
    "4c0000001000000045565453000006000800040006000000040000000300000006 00a40731af050010007300000000000700a40731af0500"
    "c700160001000000 1500a40731af0500bd00610000000000".replace(" ", "")
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.aedat4"


def packets(data: bytes) -> list[tuple[int, int, int]]:
    """Return place, stream and size of each packet."""
    at, found = 18 + int.from_bytes(data[14:18], "little"), []
    while at < len(data):
        stream, size = struct.unpack_from("<ii", data, at)
        found.append((at, stream, size))
        at += 8 + size
    return found


@pytest.mark.parametrize("codec", CODECS)
def test_events_and_triggers_are_read(path: Path, codec: str | None) -> None:
    file = Aedat4File(write_aedat4(path, EVENTS, TRIGGERS, codec=codec, packet=PACKET))
    events, triggers, report = read_all(file)
    assert np.array_equal(events, EVENTS)
    assert np.array_equal(triggers, TRIGGERS)
    assert np.array_equal(file.triggers(), TRIGGERS)
    assert not any(report.counts.values())
    assert (file.format, file.width, file.height, file.t_shift_us) == ("AEDAT4", WIDTH, HEIGHT, 0)
    assert file.header["compression"] == (codec or "none")
    assert file.unit == "bytes"


def test_a_packet_of_the_makers_own_library_is_read() -> None:
    assert parse_events(DV_EVENTS)[["t", "x", "y", "p"]].tolist() == [
        (1_600_000_000_000_006, 16, 115, 0),
        (1_600_000_000_000_007, 199, 22, 1),
        (1_600_000_000_000_021, 189, 97, 0),
    ]


def test_one_of_several_cameras_is_chosen_by_number_or_name(path: Path) -> None:
    write_aedat4(path, EVENTS, TRIGGERS, sources=("left", "right"))
    with pytest.raises(SessionError, match=r"2 event streams: 0 \(left\), 1 \(right\); say which: events\.aedat4#0"):
        Aedat4File(path)
    with pytest.raises(SessionError, match=r"no such event stream: 0 \(left\), 1 \(right\)"):
        Aedat4File(path, group="top")
    for group in ("1", "right"):
        file = Aedat4File(path, group=group)
        assert np.array_equal(read_all(file)[0], EVENTS)
        assert file.header["source"] == "right"


def test_the_manifest_gives_the_size_where_the_file_does_not(path: Path) -> None:
    write_aedat4(path, EVENTS, TRIGGERS, size=False)
    with pytest.raises(SessionError, match=r"events\.width and events\.height in session\.toml"):
        Aedat4File(path)
    assert Aedat4File(path, 700, 500).width == 700


@pytest.mark.parametrize("codec", CODECS)
def test_what_comes_before_the_end_of_a_cut_file_is_kept(path: Path, codec: str | None) -> None:
    data = write_aedat4(path, EVENTS, TRIGGERS[:0], codec=codec, packet=PACKET).read_bytes()
    places = [at for at, _, _ in packets(data)]
    for whole, cut in ((7, places[7] + 5), (7, places[7] + 300), (19, len(data) - 1)):
        path.write_bytes(data[:cut])
        events, _, report = read_all(Aedat4File(path))
        assert np.array_equal(events, EVENTS[: whole * PACKET])
        assert report.truncated
        assert report.spans[-1].end == cut


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("damage", ["size too large", "size too small", "size beyond", "stream", "body"])
def test_a_damaged_packet_costs_its_events_only(path: Path, codec: str | None, damage: str) -> None:
    data = bytearray(write_aedat4(path, EVENTS, TRIGGERS, codec=codec, packet=PACKET).read_bytes())
    at, _, size = [packet for packet in packets(data) if packet[1] == 0][8]
    if damage == "body":
        data[at + 8 : at + 200] = np.random.default_rng(0).bytes(192)
    elif damage == "stream":
        data[at : at + 4] = struct.pack("<i", 99)
    else:
        wrong = {"size too large": size + 3_000, "size too small": size - 500, "size beyond": 2**31 - 1}[damage]
        data[at + 4 : at + 8] = struct.pack("<i", wrong)
    path.write_bytes(data)
    events, triggers, report = read_all(Aedat4File(path))
    assert np.array_equal(events, np.delete(EVENTS, np.arange(8 * PACKET, 9 * PACKET)))
    assert np.array_equal(triggers, TRIGGERS)
    assert report.counts["unknown_word"] == pytest.approx(PACKET, rel=0.2)  # estimated from the bytes
    assert report.spans[0].first == at
    assert report.spans[0].end <= at + 8 + size + 1


def test_a_file_that_grows_is_read_as_far_as_it_reached(path: Path) -> None:
    data = write_aedat4(path, EVENTS, TRIGGERS[:0], codec="lz4", packet=PACKET).read_bytes()
    places = [at for at, _, _ in packets(data)]
    path.write_bytes(data[: places[15]])
    stream = Aedat4File(path).stream()
    n = len(next(stream).events)
    path.write_bytes(data)
    assert n + sum(len(chunk.events) for chunk in stream) == 15 * PACKET
    assert not stream.report.truncated


def test_triggers_tell_input_and_edge(path: Path) -> None:
    triggers = TRIGGERS.copy()
    triggers["id"] = np.arange(len(triggers)) % 2
    triggers["p"] = np.arange(len(triggers)) // 2 % 2
    assert np.array_equal(Aedat4File(write_aedat4(path, EVENTS, triggers)).triggers(), triggers)


def change(path: Path, at: int, data: bytes) -> None:
    whole = bytearray(path.read_bytes())
    whole[at : at + len(data)] = data
    path.write_bytes(whole)


def test_what_is_no_recording_is_refused_in_one_line(path: Path) -> None:
    def refusal() -> str:
        with pytest.raises(SessionError) as caught:
            Aedat4File(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    path.write_bytes(b"#!AER-DAT3.1\r\n" + bytes(100))
    assert "of AEDAT only version 4 is read, convert older recordings with iniVation's DV" in refusal()
    path.write_bytes(b"#!AER-DAT4.0\r\n")
    assert "damaged AEDAT4 file: a header of 0 bytes" in refusal()
    write_aedat4(path, EVENTS, TRIGGERS)
    change(path, 14, b"\xff\xff\xff\xff")
    assert "a header of 4294967295 bytes" in refusal()
    write_aedat4(path, EVENTS, TRIGGERS)
    change(path, 22, b"XXXX")
    assert "its header starts with b'XXXX', expected b'IOHE'" in refusal()
    change(path, 22, b"IOHE")
    change(path, path.read_bytes().index(b"<dv "), b"<!DO")
    assert "has declarations" in refusal()
    write_aedat4(path, EVENTS, TRIGGERS)
    path.write_bytes(path.read_bytes().replace(b">EVTS<", b">FRME<"))
    assert "no event stream: holds FRME, TRIG; expected EVTS" in refusal()


def test_packets_that_point_outside_of_themselves_are_damaged() -> None:
    good = bytearray(DV_EVENTS)
    for at in range(4, 32):
        for value in (0xFF, 0x7F, 0x80):
            bad = bytearray(good)
            bad[at] = value
            try:
                events = parse_events(bytes(bad))
            except DamagedError:
                continue
            assert len(events) <= 4
    with pytest.raises(DamagedError, match="says it holds 2147483651 events"):
        parse_events(bytes(good[:31] + b"\x80" + good[32:]))
    with pytest.raises(DamagedError, match="expected b'TRIG'"):
        parse_triggers(DV_EVENTS)


def test_a_packet_that_inflates_without_end_is_damaged() -> None:
    bomb = pa.compress(bytes(LARGEST_PACKET + 1), "zstd", asbytes=True)
    assert len(bomb) < 10_000
    with pytest.raises(DamagedError, match="more than 67108864 bytes"):
        decompress(bomb, "zstd")


def test_it_is_recognised_by_content_not_by_name(path: Path) -> None:
    write_aedat4(path, EVENTS, TRIGGERS)
    file = open_events(path.rename(path.with_name("recording.raw")))
    assert isinstance(file, Aedat4File)
    assert np.array_equal(read_all(file)[0], EVENTS)


@pytest.mark.parametrize("codec", CODECS)
def test_damaged_files_are_read_in_part_or_refused(path: Path, codec: str | None) -> None:
    data = write_aedat4(path, EVENTS[:3_000], TRIGGERS, codec=codec, packet=100).read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = check_mutants(data, path, range(150), lambda damaged: Aedat4File(damaged, WIDTH, HEIGHT))
    assert outcome["refused"] > 3
    assert outcome["read"] > 50
    assert outcome["lines"] == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10
