"""Small recordings for tests: videos with given times and container options, and session folders around them."""

import json
import struct
import zlib
from fractions import Fraction

import av
import numpy as np

TIME_BASE = Fraction(1, 90_000)
START = 45_000  # half a second: the start offset that readers like to lose


def noise_images(n, size=(64, 48)):
    """Frames of one moving texture: they compress, yet every one is another."""
    texture = np.random.default_rng(0).integers(0, 255, (size[1], size[0] + n, 3), dtype=np.uint8)
    return [np.ascontiguousarray(texture[:, i : i + size[0]]) for i in range(n)]


def regular_pts(n, step=3000, start=START):
    return [start + i * step for i in range(n)]


def write_video(path, images, pts=None, movflags="faststart", codec="libx264", rate=30, audio=False, gop=10):
    """Write a video whose frames have the times `pts` (units of TIME_BASE); two B-frames, a keyframe every `gop`."""
    pts = regular_pts(len(images)) if pts is None else pts
    options = {"movflags": movflags} if path.suffix == ".mp4" and movflags else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = TIME_BASE
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = 2
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            stream.codec_context.options = {"crf": "12", "x264-params": "mbtree=0"}
        for image, time in zip(images, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path):
    """Write a file that holds sound and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44_100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(path, share):
    """Keep the first part of a file, as a full disk or a pulled plug does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def damage(path, share, length=400):
    """Overwrite a stretch of a file with zeros."""
    data = bytearray(path.read_bytes())
    at = int(len(data) * share)
    data[at : at + length] = bytes(length)
    path.write_bytes(data)
    return path


def turn(path, matrix):
    """Write a display matrix of 2x2 whole numbers into an mp4's track header, as a phone held upright does."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: 4 + 20 + 8 + 8 bytes of times, ids and volume come first
    (a, b), (c, d) = matrix
    for place, value in ((0, a), (4, b), (12, c), (16, d)):
        data[at + place : at + place + 4] = int(value * 65_536).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


def write_csv(path, pts_us, frame_index=None, exposure_us=None):
    index = range(len(pts_us)) if frame_index is None else frame_index
    lines = ["frame_index,pts_us" + (",exposure_start_us,exposure_end_us" if exposure_us else "")]
    for i, t in zip(index, pts_us, strict=True):
        lines.append(f"{i},{t}" + (f",{t},{t + exposure_us}" if exposure_us else ""))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_manifest(folder, rgb, **sections):
    """Write `session.toml`; `rgb` and `sections` hold plain values, as in the file."""
    blocks = {"session": {"session_id": "s01", "subject_id": "p01"}, "rgb": rgb, **sections}
    text = ["schema_version = 1"]
    for name, values in blocks.items():
        text += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    (folder / "session.toml").write_text("\n".join(text) + "\n")
    return folder


def huge_png(side=100_000):
    """A small PNG that says it has `side` times `side` pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000)))]
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in [*chunks, (b"IEND", b"")]:
        data += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return data


def fingerprint(image):
    """A number that tells images apart."""
    return zlib.crc32(np.ascontiguousarray(image).tobytes())
