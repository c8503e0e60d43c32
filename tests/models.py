"""Where tests find MediaPipe's models."""

import pytest

from au3dmm.errors import AssetError
from au3dmm.io.weights import mediapipe_files, weights_folder


def mediapipe_folder():
    """Return the folder of the verified models; skip where they have not been fetched."""
    folder = weights_folder()
    try:
        mediapipe_files(folder)
    except AssetError as err:
        pytest.skip(f"SKIPPED LOUDLY: {err}")
    return folder
