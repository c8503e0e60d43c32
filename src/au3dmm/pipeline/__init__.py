"""Order of the stages, what may be skipped because nothing it reads has changed, and runs over whole datasets."""

from au3dmm.pipeline.session_run import Event, Execution, SessionRun, run_session
from au3dmm.pipeline.steps import PICTURES, STAGES, WITHOUT_EVENTS, output_files

__all__ = [
    "PICTURES",
    "STAGES",
    "WITHOUT_EVENTS",
    "Event",
    "Execution",
    "SessionRun",
    "output_files",
    "run_session",
]
