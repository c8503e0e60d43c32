"""A small recording whose landmarks come from a file, so that `label` takes a second and needs no weights."""

import numpy as np
from scipy.spatial.transform import Rotation

from au3dmm.core.basis import deform
from au3dmm.core.camera import focal_from_field_of_view, from_plane, principal_point
from au3dmm.io.bases import write_bases, write_npz
from au3dmm.io.events import EVENT_DTYPE, TRIGGER_DTYPE, write_evt3
from faces import see_pinhole
from planted import small_bases
from recordings import noise_images, write_csv, write_manifest, write_video

N, SIZE = 24, (160, 120)
OFFSET_US, EXPOSURE_US, FIRST_US, INTERVAL_US = 412_345, 8_000, 500_000, 33_333


def write_recording(folder):
    """Write a session into `folder`, and beside it `bases.npz`."""
    pts_us = FIRST_US + INTERVAL_US * np.arange(N)
    write_video(folder / "rgb.mp4", noise_images(N, SIZE), [round(t * 0.09) for t in pts_us])
    write_csv(folder / "times.csv", pts_us, exposure_us=EXPOSURE_US)
    write_npz(folder / "landmarks.npz", {"landmarks": landmarks_px()})
    write_events(folder / "events.raw", pts_us)
    write_manifest(
        folder,
        {"file": "rgb.mp4", "timestamps": "times.csv", "timestamp_convention": "exposure_start"},
        events={"file": "events.raw"},
        sync={"method": "trigger"},
        landmarks={"file": "landmarks.npz"},
    )
    write_bases(folder.parent / "bases.npz", small_bases())


def landmarks_px():
    """(N, 68, 3) landmarks of a planted face that moves and makes faces."""
    bases, rng = small_bases(), np.random.default_rng(5)
    neutral = deform(bases.template, bases.components_id, rng.normal(size=bases.k_id) * 0.7)
    active = np.maximum(np.sin(np.arange(N) / 5 - 1), 0)
    alpha = active[:, None] * np.abs(rng.normal(size=bases.k_au)) * 2
    phase = np.arange(N)[:, None] / 25 + [0.0, 1.0, 2.5]
    rotation = Rotation.from_rotvec(np.radians(8) * np.sin(phase)).as_matrix()
    place = np.array([0.02, -0.01, 0.55]) + 0.01 * np.sin(phase / 2)
    shape = deform(neutral, bases.components_au, alpha)
    seen = see_pinhole(shape, rotation, place, focal_from_field_of_view(SIZE[0], 60))
    points = from_plane(seen, principal_point(*SIZE))
    return np.concatenate([points, np.zeros((N, 68, 1))], axis=2).astype(np.float32)


def write_events(path, pts_us, size=(64, 48)):
    """Events at random, and both edges of every exposure."""
    rng, n = np.random.default_rng(0), 4000
    events = np.zeros(n, EVENT_DTYPE)
    first, last = pts_us[0] + OFFSET_US - 50_000, pts_us[-1] + OFFSET_US + 50_000
    events["t"] = np.sort(rng.integers(first, last, n))
    events["x"], events["y"] = rng.integers(0, size[0], n), rng.integers(0, size[1], n)
    events["p"] = rng.integers(0, 2, n)
    triggers = np.zeros(2 * len(pts_us), TRIGGER_DTYPE)
    triggers["t"] = (pts_us[:, None] + OFFSET_US + np.array([0, EXPOSURE_US])).ravel()
    triggers["p"] = np.tile([1, 0], len(pts_us))
    write_evt3(path, events, triggers, width=size[0], height=size[1])
