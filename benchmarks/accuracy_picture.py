"""Draw where action units really move the face, and where the fits say they do: the worst and the best.

    python benchmarks/accuracy_picture.py ../shared/data/ict_facekit.npz docs/pictures/accuracy.jpg

Each head shows the size of the displacement at the apex, mean over subjects, from nothing (grey) to the row's largest
true one (dark); the last column is the size of what robust gets wrong, on the same scale.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.core.threads import single_threaded_blas
from au3dmm.io.corpora.ict import HEAD_VERTICES, read_ict_npz
from au3dmm.report.mesh_views import draw_head, frame_face, on_paper
from au3dmm.simulation.comparisons import PRESETS
from au3dmm.simulation.conditions import COMPARISON_SEED, Condition
from au3dmm.simulation.estimate import estimate, make_method
from au3dmm.simulation.faces import FaceFamily, ict_family
from au3dmm.simulation.measures import clip_errors
from au3dmm.simulation.recordings import Recordings, simulate
from au3dmm.simulation.training import learn_basis

SHOWN = 3
HEIGHT, GAP, LEFT, TOP = 230, 6, 150, 34
REACH_M, FAR_M = 0.006, 0.02
COLUMNS = ("true", "paper", "robust", "error of robust")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ict", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=COMPARISON_SEED)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/au3dmm/accuracy"))
    options = parser.parse_args()
    family = ict_family(options.ict)
    recordings = simulate(family, Condition(), seed=options.seed, subjects=options.subjects)
    sizes: dict[str, NDArray[np.float64]] = {}
    ratio = np.zeros(0)
    for name, values in PRESETS:
        method = make_method(**values)
        basis = learn_basis(family, method.basis, cache=options.cache.expanduser())
        alpha = estimate(recordings, basis, method).alpha.astype(np.float64)
        sizes["true"], sizes[name], sizes[f"error of {name}"] = displacement_sizes(recordings, alpha, basis.metric)
        error, size = clip_errors(recordings, alpha, basis.metric)
        ratio = error.sum(0) / size.sum(0)
    order = np.argsort(-ratio)
    rows = [*order[:SHOWN], *order[::-1][:SHOWN][::-1]]
    sheet = draw(family, options.ict, recordings.labels, rows, sizes, ratio)
    cv2.imwrite(str(options.out), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def displacement_sizes(
    recordings: Recordings, alpha: NDArray[np.float64], components: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return true and fitted sizes and the size of the error at each metric point, mean over apex frames: (C, M), m."""
    total = np.zeros((3, len(recordings.labels), components.shape[1]))
    for s in range(len(alpha)):
        apex = recordings.apex[s]
        true = recordings.displacement(s, apex)
        fitted = np.tensordot(alpha[s][apex], components, 1)
        clip = np.nonzero(apex)[0]
        for out, vectors in zip(total, (true, fitted, fitted - true), strict=True):
            length = np.linalg.norm(vectors, axis=2)
            for c in np.unique(clip):
                out[c] += length[clip == c].mean(0) / len(alpha)
    return total[0], total[1], total[2]


def draw(
    family: FaceFamily,
    path: Path,
    labels: tuple[str, ...],
    rows: list[int],
    sizes: dict[str, NDArray[np.float64]],
    ratio: NDArray[np.float64],
) -> NDArray[np.uint8]:
    arrays, _ = read_ict_npz(path)
    head = arrays["neutral"][:HEAD_VERTICES] * 0.01
    faces = arrays["tri"]
    faces = faces[(faces < HEAD_VERTICES).all(1)].astype(np.int32)
    apart = np.sqrt(((head[:, None] - family.points[family.metric]) ** 2).sum(2))
    share = np.exp(-0.5 * ((apart - apart.min(1, keepdims=True)) / REACH_M) ** 2)
    share /= share.sum(1, keepdims=True)
    share *= np.clip(2 - apart.min(1, keepdims=True) / FAR_M, 0, 1)  # behind the measured points: nothing
    framing = frame_face(family.points[:68])
    width = framing.width(HEIGHT)
    sheet = np.full((TOP + len(rows) * (HEIGHT + GAP), LEFT + len(COLUMNS) * (width + GAP), 3), 255, np.uint8)
    for j, title in enumerate(COLUMNS):
        write(sheet, title, (LEFT + j * (width + GAP) + 8, 22))
    for i, clip in enumerate(rows):
        top = TOP + i * (HEIGHT + GAP)
        largest = sizes["true"][clip].max()
        write(sheet, labels[clip], (8, top + 60), 0.9)
        write(sheet, f"error {ratio[clip]:.2f}", (8, top + 90))
        write(sheet, f"dark: {1e3 * largest:.1f} mm", (8, top + 115))
        for j, name in enumerate(COLUMNS):
            values = share @ (sizes[name][clip] / largest)
            picture = on_paper(draw_head(head, faces, framing, height=HEIGHT, values=values))
            left = LEFT + j * (width + GAP)
            sheet[top : top + HEIGHT, left : left + width] = picture
    return sheet


def write(sheet: NDArray[np.uint8], text: str, at: tuple[int, int], size: float = 0.5) -> None:
    cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (40, 40, 40), 1, cv2.LINE_AA)


if __name__ == "__main__":
    with single_threaded_blas():
        main()
