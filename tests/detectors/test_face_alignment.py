"""face_alignment as a whole: planted truth through a network that sees, and the library's own code as a second route.

No weights are needed: networks are small ones (tests/fan_oracle.py) in the places of the true ones.
"""

import numpy as np
import pytest
import torch

from au3dmm.config import DetectParams
from au3dmm.core.landmarks import MIRROR
from au3dmm.detectors import detector_identity, make_detector
from au3dmm.detectors import face_alignment as our_face_alignment
from au3dmm.detectors.base import BatchDetector
from au3dmm.detectors.face_alignment import FaceAlignmentDetector
from au3dmm.detectors.fan_crops import box_of_landmarks, crop_frames
from au3dmm.detectors.fan_decode import to_image
from au3dmm.detectors.fan_networks import FanNetworks
from au3dmm.errors import AssetError, ConfigError
from au3dmm.io import weight_needs, weights
from au3dmm.io.weights import FACE_ALIGNMENT_FILES, FAN_LANDMARKS
from fan_oracle import SeeingNetwork, interpreted, library, planted_face, seen_image, small_networks

OFFICIAL = {"fan_decode": "official", "fan_box_every": 1}


class FixedBoxes:
    """Finds the same boxes in every image, and counts how often it is asked."""

    def __init__(self, *boxes):
        self.boxes, self.n_asked = [np.array(box, np.float64) for box in boxes], 0

    def detect_from_image(self, image):
        self.n_asked += 1
        return self.boxes


def params_of(**given):
    return DetectParams(detector="face_alignment", **given)


def detector(fan, depth, boxes, **given):
    params = params_of(**given)
    networks = FanNetworks(
        *(fan, depth if params.fan_depth else None),
        decode=params.fan_decode,
        flip=params.fan_flip,
        batch_size=params.fan_batch,
    )
    return FaceAlignmentDetector(params, boxes=boxes, networks=networks)


def noise_image(height=120, width=160, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("flip", [False, True])
def test_the_official_way_gives_the_librarys_landmarks(flip, monkeypatch):
    interpreted(monkeypatch)
    fan, depth = small_networks()
    boxes = [
        np.array(box) for box in ((5, 10, 75, 100, 0.5), (-20.5, 20.2, 90.7, 140.1, 0.75), (80, 20, 150, 110, 0.6))
    ]
    ours = detector(fan, depth, FixedBoxes(*boxes), fan_flip=flip, fan_batch=2, **OFFICIAL)
    images = [noise_image(seed=seed) for seed in range(2)]
    theirs = library(fan, depth, flip)
    for faces, image in zip(ours.detect_batch(images, [0, 1]), images, strict=True):
        landmarks, scores, _ = theirs.get_landmarks_from_image(image, boxes, return_landmark_score=True)
        order = np.argsort([box[0] for box in boxes])
        assert len(faces) == 3
        for face, i in zip(faces, order, strict=True):
            np.testing.assert_allclose(face.landmarks_px[:, :2], landmarks[i][:, :2], atol=1e-3)
            np.testing.assert_allclose(face.landmarks_px[:, 2], landmarks[i][:, 2], atol=1e-3)
            np.testing.assert_array_equal(face.box_px, boxes[i][:4].astype(np.float32))
            assert face.detection_score == boxes[i][4]
            peaks = np.clip(scores[i] / (2 if flip else 1), 0, 1)
            assert face.landmark_score == pytest.approx(float(peaks.mean()), abs=1e-5)
            assert np.ptp(face.landmarks_px[:, 2]) > 1  # the depth network has something to say


def moving(n=20):
    """Return planted landmarks of a face that wanders and grows, and the images that show them."""
    truth = [planted_face((118 + 1.37 * i, 122 + 0.83 * i), 44 + 0.31 * i) for i in range(n)]
    return truth, [seen_image(i) for i in range(n)]


def errors_of(found, truth):
    """Return how far landmarks lie from where the library would put planted ones, (T, 68, 2) px.

    It cuts 255/256 of a crop's side, and half a px less on average, and reads as if it had cut the whole: weights
    learnt with both, so both are kept.
    """
    errors = []
    for (face,), at in zip(found, truth, strict=True):
        centres, scales = crop_frames(face.box_px[None].astype(float))
        side = 200 * scales[0]
        cells = (at[:, :2] + 1 - (centres[0] - side / 2 + side / 256)) / (side * 255 / 256) * 64
        errors.append(face.landmarks_px[:, :2] - to_image(cells, centres[0], scales[0]))
    return np.array(errors)


def test_planted_landmarks_come_back_to_a_small_fraction_of_a_px():
    truth, images = moving()
    boxes = FixedBoxes([*box_of_landmarks(truth[0]), 0.9])
    found = detector(SeeingNetwork(truth), None, boxes, fan_depth=False).detect_batch(images, range(20))
    errors = errors_of(found, truth)
    assert np.abs(errors).max() < 0.02
    # where the library would put them on average is not far from where they are
    assert max(np.abs(face.landmarks_px - at)[:, :2].max() for (face,), at in zip(found, truth, strict=True)) < 0.6
    assert boxes.n_asked == 1
    assert all(of_frame[0].landmark_score > 0.9 for of_frame in found)
    assert all((of_frame[0].landmarks_px[:, 2] == 0).all() for of_frame in found)


def test_the_official_decode_of_the_same_heatmaps_misses_by_much_more(monkeypatch):
    interpreted(monkeypatch)
    truth, images = moving(6)
    errors = {}
    for decode in ("subpixel", "official"):
        boxes = FixedBoxes([*box_of_landmarks(truth[0]), 0.9])
        made = detector(SeeingNetwork(truth), None, boxes, fan_depth=False, fan_decode=decode)
        found = made.detect_batch(images, range(6))
        errors[decode] = np.sqrt(np.mean(errors_of(found, truth) ** 2))
    assert errors["subpixel"] < 0.01
    assert errors["official"] > 0.3


def test_where_a_video_is_cut_moves_landmarks_by_less_than_a_tenth_of_a_px():
    truth, images = moving(32)  # the grid of 16 frames
    box = [*box_of_landmarks(truth[0]), 0.9]

    def shown(*spans):
        made = detector(SeeingNetwork(truth), None, FixedBoxes(box), fan_depth=False, fan_box_every=16)
        return [face for a, b in spans for (face,) in made.detect_batch(images[a:b], range(a, b))]

    whole = shown((0, 16), (16, 32))
    after = shown((16, 32))
    for one, other in zip(whole[16:], after, strict=True):
        np.testing.assert_array_equal(one.landmarks_px, other.landmarks_px)  # on the grid: the same bytes
    elsewhere = shown((0, 5), (5, 21), (21, 32))
    moved = [np.abs(a.landmarks_px - b.landmarks_px).max() for a, b in zip(whole, elsewhere, strict=True)]
    assert 0 < max(moved) < 0.1


def test_the_size_of_batches_changes_nothing_but_rounding():
    truth, images = moving(5)
    fan, depth = small_networks()
    boxes = FixedBoxes([*box_of_landmarks(truth[0]), 0.9])
    found = [
        detector(fan, depth, boxes, fan_batch=size, fan_box_every=1).detect_batch(images, range(5))
        for size in (1, 2, 64)
    ]
    for other in found[1:]:
        for (one,), (two,) in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one.landmarks_px, two.landmarks_px, atol=1e-3)


def test_mirrored_crops_give_mirrored_landmarks_and_their_mean_is_taken():
    fan, _ = small_networks()
    networks = [FanNetworks(fan, None, flip=flip) for flip in (False, True)]
    crop = torch.rand(3, 256, 256)
    both = networks[1]([lambda: crop, lambda: crop.flip(-1)])
    mirrored = both.cells[1][MIRROR] * [-1, 1] + [64, 0]
    np.testing.assert_allclose(both.cells[0], mirrored, atol=1e-3)
    alone = networks[0]([lambda: crop])
    assert np.abs(alone.cells[0] - both.cells[0]).max() > 1


def test_faces_come_from_left_to_right_and_boxes_that_cannot_be_cropped_are_no_faces():
    fan, depth = small_networks()
    boxes = FixedBoxes(
        (80, 20, 150, 110, 0.75), (-4e6, -4e6, 4e6, 4e6, 0.9), (5, 10, 75, 100, 0.5), (10, 10, 11, 90, 0.9)
    )
    faces = detector(fan, depth, boxes, fan_box_every=1).detect(noise_image(), 0)
    assert [f.box_px.tolist() for f in faces] == [[5, 10, 75, 100], [80, 20, 150, 110]]
    for face in faces:
        assert face.landmarks_px.dtype == np.float32
        assert np.isfinite(face.landmarks_px).all()
        assert face.dense_px is None
    assert detector(fan, depth, FixedBoxes()).detect(noise_image(), 0) == []
    assert detector(fan, depth, boxes).detect_batch([], []) == []


def test_a_network_that_answers_noise_breaks_nothing():
    fan, depth = small_networks()
    boxes = FixedBoxes((5, 10, 75, 100, 0.5), (80, 20, 150, 110, 0.75))
    found = detector(fan, depth, boxes).detect_batch([noise_image(seed=i) for i in range(5)], range(5))
    assert [len(faces) for faces in found] == [2] * 5
    assert all(np.isfinite(face.landmarks_px).all() for faces in found for face in faces)


def test_a_face_that_walks_out_of_the_image_is_lost_and_breaks_nothing(monkeypatch):
    interpreted(monkeypatch)
    truth = [planted_face((128 + (12 if i < 3 else 60) * i, 128), 50) for i in range(9)]
    images = [seen_image(i) for i in range(9)]
    for decode in ("subpixel", "official"):
        boxes = FixedBoxes([*box_of_landmarks(truth[0]), 0.9])
        network = SeeingNetwork(truth, height=lambda frame: 0.9 if frame < 3 else 0.05)
        found = detector(network, None, boxes, fan_depth=False, fan_decode=decode).detect_batch(images, range(9))
        assert [len(faces) for faces in found[:3]] == [1] * 3
        for (face,), at in zip(found[:3], truth[:3], strict=True):
            np.testing.assert_allclose(face.landmarks_px[:, :2], at[:, :2], atol=2.5)
        assert all(face.landmark_score < 0.1 for faces in found[3:] for face in faces)


def test_it_says_how_many_frames_it_likes_at_once():
    fan, depth = small_networks()
    made = detector(fan, depth, FixedBoxes())
    assert isinstance(made, BatchDetector)
    assert (made.batch_size, made.period) == (32, 32)
    made = detector(fan, depth, FixedBoxes(), **OFFICIAL)
    assert (made.batch_size, made.period) == (8, 1)


@pytest.fixture
def weight_files(tmp_path, monkeypatch):
    """Put files that are no weights under the names of the weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("AU3DMM_WEIGHTS", str(tmp_path / "none"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    for name in FACE_ALIGNMENT_FILES:
        (folder / name).write_bytes(b"no weights")
    return folder


def test_missing_weights_are_one_clear_line_and_nothing_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("AU3DMM_WEIGHTS", str(tmp_path / "own"))
    with pytest.raises(AssetError, match=f"face_alignment needs {', '.join(FACE_ALIGNMENT_FILES)}, which") as err:
        FaceAlignmentDetector(params_of())
    assert "\n" not in str(err.value)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_the_published_ones_are_refused_before_they_are_read(weight_files, caplog):
    with pytest.raises(AssetError, match=r"s3fd-619a316812\.pth: not the published file: .*expected 619a316812") as err:
        FaceAlignmentDetector(params_of())
    assert "fan_weights" in str(err.value)
    made = FaceAlignmentDetector(params_of(fan_weights="any"))
    assert "are not the published ones" in caplog.text
    told = made.describe()
    assert told["weights_verified"] is False
    identity = detector_identity(params_of(fan_weights="any"), session=None)
    assert identity.items() <= told.items()
    with pytest.raises(AssetError, match=r"s3fd-619a316812\.pth: not loaded: .*copy the published file there again"):
        made.detect(noise_image(), 0)


class Boxes(torch.nn.Module):
    """Stands for S3FD: one face, in the middle."""

    def __init__(self):
        super().__init__()
        self.sure = torch.nn.Parameter(torch.tensor(-9.0))

    def forward(self, image):
        maps = []
        for level in range(6):
            score = torch.full((1, 1, 1, 1), -9.0) if level != 4 else self.sure.reshape(1, 1, 1, 1)
            maps += [torch.cat([-score, score], 1), torch.zeros(1, 4, 1, 1)]
        return maps


def test_networks_are_built_from_the_weight_files_and_used(tmp_path, monkeypatch):
    import face_alignment.detection.sfd.net_s3fd
    import face_alignment.models

    interpreted(monkeypatch)
    fan, depth = small_networks(seed=5)
    boxes = Boxes()
    boxes.sure.data += 18
    image = noise_image(160, 160)
    state = {"module." + name: value for name, value in depth.state_dict().items()}
    for name, saved in zip(
        FACE_ALIGNMENT_FILES, (boxes.state_dict(), fan.state_dict(), {"state_dict": state}), strict=True
    ):
        torch.save(saved, tmp_path / name)
    monkeypatch.setattr(face_alignment.detection.sfd.net_s3fd, "s3fd", Boxes)
    monkeypatch.setattr(face_alignment.models, "FAN", lambda n: small_networks()[0])
    monkeypatch.setattr(face_alignment.models, "ResNetDepth", lambda: small_networks()[1])
    params = params_of(fan_weights="any", **OFFICIAL)
    made = make_detector(params, session=None, weights_folder=tmp_path)
    (face,) = made.detect(image, 0)
    np.testing.assert_array_equal(face.box_px, np.float32([32 - 128, 32 - 128, 32 + 128, 32 + 128]))
    assert torch.get_num_threads() == 1
    (own,) = library(fan, depth).get_landmarks_from_image(image, [np.array([*face.box_px.astype(float), 1.0])])
    np.testing.assert_allclose(face.landmarks_px, own, atol=1e-3)
    assert made.describe()["boxes"] == "s3fd"


def test_the_published_weights_are_known_by_their_names(weight_files, monkeypatch):
    import hashlib

    for module in (our_face_alignment, weight_needs):
        monkeypatch.setattr(module, "published_prefix", lambda name: hashlib.sha256(b"no weights").hexdigest()[:10])
    identity = detector_identity(params_of(), session=None)
    assert identity["weights_verified"] is True
    assert sorted(identity["weights"]) == sorted(FACE_ALIGNMENT_FILES)


def test_a_folder_of_weights_goes_before_torch_hubs(weight_files, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / FAN_LANDMARKS).write_bytes(b"mine")
    files = weights.face_alignment_files(own)
    assert files[FAN_LANDMARKS] == own / FAN_LANDMARKS
    assert {path.parent for name, path in files.items() if name != FAN_LANDMARKS} == {weight_files}


def test_a_device_that_is_not_there_is_a_configuration_error(weight_files):
    made = FaceAlignmentDetector(params_of(fan_weights="any"), device="cuda:77")
    with pytest.raises(ConfigError, match=r"device 'cuda:77' is not on this machine for torch .*; use cpu"):
        made.detect(noise_image(), 0)
