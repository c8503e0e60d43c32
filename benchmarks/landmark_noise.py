"""Noise of landmarks and labels of recordings: the detector as it first was against the default, one and the same fit.

    python benchmarks/landmark_noise.py SESSION [SESSION ...] [--skip SESSION:FIRST:LAST ...] [--bases bases.npz]

As it first was: each frame alone, the plain mesh, near faces only. Neutral face and motion come from the recording;
noise is measured twice, once where the truth is known and once where it is not:

- *held*: some frames of the recording, each shown 48 times, with fresh noise of 2 grey levels and a known drift of
  1 px. Nothing moves in these faces, so all that landmarks (less the drift) and labels do is noise, whether it is fast
  or slow: rms about their mean in the middle 28 frames.
- *still*: of the recording's spans of 32 frames, the quarter in which the face's pixels change least; second
  differences (`core.landmark_noise.jitter_px` of landmarks, rms over the root of 6 of labels), which see fast noise.

Landmarks: px, mean over the 68 (and over eyes, 36-47, and mouth, 48-67). Coefficients: standard deviations, rms over
those of the basis. Displacement of the fitted face: mm, over 500 vertices of its moving parts, and as a share of the
motion fitted to the recording (rms about the mean): a detector that shows nothing has no noise.

--skip leaves frames out of both, in which a hand hides the face, say: what is invented there is no noise.
"""

import argparse
import logging
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.config import DetectParams, FitParams, IdentityParams
from au3dmm.core.landmark_noise import STILL_FRAMES, STILL_SHARE, jitter_px
from au3dmm.core.landmarks import eye_distance
from au3dmm.core.threads import single_threaded_blas
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases
from au3dmm.io.frames import session_frames
from au3dmm.io.session import read_session
from au3dmm.io.tables import read_table, vectors
from au3dmm.stages import detect, fit, identity

FIRST = {"mediapipe_tracking": False, "mediapipe_refine": False, "mediapipe_range": "short", "max_side_px": 0}
MODES = {
    "as it first was": FIRST,
    "tracking": {**FIRST, "mediapipe_tracking": True},
    "attention": {**FIRST, "mediapipe_refine": True},
    "both (default)": {},
    "both, two meshes": {"recrops": 2},
}
EYES, MOUTH = slice(36, 48), slice(48, 68)
TIMES, EDGE = 48, 10  # how often a held frame is shown, and times not counted at both ends
DRIFT_PX, NOISE = 1.0, 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", nargs="+", type=Path)
    parser.add_argument("--skip", nargs="*", default=[], metavar="SESSION:FIRST:LAST")
    parser.add_argument("--held", type=int, default=12, help="frames of each recording that are held")
    parser.add_argument("--bases", type=Path, help="default: the demo basis")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=NUMBER", help="parameters of [fit]")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    bases = options.bases or asset_path(DEMO_BASES)
    params = FitParams(**{key: float(value) for key, value in (text.split("=") for text in options.set)})
    face = moving_parts(bases)
    for session in options.sessions:
        skipped = [
            range(int(a), int(b) + 1) for name, a, b in (x.split(":") for x in options.skip) if name == session.name
        ]
        images = [frame.image for frame in session_frames(read_session(session)).read()]
        usable = np.array([not any(i in skip for skip in skipped) for i in range(len(images))])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            chosen = np.flatnonzero(usable)[np.linspace(0, usable.sum() - 1, options.held).round().astype(int)]
            held, drift = hold([images[i] for i in chosen], session, folder / "held")
            rows = []
            still: list[slice] = []
            for mode, values in MODES.items():
                rows.append(f"| {mode} | ")
                own, of_held = folder / f"{len(rows)}.parquet", folder / f"{len(rows)}.held.parquet"
                detect.run(session=session, landmarks=own, params=DetectParams(**values))
                detect.run(session=held, landmarks=of_held, params=DetectParams(**values))
                still = still or still_spans(images, own, usable)
                neutral = own.with_suffix(".identity")
                alone = IdentityParams(pool="session")
                identity.run(sessions=[session], landmarks=[own], bases=bases, identity=neutral, params=alone)
                alpha = fitted(session, own, neutral, bases, params)
                moved = np.einsum("tk,kva->tva", alpha, face)
                motion = float(np.sqrt(np.nanmean(((moved - np.nanmean(moved, axis=0)) ** 2).sum(2))))
                alpha_held = fitted(held, of_held, neutral, bases, params)
                rows[-1] += of_held_frames(of_held, drift, alpha_held, face, motion) + " | "
                rows[-1] += of_still_spans(own, alpha, moved, still, motion) + f" | {motion:.2f} |"
        shown = ", ".join(f"{s.start} to {s.stop - 1}" for s in still)
        print(f"{session.name}: held frames {', '.join(map(str, chosen))}; still frames {shown}")
        print("| | held: landmarks (eyes, mouth), px | coefficients | displacement, mm | still: landmarks |", end="")
        print(" coefficients | displacement | motion, mm |\n" + "|---" * 8 + "|")
        print("\n".join(rows), flush=True)


def hold(images: list[Any], session: Path, folder: Path) -> tuple[Path, NDArray[np.float64]]:
    """Write a session of held images; return it, and how far each frame is moved (T, 2), px."""
    rng = np.random.default_rng(0)
    turn = np.linspace(0, 2 * np.pi, TIMES, endpoint=False)
    drift = DRIFT_PX * np.stack([np.sin(turn), np.cos(turn)], 1)
    (folder / "rgb").mkdir(parents=True)
    lines = ["frame_index,pts_us"]
    for image in images:
        for x, y in drift:
            place = np.array([[1.0, 0.0, -x], [0.0, 1.0, -y]])
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            moved = cv2.warpAffine(image, place, image.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
            noisy = np.clip(np.rint(moved + rng.normal(0, NOISE, moved.shape)), 0, 255).astype(np.uint8)
            n = len(lines) - 1
            cv2.imwrite(str(folder / "rgb" / f"{n:05}.png"), noisy[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 0])
            lines.append(f"{n},{round(n * 1e6 / 30)}")
    (folder / "times.csv").write_text("\n".join(lines) + "\n", "utf-8")
    focal = read_session(session).manifest.rgb.focal_px
    camera = "" if focal is None else f"focal_px = {focal}\n"
    (folder / "session.toml").write_text(
        'schema_version = 1\n[session]\nsession_id = "held"\nsubject_id = "S"\n'
        f'[rgb]\nfolder = "rgb"\ntimestamps = "times.csv"\n{camera}',
        "utf-8",
    )
    return folder, np.tile(drift, (len(images), 1))


def fitted(session: Path, landmarks: Path, neutral: Path, bases: Path, params: FitParams) -> NDArray[np.float64]:
    """Return alpha (T, K), NaN where there is none."""
    out = landmarks.with_suffix(".coefficients")
    fit.run(session=session, landmarks=landmarks, identity=neutral, bases=bases, coefficients=out, params=params)
    values, ok = vectors(read_table(out, "coefficients"), "alpha_au")
    return np.where(ok[:, None], values, np.nan).astype(np.float64)


def moving_parts(bases: Path) -> NDArray[np.float64]:
    """Return the AU components (K, 500, 3) on vertices that move, mm."""
    basis = read_bases(bases)
    size = np.linalg.norm(basis.components_au, axis=2).max(0)
    moving = np.flatnonzero(size > 0.1 * size.max())
    chosen = moving[np.linspace(0, len(moving) - 1, min(500, len(moving))).astype(int)]
    return np.asarray(1e3 * basis.components_au[:, chosen].astype(np.float64))


def still_spans(images: list[Any], landmarks: Path, usable: NDArray[np.bool_]) -> list[slice]:
    """Return the quarter of the spans of usable frames in which the face's pixels change least."""
    boxes, found = vectors(read_table(landmarks, "landmarks"), "box_px")
    change = np.full(len(images), np.inf)
    for i in range(1, len(images)):
        x0, y0, x1, y1 = np.clip(boxes[i], 0, None).astype(int) if found[i] else (0, 0, *images[i].shape[1::-1])
        pair = [images[j][y0:y1, x0:x1].astype(np.float32) for j in (i - 1, i)]
        change[i] = np.abs(pair[1] - pair[0]).mean()
    spans = [slice(i, i + STILL_FRAMES) for i in range(0, len(images) - STILL_FRAMES + 1, STILL_FRAMES)]
    spans = [span for span in spans if usable[span].all() and found[span].all()]
    order = np.argsort([np.median(change[span]) for span in spans], kind="stable")
    return [spans[i] for i in sorted(order[: max(1, round(STILL_SHARE * len(spans)))])]


def landmarks_of(table: Path) -> NDArray[np.float64]:
    values, found = vectors(read_table(table, "landmarks"), "landmarks_px")
    return np.where(found[:, None], values, np.nan).reshape(-1, 68, 3)[..., :2].astype(np.float64)


def of_held_frames(
    table: Path, drift: NDArray[np.float64], alpha: NDArray[np.float64], face: NDArray[np.float64], motion: float
) -> str:
    marks = landmarks_of(table) - drift[:, None]
    each = np.sqrt(np.nanmean(about_mean(marks) ** 2, axis=(0, 1, 3)))
    moved = about_mean(np.einsum("tk,kva->tva", alpha, face))
    noise = float(np.sqrt(np.nanmean((moved**2).sum(3))))
    coefficients = float(np.sqrt(np.nanmean(about_mean(alpha) ** 2)))
    return (
        f"{each.mean():.3f} ({each[EYES].mean():.3f}, {each[MOUTH].mean():.3f}) | {coefficients:.4f} |"
        f" {noise:.4f}, {100 * noise / motion:.2f} %"
    )


def about_mean(tracks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return tracks (T, ...) of held frames by frame held, (H, t, ...), about their means in the middle."""
    middle = tracks.reshape(-1, TIMES, *tracks.shape[1:])[:, EDGE:-EDGE]
    return np.asarray(middle - np.nanmean(middle, axis=1, keepdims=True))


def of_still_spans(
    table: Path, alpha: NDArray[np.float64], moved: NDArray[np.float64], still: list[slice], motion: float
) -> str:
    marks = landmarks_of(table)
    noise = np.mean([jitter_px(marks[span], np.array([0])) for span in still], axis=0)
    across = np.mean([np.median(eye_distance(marks[span])) for span in still])
    size = noise_of(moved.reshape(len(moved), -1), still) * np.sqrt(3)  # of vectors, as motion is
    share = 100 * noise.mean() / across
    return f"{noise.mean():.3f}, {share:.3f} % | {noise_of(alpha, still):.4f} | {size:.4f}, {100 * size / motion:.2f} %"


def noise_of(tracks: NDArray[np.float64], still: list[slice]) -> float:
    """Return the rms second difference of tracks (T, N) within still spans over the root of 6."""
    second = np.concatenate([np.diff(tracks[span], 2, axis=0) for span in still])
    return float(np.sqrt(np.nanmean(second**2) / 6))


if __name__ == "__main__":
    with single_threaded_blas():
        main()
