"""Action unit labels for event-camera face recordings, fitted on RGB and carried over in time.

Examples
--------
>>> import au3dmm
>>> result = au3dmm.label_session("session")          # doctest: +SKIP
>>> table = au3dmm.read_labels(result.labels)         # doctest: +SKIP
>>> alpha, valid = au3dmm.vectors(table, "alpha_au")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from au3dmm import compilations

__version__ = "0.1.0"
__all__ = [
    "BasesResult",
    "DatasetPlan",
    "DatasetResult",
    "EventFileWarning",
    "LabelResult",
    "PlacedLandmarks",
    "RunOptions",
    "__version__",
    "action_units",
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

if TYPE_CHECKING:
    from au3dmm.api import (
        BasesResult,
        DatasetPlan,
        DatasetResult,
        EventFileWarning,
        LabelResult,
        PlacedLandmarks,
        RunOptions,
        action_units,
        fit_bases,
        label_session,
        mirror_alpha,
        mirror_labels,
        names_au,
        names_intensity,
        open_events,
        place_landmarks,
        plan_dataset,
        read_bases,
        read_clip,
        read_events,
        read_labels,
        read_triggers,
        run_dataset,
        slice_events,
        vectors,
        write_evt2,
        write_evt3,
    )


compilations.prepare()


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # heavy imports wait until they are asked for: `au3dmm --help` answers at once
    if name in __all__:
        from au3dmm import api

        return getattr(api, name)
    raise AttributeError(f"module 'au3dmm' has no attribute {name!r}")
