"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the project; tests that use it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"SKIPPED LOUDLY: no real recordings at {SHARED}")
    return SHARED
