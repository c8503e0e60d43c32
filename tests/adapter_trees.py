"""Small datasets in the layouts that `au3dmm init --layout` knows, with files called as they are there."""

import json

import h5py
import numpy as np

from au3dmm.io.bases import write_bases, write_npz
from au3dmm.io.events import EVENT_DTYPE, TRIGGER_DTYPE, write_evt3
from au3dmm.io.images import write_image
from container_files import random_events
from container_files import write_dsec as write_dsec_file
from container_files import write_m3ed as write_m3ed_file
from planted import small_bases
from recordings import noise_images, write_video
from small_recording import INTERVAL_US, SIZE, N, landmarks_px, write_events

USERS = ("00d38697d37c454c86599154f7de69da", "25c8ed503c504ee79218fdcee221f293")
START_US = (15 * 3600 + 19 * 60 + 28) * 1_000_000 + 385_380  # of the wall clock


def clock_name(t_us, sep=":"):
    """A time of day as FACEMORPHIC's images have it."""
    s, us = divmod(t_us, 1_000_000)
    return f"{s // 3600 % 24:02}{sep}{s // 60 % 60:02}{sep}{s % 60:02}.{us:06}"


def write_images(folder, names, size=SIZE):
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, noise_images(len(names), size), strict=True):
        write_image(folder / name, image)
    return folder


def plain_events(path, duration_us=900_000, start_us=10_000):
    """A few events without triggers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    events = np.zeros(3000, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(start_us, start_us + duration_us, len(events)))
    events["x"], events["y"], events["p"] = (
        rng.integers(0, 1280, 3000),
        rng.integers(0, 720, 3000),
        rng.integers(0, 2, 3000),
    )
    write_evt3(path, events, np.zeros(0, TRIGGER_DTYPE), width=1280, height=720)
    return path


def write_pairs(root, names=(("S1", "smile"), ("S1", "frown"), ("S2", "smile")), triggers=True):
    """`<subject>/<session>_rgb.mp4` with `events/<subject>/<session>.raw`."""
    pts_us = 500_000 + INTERVAL_US * np.arange(N)
    for subject, session in names:
        (root / "video" / subject).mkdir(parents=True, exist_ok=True)
        (root / "events" / subject).mkdir(parents=True, exist_ok=True)
        video = root / "video" / subject / f"{session}_rgb.mp4"
        write_video(video, noise_images(N, SIZE), [round(t * 0.09) for t in pts_us])
        path = root / "events" / subject / f"{session}.raw"
        write_events(path, pts_us) if triggers else plain_events(path)
    return root


def facemorphic_clip(folder, run=1, n=N, events=True, landmarks=True, annotation=(5, 15), sep=":"):
    """One clip as FACEMORPHIC's authors keep it."""
    times = START_US + INTERVAL_US * np.arange(n)
    frames = write_images(
        folder / f"frames_{run}", [f"frame_{i}_{clock_name(int(t), sep)}.jpg" for i, t in enumerate(times)]
    )
    if landmarks:
        points = list(landmarks_px().astype(float))[:n]
        points[3] = []  # no face there
        np.savez_compressed(frames / "landmarks.npz", {"landmarks": points})
        alphas = [np.full(32, float(i)) for i in range(n)]
        alphas[3] = []
        np.savez_compressed(frames / "alphas32.npz", {"alphas": alphas, "identity_alphas": np.arange(22.0)})
    if events:
        plain_events(folder / f"event_{run}.raw", n * INTERVAL_US)
    if annotation is not None:
        beside = folder / f"event_frames_{run}"
        beside.mkdir(parents=True, exist_ok=True)
        (beside / "annotation.json").write_text(json.dumps({"start": annotation[0], "end": annotation[1]}))
    return frames


def write_facemorphic(root):
    """Two users: an action unit twice, a head movement, a free clip and one of reading; some pieces missing."""
    clips = root / "recordings"
    facemorphic_clip(clips / USERS[0] / "AU_12", 1)
    facemorphic_clip(clips / USERS[0] / "AU_12", 2, n=8, landmarks=False, annotation=(99999999, 99999999))
    facemorphic_clip(clips / USERS[0] / "AU_FREE", 1, n=4, landmarks=False, annotation=None)
    facemorphic_clip(clips / USERS[1] / "au_51", 1, n=6, events=False, landmarks=False, annotation=(2, 400))
    facemorphic_clip(clips / USERS[1] / "AU_READING_2", 1, n=4, landmarks=False, annotation=None)
    plain_events(clips / USERS[1] / "AU_7" / "event_1.raw")
    (clips / USERS[1] / "AU_9" / "frames_1").mkdir(parents=True)
    return root


def bases_beside(folder):
    path = folder / "bases.npz"
    write_bases(path, small_bases())
    return path


def plain_landmarks(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_npz(path, {"landmarks": landmarks_px()})
    return path


def write_dsec(root, sequence="S1/seq_a", n=N, events=True, exposures=True):
    """A sequence on the clock of its events, whose file has a `t_offset`."""
    folder = root / sequence
    t_us = 49_599_300_523 + INTERVAL_US * np.arange(n)
    write_images(folder / "images" / "left" / "rectified", [f"{i:06}.png" for i in range(n)])
    (folder / "images" / "timestamps.txt").write_text("".join(f"{t}\n" for t in t_us))
    if exposures:
        rows = "".join(f"{t - 4000}, {t + 4000}\n" for t in t_us)
        (folder / "images" / "left" / "exposure_timestamps.txt").write_text("# start, end\n" + rows)
    if events:
        (folder / "events" / "left").mkdir(parents=True)
        recorded = random_events(4000, start_us=int(t_us[0]) - 40_000, mean_step_us=n * INTERVAL_US // 3800)
        write_dsec_file(folder / "events" / "left" / "events.h5", recorded, t_offset=int(t_us[0]) - 50_000)
    return folder


def write_m3ed(path, n=N, wrong_us=0):
    """A file with events and RGB images (blue first, as there) on one clock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t_us = 2_000_000 + INTERVAL_US * np.arange(n)
    events = random_events(4000, start_us=int(t_us[0]) - 40_000, mean_step_us=n * INTERVAL_US // 3800)
    write_m3ed_file(path, events, events)
    with h5py.File(path, "a") as file:
        file["ovc/rgb/data"] = np.stack(noise_images(n, SIZE))[..., ::-1]
        file["ovc/ts"] = t_us + wrong_us
        file["ovc/ts_map_prophesee_left_t"] = np.searchsorted(events["t"], t_us)
    return path


NEFER_CLIPS = (("Happiness", "Happiness"), ("Fear", "Surprise"), ("Disgust", "None"))


def write_nefer(root, users=("user_03",), clips=NEFER_CLIPS, frames=N):
    """Clips under the names that they have there, and both sets of emotions as rows per frame."""
    rows = {(which, kind): [] for which in ("expected", "reported") for kind in ("event", "gopro")}
    for user in users:
        for i, emotions in enumerate(clips):
            gopro, event = f"GOPR{804 + i:04}", f"{user.replace('_', '')}_2022-06-08_15-1{i}-06_cd"
            write_images(root / "rgb_videos" / user / gopro, [f"frame_{f:02}.png" for f in range(frames)])
            plain_events(root / "event_videos" / "raw" / user / f"{event}.raw", frames * INTERVAL_US)
            for which, emotion in zip(("expected", "reported"), emotions, strict=True):
                for kind, clip in (("event", event), ("gopro", gopro)):
                    rows[which, kind] += [
                        f"{user},{clip},../x/{user}/{clip}/frame_{f:02}.png,{emotion}" for f in range(3)
                    ]
    for (which, kind), lines in rows.items():
        tail = "_subjective" if which == "reported" else ""
        path = root / "annotations" / f"{which}_emotions" / f"validation_{kind}{tail}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return root


def write_bp4d(root, subject="F001", task="T1", numbers=tuple(range(1, N + 1)), coded=range(5, 15)):
    """Images that are called by their number; occurrence of a part of them, intensity of one action unit."""
    write_images(root / "Sequences" / subject / task, [f"{number:04}.jpg" for number in numbers])
    coding = root / "AUCoding"
    (coding / "AU_OCC").mkdir(parents=True, exist_ok=True)
    (coding / "AU_INT" / "AU06").mkdir(parents=True, exist_ok=True)
    table = ["0," + ",".join(map(str, range(1, 100)))]
    for i in coded:
        codes = {1: 0, 2: 9 if i == 7 else 1, 12: int(i >= 10)}
        table.append(f"{i}," + ",".join(str(codes.get(au, 9)) for au in range(1, 100)))
    (coding / "AU_OCC" / f"{subject}_{task}.csv").write_text("\n".join(table) + "\n")
    intensity = "".join(f"{i},{9 if i == 5 else i % 6}\n" for i in coded)
    (coding / "AU_INT" / "AU06" / f"{subject}_{task}_AU06.csv").write_text(intensity)
    return root


def write_disfa(root, subject="SN001", n=N, rows=N, units=(1, 12)):
    """A video of the left camera, and a file of intensities per action unit."""
    (root / "Videos_LeftCamera").mkdir(parents=True, exist_ok=True)
    video = root / "Videos_LeftCamera" / f"LeftVideo{subject}_comp.avi"
    write_video(video, noise_images(n, SIZE), [i * 4500 for i in range(n)], codec="ffv1", rate=20)
    folder = root / "ActionUnit_Labels" / subject
    folder.mkdir(parents=True, exist_ok=True)
    for au in units:
        (folder / f"{subject}_au{au}.txt").write_text("".join(f"{i + 1},{(i + au) % 6}\n" for i in range(rows)))
    return root
