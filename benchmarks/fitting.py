"""Frames per second of the fit on one core: end to end, in parts, and beside other ways to solve the same problem.

    python benchmarks/fitting.py [--subjects 4] [--processes 2]

Invented faces, K = 32, seen by a pinhole camera with 0.7 px of noise: clips of 75 frames in which a few action units
rise and fall, 24 clips a subject (49 clips of 142 frames are what FACEMORPHIC has of a person). End to end is landmarks
in, coefficients, standard deviations, degrees of freedom, pose and fitted landmarks out, with smoothing and the search
for the neutral face. Processor seconds, the best of three. The loop is the oracle of the tests; eos-py (pip install
eos-py) is used where it is installed: its linear pose and shape fit of one frame, which has no sign, no joint pose, no
perspective and no standard deviations.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import naive_fit
from au3dmm.config import FitParams, IdentityParams
from au3dmm.core.basis import deform
from au3dmm.core.fitting import CameraSettings, fit_expression, fit_neutral
from au3dmm.core.landmark_noise import NOISE_FRAMES, believed_noise_px
from au3dmm.core.neutral import find_neutral, spread_evenly
from au3dmm.core.smoothing import smooth_landmarks
from faces import Face, make_face, random_rotations, see_pinhole

FOCAL, CLIPS, FRAMES, K = 600.0, 24, 75, 32


def recording(seed: int, n_landmarks: int, frames: int = FRAMES, clips: int = CLIPS) -> tuple[Face, np.ndarray]:
    """One subject's clips: the basis, and landmarks (clips * frames, L, 2)."""
    face = make_face(0, 20, K)
    rng = np.random.default_rng(seed)
    if n_landmarks > 68:  # more landmarks between those that there are
        mix = rng.dirichlet(np.full(68, 0.03), n_landmarks - 68)

        def more(x):
            return np.concatenate([x, mix @ x], axis=-2)

        face = Face(more(face.template), more(face.components_id), more(face.components_au))
    neutral = deform(face.template, face.components_id, rng.normal(size=20))
    t = np.arange(frames)
    alpha = np.zeros((clips, frames, K))
    for clip in alpha:
        for k in rng.choice(K, 3, replace=False):
            begin, end = rng.uniform(8, 22), rng.uniform(35, 55)
            clip[:, k] = rng.uniform(1, 3) * expit(t - begin) * expit(end - t)
    shape = deform(neutral, face.components_au, alpha.reshape(-1, K))
    swing = np.sin(t / FRAMES * 2 * np.pi)[:, None] * rng.uniform(-0.2, 0.2, (clips, 1, 3))
    rotation = random_rotations(rng, 1)[0] + np.zeros((clips * frames, 3, 3))
    turned = np.stack([_turn(v) for v in swing.reshape(-1, 3)])
    seen = see_pinhole(shape, turned @ rotation, np.tile([0.0, 0.0, 0.6], (len(shape), 1)), FOCAL)
    return face, seen + rng.normal(size=seen.shape) * 0.7


def _turn(v: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(v).as_matrix()


def end_to_end(face: Face, seen: np.ndarray, preset: str, frames: int = FRAMES) -> np.ndarray:
    """What the stages identity and fit compute for a subject; `paper` knows them by their first frame."""
    fit, ident = FitParams(preset=preset), IdentityParams(preset=preset)
    settings = CameraSettings(fit.camera, fit.perspective_passes, FOCAL)
    weights = np.ones(seen.shape[1])
    weights[:17] = fit.jaw_weight
    known = {
        "sigma_id_px": ident.sigma_id_px,
        "sigma_offset_m": ident.sigma_offset_m,
        "alternations": ident.alternations,
    }
    n = len(seen)
    if fit.smoothing_us:
        breaks = np.arange(n) % frames == 0
        seen = smooth_landmarks(
            seen, np.arange(n) * 33_333, np.ones(n, bool), fit.smoothing_us, breaks, spike_iod=fit.spike_iod
        )
    options = {
        "sigma_px": fit.sigma_px,
        "joint_pose": fit.joint_pose,
        "nonnegative": fit.codes == "nonnegative",
        "l1": fit.l1,
        "ridge": fit.ridge,
        "reweight": fit.reweight,
        "l1_by_size": fit.l1_by_size,
        "robust": fit.robust,
        "shrink": fit.shrink,
    }
    if ident.neutral == "first_frame":
        neutral = fit_neutral(seen[:1], face.template, face.components_id, weights, settings, **known)
    else:
        neutral = find_neutral(
            seen, np.arange(0, n, frames), face.template, face.components_id, face.components_au, weights, settings,
            **known, sigma_px=ident.sigma_px, l1=ident.l1, ridge=ident.ridge, share=ident.neutral_share,
            frames_max=ident.neutral_frames_max, passes=ident.neutral_passes,
        ).neutral  # fmt: skip
    if fit.noise == "measured":
        some = seen[spread_evenly(np.arange(n), NOISE_FRAMES)]
        first = fit_expression(some, neutral.shape, face.components_au, weights, settings, spread=False, **options)
        options["sigma_px"], _ = believed_noise_px(fit.sigma_px, first.fitted, some, weights)
    return fit_expression(seen, neutral.shape, face.components_au, weights, settings, **options).alpha


def frames_per_second(run, n: int, repeats: int = 3) -> float:
    run()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return n / min(times)


def loop(face: Face, seen: np.ndarray, preset: str) -> np.ndarray:
    p = FitParams(preset=preset)
    weights = np.ones(68)
    weights[:17] = p.jaw_weight
    options = {
        "joint_pose": p.joint_pose,
        "nonnegative": p.codes == "nonnegative",
        "l1": p.l1,
        "ridge": p.ridge,
        "sigma": p.sigma_px,
    }
    rest = (p.camera, p.perspective_passes, FOCAL)
    return np.stack(
        [naive_fit.expression(l, face.template, face.components_au, weights, *rest, **options) for l in seen]
    )


def batched(face: Face, seen: np.ndarray, preset: str) -> np.ndarray:
    """The fit of the expression alone, what `loop` computes and std and dof, given the template as the neutral."""
    p = FitParams(preset=preset)
    weights = np.ones(68)
    weights[:17] = p.jaw_weight
    return fit_expression(
        seen, face.template, face.components_au, weights, CameraSettings(p.camera, p.perspective_passes, FOCAL),
        sigma_px=p.sigma_px, joint_pose=p.joint_pose, nonnegative=p.codes == "nonnegative", l1=p.l1, ridge=p.ridge,
    ).alpha  # fmt: skip


def eos_loop(face: Face, seen: np.ndarray) -> int:
    """Run the closed form of eos frame by frame: scaled orthographic pose, then coefficients."""
    import eos

    basis = face.components_au.reshape(K, -1).T
    norms = np.linalg.norm(basis, axis=0)
    model = eos.morphablemodel.PcaModel(
        face.template.ravel().astype(np.float32), (basis / norms).astype(np.float32),
        (norms**2).astype(np.float32), [[0, 1, 2]],
    )  # fmt: skip
    points = [np.append(p, 1.0).astype(np.float32) for p in face.template]
    for l in seen.astype(np.float32):
        image = list(l)
        pose = eos.fitting.estimate_orthographic_projection_linear(image, points, True, 0)
        camera = eos.fitting.get_3x4_affine_camera_matrix(eos.fitting.RenderingParameters(pose, 1, 1), 1, 1)
        eos.fitting.fit_shape_to_landmarks_linear(model, camera, image, list(range(68)))
    return len(seen)


def _one_process(arguments: tuple[int, str]) -> int:
    face, seen = recording(arguments[0], 68)
    for _ in range(20):
        batched(face, seen, arguments[1])
    return 20 * len(seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--processes", type=int, default=0, help="measure the fit in so many processes at once, too")
    arguments = parser.parse_args()
    rows: list[tuple[str, float]] = []
    for name, n_landmarks, preset in (("robust", 68, "robust"), ("paper", 68, "paper"), ("robust", 400, "robust")):
        subjects = [recording(seed, n_landmarks) for seed in range(arguments.subjects)]
        n = len(subjects) * CLIPS * FRAMES
        speed = frames_per_second(lambda s=subjects, p=preset: [end_to_end(*x, p) for x in s], n)
        rows.append((f"{name}, end to end, {n_landmarks} landmarks", speed))
        clip = (subjects[0][0], subjects[0][1][:FRAMES])
        speed = frames_per_second(lambda c=clip, p=preset: end_to_end(*c, p), FRAMES, 20)
        rows.append((f"{name}, one clip of {FRAMES} frames, {n_landmarks} landmarks", speed))
    for place, (clips, long) in enumerate(((49, 142), (CLIPS, 10 * FRAMES)), 1):
        subjects = [recording(seed, 68, long, clips) for seed in range(min(2, arguments.subjects))]
        n = len(subjects) * clips * long
        speed = frames_per_second(lambda s=subjects, f=long: [end_to_end(*x, "robust", f) for x in s], n)
        rows.insert(place, (f"robust, end to end, {clips} clips of {long} frames", speed))
    face, seen = recording(0, 68)
    few = seen[:: max(1, len(seen) // 200)]
    for preset in ("robust", "paper"):
        rows.append((f"{preset}, fit alone", frames_per_second(lambda p=preset: batched(face, seen, p), len(seen))))
        rows.append((f"{preset}, loop", frames_per_second(lambda p=preset: loop(face, few, p), len(few), 1)))
        difference = np.abs(batched(face, few, preset) - loop(face, few, preset)).max()
        print(f"{preset}: largest difference of alpha from the loop {difference:.1e}")
    try:
        rows.append(("eos-py, linear fit", frames_per_second(lambda: eos_loop(face, few), len(few), 1)))
    except ImportError:
        print("eos-py is not installed: no row for it (pip install eos-py)")
    print(f"{'':44} {'frames/s':>10} {'us a frame':>11}")
    for name, speed in rows:
        print(f"{name:44} {speed:10.0f} {1e6 / speed:11.1f}")
    if arguments.processes:
        with ProcessPoolExecutor(arguments.processes) as pool:
            list(pool.map(_one_process, [(i, "paper") for i in range(arguments.processes)]))
            for preset in ("robust", "paper"):
                began = time.perf_counter()
                done = sum(pool.map(_one_process, [(i, preset) for i in range(arguments.processes)]))
                speed = done / (time.perf_counter() - began)
                print(f"{preset}, fit alone, {arguments.processes} processes: {speed:.0f} frames/s of wall time")


if __name__ == "__main__":
    main()
