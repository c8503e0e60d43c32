"""What a Dask worker of this machine does first: leave Ctrl-C to the run, which hears it, too, and ends workers itself.

A terminal tells every process. Workers that ended by it would look like killed ones, and their sessions like failures.
"""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Called by Dask in the worker, as ``preload`` asks for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
