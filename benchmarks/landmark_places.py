"""How near the 68 landmarks read off MediaPipe's mesh are to known places, by region, and whether weights learnt help.

    python benchmarks/landmark_places.py --ict ../shared/data/ict_facekit.npz --images ../shared/data/images \
        [--peer OTHER/bin/python --predictor shape_predictor_68_face_landmarks.dat]

Two families of rendered people, whose landmarks are known: the embedded head (demo) and ICT-FaceKit (ict), 9 pictures
of each person. Half of each family are learnt from: weights on a few mesh points for each landmark, non-negative and of
sum 1, by least squares in the plane of the image, mirror images included. Each table of weights is tried on the other
half of its own family, on the other family, and on the photographs. Nobody has marked these: there the distance is that
to another detector, dlib's (--peer is a Python with dlib and opencv; its predictor may be used for research only, and
is nothing of ours).

Errors are mean distances, % of the outer eye distance; in brackets what is left without each family's own mean shift of
each landmark, in axes of the face: a shift that all people share is part of the neutral face, not of a label. *Shown*:
how much of the displacement from neutral to four expressions is found (slope), and the error of the displacement
found, as a share of the true one; both without jaw.
"""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from au3dmm.config import DetectParams
from au3dmm.core.landmarks import MIRROR, landmark_positions
from au3dmm.core.mediapipe_mesh import IBUG_TO_MESH
from au3dmm.core.mediapipe_mesh import MIRROR as MESH_MIRROR
from au3dmm.core.threads import single_threaded_blas
from au3dmm.detectors.mediapipe import MediapipeDetector
from au3dmm.io.images import read_image
from au3dmm.io.weights import weights_folder
from au3dmm.synthetic.cast import draw_look
from au3dmm.synthetic.film import rgb_view
from au3dmm.synthetic.people import HeadModel, head_model
from au3dmm.synthetic.render import ViewPainter, soft_background, to_srgb
from au3dmm.synthetic.session_setup import Setup

REGIONS = {"jaw": (0, 17), "brows": (17, 27), "nose": (27, 36), "eyes": (36, 48), "mouth": (48, 68)}
TURNS_DEG = ((0, 0, 0), (0, 20, 0), (0, -20, 0), (12, 0, 0), (-12, 0, 0))  # about x, y, z
EXPRESSIONS = ({"AU12": 2.4, "AU6": 1.4}, {"AU26": 2.4}, {"AU1": 2.2, "AU2": 2.2}, {"AU45": 3.0, "AU43": 3.0})
N_PICTURES = len(TURNS_DEG) + len(EXPRESSIONS)
NEAR = 24  # mesh points that a landmark's weights are sought among
PEER = """
import cv2, dlib, json, numpy, sys
find, place, found = dlib.get_frontal_face_detector(), dlib.shape_predictor(sys.argv[1]), []
for name in sys.argv[2:]:
    image = numpy.ascontiguousarray(cv2.imread(name)[..., ::-1])
    largest = max(find(image, 1), key=lambda box: box.area())
    found.append([(p.x, p.y) for p in place(image, largest).parts()])
print(json.dumps(found))
"""


def rendered(family: HeadModel, numbers: range, detector: MediapipeDetector) -> tuple[np.ndarray, np.ndarray]:
    """Return meshes found (P, 9, 468, 2), NaN where none is, and known landmarks (P, 9, 68, 2), px."""
    meshes, marks = np.full((len(numbers), N_PICTURES, 468, 2), np.nan), np.zeros((len(numbers), N_PICTURES, 68, 2))
    for row, number in enumerate(numbers):
        look = draw_look(0, number, Setup())
        person = family.person(0, number, look)
        view = rgb_view(look.setup)
        room = soft_background(view.width, view.height, number)
        painter = ViewPainter(view, person.bases.faces, len(person.neutral), room)
        names = person.bases.names_au
        shown = [np.array([move.get(n, move.get(n.split("_")[0], 0.0)) for n in names]) for move in EXPRESSIONS]
        poses = [(np.zeros(len(names)), turn) for turn in TURNS_DEG] + [(alpha, (0, 0, 0)) for alpha in shown]
        for picture, (alpha, turn) in enumerate(poses):
            vertices = person.placed(alpha, np.radians(turn), np.zeros(3))
            image = to_srgb(painter.picture(vertices, person.lit(vertices)))
            true, _ = view.project(landmark_positions(vertices, person.bases.faces, person.bases.embedding))
            marks[row, picture] = true
            for face in detector.detect(image, 0):
                if np.linalg.norm(face.landmarks_px[:, :2].mean(0) - true.mean(0)) < 100:
                    assert face.dense_px is not None
                    meshes[row, picture] = face.dense_px[:, :2]
    return meshes, marks


def flat(meshes: np.ndarray, marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures (N, ...) in which a face was found."""
    found = np.isfinite(meshes).all((2, 3))
    return meshes[found], marks[found]


def learn(meshes: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Return weights (68, 468) of mesh points for each landmark, from faces (N, ...) and their mirror images."""
    meshes = np.concatenate([meshes, (meshes * (-1, 1))[:, MESH_MIRROR]])
    marks = np.concatenate([marks, (marks * (-1, 1))[:, MIRROR]])
    eyes = np.linalg.norm(marks[:, 36] - marks[:, 45], axis=1)[:, None, None]
    meshes, marks = meshes / eyes, marks / eyes
    weights = np.zeros((68, 468))
    for k in range(68):
        away = np.linalg.norm(meshes - marks[:, k : k + 1], axis=2).mean(0)
        near = np.argsort(away, kind="stable")[:NEAR]
        moved = meshes[:, near] - marks[:, k : k + 1]  # what is left of a combination of sum 1
        design = moved.transpose(0, 2, 1).reshape(-1, NEAR)
        scale = np.sqrt(len(design))  # the sum of the weights counts as much as all faces, 100 times
        found, _ = nnls(np.vstack([design, np.full((1, NEAR), 100 * scale)]), np.r_[np.zeros(len(design)), 100 * scale])
        weights[k, near] = found / found.sum()
    return weights


def errors(found: np.ndarray, marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean distance (68,), and that without each landmark's mean shift, % of the outer eye distance."""
    right, left = marks[:, 36], marks[:, 45]
    across = left - right
    eyes = np.linalg.norm(across, axis=1)
    along = across / eyes[:, None]
    axes = np.stack([along, np.stack([-along[:, 1], along[:, 0]], 1)], 1)  # of the face, in the image
    away = np.einsum("nij,nkj->nki", axes, found - marks) / eyes[:, None, None]
    return tuple(100 * np.linalg.norm(x, axis=2).mean(0) for x in (away, away - away.mean(0)))


def row(name: str, weights: np.ndarray, meshes: np.ndarray, marks: np.ndarray) -> None:
    """Print the errors of one table of weights (68, 468) on pictures (N, ...), or (P, 9, ...) of people."""
    of_people = meshes.ndim == 4
    pictures, known = flat(meshes, marks) if of_people else (meshes, marks)
    both = errors(np.einsum("kv,nva->nka", weights, pictures), known)
    parts = [[float(e[a:b].mean()) for a, b in REGIONS.values()] + [float(e[17:].mean())] for e in both]
    cells = [f"{one:.1f} ({steady:.1f})" if of_people else f"{one:.1f}" for one, steady in zip(*parts, strict=True)]
    if of_people:
        neutral, shown = slice(0, 1), slice(len(TURNS_DEG), N_PICTURES)
        places = np.einsum("kv,pnva->pnka", weights, meshes)[:, :, 17:]
        found, true = (x[:, shown] - x[:, neutral] for x in (places, marks[:, :, 17:]))
        there = np.isfinite(found)
        slope = (found * true)[there].sum() / (true**2)[there].sum()
        apart = np.nansum(np.linalg.norm(found - true, axis=-1)) / np.linalg.norm(true[there[..., 0]], axis=-1).sum()
        cells.append(f"{slope:.2f}, {apart:.2f}")
    print(f"| {name} | " + " | ".join(cells) + " |" * (1 if of_people else 2), flush=True)


def published() -> np.ndarray:
    """Return the weights (68, 468) that `core.mediapipe_mesh` holds."""
    weights = np.zeros((68, 468))
    for landmark, vertices in enumerate(IBUG_TO_MESH):
        weights[landmark, list(vertices)] = 1 / len(vertices)
    return weights


def between_the_edges_of_brows() -> np.ndarray:
    """Return the published weights with brows half way between their upper edges and their lower ones."""
    weights = published()
    for landmark, lower in zip(range(17, 22), (46, 53, 52, 65, 55), strict=True):
        for k, vertex in ((landmark, lower), (MIRROR[landmark], MESH_MIRROR[lower])):
            weights[k] /= 2
            weights[k, vertex] += 0.5
    return weights


def known_of_peer(python: str, predictor: Path, images: list[Path]) -> np.ndarray:
    """Return dlib's landmarks (N, 68, 2) of one face per image, px."""
    done = subprocess.run(
        [python, "-c", PEER, str(predictor), *map(str, images)], check=True, capture_output=True, text=True
    )
    return np.array(json.loads(done.stdout), float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ict", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--people", type=int, default=24, help="of each family, the first half of which is learnt from")
    parser.add_argument("--peer")
    parser.add_argument("--predictor", type=Path)
    parser.add_argument("--weights", type=Path, help="folder of the models")
    parser.add_argument("--plain", action="store_true", help="the mesh without attention")
    options = parser.parse_args()
    params = DetectParams(mediapipe_tracking=False, mediapipe_refine=not options.plain)
    detector = MediapipeDetector(params, options.weights or weights_folder())
    half = options.people // 2
    families = {"demo": head_model("demo"), "ict": head_model(f"ict:{options.ict}")}
    learnt, tried = (
        {name: rendered(family, numbers, detector) for name, family in families.items()}
        for numbers in (range(half), range(half, options.people))
    )
    photographs = sorted(options.images.glob("*.jpg"))
    dense = np.array([detector.detect(read_image(path), 0)[0].dense_px[:, :2] for path in photographs])
    sets = {f"{name}, {half} other people": tried[name] for name in tried}
    if options.peer:
        known = known_of_peer(options.peer, options.predictor, photographs)
        sets["photographs, against dlib"] = dense, known
    of_learnt = {name: flat(*learnt[name]) for name in learnt}
    both = tuple(np.concatenate([of_learnt[name][i] for name in learnt]) for i in range(2))
    tables = {"published": published(), "between the brows' edges": between_the_edges_of_brows()}
    tables.update({f"learnt on {name}": learn(*of_learnt[name]) for name in learnt})
    tables["learnt on both"] = learn(*both)
    points = ", ".join(f"{name} {(weights > 1e-6).sum(1).mean():.1f}" for name, weights in tables.items())
    print(f"mesh points per landmark: {points}")
    print("| | " + " | ".join(REGIONS) + " | without jaw | shown |\n" + "|---" * (len(REGIONS) + 3) + "|")
    for name, (meshes, marks) in sets.items():
        for which, weights in tables.items():
            row(f"{name}: {which}", weights, meshes, marks)


if __name__ == "__main__":
    with single_threaded_blas():
        main()
