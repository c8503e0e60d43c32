"""People of ICT-FaceKit, where its file lies beside the project."""

import numpy as np
import pytest

from au3dmm.core.landmarks import landmark_positions
from au3dmm.errors import ConfigError
from au3dmm.io.assets import read_default_head
from au3dmm.synthetic.cast import draw_look
from au3dmm.synthetic.film import rgb_view
from au3dmm.synthetic.motion import activation, with_stand_ins
from au3dmm.synthetic.people import head_model
from au3dmm.synthetic.session_setup import Setup
from au3dmm.synthetic.tasks import UNITS, plan_task

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def heads(shared_data):
    return head_model(f"ict:{shared_data / 'ict_facekit.npz'}")


@pytest.fixture(scope="module")
def look():
    return draw_look(0, 2, Setup())


@pytest.fixture(scope="module")
def person(heads, look):
    return heads.person(0, 2, look)


def test_the_face_lies_where_that_of_the_embedded_head_does(person, look):
    demo = read_default_head()
    expected = landmark_positions(demo.vertices, demo.faces, demo.embedding)
    found = landmark_positions(person.bases.template, person.bases.faces, person.bases.embedding)
    assert np.linalg.norm(found - expected, axis=1).max() < 0.03
    px, _ = rgb_view(look.setup).project(landmark_positions(person.neutral, person.bases.faces, person.bases.embedding))
    assert (px > 20).all()
    assert (px < [620, 460]).all()


@pytest.mark.parametrize("task", UNITS)
def test_every_facial_action_unit_moves_the_face_by_millimetres(heads, person, task):
    performance = with_stand_ins(plan_task(task, 2.5, (0, 0)), heads.stand_ins)
    asked = [m for m in performance.movements if m.name == task]
    alpha = activation(asked, person.bases.names_au, np.linspace(0, 2.5, 200))
    apex = person.head(alpha[alpha.sum(1).argmax()])
    assert 1.5e-3 < np.linalg.norm(apex - person.neutral, axis=1).max() < 0.06


def test_lips_are_redder_than_the_skin_and_brows_darker(person):
    marks = landmark_positions(person.neutral, person.bases.faces, person.bases.embedding)

    def colour_near(point):
        near = np.linalg.norm(person.neutral[:9409] - point, axis=1).argsort()[:6]
        return person.albedo[near].mean(0)

    cheek = colour_near((marks[2] + marks[31]) / 2)
    lip, brow = colour_near((marks[57] + marks[66]) / 2), colour_near(marks[19])
    assert lip[0] / lip[1] > 1.15 * cheek[0] / cheek[1]
    assert brow.mean() < 0.7 * cheek.mean()


def test_the_same_subject_is_made_once_and_another_differs(heads, person, look):
    assert heads.person(0, 2, look) is person
    other = heads.person(0, 3, look)
    assert np.abs(other.neutral - person.neutral).max() > 2e-3
    assert heads.spec.startswith("ict:/")


def test_a_file_with_the_head_only_is_refused(shared_data, tmp_path):
    with np.load(shared_data / "ict_facekit.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for name in ("neutral", "identity", "expression"):
        arrays[name] = arrays[name][..., :11248, :]
    arrays["tri"] = arrays["tri"][(arrays["tri"] < 11248).all(1)]
    arrays["identity"], arrays["expression"] = arrays["identity"][:2], arrays["expression"][:57]
    np.savez(tmp_path / "small.npz", **arrays)
    with pytest.raises(ConfigError, match="11248 vertices, expected all 26719: eyes and teeth come last"):
        head_model(f"ict:{tmp_path / 'small.npz'}")
