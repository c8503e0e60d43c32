"""The command line. Nothing heavy is imported here: what needs numpy waits inside its command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from au3dmm.cli.app import run

__all__ = ["main", "run"]

# One thread per process: results must not depend on the machine, and many processes share one
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main(argv: Sequence[str] | None = None) -> None:
    """Run `au3dmm` with `argv` (default: the process's) and exit with its code."""
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    sys.exit(run(list(sys.argv[1:] if argv is None else argv)))
