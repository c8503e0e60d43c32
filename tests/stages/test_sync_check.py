"""What is told of events before hours are spent on the video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from au3dmm.config import SyncParams
from au3dmm.errors import Au3dmmError, ConfigError, SessionError
from au3dmm.io.session import read_session
from au3dmm.stages import sync
from au3dmm.stages.sync_check import check_events
from timed_recording import exposure_edges, write_landmarks, write_session

TWO_INPUTS = np.sort(np.concatenate([exposure_edges(), exposure_edges(trigger_id=3)]), order="t")


def check(folder: Path, method: str = "session", **more: int) -> None:
    check_events(read_session(folder), SyncParams.model_validate({"method": method}), **more)


@pytest.mark.parametrize(
    ("recording", "error"),
    [
        ({"triggers": TWO_INPUTS}, ConfigError),
        ({"sync": 'method = "trigger"\ntrigger_id = 5'}, SessionError),
        ({"triggers": exposure_edges()[:0]}, SessionError),
    ],
)
def test_the_stage_would_have_said_the_same(
    tmp_path: Path, recording: dict[str, Any], error: type[Au3dmmError]
) -> None:
    folder = write_session(tmp_path / "planted", **recording)
    with pytest.raises(error) as early:
        check(folder)
    landmarks = write_landmarks(tmp_path / "landmarks.parquet")
    with pytest.raises(error) as late:
        sync.run(session=folder, landmarks=landmarks, clock=tmp_path / "clock.json", params=SyncParams())
    assert str(early.value) == str(late.value)


def test_a_file_that_is_too_damaged_is_refused_whatever_the_method(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "planted", sync='method = "start"')
    path = folder / "events.raw"
    path.write_bytes(path.read_bytes().replace(b"64x48", b"04x48").replace(b"width=64", b"width=04"))
    with pytest.raises(SessionError, match=r"too damaged: .* outside the 4x48 sensor"):
        check(folder)
    path.write_bytes(b"nonsense")
    with pytest.raises(SessionError, match="not a known event format"):
        check(folder)


def test_what_is_well_passes(tmp_path: Path) -> None:
    check(write_session(tmp_path / "one"))
    check(write_session(tmp_path / "two", triggers=TWO_INPUTS), method="motion")
    check(write_session(tmp_path / "three", triggers=TWO_INPUTS, sync='method = "trigger"\ntrigger_id = 3'))
    check(write_session(tmp_path / "four", events=False))


def test_of_a_long_file_only_the_beginning_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_session(tmp_path / "planted", triggers=exposure_edges()[:0])
    with pytest.raises(SessionError, match="no trigger edges"):
        check(folder)
    check(folder, most_events=10)  # edges may come later
    both = write_session(tmp_path / "both", triggers=TWO_INPUTS)
    with pytest.raises(ConfigError, match=r"several inputs \(0, 3\)"):
        check(both, most_events=10)  # but two inputs stay two
