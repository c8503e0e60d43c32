"""Write a video: H.264 in mp4, with the presentation times given, and the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import OutputError, SchemaError
from au3dmm.io.atomic import atomic_path

_MICROSECONDS = Fraction(1, 1_000_000)


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    pts_us: Iterable[int] | None = None,
    *,
    fps: Fraction | float | None = None,
    quality: int = 20,
) -> int:
    """Encode frames as H.264 (yuv420p) in an mp4 whose index comes first, and write it atomically.

    The stream counts in microseconds, so that presentation times come back exactly, a start offset included.
    One encoder thread and no time of writing in the file: equal frames give equal bytes.

    Parameters
    ----------
    path : Path
        The video, .mp4.
    frames : iterable of (H, W, 3) uint8 arrays
        RGB, all of one size, with even sides.
    pts_us : iterable of int, optional
        Presentation time of each frame, us, not negative and increasing; one per frame.
    fps : Fraction or float, optional
        Frames per second from time 0, in place of `pts_us`.
    quality : int
        x264's constant rate factor, 0 (lossless) to 51.

    Returns
    -------
    int
        Number of frames written.

    Raises
    ------
    SchemaError
        If there is no frame, a frame's size differs or is odd, or the times do not fit the frames.
    OutputError
        If the file cannot be written.
    """
    if (pts_us is None) == (fps is None):
        raise SchemaError(f"{path}: give either the times of the frames (pts_us) or their rate (fps)")
    times = iter(pts_us) if pts_us is not None else None
    interval_us = 0 if fps is None else 1_000_000 / Fraction(fps)
    with atomic_path(path) as tmp:
        try:
            n = _encode(tmp, frames, times, interval_us, quality, path)
        except av.error.FFmpegError as err:
            if isinstance(err, OSError) and err.errno and err.errno > 0:
                raise
            raise OutputError(f"{path}: the video encoder failed: {err.strerror}") from err
        if times is not None and next(times, None) is not None:
            raise SchemaError(f"{path}: more times than the {n} frames")
    return n


def _encode(
    tmp: Path,
    frames: Iterable[NDArray[np.uint8]],
    times: Iterable[int] | None,
    interval_us: Fraction | int,
    quality: int,
    path: Path,
) -> int:
    stream = None
    n, last, shape = 0, -1, (0, 0, 0)
    clock = None if times is None else iter(times)
    options = {"movflags": "+faststart", "fflags": "+bitexact", "video_track_timescale": "1000000"}
    options["movie_timescale"] = "1000000"  # the edit list that keeps the start offset counts in this one
    # FFmpeg takes what comes before a colon for a protocol, unless a slash comes earlier: an absolute path
    with av.open(str(tmp.absolute()), "w", format="mp4", options=options) as container:
        for image in frames:
            if stream is None:
                if image.ndim != 3 or image.shape[2] != 3 or image.shape[0] % 2 or image.shape[1] % 2:
                    raise SchemaError(f"{path}: frame 0 is {image.shape}; expected (H, W, 3) with even sides")
                shape = image.shape
                stream = container.add_stream("libx264", rate=30)
                stream.width, stream.height, stream.pix_fmt = shape[1], shape[0], "yuv420p"
                stream.time_base = stream.codec_context.time_base = _MICROSECONDS
                stream.codec_context.thread_count = 1
                # x264's macroblock tree gave other bytes each time on some processors, even with one thread
                encoder = {"crf": str(quality), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
                stream.codec_context.options = encoder
            if image.shape != shape or image.dtype != np.uint8:
                raise SchemaError(f"{path}: frame {n} is {image.dtype} {image.shape}, expected uint8 {shape}")
            pts = next(clock, None) if clock is not None else round(n * interval_us)
            if pts is None or pts <= last:
                found = "no time" if pts is None else f"at {pts} us after {last} us"
                raise SchemaError(f"{path}: frame {n} is {found}; expected a later time for each frame, from 0 us on")
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            picture.pts, picture.time_base = int(pts), _MICROSECONDS
            for packet in stream.encode(picture):
                container.mux(packet)
            n, last = n + 1, int(pts)
        if stream is None:
            raise SchemaError(f"{path}: no frame to write")
        for packet in stream.encode():
            container.mux(packet)
    return n
