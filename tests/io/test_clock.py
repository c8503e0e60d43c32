"""`clock.json`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.clock import Clock, read_clock, read_clock_metadata, read_evidence, write_clock

OLD = Clock("trigger", 14310072.998, 35.0002, 0.3, 0.02, 944, 946, 950, 13897728, 13901839, 34205383)
CLOCK = replace(OLD, offset_std_us=0.01, drift_std_ppm=0.002, tie_broken_by="motion", warnings=("edges are swapped",))


def test_a_clock_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    write_clock(path, CLOCK, {"stage": "sync", "fingerprint": "f"})
    assert read_clock(path) == CLOCK
    assert read_clock(path).model.offset_us == CLOCK.offset_us
    assert read_clock_metadata(path)["fingerprint"] == "f"
    unknown = replace(CLOCK, method="start", residual_us=None, uncertainty_us=None, n_matched=None)
    write_clock(path, unknown, {})
    assert read_clock(path) == unknown


def test_the_evidence_is_kept_in_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    evidence = {"kind": "trigger", "residual_us": [0.1] * 500, "edge": ["exposure_start"]}
    write_clock(path, CLOCK, {"stage": "sync"}, evidence)
    assert read_evidence(path) == evidence
    assert read_clock(path) == CLOCK
    assert len(path.read_text().splitlines()) < 30
    assert "evidence" not in CLOCK.summary()
    write_clock(path, CLOCK, {})
    with pytest.raises(SchemaError, match=r"clock\.json: no evidence in it, .*; run the sync stage again"):
        read_evidence(path)


def test_a_clock_of_schema_version_1_is_still_read() -> None:
    path = Path(__file__).parent / "clock_v1.json"
    assert read_clock(path) == OLD
    with pytest.raises(SchemaError, match="as in clocks before schema version 2"):
        read_evidence(path)


def test_a_drift_of_zero_is_measured_by_triggers_alone() -> None:
    numbers = (None, None, None, None, None, 0, 0, 1)
    measured = [Clock(method, 5.0, 0.0, *numbers).drift_measured for method in ("trigger", "motion", "shared", "start")]
    assert measured == [True, False, False, False]
    assert Clock("motion", 5.0, 12.5, *numbers).drift_measured


def test_equal_clocks_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        write_clock(tmp_path / name, CLOCK, {"stage": "sync"})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"schema_version": 3}, "clock schema version 3, but this au3dmm reads 1 to 2"),
        ({"schema_version": "2"}, "clock schema version 2, but this au3dmm reads 1 to 2"),
        ({"offset_us": None}, "offset_us is None, expected a number"),
    ],
)
def test_other_versions_and_values_are_refused(tmp_path: Path, change: dict[str, object], match: str) -> None:
    path = tmp_path / "clock.json"
    write_clock(path, CLOCK, {})
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(SchemaError, match=match):
        read_clock(path)


def test_files_that_are_no_clock_are_named(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    with pytest.raises(SchemaError, match=r"clock\.json: no such file"):
        read_clock(path)
    path.write_text('{"schema_ver')
    with pytest.raises(SchemaError, match="not JSON, or cut short"):
        read_clock(path)
    path.write_text("[]")
    with pytest.raises(SchemaError, match="schema version None"):
        read_clock(path)
    for version in (1, 2):
        path.write_text(json.dumps({"schema_version": version}))
        with pytest.raises(SchemaError, match="no 'method'; run the sync stage again"):
            read_clock(path)
    write_clock(path, CLOCK, {})
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "drift_std_ppm"}))
    with pytest.raises(SchemaError, match="no 'drift_std_ppm'; run the sync stage again"):
        read_clock(path)
