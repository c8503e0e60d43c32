"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

from models import mediapipe_folder

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the project; tests that use it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("SKIPPED LOUDLY: no real recordings at ../shared/data beside the project")
    return SHARED


@pytest.fixture(scope="session")
def mediapipe_weights() -> Path:
    """The folder of MediaPipe's models; `make setup` fetches them."""
    return mediapipe_folder()


@pytest.fixture(scope="session")
def tiny_session(mediapipe_weights, tmp_path_factory) -> Path:
    """A rendered recording of 18 small frames with events and triggers: `session.toml` and what it names."""
    from au3dmm.synthetic.session import TINY, write_session

    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    write_session(folder, seconds=0.6, session_id="tiny", setup=TINY)
    return folder
