"""The layouts by name; a layout's module is imported when it is asked for."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import cast

from au3dmm.adapters.proposal import Adapter
from au3dmm.errors import ConfigError

LAYOUTS = {
    "pairs": "RGB and event files that --rgb and --events name",
    "images": "folders of images whose names say when they were taken",
    "facemorphic": "recordings/<user>/AU_<n>/{frames_r, event_r.raw}",
    "nefer": "rgb_videos, event_videos, and annotations with expected and reported emotions",
    "dsec": "<sequence>/{images/timestamps.txt, events/left/events.h5}",
    "m3ed": "one HDF5 file per sequence; its RGB images are copied out",
    "bp4d": "<subject>/<task>/*.jpg, and AUCoding/{AU_OCC, AU_INT}",
    "disfa": "Videos_LeftCamera, and ActionUnit_Labels",
}
"""Each layout, and what it looks like."""


def adapter_for(layout: str) -> Adapter:
    """Return the function that reads a layout.

    Raises
    ------
    ConfigError
        If there is no such layout.
    """
    if layout not in LAYOUTS:
        close = difflib.get_close_matches(layout.lower(), LAYOUTS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known layouts: {', '.join(LAYOUTS)}"
        raise ConfigError(f"no layout {layout!r}: {hint}")
    return cast(Adapter, import_module(f"au3dmm.adapters.{layout}").find)
