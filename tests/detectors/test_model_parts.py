import numpy as np
import pytest

from au3dmm.detectors.mediapipe_models import Model
from au3dmm.detectors.model_parts import _between, part_of_model
from au3dmm.io.weights import MEDIAPIPE_MESH
from models import mediapipe_folder

CHAIN = [([0], [1]), ([1, 9], [2]), ([9], [3]), ([2, 3], [4]), ([4], [5])]
"""What operators read and write."""


def test_only_what_lies_between_is_kept_in_its_order():
    assert _between(CHAIN, [0], [5]) == [0, 1, 2, 3, 4]
    assert _between(CHAIN, [0], [2]) == [0, 1]
    assert _between(CHAIN, [2], [5]) == [2, 3, 4]
    assert _between(CHAIN, [4], [5, 4]) == [4]
    assert _between(CHAIN, [5], [5]) == []


@pytest.mark.weights
def test_two_parts_of_a_model_one_after_the_other_are_the_model():
    content = (mediapipe_folder() / MEDIAPIPE_MESH).read_bytes()
    image = np.random.default_rng(0).uniform(0, 1, (192, 192, 3)).astype(np.float32)
    whole = Model(content)
    details = whole._interpreter.get_tensor_details()
    (given,), outputs = whole._inputs, whole._outputs
    places = [d["index"] for d in details if tuple(d["shape"]) == (1, 48, 48, 32) and "add" in d["name"].lower()]
    for middle in places[-1:]:
        first, second = part_of_model(content, [given], [middle]), part_of_model(content, [middle], outputs)
        between = Model(first)(image)
        assert between[0].shape == (1, 48, 48, 32)
        for a, b in zip(Model(second)(between[0][0]), whole(image), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)
    assert places


@pytest.mark.weights
def test_the_whole_of_a_model_is_a_part_of_it():
    content = (mediapipe_folder() / MEDIAPIPE_MESH).read_bytes()
    image = np.random.default_rng(0).uniform(0, 1, (192, 192, 3)).astype(np.float32)
    whole = Model(content)
    again = Model(part_of_model(content, whole._inputs, whole._outputs[:1]))(image)
    assert len(again) == 1
    np.testing.assert_array_equal(again[0], whole(image)[0])
