"""Frames per second of the fit on one core, beside a plain loop that solves the same problem frame by frame.

    python benchmarks/fitting.py [--frames 20000]

Both presets, K = 32, 68 landmarks, a pinhole camera, 0.7 px noise. The loop is the oracle of the tests.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import naive_fit
from au3dmm.config import FitParams
from au3dmm.core.basis import deform
from au3dmm.core.fitting import CameraSettings, fit_expression, landmark_weights
from faces import make_face, random_rotations, see_pinhole

FOCAL = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    n = parser.parse_args().frames
    rng = np.random.default_rng(0)
    face = make_face(0, 20, 32)
    alpha = np.abs(rng.normal(size=(n, 32))) * (rng.random((n, 32)) > 0.7)
    shape = deform(face.template, face.components_au, alpha)
    seen = see_pinhole(shape, random_rotations(rng, n), np.tile([0, 0, 0.6], (n, 1)), FOCAL)
    seen += rng.normal(size=seen.shape) * 0.7
    print(f"{'preset':8} {'batched, frames/s':>18} {'loop, frames/s':>15} {'ratio':>6} {'largest difference':>19}")
    for preset in ("robust", "paper"):
        p = FitParams(preset=preset)
        w = landmark_weights(p.jaw_weight)
        settings = CameraSettings(p.camera, p.perspective_passes, FOCAL)
        options = {"joint_pose": p.joint_pose, "nonnegative": p.codes == "nonnegative", "l1": p.l1}

        def batched(l, w=w, settings=settings, options=options, p=p):
            return fit_expression(
                l, face.template, face.components_au, w, settings, sigma_px=p.sigma_px, **options
            ).alpha

        def loop(l, w=w, options=options, p=p):
            rest = (p.camera, p.perspective_passes, FOCAL)
            return np.stack(
                [
                    naive_fit.expression(x, face.template, face.components_au, w, *rest, sigma=p.sigma_px, **options)
                    for x in l
                ]
            )

        batched(seen[:4])
        few = seen[: max(1, n // 100)]
        began = time.process_time()
        blocks = [batched(seen[i : i + 4096]) for i in range(0, n, 4096)]
        fast = n / (time.process_time() - began)
        began = time.process_time()
        expected = loop(few)
        slow = len(few) / (time.process_time() - began)
        difference = np.abs(np.concatenate(blocks)[: len(few)] - expected).max()
        print(f"{preset:8} {fast:18.0f} {slow:15.0f} {fast / slow:6.1f} {difference:19.1e}")


if __name__ == "__main__":
    main()
