"""The Python interface: learn bases, label a session, read labels."""

from __future__ import annotations

from au3dmm.api.dataset import plan_dataset, run_dataset
from au3dmm.api.dataset_options import RunOptions
from au3dmm.api.dataset_result import DatasetPlan, DatasetResult
from au3dmm.api.labelling import default_out, label_session
from au3dmm.api.learning import fit_bases
from au3dmm.api.mirroring import mirror_alpha, mirror_labels
from au3dmm.api.pipelines import DEFAULT_PIPELINE
from au3dmm.api.placing import PlacedLandmarks, place_landmarks
from au3dmm.api.result import LabelResult
from au3dmm.api.tables import read_labels
from au3dmm.basis_building import BasesResult
from au3dmm.io.bases import read_bases
from au3dmm.io.event_frame_table import read_clip
from au3dmm.io.events import (
    EventFileWarning,
    open_events,
    read_events,
    read_triggers,
    slice_events,
    write_evt2,
    write_evt3,
)
from au3dmm.io.intensity_columns import names_intensity
from au3dmm.io.tables import action_units, names_au, vectors

__all__ = [
    "DEFAULT_PIPELINE",
    "BasesResult",
    "DatasetPlan",
    "DatasetResult",
    "EventFileWarning",
    "LabelResult",
    "PlacedLandmarks",
    "RunOptions",
    "action_units",
    "default_out",
    "fit_bases",
    "label_session",
    "mirror_alpha",
    "mirror_labels",
    "names_au",
    "names_intensity",
    "open_events",
    "place_landmarks",
    "plan_dataset",
    "read_bases",
    "read_clip",
    "read_events",
    "read_labels",
    "read_triggers",
    "run_dataset",
    "slice_events",
    "vectors",
    "write_evt2",
    "write_evt3",
]
