"""MediaPipe's models as we run them, beside the mediapipe package: speed, jitter, agreement, and known landmarks.

    python benchmarks/detection_mediapipe.py --sessions ../shared/data/sessions --images ../shared/data/images \
        [--peer OTHER/bin/python] [--dataset SYNTHETIC] [--workers 2] [--apart]

The package pins numpy below 2, so it lives in an environment of its own (pip install mediapipe==0.10.21 av), whose
Python is given as --peer: this file is run there once more, and hands its landmarks back. Speed is given per processor
second, decoding included, and as frames per second of --workers processes at once; --apart says where the time of a
frame goes, beside what nobody gets around: decoding, and the networks alone. Jitter is that of the second
differences, 1.4826 median / sqrt(6), px, over all 468 points. --dataset is a folder of `au3dmm synth dataset --aus
units`: landmarks there are known, and how much of each movement is seen (slope of the displacement found on the true).
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

MODES = {
    "tracking": {},
    "tracking, 2 meshes": {"recrops": 2},
    "frames alone": {"mediapipe_tracking": False},
    "tracking, plain mesh": {"mediapipe_refine": False},
    "frames alone, plain mesh": {"mediapipe_tracking": False, "mediapipe_refine": False},
}
REGIONS = {"jaw": (0, 17), "brows": (17, 27), "nose": (27, 36), "eyes": (36, 48), "mouth": (48, 68)}


def peer(videos: list[str], out: str) -> None:
    """Run the mediapipe package (in its own environment), both ways, and write landmarks and processor seconds."""
    import av
    import mediapipe
    from av.video.reformatter import VideoReformatter

    convert = VideoReformatter()  # frame.to_ndarray would start threads for every frame
    found = {}
    for name in videos:
        for static in (True, False):
            mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=static, refine_landmarks=True)
            rows = []
            start = time.process_time()
            for frame in av.open(name).decode(video=0):
                image = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
                size = np.array([image.shape[1], image.shape[0]])
                faces = mesh.process(image).multi_face_landmarks
                points = faces[0].landmark[:468] if faces else None
                rows.append([(p.x, p.y) for p in points] * size - 0.5 if points else np.full((468, 2), np.nan))
            seconds = time.process_time() - start
            key = f"{name}|{'static' if static else 'tracking'}"
            found[key], found[key + "|seconds"] = np.array(rows), np.array(seconds)
    np.savez(out, **found)


def detect(video: str, params: dict, weights: str | None) -> tuple[np.ndarray, float]:
    """Return the dense landmarks (T, 468, 2), NaN without a face, and processor seconds, decoding included."""
    from au3dmm.config import DetectParams
    from au3dmm.detectors.mediapipe import MediapipeDetector
    from au3dmm.io.video import read_frames
    from au3dmm.io.weights import weights_folder

    detector = MediapipeDetector(DetectParams(**params), Path(weights) if weights else weights_folder())
    rows, start = [], time.process_time()
    for i, (_, image) in enumerate(read_frames(Path(video))):
        faces = detector.detect(image, i)
        rows.append(faces[0].dense_px[:, :2] if faces else np.full((468, 2), np.nan))
    return np.array(rows, float), time.process_time() - start


def jitter_px(points: np.ndarray) -> float:
    return float(np.nanmedian(np.abs(np.diff(points, 2, axis=0))) * 1.4826 / np.sqrt(6))


def videos_table(videos: list[Path], python: str | None, weights: str | None) -> None:
    """Print speed, jitter and agreement on real videos."""
    known = {}
    if python:
        with tempfile.TemporaryDirectory() as tmp:
            out = Path(tmp) / "peer.npz"
            command = [python, __file__, "--run-peer", str(out), *map(str, videos)]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            known = dict(np.load(out))
    for video in videos:
        print(f"{video.parent.name}: frames/s of a core, jitter px, mean difference to the package's, % of the eyes")
        refs = {way: known[f"{video}|{way}"] for way in ("static", "tracking") if f"{video}|{way}" in known}
        for way, ref in refs.items():
            speed = len(ref) / known[f"{video}|{way}|seconds"]
            print(f"  | mediapipe package, {way} | {speed:.0f} | {jitter_px(ref):.3f} | |")
        for name, params in MODES.items():
            points, seconds = detect(str(video), params, weights)
            cells = []
            for ref in refs.values():
                eyes = np.linalg.norm(ref[:, 33] - ref[:, 263], axis=1)
                cells.append(f"{100 * np.nanmean(np.linalg.norm(points - ref, axis=2) / eyes[:, None]):.2f}")
            print(
                f"  | {name} | {len(points) / seconds:.0f} | {jitter_px(points):.3f} | {' / '.join(cells)} |",
                flush=True,
            )


def apart(video: Path, weights: str | None, frames: int = 200, turns: int = 7) -> None:
    """Print where the time of a frame goes: ways of doing more and more of it, one after the other, in turns."""
    import itertools

    import av
    from av.video.reformatter import VideoReformatter

    from au3dmm.config import DetectParams
    from au3dmm.detectors.mediapipe import MediapipeDetector
    from au3dmm.detectors.mediapipe_models import MESH_SIZE, UNIT, Region, as_floats, crop, crop_map
    from au3dmm.io.weights import weights_folder

    params = DetectParams()
    detector = MediapipeDetector(params, Path(weights) if weights else weights_folder())
    first, second = detector._mesh._first, detector._mesh._second
    convert = VideoReformatter()
    windows = [np.random.default_rng(0).normal(size=(16, 16, 32)).astype(np.float32)] * 3
    steps = ["decode", "colours", "crop", "first network", "second network", "BlazeFace", "all that is done"]
    with av.open(str(video)) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24", threads=1)
    around = detector.detect(image, 0)[0].box_px.astype(float)
    region = Region((around[:2] + around[2:]) / 2, 1.5 * float((around[2:] - around[:2]).max()), 0.0)
    matrix = crop_map(region, MESH_SIZE)

    def run(steps: int) -> float:
        detector.reset()
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            start = time.process_time()
            for i, frame in enumerate(itertools.islice(container.decode(stream), frames)):
                if steps >= 2:
                    image = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
                if steps == 7:
                    detector.detect(image, i)
                    continue
                if steps >= 3:
                    cut = as_floats(crop(image, matrix, MESH_SIZE, replicate=True), UNIT)
                if steps >= 4:
                    first(cut)
                if steps >= 5:
                    second(*windows)
                if steps >= 6 and i % params.mediapipe_search_every == 0:
                    detector._find(image)
            return 1000 * (time.process_time() - start) / (i + 1)

    def alone(model, *inputs) -> float:
        start = time.process_time()
        for _ in range(50):
            model(*inputs)
        return 1000 * (time.process_time() - start) / 50

    rows: dict[str, list[float]] = {name: [] for name in (*steps, "first alone", "second alone", "BlazeFace alone")}
    cut = as_floats(crop(image, matrix, MESH_SIZE, replicate=True), UNIT)
    for _ in range(turns):
        for n, name in enumerate(steps, 1):
            rows[name].append(run(n))
        rows["first alone"].append(alone(first, cut))
        rows["second alone"].append(alone(second, *windows))
        rows["BlazeFace alone"].append(alone(detector._find, image))
    print(
        f"{video.parent.name}: ms of a processor per frame up to and with this step, least and median of {turns} turns"
    )
    for name, values in rows.items():
        print(f"  | {name} | {min(values):.2f} | {np.median(values):.2f} |")


def borders(video: Path, weights: str | None) -> None:
    """Print how far landmarks jump where tracking begins anew."""
    from au3dmm.config import DetectParams
    from au3dmm.detectors.mediapipe import MediapipeDetector
    from au3dmm.io.video import read_frames
    from au3dmm.io.weights import weights_folder

    images = [image for _, image in read_frames(video)]
    folder = Path(weights) if weights else weights_folder()
    whole, anew = (MediapipeDetector(DetectParams(mediapipe_chunk_frames=4096), folder) for _ in range(2))
    rows = [whole.detect(image, i)[0].dense_px[:, :2] for i, image in enumerate(images)]
    jumps = []
    for i in range(5, len(images), max(1, len(images) // 40)):
        anew.reset()
        jumps.append(np.linalg.norm(anew.detect(images[i], i)[0].dense_px[:, :2] - rows[i], axis=1))
    step = np.linalg.norm(np.diff(rows, axis=0), axis=2)
    print(
        f"{video.parent.name}: jump at a border {np.median(jumps):.2f} px in the middle, {np.percentile(jumps, 95):.2f}"
        f" for one in twenty; from frame to frame {np.median(step):.2f}"
    )


def small_faces(images: list[Path], weights: str | None) -> None:
    """Print from which distance between the eyes on faces are found, in frames of 640 x 360."""
    import cv2

    from au3dmm.config import DetectParams
    from au3dmm.core.landmarks import eye_distance
    from au3dmm.detectors.mediapipe import MediapipeDetector
    from au3dmm.io.images import read_image
    from au3dmm.io.weights import weights_folder

    folder = Path(weights) if weights else weights_folder()
    sizes = (10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 48)
    for where in ("short", "full", "both"):
        detector = MediapipeDetector(DetectParams(mediapipe_tracking=False, mediapipe_range=where), folder)
        for path in images:
            image = read_image(path)
            marks = detector.detect(image, 0)[0].landmarks_px[:, :2]
            ground = cv2.resize(image[: len(image) // 4, : image.shape[1] // 8], (640, 360))
            found = []
            for size in sizes:
                scale = size / float(eye_distance(marks))
                small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:360, :640]
                n = 0
                for x in (0, 0.3, 0.6, 1.0):
                    left = int(x * (640 - small.shape[1]))
                    frame = ground.copy()
                    frame[: small.shape[0], left : left + small.shape[1]] = small
                    true = marks * scale + (left, 0)
                    faces = detector.detect(frame, 0)
                    n += any(np.linalg.norm(f.landmarks_px[:, :2] - true, axis=1).mean() < size / 4 for f in faces)
                found.append(f"{size} px {n}/4")
            print(f"  {where}, {path.stem}: {', '.join(found)}", flush=True)


def rendered(dataset: Path, subjects: list[int], weights: str | None) -> None:
    """Print errors against the known landmarks of rendered heads, and how much of each movement is seen."""
    from scipy.spatial.transform import Rotation

    from au3dmm.core.camera import Pose, project
    from au3dmm.core.landmarks import landmark_positions
    from au3dmm.detectors.mediapipe import landmarks_of_mesh
    from au3dmm.synthetic.cast import draw_look
    from au3dmm.synthetic.dataset import _setup
    from au3dmm.synthetic.people import head_model

    modes = {"with attention": {}, "plain mesh": {"mediapipe_refine": False}}
    errors = {mode: {region: [] for region in REGIONS} for mode in modes}
    seen: dict[str, dict[str, list[tuple[float, float]]]] = {mode: {} for mode in modes}
    for number in subjects:
        person = head_model("demo").person(0, number, draw_look(0, number, _setup(False)))
        for folder in sorted((dataset / "rawdata" / f"sub-S{number + 1:03d}").glob("*_1")):
            unit = folder.name.split("_")[1]
            if unit in {"AU51", "AU52", "AU53", "AU54", "AU55", "AU56"}:
                continue
            truth = json.loads((dataset / "truth" / f"{folder.name}.json").read_text())
            turned = Rotation.from_rotvec(truth["rotation_vector"]).as_matrix()
            pose = Pose(turned, np.array(truth["scale_px_per_m"]), np.array(truth["translation_px"]))
            middle = (np.array(truth["setup"]["rgb_size"]) - 1) / 2
            heads = [person.neutral, *map(person.head, np.array(truth["alpha_au"]))]
            points = np.array([landmark_positions(h, person.bases.faces, person.bases.embedding) for h in heads])
            still = project(np.broadcast_to(points[:1], points[1:].shape), pose, truth["focal_px"]) * (1, -1) + middle
            marks = project(points[1:], pose, truth["focal_px"]) * (1, -1) + middle
            eyes = np.linalg.norm(still[:, 36] - still[:, 45], axis=1).mean()
            for mode, params in modes.items():
                dense, _ = detect(str(folder / "rgb.mp4"), params, weights)
                found = np.array([landmarks_of_mesh(mesh)[:, :2] for mesh in dense])
                for region, (a, b) in REGIONS.items():
                    away = np.linalg.norm((found - marks)[:, a:b], axis=2)
                    errors[mode][region].append(100 * np.nanmean(away) / eyes)
                seen[mode].setdefault(unit, []).append(_seen(marks - still, found - still))
    for mode in modes:
        print(f"  {mode}, % of the eyes: " + ", ".join(f"{r} {np.mean(e):.1f}" for r, e in errors[mode].items()))
        every = [v for unit in seen[mode].values() for v in unit]
        units = [f"{u} {np.mean([v[0] for v in x]):.2f}" for u, x in seen[mode].items()]
        print(f"  {mode}, seen: {np.mean(every, axis=0).round(3).tolist()} (slope, correlation); " + ", ".join(units))


def _seen(true: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Return slope and correlation of displacements (T, 68, 2), of the points that move."""
    size = np.linalg.norm(true, axis=2).max(1)
    quiet, active = size < 0.02 * size.max(), size > 0.5 * size.max()
    found = found - np.nanmean(found[quiet], axis=0)
    power = (true[active] ** 2).sum((0, 2))
    use = power > 0.1 * power.max()
    x, y = true[:, use].reshape(len(true), -1), found[:, use].reshape(len(true), -1)
    along = true[active].mean(0)[use].ravel()
    return float((x * y).sum() / (x * x).sum()), float(np.corrcoef(x @ along, y @ along)[0, 1])


def together(video: Path, workers: int, weights: str | None) -> None:
    """Print frames per second of several processes at once, each on the whole video, building left out."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(detect, *zip(*[(str(video), {}, weights)] * workers, strict=True)))  # imports
        start = time.perf_counter()
        n = sum(
            len(points) for points, _ in pool.map(detect, *zip(*[(str(video), {}, weights)] * workers, strict=True))
        )
        print(f"{workers} processes at once: {n / (time.perf_counter() - start):.0f} frames/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--subjects", type=int, nargs="*", default=[3, 4, 5])
    parser.add_argument("--peer")
    parser.add_argument("--weights")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--run-peer")
    parser.add_argument("videos", nargs="*")
    args = parser.parse_args()
    if args.run_peer:
        peer(args.videos, args.run_peer)
        return
    if args.sessions:
        videos = [args.sessions / name / "rgb.mp4" for name in ("pexels_trigger", "single_motion")]
        if args.apart:
            for video in videos:
                apart(video, args.weights)
            return
        videos_table(videos, args.peer, args.weights)
        for video in videos:
            borders(video, args.weights)
        if args.workers:
            together(videos[0], args.workers, args.weights)
    if args.images:
        small_faces(sorted(args.images.glob("*.jpg")), args.weights)
    if args.dataset:
        rendered(args.dataset, args.subjects, args.weights)


if __name__ == "__main__":
    main()
