"""Landmark detectors: one protocol, one file per detector, each imported only when it is asked for."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from au3dmm.config import DetectParams
from au3dmm.detectors.base import DetectedFace, LandmarkDetector, StatefulDetector
from au3dmm.io.hashing import sha256_json
from au3dmm.io.session import Session
from au3dmm.io.weight_needs import needed_weights
from au3dmm.io.weights import file_sha256
from au3dmm.io.weights import weights_folder as default_weights_folder

__all__ = [
    "DetectedFace",
    "LandmarkDetector",
    "StatefulDetector",
    "checking",
    "detector_identity",
    "make_detector",
]


def make_detector(
    params: DetectParams, *, session: Session, device: str = "cpu", weights_folder: Path | None = None
) -> LandmarkDetector:
    """Return the detector that `params` names, as if it had seen nothing yet; a network is built once per process.

    Parameters
    ----------
    params : DetectParams
        Which detector, and its settings.
    session : Session
        For ``precomputed``: names the landmark file.
    device : str
        For ``face_alignment``: a torch device. ``mediapipe`` runs on the CPU.
    weights_folder : Path, optional
        By default `au3dmm.io.weights.weights_folder`. Those of ``face_alignment`` may lie in torch.hub's, too.

    Raises
    ------
    AssetError
        If weights are missing.
    ConfigError, SessionError
        If precomputed landmarks are asked for and the session has none that can be read.
    """
    if params.detector == "precomputed":
        from au3dmm.detectors.precomputed import PrecomputedDetector

        return PrecomputedDetector(session)
    folder = weights_folder or default_weights_folder()
    network = _network(params, device, folder, sha256_json(detector_identity(params, session, folder)))
    if isinstance(network, StatefulDetector):
        network.reset()
    return network


def checking(params: DetectParams) -> DetectParams:
    """Return the parameters of the detector that checks the one `params` names; it sees single frames: no tracking."""
    alone = {"mediapipe_tracking": False, "fan_box_every": 1}
    return params.model_copy(update={"detector": params.check_with, "check_with": "none", **alone})


@lru_cache(maxsize=2)  # one that detects, one that checks it
def _network(params: DetectParams, device: str, weights_folder: Path, identity: str) -> LandmarkDetector:
    """Build a network; `identity` changes with its weights."""
    if params.detector == "mediapipe":
        from au3dmm.detectors.mediapipe import MediapipeDetector

        return MediapipeDetector(params, weights_folder)
    from au3dmm.detectors.face_alignment import FaceAlignmentDetector

    return FaceAlignmentDetector(params, device, weights_folder=weights_folder)


def detector_identity(params: DetectParams, session: Session, weights_folder: Path | None = None) -> dict[str, Any]:
    """Return what of the detector changes its landmarks, for a fingerprint; builds no network.

    Name, sha256 of the weights (of the landmark file, if precomputed) by file name, and numeric precision; and, as
    ``check``, the same of the detector that checks it.

    Raises
    ------
    AssetError
        If weights are missing.
    ConfigError, SessionError
        If precomputed landmarks are asked for and the session names none.
    """
    if params.check_with != "none":
        alone = params.model_copy(update={"check_with": "none"})
        return {
            **detector_identity(alone, session, weights_folder),
            "check": detector_identity(checking(params), session, weights_folder),
        }
    if params.detector == "mediapipe":
        weights = {name: file_sha256(path) for name, path in needed_weights(params, weights_folder).items()}
        return {"name": "mediapipe", "weights": weights, "precision": "float32"}
    if params.detector == "face_alignment":
        from au3dmm.detectors.face_alignment import face_alignment_identity

        return face_alignment_identity(params, weights_folder)
    from au3dmm.detectors.precomputed import precomputed_identity

    return precomputed_identity(session)
