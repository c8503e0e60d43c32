"""Which arrays are which, and which numbers can be events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.events.fields import check_kinds, make_triggers, match, size_of

PATH = Path("e.npz")


def test_other_names_are_known_and_the_plain_ones_come_first() -> None:
    assert match(["xs", "ys", "ts", "ps"]) == {"t": "ts", "x": "xs", "y": "ys", "p": "ps"}
    assert match(["x", "xs", "y", "t", "timestamps", "p"]) == {"t": "t", "x": "x", "y": "y", "p": "p"}
    assert match(["x", "y", "t"]) is None
    assert match(["id", "t", "p"], ("t", "id", "p")) == {"t": "t", "id": "id", "p": "p"}


@pytest.mark.parametrize(
    ("field", "dtype", "words"),
    [
        ("t", "f8", r"e\.npz: t is float64, expected whole microseconds; .* np\.rint\(t \* 1e6\)\.astype\(np\.int64\)"),
        ("x", "f4", r"x is float32, expected whole numbers: pixels"),
        ("p", "f4", r"p is float32, expected whole numbers: 0/1, -1/1 or booleans"),
        ("y", "?", r"y is bool, expected whole numbers: pixels"),
        ("t", "M8[us]", r"t is datetime64\[us\], expected whole numbers: microseconds"),
        ("p", "U1", r"p is <U1, expected"),
        ("x", "O", r"x holds Python objects, which are not read"),
        ("x", "(2,)i4", r"x is .*, expected whole numbers"),
    ],
)
def test_numbers_that_cannot_be_events_are_refused(field: str, dtype: str, words: str) -> None:
    with pytest.raises(SessionError, match=words):
        check_kinds(PATH, {field: (field, np.dtype(dtype))})


def test_whole_numbers_of_any_width_are_taken() -> None:
    check_kinds(PATH, {"t": ("t", np.dtype(">u8")), "x": ("x", np.dtype("i1")), "p": ("p", np.dtype("?"))})


def test_the_size_is_the_files_or_the_manifests_and_they_must_agree() -> None:
    assert size_of(PATH, (640, 480), None, None) == (640, 480)
    assert size_of(PATH, None, 346, 260) == (346, 260)
    with pytest.raises(SessionError, match=r"events\.width and events\.height in session\.toml"):
        size_of(PATH, None, None, None)
    with pytest.raises(ConfigError, match="the file says 640x480, but 346x260 was given"):
        size_of(PATH, (640, 480), 346, 260)
    with pytest.raises(SessionError, match="expected 1x1 to 2048x2048"):
        size_of(PATH, (5000, 480), None, None)


def test_triggers_that_no_camera_could_have_sent_are_left_out() -> None:
    t = np.array([5, 6, 2**62, 7, 8])
    triggers = make_triggers(t, np.array([0, 300, 1, 255, 2]), np.array([1, 1, 1, -1, 7], np.int16))
    assert triggers.tolist() == [(5, 0, 1), (7, 255, 0)]
