"""Know a recording again by what was filmed, whatever its labels, names and folders are now."""

from __future__ import annotations

import json
from pathlib import Path

from au3dmm.io.run_folder import LEDGER

_READ = ("session:rgb", "session:events", "session:landmarks")  # the first that a stage read
_DIGITS = 16  # 64 bits


def recording_mark(folder: Path) -> str | None:
    """Return the mark of a recording: of the content of its video and of what its manifest says of that.

    Labelled again, by another pipeline, or put into another part, a recording keeps its mark; two recordings of one
    name in two datasets have different ones. It names nobody.

    Parameters
    ----------
    folder : Path
        The recording's folder in a run; its `stage.json` says what was read.

    Returns
    -------
    str or None
        Hexadecimal digits; None if there is no `stage.json`, or it does not say.
    """
    try:
        stages = json.loads((folder / LEDGER).read_text("utf-8"))["stages"].values()
        inputs = [stage["inputs"] for stage in stages]
        for name in _READ:
            for said in inputs:
                if isinstance(found := said.get(name), str) and found != "none":
                    return found[:_DIGITS]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None
