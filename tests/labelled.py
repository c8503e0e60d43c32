"""A small recording that was labelled, for what draws labels."""

from pathlib import Path

from au3dmm.api import LabelResult, label_session
from small_recording import write_recording


def label_small(folder: Path) -> LabelResult:
    """Write ``folder/s01`` and ``folder/bases.npz``, and label it."""
    session = folder / "s01"
    session.mkdir(parents=True)
    write_recording(session)
    return label_session(session, bases=folder / "bases.npz", detector="precomputed")
