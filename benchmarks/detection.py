"""How exactly and how fast face-alignment's networks are read, against the library face-alignment itself.

    python benchmarks/detection.py [--tables decode,same,speed] [--device cpu] [--frames 32]

decode: peaks of synthetic heatmaps, px at a crop of 400 px (a cell is 6.25 px, as for a face of 144 px between the
eyes). same: landmarks of the library's own call and of ours, same networks, weights (random: nobody may ship the true
ones) and boxes. speed: processor seconds per frame on one thread; on CUDA, seconds by the clock, mixed precision. For
the speed of tracking, the networks compute what they always compute, but their heatmaps are replaced by those of a face
that holds still: random weights see a face nowhere.
"""

import argparse
import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from face_alignment import FaceAlignment, LandmarksType
from face_alignment.detection.sfd.net_s3fd import s3fd
from face_alignment.models import FAN, ResNetDepth

from au3dmm.config import DetectParams
from au3dmm.detectors.face_alignment import FaceAlignmentDetector
from au3dmm.detectors.fan_boxes import S3fdBoxes
from au3dmm.detectors.fan_crops import SIDE_PX, box_of_landmarks, crop_frames
from au3dmm.detectors.fan_decode import CELLS, decode_official, decode_subpixel
from au3dmm.detectors.fan_networks import FanNetworks
from au3dmm.detectors.fan_weights import folded

CELL_PX = 6.25
GFLOP = {"3D-FAN": 50.5, "depth": 37.1}  # by torch's counter, for one crop
SIZE = (360, 640)


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default="decode,same,speed")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=32, help="of the video; a multiple of 32")
    parser.add_argument("--batch", default="8", help="crops at a time; several, separated by commas")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables = options.tables.split(",")
    if "decode" in tables:
        show_decode()
    if "same" in tables or "speed" in tables:
        torch.manual_seed(0)
        fan, depth = FAN(4).eval(), ResNetDepth().eval()
        if "same" in tables:
            show_same(fan, depth, options.device)
        if "speed" in tables:
            show_speed(fan, depth, options.device, options.frames, [int(n) for n in options.batch.split(",")])


def show_decode() -> None:
    """Error and jitter of both decodes, px."""
    rng = np.random.default_rng(0)
    print("error of peaks without noise, and rms jitter with white noise of a share of the peak, px")
    print("| width of the peak, cells | | error, rms | noise 1 % | 3 % | 5 % |\n|---|---|---|---|---|---|")
    for width in (1.0, 1.75, 2.5, 3.25):
        centres = rng.uniform(8, 56, (4, 68, 2))
        clean = peaks(centres, width)
        noisy = [
            clean[:1] + share * rng.normal(size=(32, *clean.shape[1:])).astype(np.float32)
            for share in (0.01, 0.03, 0.05)
        ]
        for name, decode in (("official", decode_official), ("sub-pixel", decode_subpixel)):
            error = np.sqrt(np.mean((decode(torch.from_numpy(clean))[0].numpy() - centres) ** 2))
            jitter = [np.sqrt(decode(torch.from_numpy(h))[0].numpy().var(0).mean()) for h in noisy]
            print(f"| {width} | {name} | " + " | ".join(f"{CELL_PX * v:.3f}" for v in (error, *jitter)) + " |")


def peaks(centres: Any, width: float) -> Any:
    """Return heatmaps with Gaussian peaks at `centres` (N, 68, 2), in cells."""
    axis = np.arange(CELLS) + 0.5
    across = np.exp(-0.5 * ((axis - centres[..., :1]) / width) ** 2)
    down = np.exp(-0.5 * ((axis - centres[..., 1:]) / width) ** 2)
    return (down[..., :, None] * across[..., None, :]).astype(np.float32)


def show_same(fan: Any, depth: Any, device: str) -> None:
    """Largest difference between the library's call and ours."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8) for _ in range(2)]
    boxes = [np.array([180.3, 60.2, 331.7, 262.9, 0.9]), np.array([300.0, -20.0, 620.0, 330.5, 0.8])]
    theirs = library(fan, depth, device, flip=False)
    ours = detector(fan, depth, device, boxes, fan_decode="official", fan_box_every=1, fan_batch=3)
    worst = np.zeros(3)
    for faces, image in zip(ours.detect_batch(images, range(2)), images, strict=True):
        landmarks = theirs.get_landmarks_from_image(image, boxes)
        for face, own in zip(faces, landmarks, strict=True):
            worst = np.maximum(worst, np.abs(face.landmarks_px - own).max(0))
    print(f"\nofficial decode, random weights, supplied boxes: largest difference {worst.max():.1e} px")


def show_speed(fan: Any, depth: Any, device: str, n_frames: int, batches: list[int]) -> None:
    """Seconds per frame of the library's call and of ours."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8) for _ in range(n_frames)]
    face = face_points()
    box = np.array([*box_of_landmarks(face), 0.9])
    rate = conv_rate(device)
    floors = {"with depth": sum(GFLOP.values()) / rate, "without depth": GFLOP["3D-FAN"] / rate}
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "one thread"
    print(f"\n{SIZE[1]} x {SIZE[0]}, {name}; a 3 x 3 convolution runs at {rate:.0f} GFLOP/s here: the floor is")
    print("; ".join(f"{floor:.3g} s per frame {which}" for which, floor in floors.items()))
    print("\n| | s per frame | frames/s | times the library with its own boxes, with and without mirror images |")
    print("|---|---|---|---|")
    seconds_of: list[float] = []

    def show(title: str, seconds: float) -> None:
        seconds_of.append(seconds)
        ratios = ", ".join(f"{other / seconds:.2f}" for other in seconds_of[:2])
        print(f"| {title} | {seconds:.3f} | {1 / seconds:.2f} | {ratios} |", flush=True)

    find = QuietS3fd(device)
    n_few = 2 if device == "cpu" else 20
    boxes = timed(lambda: find.theirs(images[0]), device, n_few)
    plain = 0.0
    for flip in (True, False):
        theirs = library(fan, depth, device, flip=flip)
        plain = timed(lambda t=theirs: t.get_landmarks_from_image(images[0], [box]), device, n_few)
        what = "with mirror images (its default)" if flip else "without mirror images"
        show(f"library, its own boxes, {what}", plain + boxes)
    show("library, boxes supplied, without mirror images", plain)
    for size in batches:
        for with_depth in (True, False):
            finder = Finder(find, box)
            still = Still(fan, face)
            ours = detector(still, depth, device, finder, fan_batch=size, fan_depth=with_depth)
            if device.startswith("cuda"):
                ours.detect_batch(images[:32], range(32))
            began, finder.n_asked, still.n_seen = now(device), 0, 0
            for start in range(0, n_frames, ours.batch_size):
                ours.detect_batch(images[start : start + ours.batch_size], range(ours.batch_size))
            seconds = (now(device) - began) / n_frames
            share = f"S3FD in {finder.n_asked} and 3D-FAN {still.n_seen} times in {n_frames} frames"
            show(f"ours, {'with' if with_depth else 'without'} depth, batches of {size} ({share})", seconds)


class Still(torch.nn.Module):
    """3D-FAN, whose answers are replaced by those of a face that fills the crop as its box foretells."""

    def __init__(self, fan: Any, face: Any) -> None:
        super().__init__()
        self.fan, self.n_seen = fan, 0
        (centre,), (scale,) = crop_frames(box_of_landmarks(face)[None])
        cells = ((face[:, :2] + 0.5 - centre) / (SIDE_PX * scale) + 0.5) * CELLS
        self.register_buffer("answer", torch.from_numpy(peaks(cells[None], 1.75)))

    def forward(self, crops: Any) -> Any:
        """Return the same heatmaps whatever is shown, after all of 3D-FAN's work."""
        self.n_seen += len(crops)
        return self.answer + 0 * self.fan(crops)[-1]


class Finder:
    """Runs our S3FD, and gives a box where random weights find none."""

    def __init__(self, find: Any, box: Any) -> None:
        self._find, self._box, self.n_asked = find, box, 0

    def detect_from_image(self, image: Any) -> list[Any]:
        """Return the box."""
        self.n_asked += 1
        self._find.ours(image)
        return [self._box]


class QuietS3fd:
    """S3FD with random weights that is never sure of a face, in the library's hands and in ours."""

    def __init__(self, device: str) -> None:
        from face_alignment.detection.sfd.detect import detect

        network = s3fd().to(device).eval()
        for name, layer in network.named_modules():
            if name.endswith("mbox_conf"):
                with torch.no_grad():
                    layer.bias.copy_(torch.tensor([50.0, 50.0, 50.0, -50.0])[-layer.out_channels :])
                    layer.bias[0] = 50.0
        self.theirs = lambda image: detect(network, image, device)
        self.ours = S3fdBoxes(network, device, 0.5, 640)


def face_points() -> Any:
    """Return 68 points spread as a face's are, (68, 3) px."""
    points = np.random.default_rng(3).uniform((-1.0, -0.5, 0), (1.0, 1.3, 0), (68, 3)) * 60
    return points + [300, 150, 0]


def library(fan: Any, depth: Any, device: str, flip: bool) -> Any:
    """Return the library's object with these networks: it is built from files alone."""
    built = FaceAlignment.__new__(FaceAlignment)
    built.device, built.dtype, built.flip_input, built.verbose = device, torch.float32, flip, False
    built.landmarks_type, built.max_batch_size = LandmarksType.THREE_D, 1
    built.face_detector = argparse.Namespace(reference_scale=195)
    built.face_alignment_net, built.depth_prediciton_net = fan.to(device), depth.to(device)
    return built


def detector(fan: Any, depth: Any, device: str, boxes: Any, **given: Any) -> FaceAlignmentDetector:
    """Return ours with these networks."""
    params = DetectParams(detector="face_alignment", **given)
    networks = FanNetworks(
        *(fan, folded(copy.deepcopy(depth)) if params.fan_depth else None),
        device=device,
        decode=params.fan_decode,
        precision="mixed" if device.startswith("cuda") and params.fan_decode == "subpixel" else "float32",
        batch_size=params.fan_batch,
    )
    finder = boxes if hasattr(boxes, "detect_from_image") else argparse.Namespace(detect_from_image=lambda image: boxes)
    return FaceAlignmentDetector(params, device, boxes=finder, networks=networks)


def conv_rate(device: str) -> float:
    """Return GFLOP/s of a convolution of 3D-FAN's kind."""
    layer = torch.nn.Conv2d(128, 128, 3, padding=1).to(device, memory_format=torch.channels_last)
    shown = torch.rand(8, 128, 64, 64, device=device).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        seconds = timed(lambda: layer(shown), device, 10)
    return 2 * 128 * 128 * 9 * shown.shape[0] * 64 * 64 / seconds / 1e9


def timed(function: Callable[[], Any], device: str, n: int) -> float:
    """Return seconds per call, after a first one."""
    function()
    began = now(device)
    for _ in range(n):
        function()
    return (now(device) - began) / n


def now(device: str) -> float:
    """Return processor seconds of this thread; by the clock where another device computes."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.thread_time()


if __name__ == "__main__":
    main()
