"""One iterator over the RGB frames of a session: a video or a folder of images, each frame at its own time."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.images import read_image
from au3dmm.io.session import IMAGE_SUFFIXES, RgbSection, Session, image_files
from au3dmm.io.timestamps import Timestamps, read_timestamps
from au3dmm.io.video import VideoFrames, packet_times


class Frame(NamedTuple):
    """One RGB frame.

    Attributes
    ----------
    frame_index : int
        Row of the timestamps CSV; without one, counted from 0.
    t_rgb_us : int
        The middle of its exposure on the RGB clock, us.
    image : (H, W, 3) uint8 array or None
        RGB; None if it is expected but cannot be decoded.
    """

    frame_index: int
    t_rgb_us: int
    image: NDArray[np.uint8] | None


class SessionFrames(ABC):
    """The RGB frames of a session in order of time; iterating yields one `Frame` each, decodable or not.

    Attributes
    ----------
    source : Path
        The video file or folder of images.
    n_expected : int or None
        Rows of the timestamps CSV; without one, the manifest's ``frames`` or the container's count; None if nobody
        says.
    matched_by : {"container", "pts", "order", "name"}
        How images found their time: the container's own times; a CSV matched by presentation time, or by order
        where its times are not the container's; image numbers matched with the CSV's ``frame_index``.
    n_lost : int
        Damaged packets or images met so far by the latest iteration.
    """

    def __init__(
        self, source: Path, n_expected: int | None, matched_by: Literal["container", "pts", "order", "name"]
    ) -> None:
        self.source = source
        self.n_expected = n_expected
        self.matched_by = matched_by
        self.n_lost = 0

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...


def session_frames(session: Session) -> SessionFrames:
    """Find the RGB frames of a session and how they get their times.

    With a timestamps CSV every row gives one frame, also where the video has none (cut short, dropped): rows are
    matched by presentation time within half a frame interval if all the container's times agree with the CSV so,
    otherwise by order. Without one, a video that was cut short simply ends early.

    Images of a folder are matched by order of their names if there are as many as rows. If there are fewer, the last
    number in each name must be a ``frame_index``, which says which ones are missing.

    Raises
    ------
    SessionError
        If the video or folder cannot be read, or has more frames than the CSV has rows; also while iterating.
    """
    rgb = session.manifest.rgb
    timestamps = None if rgb.timestamps is None else read_timestamps(session.file(rgb.timestamps))
    if rgb.folder is not None:
        assert timestamps is not None  # the manifest refuses such a folder
        return _ImageFrames(session, timestamps)
    assert rgb.file is not None
    video = VideoFrames(session.file(rgb.file))
    return _PlainVideo(video, rgb) if timestamps is None else _TimedVideo(video, session, timestamps)


class _PlainVideo(SessionFrames):
    """A video that carries its own times."""

    def __init__(self, video: VideoFrames, rgb: RgbSection) -> None:
        super().__init__(video.path, rgb.frames or video.n_container, "container")
        self._video = video
        origin = Timestamps(np.zeros(1, np.int32), np.zeros(1, np.int64))
        self._shift_us = int(origin.midpoints_us(rgb.timestamp_convention, rgb.exposure_us)[0])

    def __iter__(self) -> Iterator[Frame]:
        for index, (pts_us, image) in enumerate(self._video):
            self.n_lost = self._video.n_lost
            yield Frame(index, pts_us + self._shift_us, image)
        self.n_lost = self._video.n_lost


class _TimedVideo(SessionFrames):
    """A video whose frames get their times from a CSV."""

    def __init__(self, video: VideoFrames, session: Session, timestamps: Timestamps) -> None:
        agree = rows_of_times(packet_times(video.path), timestamps.pts_us) is not None
        super().__init__(video.path, len(timestamps.pts_us), "pts" if agree else "order")
        self._video = video
        self._csv = session.folder / str(session.manifest.rgb.timestamps)
        self._timestamps = timestamps
        rgb = session.manifest.rgb
        self._t_us = timestamps.midpoints_us(rgb.timestamp_convention, rgb.exposure_us)

    def __iter__(self) -> Iterator[Frame]:
        row, n_rows = 0, len(self._t_us)
        for pts_us, image in self._video:
            self.n_lost = self._video.n_lost
            if self.matched_by == "pts":
                found = rows_of_times(np.array([pts_us], np.int64), self._timestamps.pts_us)
                mine = n_rows if found is None else int(found[0])
            else:
                mine = row
            if not row <= mine < n_rows:
                if image is None:  # a damaged packet that was never to be shown
                    continue
                raise SessionError(
                    f"{self.source}: the frame at {pts_us} us has no row in {self._csv}, which has {n_rows} rows;"
                    " every frame needs one"
                )
            yield from (self._frame(missing, None) for missing in range(row, mine))
            yield self._frame(mine, image)
            row = mine + 1
        self.n_lost = self._video.n_lost
        yield from (self._frame(missing, None) for missing in range(row, n_rows))

    def _frame(self, row: int, image: NDArray[np.uint8] | None) -> Frame:
        return Frame(int(self._timestamps.frame_index[row]), int(self._t_us[row]), image)


class _ImageFrames(SessionFrames):
    """A folder of images with a CSV."""

    def __init__(self, session: Session, timestamps: Timestamps) -> None:
        rgb = session.manifest.rgb
        folder = session.file(str(rgb.folder))
        self._files = _match_images(folder, session.folder / str(rgb.timestamps), timestamps.frame_index)
        by_order = len(self._files) == len(timestamps.frame_index) and None not in self._files
        super().__init__(folder, len(timestamps.frame_index), "order" if by_order else "name")
        self._frame_index = timestamps.frame_index
        self._t_us = timestamps.midpoints_us(rgb.timestamp_convention, rgb.exposure_us)

    def __iter__(self) -> Iterator[Frame]:
        self.n_lost = 0
        size: tuple[int, ...] | None = None
        for index, t_us, path in zip(self._frame_index, self._t_us, self._files, strict=True):
            image = None if path is None else _image_or_none(path)
            if path is not None and image is None:
                self.n_lost += 1
            if image is not None:
                if size is not None and image.shape != size:
                    raise SessionError(
                        f"{path}: {image.shape[1]}x{image.shape[0]}, the images before it {size[1]}x{size[0]};"
                        " one size is expected"
                    )
                size = image.shape
            yield Frame(int(index), int(t_us), image)


def rows_of_times(pts_us: NDArray[np.int64], rows_us: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the row nearest to each time, (N,), or None unless every time has a row of its own.

    Parameters
    ----------
    pts_us : (N,) int64 array
        Times in increasing order, us.
    rows_us : (M,) int64 array
        Times of the rows in increasing order, us. A row is a time's own within half the median interval of rows.

    Examples
    --------
    >>> rows_of_times(np.array([1, 41]), np.array([0, 20, 40]))
    array([0, 2])
    >>> rows_of_times(np.array([1, 2]), np.array([0, 20, 40])) is None
    True
    """
    if not len(pts_us) or not len(rows_us):
        return None
    half_us = float(np.median(np.diff(rows_us))) / 2 if len(rows_us) > 1 else np.inf
    right = np.clip(np.searchsorted(rows_us, pts_us), 1, max(1, len(rows_us) - 1))
    left = right - 1
    right = np.minimum(right, len(rows_us) - 1)
    rows = np.where(pts_us - rows_us[left] <= rows_us[right] - pts_us, left, right)
    own = np.all(np.abs(rows_us[rows] - pts_us) < half_us) and np.all(np.diff(rows) > 0)
    return rows.astype(np.int64) if own else None


def _image_or_none(path: Path) -> NDArray[np.uint8] | None:
    try:
        return read_image(path)
    except SessionError:  # one bad image is one frame without labels, not a session without any
        return None


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sort key by which numbers in names count as numbers.

    Examples
    --------
    >>> sorted(["f10.png", "f9.png", "f1.png"], key=natural_key)
    ['f1.png', 'f9.png', 'f10.png']
    """
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if i % 2 else (1, part.lower()) for i, part in enumerate(parts)]


def _match_images(folder: Path, csv: Path, frame_index: NDArray[np.int32]) -> list[Path | None]:
    if not folder.is_dir():
        raise SessionError(f"{folder}: a file, expected a folder of images; name a video with rgb.file")
    # f1, f01 and F1 have one key, and the folder's own order is no order
    files = sorted(image_files(folder), key=lambda p: (natural_key(p.name), p.name))
    n_rows = len(frame_index)
    if not files:
        raise SessionError(f"{folder}: no images in it; expected {n_rows} named {', '.join(IMAGE_SUFFIXES)}")
    if len(files) == n_rows:
        return list(files)
    if len(files) > n_rows:
        raise SessionError(f"{folder}: {len(files)} images, but {csv} has {n_rows} rows; every image needs one")
    by_number: dict[int, Path] = {}
    for path in files:
        numbers = re.findall(r"\d+", path.stem)
        if not numbers or int(numbers[-1]) in by_number:
            by_number = {}
            break
        by_number[int(numbers[-1])] = path
    if not by_number or not set(by_number) <= set(frame_index.tolist()):
        raise SessionError(
            f"{folder}: {len(files)} images, but {csv} has {n_rows} rows, and the last number in the images' names is"
            f" not always a frame_index (0 to {n_rows - 1}, each once), so which ones are missing cannot be told"
        )
    return [by_number.get(int(index)) for index in frame_index]
