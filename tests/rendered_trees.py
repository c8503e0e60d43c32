"""BP4D and DISFA in their own form on disk, with people of our renderer in them, and where their landmarks are."""

from dataclasses import replace
from functools import cache

import numpy as np

from au3dmm.core.landmarks import landmark_positions
from au3dmm.io.bases import write_npz
from au3dmm.io.images import write_image
from au3dmm.synthetic.film import Film, rgb_view
from au3dmm.synthetic.motion import Performance, plan_movements
from au3dmm.synthetic.person import default_person
from au3dmm.synthetic.session_setup import TINY
from recordings import write_video

N = 16
BP4D_UNITS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
DISFA_UNITS = (1, 2, 4, 6, 9, 12, 25, 26)
BP4D_PEOPLE, DISFA_PEOPLE = ("F001", "F002", "M001"), ("SN001", "SN002", "SN003")


@cache
def filmed(seed):
    """N pictures (120, 160, 3) of a person, and the 68 landmarks in each, (N, 68, 3) px."""
    film = Film(
        default_person(seed),
        Performance(plan_movements(0.8, seed), seed=seed),
        replace(TINY, rgb_size=(160, 120)),
        seed,
    )
    t_us = 20_000 + 40_000 * np.arange(N)
    pictures = list(film.rgb_frames(t_us, np.random.default_rng(seed), lambda: None))
    bases, view = film.person.bases, rgb_view(film.setup)
    points = np.zeros((N, 68, 3), np.float32)
    for i, moves in enumerate(zip(*film.moves(t_us), strict=True)):
        seen = landmark_positions(film.person.placed(*moves), bases.faces, bases.embedding)
        points[i, :, :2] = view.project(seen)[0]
    return pictures, points


def is_there(unit, frame):
    """Whether a unit is shown in a frame: planted, about a third of the time."""
    return (frame + unit) % 12 < 4


def write_bp4d(root):
    """Images from 0003.jpg on; all twelve units coded from the third on; AU12 of the fourth not, AU6 graded, too."""
    coding = root / "AUCoding"
    for seed, subject in enumerate(BP4D_PEOPLE):
        folder = root / "Sequences" / subject / "T1"
        folder.mkdir(parents=True)
        for i, picture in enumerate(filmed(seed)[0]):
            write_image(folder / f"{3 + i:04}.jpg", picture)
        (coding / "AU_OCC").mkdir(parents=True, exist_ok=True)
        (coding / "AU_INT" / "AU06").mkdir(parents=True, exist_ok=True)
        lines, graded = ["0," + ",".join(map(str, range(1, 100)))], []
        for i in range(2, N):
            codes = {unit: int(is_there(unit, i)) for unit in BP4D_UNITS}
            codes |= {12: 9} if i == 3 else {}
            lines.append(f"{3 + i}," + ",".join(str(codes.get(unit, 9)) for unit in range(1, 100)))
            graded.append(f"{3 + i},5\n")  # whoever coded occurrence is believed
        (coding / "AU_OCC" / f"{subject}_T1.csv").write_text("\n".join(lines) + "\n")
        (coding / "AU_INT" / "AU06" / f"{subject}_T1_AU06.csv").write_text("".join(graded))
    return root


def write_disfa(root):
    """Videos of the left camera; intensities 0 and 1 where a unit is not shown, 2 to 5 where it is."""
    (root / "Videos_LeftCamera").mkdir(parents=True)
    for seed, subject in enumerate(DISFA_PEOPLE):
        video = root / "Videos_LeftCamera" / f"LeftVideo{subject}_comp.avi"
        write_video(video, filmed(seed)[0], [i * 4500 for i in range(N)], codec="ffv1", rate=20)
        folder = root / "ActionUnit_Labels" / subject
        folder.mkdir(parents=True)
        for unit in DISFA_UNITS:
            rows = [f"{i + 1},{2 + i % 4 if is_there(unit, i) else i % 2}\n" for i in range(N)]
            (folder / f"{subject}_au{unit}.txt").write_text("".join(rows))
    return root


def add_landmarks(dataset):
    """Say in each session where its landmarks are, as a lab does that has no weights."""
    for path in sorted((dataset / "sessions").glob("*/session.toml")):
        subject = path.parent.name.split("_")[0]
        seed = next(people.index(subject) for people in (BP4D_PEOPLE, DISFA_PEOPLE) if subject in people)
        write_npz(path.parent / "landmarks.npz", {"landmarks": filmed(seed)[1]})
        path.write_text(path.read_text() + '\n[landmarks]\nfile = "landmarks.npz"\n')
