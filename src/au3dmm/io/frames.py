"""One iterator over the RGB frames of a session: a video or a folder of images, each frame at its own time."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.images import read_image
from au3dmm.io.session import IMAGE_SUFFIXES, RgbSection, Session, image_files
from au3dmm.io.timestamps import Timestamps, read_timestamps
from au3dmm.io.video import VideoFrames, VideoPlace, packet_times


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


@dataclass(frozen=True)
class Place:
    """How far the frames of a session were read.

    Attributes
    ----------
    n : int
        Frames given.
    n_lost : int
        Damaged packets or images met.
    video : VideoPlace or None
        How far the video was read; None for a folder of images.
    size : (int, int, int) or None
        Shape of the images of a folder; None before the first.
    """

    n: int = 0
    n_lost: int = 0
    video: VideoPlace | None = None
    size: tuple[int, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make one of the values of `to_dict`, which may have been through JSON."""
        video = values["video"]
        return cls(
            values["n"],
            values["n_lost"],
            None if video is None else VideoPlace(**{**video, "size": _shape(video["size"])}),
            _shape(values["size"]),
        )


def _shape(values: Any) -> tuple[int, ...] | None:
    return None if values is None else tuple(values)


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
    interlaced : bool
        Whether a frame met so far by the latest iteration holds two moments, line by line.
    """

    interlaced = False

    def __init__(
        self, source: Path, n_expected: int | None, matched_by: Literal["container", "pts", "order", "name"]
    ) -> None:
        self.source = source
        self.n_expected = n_expected
        self.matched_by = matched_by
        self.n_lost = 0

    def __iter__(self) -> Iterator[Frame]:
        return self.read()

    @abstractmethod
    def read(self, after: Place | None = None) -> Iterator[Frame]:
        """Iterate, going on after a place that an earlier iteration, also of another process, has reached."""

    @abstractmethod
    def place(self) -> Place:
        """Return where the latest iteration stands: after the frame that it gave last."""

    @abstractmethod
    def guess(self, n: int) -> Place | None:
        """Return where an iteration probably stands after `n` frames, if nothing is damaged; None if no more come.

        Reading after a guess may give nothing, and what it gives is to be believed only as far as `joined` says.
        """

    @abstractmethod
    def began(self) -> Place | None:
        """Return after what the latest iteration began; None if it was a guess, and no frame was found there."""

    def joined(self, reached: Place, began: Place, end: Place) -> Place | None:
        """Return where reading stands that reached one place, and went on from another, guessed one to its end.

        None unless both are one: the same frame at the same time with the same picture, and nothing damaged before.
        """
        return end if began == reached else None


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
        self._n = 0
        self._times: NDArray[np.int64] | None = None

    def read(self, after: Place | None = None) -> Iterator[Frame]:
        self._n = 0 if after is None else after.n
        for pts_us, image in self._video.read(None if after is None else after.video):
            self.n_lost, self.interlaced = self._video.n_lost, self._video.interlaced
            self._n += 1
            yield Frame(self._n - 1, pts_us + self._shift_us, image)
        self.n_lost = self._video.n_lost

    def place(self) -> Place:
        return Place(self._n, self.n_lost, self._video.place())

    def guess(self, n: int) -> Place | None:
        if self._times is None:
            self._times = packet_times(self.source)
        return Place(n, 0, _guessed(self._times, n)) if n < len(self._times) else None

    def began(self) -> Place | None:
        video = self._video.began
        return None if video is None else Place(video.n, video.n_lost, video)


class _TimedVideo(SessionFrames):
    """A video whose frames get their times from a CSV."""

    def __init__(self, video: VideoFrames, session: Session, timestamps: Timestamps) -> None:
        self._times = packet_times(video.path)
        self._rows = rows_of_times(self._times, timestamps.pts_us)
        super().__init__(video.path, len(timestamps.pts_us), "order" if self._rows is None else "pts")
        self._video = video
        self._n_began = 0
        self._csv = session.folder / str(session.manifest.rgb.timestamps)
        self._timestamps = timestamps
        self._half_us = half_interval_us(timestamps.pts_us) if len(timestamps.pts_us) else None
        rgb = session.manifest.rgb
        self._t_us = timestamps.midpoints_us(rgb.timestamp_convention, rgb.exposure_us)
        self._at: tuple[int, int, Callable[[], VideoPlace]] = (0, 0, VideoPlace)

    def read(self, after: Place | None = None) -> Iterator[Frame]:
        row, n_rows = 0 if after is None else after.n, len(self._t_us)
        seen = VideoPlace() if after is None or after.video is None else after.video
        self._at, self._n_began = (row, 0, lambda: self._video.began or seen), row
        for pts_us, image in self._video.read(seen):
            self.n_lost, self.interlaced = self._video.n_lost, self._video.interlaced
            if self.matched_by == "pts":
                found = rows_of_times(np.array([pts_us], np.int64), self._timestamps.pts_us, self._half_us)
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
            for missing in range(row, mine):
                # the frame after the gap is read, but not given yet: whoever goes on from here reads it again
                self._at = (missing + 1, *self._at[1:])
                yield self._frame(missing, None)
            row = mine + 1
            self._at = (row, self.n_lost, self._video.mark())
            yield self._frame(mine, image)
        self.n_lost = self._video.n_lost
        for missing in range(row, n_rows):
            self._at = (missing + 1, *self._at[1:])
            yield self._frame(missing, None)

    def place(self) -> Place:
        n, n_lost, video = self._at
        return Place(n, n_lost, video())

    def guess(self, n: int) -> Place | None:
        # frames that were shown before row n: rows without one are missing
        shown = min(n, len(self._times)) if self._rows is None else int(np.searchsorted(self._rows, n))
        return Place(n, 0, _guessed(self._times, shown)) if n < len(self._t_us) else None

    def began(self) -> Place | None:
        video = self._video.began
        return None if video is None else Place(self._n_began, video.n_lost, video)

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
        self._n = 0
        self._began = Place()
        self._size: tuple[int, ...] | None = None

    def read(self, after: Place | None = None) -> Iterator[Frame]:
        self._began = first = after or Place()
        self.n_lost, self._n, self._size = first.n_lost, first.n, first.size
        left = slice(first.n, None)
        for index, t_us, path in zip(self._frame_index[left], self._t_us[left], self._files[left], strict=True):
            image = None if path is None else _image_or_none(path)
            if path is not None and image is None:
                self.n_lost += 1
            if image is not None:
                if self._size is not None and image.shape != self._size:
                    raise SessionError(
                        f"{path}: {image.shape[1]}x{image.shape[0]}, the images before it"
                        f" {self._size[1]}x{self._size[0]}; one size is expected"
                    )
                self._size = image.shape
            self._n += 1
            yield Frame(int(index), int(t_us), image)

    def place(self) -> Place:
        return Place(self._n, self.n_lost, None, self._size)

    def guess(self, n: int) -> Place | None:
        return Place(n) if n < len(self._files) else None

    def began(self) -> Place | None:
        return self._began

    def joined(self, reached: Place, began: Place, end: Place) -> Place | None:
        """Images are read each by itself: what comes before has to be of the same size, and no more."""
        if began.n != reached.n or len({reached.size, end.size} - {None}) > 1:
            return None
        return Place(end.n, reached.n_lost + end.n_lost - began.n_lost, None, end.size or reached.size)


def _guessed(times_us: NDArray[np.int64], n: int) -> VideoPlace:
    """Return where a video stands after `n` frames that are due at these times."""
    return VideoPlace(n, int(times_us[n - 1])) if n else VideoPlace()


def half_interval_us(rows_us: NDArray[np.int64]) -> float:
    """Return half the median interval of rows, us."""
    return float(np.median(np.diff(rows_us))) / 2 if len(rows_us) > 1 else np.inf


def rows_of_times(
    pts_us: NDArray[np.int64], rows_us: NDArray[np.int64], half_us: float | None = None
) -> NDArray[np.int64] | None:
    """Return the row nearest to each time, (N,), or None unless every time has a row of its own.

    Parameters
    ----------
    pts_us : (N,) int64 array
        Times in increasing order, us.
    rows_us : (M,) int64 array
        Times of the rows in increasing order, us. A row is a time's own within half the median interval of rows.
    half_us : float, optional
        That half, where it is known.

    Examples
    --------
    >>> rows_of_times(np.array([1, 41]), np.array([0, 20, 40]))
    array([0, 2])
    >>> rows_of_times(np.array([1, 2]), np.array([0, 20, 40])) is None
    True
    """
    if not len(pts_us) or not len(rows_us):
        return None
    half_us = half_interval_us(rows_us) if half_us is None else half_us
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
