"""Action unit labels for event-camera face recordings, fitted on RGB and carried over in time.

Examples
--------
>>> import au3dmm
>>> result = au3dmm.label_session("session")          # doctest: +SKIP
>>> table = au3dmm.read_labels(result.labels)         # doctest: +SKIP
>>> alpha, valid = au3dmm.vectors(table, "alpha_au")  # doctest: +SKIP
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "BasesResult",
    "LabelResult",
    "__version__",
    "action_units",
    "fit_bases",
    "label_session",
    "names_au",
    "read_bases",
    "read_labels",
    "vectors",
]

if TYPE_CHECKING:
    from au3dmm.api import (
        BasesResult,
        LabelResult,
        action_units,
        fit_bases,
        label_session,
        names_au,
        read_bases,
        read_labels,
        vectors,
    )


def _give_numba_a_cache() -> None:
    # an install in a read-only place, used by someone without a home, leaves numba nowhere to keep what it compiles
    if "NUMBA_CACHE_DIR" in os.environ or os.access(os.path.dirname(__file__), os.W_OK):
        return
    home = os.path.expanduser("~")
    if not os.access(home, os.W_OK):
        folder = tempfile.mkdtemp(prefix="au3dmm-numba-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = folder


_give_numba_a_cache()


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # heavy imports wait until they are asked for: `au3dmm --help` answers at once
    if name in __all__:
        from au3dmm import api

        return getattr(api, name)
    raise AttributeError(f"module 'au3dmm' has no attribute {name!r}")
