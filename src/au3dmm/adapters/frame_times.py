"""Times of images: read from their names, or counted at a nominal rate; and the CSV that says them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from au3dmm.adapters.proposal import Made
from au3dmm.errors import SessionError
from au3dmm.io.atomic import write_bytes
from au3dmm.io.frames import natural_key
from au3dmm.io.session import image_files

TIMESTAMPS = "rgb_timestamps.csv"
DAY_US = 86_400_000_000
_HALF_DAY_US = DAY_US // 2
_DATE = r"(?P<Y>(?:19|20)\d\d)[-_.]?(?P<M>0[1-9]|1[0-2])[-_.]?(?P<D>0[1-9]|[12]\d|3[01])[-_T .]*"
_CLOCK = r"(?P<h>[01]\d|2[0-3])(?P<sep>[:hH\-_.]?)(?P<m>[0-5]\d)(?P=sep)(?P<s>[0-5]\d)(?:[.,_\-:](?P<f>\d{1,9}))?"
# a minute's and an hour's separator may differ from the second's: 12h30m15.5
_SPELT = r"(?P<h>[01]\d|2[0-3])h(?P<m>[0-5]\d)m(?P<s>[0-5]\d)(?:[.,_\-:](?P<f>\d{1,9}))?s?"
_NOT_IN_NUMBER = (r"(?<!\d)", r"(?!\d)")


def _anchored(pattern: str) -> re.Pattern[str]:
    before, after = _NOT_IN_NUMBER
    return re.compile(before + pattern + after)


def _since_1970_us(match: re.Match[str]) -> int:
    midnight = datetime(int(match["Y"]), int(match["M"]), int(match["D"]))
    return (midnight - datetime(1970, 1, 1)).days * DAY_US + _of_day_us(match)


def _of_day_us(match: re.Match[str]) -> int:
    seconds = (int(match["h"]) * 60 + int(match["m"])) * 60 + int(match["s"])
    return seconds * 1_000_000 + _fraction_us(match["f"])


def _fraction_us(digits: str | None) -> int:
    return (int(digits.ljust(9, "0")) + 500) // 1000 if digits else 0


def _epoch_us(match: re.Match[str]) -> int:
    return int(match["s"]) * 1_000_000 + _fraction_us(match["f"])


FORMS: dict[str, tuple[re.Pattern[str], Callable[[re.Match[str]], int], bool]] = {
    "date and time": (_anchored(_DATE + _CLOCK), _since_1970_us, False),
    "time of day": (_anchored(_CLOCK), _of_day_us, True),
    "time of day, spelt": (_anchored(_SPELT), _of_day_us, True),
    "seconds since 1970": (_anchored(r"(?P<s>1\d{9})[._](?P<f>\d{1,9})"), _epoch_us, False),
    # 13, 16 or 19 digits: milli-, micro- or nanoseconds
    "sub-seconds since 1970": (_anchored(r"(?P<s>1\d{9})(?P<f>\d{3}|\d{6}|\d{9})"), _epoch_us, False),
}
"""How names say a time: the pattern, what it means in us, and whether it starts again at midnight."""


def times_in_names(names: Sequence[str]) -> tuple[str, list[int]]:
    """Return the form that the names' times have, and the times counted from the first, us.

    Parameters
    ----------
    names : sequence of str
        File names without ending, in the order of frames. All must have a time of one form; it may go over midnight.

    Raises
    ------
    SessionError
        If no form fits all names, or the times do not increase.

    Examples
    --------
    >>> times_in_names(["frame_9_23:59:59.980000", "frame_10_00:00:00.013"])
    ('time of day', [0, 33000])
    """
    if not names:
        raise SessionError("no images")
    reasons: list[str] = []
    for form, (pattern, read, wraps) in FORMS.items():
        matches = [pattern.search(name) for name in names]
        if None in matches:
            continue
        try:
            times = [read(match) for match in matches if match is not None]
        except ValueError:  # 31 February
            continue
        times = _past_midnight(times) if wraps else times
        back = next((i for i, (a, b) in enumerate(pairwise(times)) if b <= a), None)
        if back is None:
            return form, [t - times[0] for t in times]
        step = times[back + 1] - times[back]
        reasons.append(f"{names[back + 1]} is {-step} us before {names[back]}" if step else _same(names, back))
    if reasons:
        raise SessionError(f"the times in the names ({reasons[0]}) do not increase from image to image")
    example = names[0] if len(names[0]) < 60 else names[0][:57] + "..."
    raise SessionError(
        f"the names, such as {example!r}, do not all hold a time: of the day (15:19:28.385380), with or without a date,"
        " or since 1970"
    )


def _same(names: Sequence[str], at: int) -> str:
    return f"{names[at]} and {names[at + 1]} are at the same time; are there digits below a second?"


def _past_midnight(times: list[int]) -> list[int]:
    days, out = 0, times[:1]
    for before, now in pairwise(times):
        days += now - before < -_HALF_DAY_US
        out.append(now + days * DAY_US)
    return out


def frames_in_order(folder: Path) -> list[Path]:
    """Return the images of a folder in the order in which they are read as frames.

    Raises
    ------
    SessionError
        If the folder cannot be read.
    """
    return sorted(image_files(folder), key=lambda path: (natural_key(path.name), path.name))


def nominal_times(n_frames: int, fps: float) -> list[int]:
    """Return the times of frames at a nominal rate, us.

    Examples
    --------
    >>> nominal_times(3, 30.0)
    [0, 33333, 66667]
    """
    return [round(i * 1e6 / fps) for i in range(n_frames)]


def timestamps_file(pts_us: Sequence[int], exposures_us: Sequence[tuple[int, int]] | None = None) -> Made:
    """Return the CSV of RGB timestamps, to be written beside `session.toml`.

    Parameters
    ----------
    pts_us : sequence of int
        One time per frame, us.
    exposures_us : sequence of (int, int) or None
        Start and end of each exposure, us.
    """
    lines = ["frame_index,pts_us" + (",exposure_start_us,exposure_end_us" if exposures_us else "")]
    for i, t in enumerate(pts_us):
        lines.append(f"{i},{t}" + (f",{exposures_us[i][0]},{exposures_us[i][1]}" if exposures_us else ""))
    text = "\n".join(lines) + "\n"
    return Made(TIMESTAMPS, lambda path: write_bytes(path, text.encode()))
