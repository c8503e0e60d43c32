"""How labels of real recordings behave, where nobody knows the truth (docs/accuracy.md, "Real recordings").

    python benchmarks/real_faces.py SESSION [SESSION ...] --bases bases.npz [--second LANDMARKS.npz ...]

Each session is fitted with both presets, from the landmarks of MediaPipe and, if given (one file per session, as
`[landmarks]` in session.toml takes them), of a second detector. Printed per session, preset and detector:

- reprojection error, median, % of the outer eye distance;
- jitter of the fitted face, mm: rms change of its displacement from one frame to the next over the root of 2, over the
  fifth of the frames in which the face's picture changes least;
- motion, mm: rms displacement fitted, median and 95 % quantile over frames;
- agreement of the two detectors: distance between what is fitted from one and from the other, as a share of the mean
  size of both (1.41: unrelated displacements of one size), and correlation of the two displacements over time.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import DetectParams, FitParams, IdentityParams
from au3dmm.core.threads import single_threaded_blas
from au3dmm.io.bases import read_bases
from au3dmm.io.frames import session_frames
from au3dmm.io.session import read_session
from au3dmm.io.tables import read_table, vectors
from au3dmm.stages import detect, fit, identity

PRESETS = ("paper", "robust")
STILL = 0.2  # share of the frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", nargs="+", type=Path)
    parser.add_argument("--bases", type=Path, required=True)
    parser.add_argument("--second", type=Path, nargs="*", default=[], help="landmarks of another detector, per session")
    parser.add_argument("--only", choices=PRESETS, help="one preset")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=NUMBER", help="parameters of [fit], of robust")
    options = parser.parse_args()
    if options.second and len(options.second) != len(options.sessions):
        parser.error(f"{len(options.second)} landmark files for {len(options.sessions)} sessions; one each, or none")
    changes = {key: float(value) for key, value in (text.split("=") for text in options.set)}
    face = front(options.bases)
    print(
        f"{'':45}{'reprojection':>12} {'jitter':>7} {'motion':>7} {'95 %':>6}   {'agreement':>9} {'corr.':>6}\n"
        f"{'':45}{'% of eyes':>12} {'mm':>7} {'mm':>7} {'mm':>6}"
    )
    for place, session in enumerate(options.sessions):
        second = options.second[place].resolve() if options.second else None
        with tempfile.TemporaryDirectory() as folder:
            tables = find_landmarks(session, second, Path(folder))
            still = still_frames(session, tables["mediapipe"])
            for preset in [options.only] if options.only else PRESETS:
                moved = {}
                for name, table in tables.items():
                    values = changes if preset == "robust" else {}
                    alpha, rmse = fit_session(session, table, options.bases, preset, values, Path(folder))
                    moved[name] = np.einsum("tk,kva->tva", alpha, face)
                    row = f"{session.name}, {name}, {preset}"
                    print(f"{row:45}{100 * np.nanmedian(rmse):12.2f} {summary(moved[name], still)}", end="")
                    if len(moved) == 2:
                        print(f"   {agreement(*moved.values())}", end="")
                    print(flush=True)


def front(bases: Path) -> NDArray[np.float64]:
    """Return the AU components on 500 vertices of the face, mm."""
    basis = read_bases(bases)
    size = np.linalg.norm(basis.components_au, axis=2).max(0)
    moving = np.flatnonzero(size > 0.1 * size.max())
    chosen = moving[np.linspace(0, len(moving) - 1, min(500, len(moving))).astype(int)]
    return np.asarray(1e3 * basis.components_au[:, chosen].astype(np.float64))


def find_landmarks(session: Path, second: Path | None, folder: Path) -> dict[str, Path]:
    found = {"mediapipe": folder / "mediapipe.parquet"}
    detect.run(session=session, landmarks=found["mediapipe"], params=DetectParams())
    if second is not None:
        text = (session / "session.toml").read_text("utf-8") + f'\n[landmarks]\nfile = "{second}"\n'
        for name in ("rgb.mp4", "rgb_timestamps.csv", "events.raw"):
            (folder / name).symlink_to((session / name).resolve())
        (folder / "session.toml").write_text(text, "utf-8")
        found[second.stem] = folder / "second.parquet"
        detect.run(session=folder, landmarks=found[second.stem], params=DetectParams(detector="precomputed"))
    return found


def fit_session(
    session: Path, landmarks: Path, bases: Path, preset: str, changes: dict[str, float], folder: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return alpha (T, K) and the reprojection error as a share of the eye distance (T,); NaN where there is none."""
    neutral, coefficients = folder / "identity.parquet", folder / "coefficients.parquet"
    identity.run(
        sessions=[session], landmarks=[landmarks], bases=bases, identity=neutral, params=IdentityParams(preset=preset)
    )
    fit.run(
        session=session,
        landmarks=landmarks,
        identity=neutral,
        bases=bases,
        coefficients=coefficients,
        params=FitParams(preset=preset, **changes),
    )
    table = read_table(coefficients, "coefficients")
    alpha, ok = vectors(table, "alpha_au")
    alpha = np.where(ok[:, None], alpha, np.nan).astype(np.float64)
    return alpha, table["rmse_iod"].to_numpy(zero_copy_only=False).astype(np.float64)


def still_frames(session: Path, landmarks: Path) -> NDArray[np.int64]:
    """Return frames t in which the face's picture is most like that of t + 1."""
    boxes, found = vectors(read_table(landmarks, "landmarks"), "box_px")
    change, last = [], None
    for frame in session_frames(read_session(session)):
        assert frame.image is not None
        now = frame.image.astype(np.float32)
        row = len(change)
        x0, y0, x1, y1 = np.clip(boxes[row], 0, None).astype(int) if found[row] else (0, 0, *now.shape[1::-1])
        change.append(np.inf if last is None else np.abs(now - last)[y0:y1, x0:x1].mean())
        last = now
    return np.sort(np.argsort(change)[: round(STILL * len(change))]) - 1


def summary(moved: NDArray[np.float64], still: NDArray[np.int64]) -> str:
    steps = moved[still + 1] - moved[still]
    jitter = np.sqrt(np.nanmean((steps**2).sum(2)) / 2)
    size = np.sqrt((moved**2).sum(2).mean(1))
    return f"{jitter:7.3f} {np.nanmedian(size):7.2f} {np.nanquantile(size, 0.95):6.2f}"


def agreement(a: NDArray[np.float64], b: NDArray[np.float64]) -> str:
    both = np.isfinite(a[:, 0, 0]) & np.isfinite(b[:, 0, 0])
    a, b = a[both], b[both]
    size = np.sqrt((a**2).sum() / 2 + (b**2).sum() / 2)
    apart = np.linalg.norm(a - b) / size
    a, b = a - a.mean(0), b - b.mean(0)
    return f"{apart:9.2f} {(a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()):6.2f}"


if __name__ == "__main__":
    with single_threaded_blas():
        main()
