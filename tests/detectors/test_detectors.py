import subprocess
import sys

import numpy as np
import pytest

from au3dmm.config import DetectParams
from au3dmm.detectors import detector_identity, make_detector
from au3dmm.errors import AssetError
from models import mediapipe_folder


def test_importing_detectors_loads_no_network_library():
    code = (
        "import sys, au3dmm.detectors, au3dmm.stages.detect;"
        "print([m for m in ('torch', 'face_alignment', 'ai_edge_litert') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_identity_needs_the_weights(tmp_path):
    with pytest.raises(AssetError, match="weights get mediapipe"):
        detector_identity(DetectParams(), None, tmp_path)


@pytest.mark.weights
def test_identity_and_description_agree():
    folder = mediapipe_folder()
    identity = detector_identity(DetectParams(), None, folder)
    detector = make_detector(DetectParams(), session=None, weights_folder=folder)
    assert identity.items() <= detector.describe().items()
    assert detector.detect(np.zeros((32, 32, 3), np.uint8), 0) == []
