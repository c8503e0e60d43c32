"""Look at a recording's events before hours are spent on its video: would stage sync refuse them?"""

from __future__ import annotations

import numpy as np

from au3dmm.config import SyncParams
from au3dmm.errors import SessionError
from au3dmm.io.events import TRIGGER_DTYPE
from au3dmm.io.session import Session
from au3dmm.io.session_events import open_session_events
from au3dmm.stages.sync import chosen_method
from au3dmm.stages.sync_triggers import choose_edges

_MOST_EVENTS = 100_000_000  # about a second; what comes later is told by the stage itself


def check_events(session: Session, params: SyncParams, most_events: int = _MOST_EVENTS) -> None:
    """Refuse, with the words of stage sync, what can be seen of an event file in about a second.

    That it cannot be read, is too damaged, has no edges on the trigger input, or has them on several while session.toml
    does not say which. A session without events is well.

    Parameters
    ----------
    session, params
        The recording, and how its clock is found.
    most_events : int
        How far the file is read; of a longer one, neither damage nor missing edges can be told.

    Raises
    ------
    ConfigError, SessionError
        As `au3dmm.stages.sync.run`.
    """
    if session.manifest.events is None:
        return
    file = open_session_events(session)
    stream, triggers, n = file.stream(), [np.zeros(0, TRIGGER_DTYPE)], 0
    for chunk in stream:
        triggers.append(chunk.triggers)
        n += len(chunk.events)
        if n > most_events:
            break
    if n <= most_events:
        stream.report.check(file.path)
    if chosen_method(session, params) == "trigger":
        try:
            choose_edges(session, np.concatenate(triggers), file.path)
        except SessionError:  # no edges; they may come later
            if n <= most_events:
                raise
