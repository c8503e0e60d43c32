"""The plumbing of face_alignment, with random weights under the expected names (nothing here is accurate)."""

import pickle
import shutil

import numpy as np
import pytest

from au3dmm.config import DetectParams
from au3dmm.detectors import detector_identity
from au3dmm.detectors.face_alignment import FaceAlignmentDetector, vet_weights
from au3dmm.errors import AssetError, ConfigError
from au3dmm.io.weights import FACE_ALIGNMENT_FILES

S3FD, FAN3D, DEPTH = FACE_ALIGNMENT_FILES
PARAMS = DetectParams(detector="face_alignment")


class FixedBoxes:
    """Finds the same boxes in every image."""

    def __init__(self, *boxes):
        self._boxes = [np.array(box, np.float64) for box in boxes]

    def detect_from_image(self, image):
        return self._boxes


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A torch hub folder with random weights, 400 MB: removed at once, as pytest would keep three of them."""
    import torch
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN, ResNetDepth

    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(FAN(4).state_dict(), folder / FAN3D)
    depth = {"module." + name: value for name, value in ResNetDepth().state_dict().items()}
    torch.save({"state_dict": depth, "epoch": 3, "best_acc": np.float64(0.5)}, folder / DEPTH)
    torch.save(s3fd().state_dict(), folder / S3FD)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def torch_home(hub, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(hub))
    return hub


@pytest.fixture(scope="module")
def built(hub):
    """A detector whose networks are built; tests give it boxes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(hub))
        detector = FaceAlignmentDetector(PARAMS, boxes=FixedBoxes((5, 10, 75, 100, 0.5)))
        detector.detect(image(), 0)
    return detector


def with_boxes(detector, *boxes):
    detector._boxes = FixedBoxes(*boxes)
    return detector


def image(height=120, width=160):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_missing_weights_are_one_clear_line_and_nothing_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(AssetError, match=f"face_alignment needs {S3FD}, {FAN3D}, {DEPTH} there") as err:
        FaceAlignmentDetector(PARAMS)
    assert "\n" not in str(err.value)
    assert list(tmp_path.iterdir()) == []


def test_boxes_lead_to_landmarks_from_left_to_right(built):
    import torch

    detector = with_boxes(built, (80, 20, 150, 110, 0.75), (5, 10, 75, 100, 0.5))
    faces = detector.detect(image(), 0)
    assert [f.box_px.tolist() for f in faces] == [[5, 10, 75, 100], [80, 20, 150, 110]]
    assert [f.detection_score for f in faces] == [0.5, 0.75]
    for face in faces:
        assert face.landmarks_px.shape == (68, 3)
        assert face.landmarks_px.dtype == np.float32
        assert np.isfinite(face.landmarks_px).all()
        assert isinstance(face.landmark_score, float)
        assert face.dense_px is None
    assert torch.get_num_threads() == 1
    # x, y, z are the library's own: px, z towards the camera
    own = detector._network.get_landmarks_from_image(image(), detected_faces=[np.array([5, 10, 75, 100, 0.5])])
    np.testing.assert_allclose(faces[0].landmarks_px, own[0], atol=1e-3)


def test_boxes_that_cannot_be_cropped_are_no_faces(built):
    detector = with_boxes(
        built,
        (-4e6, -4e6, 4e6, 4e6, 0.9),
        (-500, 0, -400, 90, 0.9),
        (10, 10, 11, 90, 0.9),
        (90, 90, 10, 10, 0.9),
        (np.nan, 0, 50, 50, 0.9),
    )
    assert detector.detect(image(), 0) == []


def test_an_image_without_faces_gives_none_and_no_warning(built):
    assert with_boxes(built).detect(image(), 0) == []


def test_the_librarys_own_boxes_are_used_by_default(built):
    finder = built._network.face_detector
    assert finder.filter_threshold == PARAMS.min_detection_score
    finder.filter_threshold = 0.0
    scores = sorted((float(box[4]) for box in finder.detect_from_image(image(96, 96))), reverse=True)
    finder.filter_threshold = scores[2]  # random weights find faces anywhere: two will do
    built._boxes = None
    faces = built.detect(image(96, 96), 0)
    assert len(faces) <= 2
    assert all(face.detection_score > scores[2] for face in faces)


def test_a_device_that_is_not_there_is_a_configuration_error(torch_home):
    detector = FaceAlignmentDetector(PARAMS, device="cuda:77")
    with pytest.raises(ConfigError, match=r"device 'cuda:77' is not on this machine for torch .*; use cpu"):
        detector.detect(image(), 0)


def test_random_weights_are_told_from_the_published_ones(torch_home, caplog):
    detector = FaceAlignmentDetector(PARAMS)
    assert "are not the published ones" in caplog.text
    told = detector.describe()
    assert told["weights_verified"] is False
    assert sorted(told["weights"]) == sorted(FACE_ALIGNMENT_FILES)
    identity = detector_identity(PARAMS, session=None)
    assert identity == {key: told[key] for key in identity}
    assert identity["weights"][FAN3D] == told["weights"][FAN3D]


def test_weights_that_would_run_code_are_refused_before_they_do(torch_home, tmp_path, monkeypatch):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    for name in (S3FD, FAN3D):
        (folder / name).symlink_to(torch_home / "hub" / "checkpoints" / name)
    (folder / DEPTH).write_bytes(pickle.dumps({"state_dict": Trap()}, protocol=2))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    detector = FaceAlignmentDetector(PARAMS, boxes=FixedBoxes((5, 10, 75, 100, 0.5)))
    with pytest.raises(AssetError, match=f"{DEPTH}: not loaded: holds something other than tensors") as err:
        detector.detect(image(), 0)
    assert "\n" not in str(err.value)
    assert not (tmp_path / "sprung").exists()


def test_old_names_of_numpy_scalars_are_harmless(tmp_path):
    import torch

    torch.save({"best_acc": np.float64(0.5)}, tmp_path / "new.pth")
    data = (tmp_path / "new.pth").read_bytes()
    vet_weights(tmp_path / "new.pth")
    torch.save({"best_acc": np.float64(0.5)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    old = (tmp_path / "old.pth").read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in old
    assert data != old
    (tmp_path / "old.pth").write_bytes(old)
    vet_weights(tmp_path / "old.pth")


def test_damaged_weights_are_refused(tmp_path):
    (tmp_path / "depth.pth").write_bytes(b"no weights")
    with pytest.raises(AssetError, match=r"depth\.pth: not loaded: .*copy the published file there again"):
        vet_weights(tmp_path / "depth.pth")
