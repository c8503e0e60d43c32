"""S3FD's maps read as boxes, against the library's own reading."""

import numpy as np
import torch

from au3dmm.detectors.fan_boxes import MAX_FACES, S3fdBoxes, boxes_of_maps, distinct, usable


def maps(seed=0, high=0.1):
    """Return score and place maps of a 64 x 96 image: few candidates among many cells."""
    rng = np.random.default_rng(seed)
    shapes = [(max(1, 16 >> level), max(1, 24 >> level)) for level in range(6)]
    scores = [np.where(rng.random(shape) < high, rng.random(shape), 0.01).astype(np.float32) for shape in shapes]
    return scores, [rng.normal(size=(4, *shape)).astype(np.float32) for shape in shapes]


def test_candidates_and_their_suppression_are_the_librarys():
    from face_alignment.detection.sfd.bbox import nms
    from face_alignment.detection.sfd.detect import get_predictions

    scores, places = maps()
    both = []
    for score, place in zip(scores, places, strict=True):
        both += [np.stack([1 - score, score])[None], place[None]]
    theirs = get_predictions(both, 1)[0]
    ours = boxes_of_maps(scores, places)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
    kept = theirs[nms(theirs, 0.3)]
    assert 3 < len(kept) < len(theirs)
    np.testing.assert_allclose(distinct(ours), kept, rtol=1e-5, atol=1e-4)


def test_no_candidates_are_no_boxes():
    scores, places = maps(high=0.0)
    assert distinct(boxes_of_maps(scores, places)).shape == (0, 5)
    assert usable(np.zeros((0, 5)), (10, 10, 3)).shape == (0, 5)


class OneFace(torch.nn.Module):
    """Sees a face of 32 px around the brightest cell of the finest map; keeps the size of what it was shown."""

    def forward(self, image):
        self.shown = tuple(image.shape[2:])
        grey = torch.nn.functional.avg_pool2d(image.mean(1, keepdim=True), 8)
        hit = (grey == grey.amax()).float() * 20 - 10
        maps = []
        for level in range(6):
            size = [max(1, n // 2 ** (level + 2)) for n in self.shown]
            score = torch.full((1, 1, *size), -10.0) if level != 1 else hit
            maps += [torch.cat([-score, score], 1), torch.zeros(1, 4, *score.shape[2:])]
        return maps


def test_large_images_are_shrunk_and_boxes_are_in_their_own_px():
    image = np.zeros((400, 1600, 3), np.uint8)
    image[80:96, 1200:1216] = 255
    network = OneFace()
    (box,) = S3fdBoxes(network, "cpu", 0.5, 800)(image)
    assert network.shown == (200, 800)
    np.testing.assert_allclose((box[:2] + box[2:4]) / 2, (1208, 88), atol=8)
    np.testing.assert_allclose(box[2:4] - box[:2], 64)  # 32 px of the shrunk image
    assert box[4] > 0.99
    (whole,) = S3fdBoxes(network, "cpu", 0.5, 0)(image)
    assert network.shown == (400, 1600)
    np.testing.assert_allclose(whole[2:4] - whole[:2], 32)
    assert len(S3fdBoxes(network, "cpu", 1.0, 0)(image)) == 0


def test_small_images_get_a_margin():
    network = OneFace()
    image = np.zeros((10, 100, 3), np.uint8)
    image[2:8, 80:88] = 255
    (box,) = S3fdBoxes(network, "cpu", 0.5, 640)(image)
    assert network.shown == (64, 100)
    np.testing.assert_allclose((box[:2] + box[2:4]) / 2, (84, 4), atol=8)


def test_boxes_that_cannot_be_cropped_are_left_out():
    good = [10.0, 10, 60, 80, 0.9]
    bad = [
        [-4e6, -4e6, 4e6, 4e6, 0.9],
        [-500, 0, -400, 90, 0.9],
        [10, 10, 11, 90, 0.9],
        [90, 90, 10, 10, 0.9],
        [np.nan, 0, 50, 50, 0.9],
        [0, 0, np.inf, 50, 0.9],
    ]
    np.testing.assert_array_equal(usable(np.array([*bad, good]), (120, 160, 3)), [good])
    assert len(usable(np.array([good] * 40), (120, 160, 3))) == MAX_FACES
