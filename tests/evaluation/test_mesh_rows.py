"""Faces measured side by side: on the same frames, pooled over people."""

import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.evaluation.mesh_rows import COARSE, REFINED, FaceMeasures, meshes_markdown

NAMES = (COARSE, REFINED)


def clip(seed, n=8):
    """Return faces of both ways, their truth, and what is beyond the space."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, 3))
    truth[1] = truth[0]  # at rest once
    return {COARSE: truth + 0.5, REFINED: truth + 0.1 * rng.normal(size=(n, 3))}, truth, np.full(n, 0.04)


def measured(people):
    measures = FaceMeasures(NAMES)
    for who in people:
        measures.add(who, f"{who}_1", *clip(ord(who)))
    return measures


def test_all_rows_count_the_frames_that_each_of_them_has():
    faces, truth, beyond = clip(0)
    faces[COARSE][2] = np.nan
    faces[REFINED][5:7] = np.nan
    truth[0] = np.nan
    measures = FaceMeasures(NAMES)
    measures.add("a", "a_1", faces, truth, beyond)
    found = measures.summary()
    assert (found["frames"], found["lacking"]) == (4, {COARSE: 1, REFINED: 2})
    assert found["rows"][COARSE]["vertex_rms_mm"] == pytest.approx(np.sqrt(3 * 0.25 + 0.04))
    there = [1, 3, 4, 7]
    by_hand = np.sqrt(((faces[REFINED] - truth)[there] ** 2).sum(1).mean() + 0.04)
    assert found["rows"][REFINED]["vertex_rms_mm"] == pytest.approx(by_hand)
    assert "frames that one has no face for (coarse 1, refined 2)" in meshes_markdown(found)


def test_pooled_is_what_measuring_all_of_them_together_gives():
    pooled = FaceMeasures(NAMES)
    for people in ("ab", "c"):
        pooled.join(measured(people))
    assert pooled.summary() == measured("abc").summary()


def test_nobody_is_pooled_twice_nor_with_other_faces():
    with pytest.raises(SchemaError, match="faces of subject 'b' were measured twice"):
        measured("ab").join(measured("bc"))
    with pytest.raises(SchemaError, match="faces of coarse cannot be pooled with those of coarse, refined"):
        measured("a").join(FaceMeasures([COARSE]))


def test_a_clip_without_any_common_frame_does_not_count():
    faces, truth, beyond = clip(0)
    faces[REFINED][:] = np.nan
    measures = FaceMeasures(NAMES)
    assert measures.add("a", "a_1", faces, truth, beyond) is None
    assert measures.add("a", "a_1", faces, np.full_like(truth, np.nan), beyond) is None
    assert (measures.clips, measures.sessions) == (0, set())
    assert measures.summary()["lacking"] == {REFINED: 8}
