"""Read a video: RGB frames with their exact presentation times, whatever of it can be decoded."""

from __future__ import annotations

import heapq
import threading
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from au3dmm.errors import SessionError, os_reason

SEEK_MARGINS_US = (1_000_000, 16_000_000)
"""How long before a place decoding begins that goes on from there: frames refer to others, which must be right. The
second for containers that know no key frames (MPEG-TS): a decoder gives nothing before it has met one."""


@dataclass(frozen=True)
class VideoPlace:
    """How far a video was read: enough to go on from there, and to know that it is there.

    Attributes
    ----------
    n : int
        Frames given.
    pts_us : int or None
        Presentation time of the last of them, us; None before the first.
    n_lost : int
        Damaged packets and frames met.
    size : (int, int, int) or None
        Shape of the pictures; None before the first.
    crc32 : int or None
        Checksum of the last frame's picture; None if it has none. With `n_lost` 0 there always is one, so a place
        without is one where nobody has been yet: a guess, whose `size` is not known either.
    """

    n: int = 0
    pts_us: int | None = None
    n_lost: int = 0
    size: tuple[int, ...] | None = None
    crc32: int | None = None


class VideoFrames:
    """The frames of a video in order of their presentation times, decoded one at a time.

    Iterating yields ``(pts_us, image)``: int microseconds ``round(pts * time_base * 1e6)``, the stream's start offset
    kept, and RGB uint8 (H, W, 3), or None for a packet that is there but damaged. Every iteration reads the file again.

    Parameters
    ----------
    path : Path
        The video.

    Attributes
    ----------
    n_container : int or None
        Number of frames the container says it has; None if it does not say.
    n_lost : int
        Damaged packets and frames met so far by the latest iteration.
    interlaced : bool
        Whether a frame met so far by the latest iteration says that it holds two moments, line by line.
    began : VideoPlace or None
        After what the latest iteration began, known with its first frame; None if it was a guess, and a wrong one.

    Raises
    ------
    SessionError
        If the file is missing, empty, not a video, or without a video stream; while iterating also if presentation
        times are missing or do not increase, or the picture changes its size.

    Notes
    -----
    Decoding is single-threaded: the frame threads of FFmpeg lose other frames of a damaged file from run to run.
    FFmpeg hides damage by painting over it and marks the frame corrupt; such a frame counts as lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_lost = 0
        self.interlaced = False
        self.began: VideoPlace | None = VideoPlace()
        self._read = VideoPlace()
        self._image: NDArray[np.uint8] | None = None
        with _open(path) as (_, stream):
            self.n_container: int | None = stream.frames or None

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        return self.read()

    def place(self) -> VideoPlace:
        """Return where the latest iteration stands: after the frame that it gave last."""
        return self.mark()()

    def mark(self) -> Callable[[], VideoPlace]:
        """Return what returns `place`, also when more was read: a checksum of every picture would take long."""
        read, n_lost, image = self._read, self.n_lost, self._image

        def place() -> VideoPlace:
            crc32 = None if image is None else zlib.crc32(image.data)
            return replace(read, n_lost=n_lost, crc32=crc32)

        return place

    def read(self, after: VideoPlace | None = None) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        """Iterate, going on after a place that an earlier iteration, also of another process, has reached.

        The frames are those that the earlier iteration would have given. The decoder starts at a key frame some time
        before the place, if there the very same picture is found at the very same time, and nothing was damaged until
        then; else at the beginning, passing over frames without turning them into pictures. After a place that is a
        guess nothing comes unless a picture is found at its very time; `began` is then that place, with what the
        picture tells, to be compared with the place that an iteration from the beginning reaches.
        """
        self._read, self._image, self.interlaced = VideoPlace(), None, False
        self.n_lost, self.began = 0, after or VideoPlace()
        if after is not None and after.pts_us is not None:
            sought = self._sought(after)
            if sought is not None:
                yield from self._checked(sought, self.began)
            elif after.crc32 is None and not after.n_lost:
                self.began = None
            else:
                yield from self._checked(self._decode(), VideoPlace(), after)
            return
        yield from self._checked(self._decode(), VideoPlace())

    def _checked(
        self,
        decoded: Iterator[tuple[int | None, Any]],
        start: VideoPlace,
        passing: VideoPlace | None = None,
    ) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        """Yield frames in their order; those up to the place `passing` are only counted."""
        n, last, size = start.n, start.pts_us, start.size
        lost: list[int] = []  # times of damaged packets, which come in decoding order: a heap
        until = None if passing is None else passing.pts_us
        for pts_us, picture in decoded:
            if picture is None:
                self.n_lost += 1
                if pts_us is not None:
                    heapq.heappush(lost, pts_us)
                continue
            if pts_us is None:
                raise SessionError(f"{self.path}: frame {n} has no presentation time; copy the video into mp4 or mkv")
            while lost and lost[0] < pts_us:
                damaged = heapq.heappop(lost)
                if last is None or damaged > last:
                    last, n = damaged, n + 1
                    if until is None or damaged > until:
                        yield self._given(n, damaged, size, None)
            if last is not None and pts_us <= last:
                raise SessionError(
                    f"{self.path}: frame {n} is at {pts_us} us, the frame before it at {last} us;"
                    " presentation times must increase"
                )
            if until is not None and pts_us <= until:
                last, n, size = pts_us, n + 1, passing.size if passing else size
                continue
            image = _rgb(picture)
            if size is not None and image.shape != tuple(size):
                raise SessionError(
                    f"{self.path}: frame {n} is {image.shape[1]}x{image.shape[0]}, the frames before it"
                    f" {size[1]}x{size[0]}; one size is expected"
                )
            self.interlaced |= bool(getattr(picture, "interlaced_frame", False))
            last, size, n = pts_us, image.shape, n + 1
            yield self._given(n, pts_us, size, image)
        for damaged in sorted(set(lost)):
            if last is None or damaged > last:
                n += 1
                if until is None or damaged > until:
                    yield self._given(n, damaged, size, None)

    def _given(
        self, n: int, pts_us: int, size: tuple[int, ...] | None, image: NDArray[np.uint8] | None
    ) -> tuple[int, NDArray[np.uint8] | None]:
        self._read, self._image = VideoPlace(n, pts_us, 0, size), image
        return pts_us, image

    def _sought(self, place: VideoPlace) -> Iterator[tuple[int | None, Any]] | None:
        """Return what comes after a place, decoded from a key frame before it; None if that cannot be trusted."""
        if place.pts_us is None or place.n_lost:
            return None
        for margin_us in SEEK_MARGINS_US:
            decoded = self._decode(place.pts_us - margin_us)
            try:
                for pts_us, picture in decoded:
                    if pts_us is None or pts_us > place.pts_us:
                        break
                    # what is broken before the place is what the decoder was not given: it began in the middle
                    if picture is not None and pts_us == place.pts_us:
                        image = _rgb(picture)
                        crc32 = zlib.crc32(image.data)
                        if place.crc32 not in (None, crc32):
                            break
                        self.began = replace(place, size=image.shape, crc32=crc32)
                        return decoded
            except av.error.FFmpegError:  # a container that cannot be sought in
                pass
            decoded.close()
        return None

    def _decode(self, from_us: int | None = None) -> Generator[tuple[int | None, Any]]:
        """Yield frames as the decoder gives them, and None for damaged packets when it refuses them."""
        with _open(self.path) as (container, stream):
            if from_us is not None:
                try:
                    container.seek(int(from_us / 1_000_000 / stream.time_base), stream=stream, backward=True)
                except av.error.FFmpegError:  # AVI and FLV refuse to go to before their first frame
                    container.seek(stream.start_time or 0, stream=stream, backward=True)
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets)
                except StopIteration:
                    return
                except av.error.FFmpegError:  # the file ends inside a packet: nothing more can be read
                    yield None, None
                    return
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    if not packet.is_discard:
                        yield _microseconds(packet.pts, packet.time_base), None
                    continue
                for frame in frames:
                    pts_us = _microseconds(frame.pts, frame.time_base)
                    yield pts_us, None if frame.is_corrupt else frame


def read_frames(path: Path) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield ``(pts_us, image)`` of every frame that decodes: int microseconds, RGB uint8 (H, W, 3).

    Raises
    ------
    SessionError
        As `VideoFrames`, which also tells of the frames that do not decode.
    """
    return ((pts_us, image) for pts_us, image in VideoFrames(path) if image is not None)


def packet_times(path: Path) -> NDArray[np.int64]:
    """Return when the frames of a video are due, (N,) us in increasing order, without decoding them.

    Raises
    ------
    SessionError
        If the file is missing, empty, not a video, or without a video stream.
    """
    times = []
    with _open(path) as (container, stream):
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError):
                break
            pts_us = _microseconds(packet.pts, packet.time_base)
            if pts_us is not None and packet.size and not packet.is_discard:
                times.append(pts_us)
    return np.array(sorted(times), np.int64)


class _Converter(threading.local):
    """One converter of pictures per thread.

    ``frame.to_ndarray(format=...)`` makes one for every frame, which from PyAV 17 on starts a thread on each core and
    ends it again: half as long as decoding takes, and several times that where processes wait (PyAV #2200, #2320).
    """

    def __init__(self) -> None:
        self.of_thread = VideoReformatter()


_CONVERTER = _Converter()
_ONE_THREAD = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}  # older ones know of no threads


def _rgb(frame: Any) -> NDArray[np.uint8]:
    image: Any = _CONVERTER.of_thread.reformat(frame, format="rgb24", **_ONE_THREAD).to_ndarray()
    quarters, rest = divmod(frame.rotation, 90)
    # the display matrix counts counter-clockwise, as rot90 does; odd angles are left as they were filmed
    return np.ascontiguousarray(np.rot90(image, quarters) if quarters and not rest else image)


def _microseconds(pts: int | None, time_base: Fraction | None) -> int | None:
    """Return ``round(pts * time_base * 1e6)``, exactly.

    Examples
    --------
    >>> _microseconds(1, Fraction(1001, 24000))
    41708
    """
    return None if pts is None or time_base is None else round(pts * time_base * 1_000_000)


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a video and its first video stream."""
    try:
        size = path.stat().st_size
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
    if not path.is_file():
        raise SessionError(f"{path}: a folder, expected a video file; name a folder of images with rgb.folder")
    if size == 0:
        raise SessionError(f"{path}: empty (0 bytes), expected a video")
    try:
        # FFmpeg takes what comes before a colon for a protocol, unless a slash comes earlier: an absolute path
        container = av.open(str(path.absolute()))
    except av.error.FFmpegError as err:
        raise SessionError(f"{path}: cannot be read as a video: {_why(path, err)}") from err
    with container:
        if not container.streams.video:
            kinds: list[str] = sorted({stream.type for stream in container.streams}) or ["nothing"]
            raise SessionError(f"{path}: no video stream in it, only {', '.join(kinds)}")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield container, stream


def _why(path: Path, err: av.error.FFmpegError) -> str:
    try:
        with path.open("rb") as f:
            head = f.read(12)
    except OSError as io_err:
        return os_reason(io_err)
    if head[4:8] == b"ftyp":
        return "an mp4 without its index (moov); it was cut short or never closed, and cannot be decoded"
    return f"{err.strerror or err}; its first bytes are {head.hex(' ')}"
