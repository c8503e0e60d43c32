import numpy as np
import pytest

from au3dmm.detectors.base import DetectedFace
from au3dmm.detectors.finding import FaceFinder, enlarged, shrunk
from au3dmm.io.frames import Frame


class Corner:
    """Finds a face whose box is the bright part of the image."""

    name, n_dense = "corner", 2

    def __init__(self, **how):
        self.calls, self.sizes = [], []
        vars(self).update(how)

    def describe(self):
        return {}

    def detect(self, image, frame_index):
        return self.detect_batch([image], [frame_index])[0]

    def _batch(self, images, indices):
        self.calls.append(tuple(indices))
        return [self._face(image) for image in images]

    detect_batch = _batch

    def _face(self, image):
        self.sizes.append(image.shape[:2])
        y, x = np.nonzero(image[..., 0] > 127)
        if not len(x):
            return []
        box = np.float32([x.min() - 0.5, y.min() - 0.5, x.max() + 0.5, y.max() + 0.5])
        points = np.zeros((68, 3), np.float32)
        points[:, 0] = np.linspace(box[0], box[2], 68)
        points[:, 1], points[:, 2] = box[3], box[2] - box[0]
        return [DetectedFace(box, 0.9, points, 0.9, points[:2].copy())]


class OneByOne(Corner):
    detect_batch = None

    def detect(self, image, frame_index):
        return self._batch([image], [frame_index])[0]


def frames(n, first=0, gaps=(), size=(40, 60)):
    image = np.zeros((*size, 3), np.uint8)
    image[size[0] // 2 :, size[1] // 2 :] = 255
    return [Frame(i, 1000 * i, None if i in gaps else image) for i in range(first, first + n)]


def test_a_detector_that_takes_batches_gets_those_of_frames_without_gaps():
    detector = Corner(batch_size=4)
    found = FaceFinder(detector)(frames(10, gaps=(1, 5)))
    assert detector.calls == [(0, 2, 3), (4, 6, 7), (8, 9)]
    assert [len(one.faces) for one in found] == [1, 0, 1, 1, 1, 0, 1, 1, 1, 1]
    assert [one.image_size for one in found[:2]] == [(60, 40), None]
    assert [one.t_rgb_us for one in found[:2]] == [0, 1000]


def test_it_may_start_where_every_detector_may_and_no_batch_reaches_across():
    assert FaceFinder(OneByOne()).period == 1
    assert FaceFinder(OneByOne(chunk_frames=240)).period == 240
    both = FaceFinder(Corner(batch_size=16, period=16), OneByOne(chunk_frames=24))
    assert (both.batch_size, both.period) == (16, 48)


def test_the_second_detector_sees_every_nth_frame():
    second = OneByOne()
    found = FaceFinder(Corner(), second, every=3)(frames(8, first=4, gaps=(6,)))
    assert second.calls == [(9,)]
    assert [one.frame_index for one in found if one.second is not None] == [9]


def test_huge_frames_are_shrunk_and_what_is_found_lies_where_it_was():
    detector = OneByOne()
    (found,) = FaceFinder(detector, max_side_px=300)(frames(1, size=(2000, 3000)))
    assert detector.sizes == [(200, 300)]
    assert found.image_size == (3000, 2000)
    np.testing.assert_allclose(found.faces[0].box_px, [1499.5, 999.5, 2999.5, 1999.5], atol=0.01)
    np.testing.assert_allclose(found.faces[0].landmarks_px[-1], [2999.5, 1999.5, 1500], atol=0.01)
    np.testing.assert_allclose(found.faces[0].dense_px, found.faces[0].landmarks_px[:2])


def test_what_is_kept_of_a_huge_frame_is_small_and_gives_the_same_faces():
    finder = FaceFinder(Corner(batch_size=4), OneByOne(), every=2, max_side_px=300)
    whole = frames(4, gaps=(2,), size=(2000, 3000))
    kept = [finder.seen(frame) for frame in whole]
    assert sum(0 if one.image is None else one.image.nbytes for one in kept) == 3 * 200 * 300 * 3
    assert [one.image_size for one in kept] == [(3000, 2000), (3000, 2000), None, (3000, 2000)]
    for a, b in zip(finder(whole), finder(kept), strict=True):
        assert (a.frame_index, a.t_rgb_us, a.image_size) == (b.frame_index, b.t_rgb_us, b.image_size)
        assert [f.box_px.tolist() for f in a.faces] == [f.box_px.tolist() for f in b.faces]
        assert (a.second is None) == (b.second is None)


def test_landmarks_that_are_looked_up_stay_where_they_are_beside_a_detector_that_sees():
    class LookedUp(OneByOne):
        def detect(self, image, frame_index):
            return super().detect(np.kron(image, np.ones((10, 10, 1), np.uint8)), frame_index)

    looked_up = LookedUp(sees=False)  # of the frame itself, whatever image it is given
    (found,) = FaceFinder(looked_up, OneByOne(), max_side_px=300)(frames(1, size=(2000, 3000)))
    for faces in (found.faces, found.second):
        np.testing.assert_allclose(faces[0].box_px, [1499.5, 999.5, 2999.5, 1999.5], atol=0.01)


def test_frames_are_as_they_are_for_a_detector_that_looks_up():
    detector = OneByOne(sees=False)
    FaceFinder(detector, max_side_px=30)(frames(1))
    assert detector.sizes == [(40, 60)]


@pytest.mark.parametrize(("size", "limit"), [((7, 5000), 2500), ((4320, 7680), 2560), ((999, 1333), 1000)])
def test_shrinking_and_enlarging_are_inverse_on_corners(size, limit):
    image = np.zeros((*size, 3), np.uint8)
    small, factor = shrunk(image, limit)
    assert max(small.shape[:2]) == limit
    box = np.float32([-0.5, -0.5, small.shape[1] - 0.5, small.shape[0] - 0.5])
    face = enlarged(DetectedFace(box, None, np.zeros((68, 3), np.float32), None), factor)
    np.testing.assert_allclose(face.box_px, [-0.5, -0.5, size[1] - 0.5, size[0] - 0.5], rtol=1e-6)


def test_an_image_that_is_small_enough_is_the_image():
    image = np.zeros((10, 20, 3), np.uint8)
    assert shrunk(image, 20)[0] is image
