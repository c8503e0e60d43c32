"""What an adapter finds: recordings it can describe, and what it had to leave out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Options:
    """What the user says beside the layout's name; each layout reads what concerns it.

    Attributes
    ----------
    rgb, events, timestamps, landmarks : str or None
        Which files or folders, below the source: a glob with ``{subject}``, ``{session}``, ``{au}``, ``{run}``, or a
        regular expression with groups of these names.
    sync : str or None
        ``[sync] method`` of every session; None: what the layout knows, or what the files show.
    fps : float or None
        Frames per second of images that carry no time.
    camera : str or None
        Which camera, where a layout has two.
    images : str
        Ending of images that have to be taken out of a container.
    """

    rgb: str | None = None
    events: str | None = None
    timestamps: str | None = None
    landmarks: str | None = None
    sync: str | None = None
    fps: float | None = None
    camera: str | None = None
    images: str = ".png"


@dataclass(frozen=True)
class Made:
    """A file or folder that is made for a session from raw data which au3dmm does not read as it is.

    Attributes
    ----------
    name : str
        Beside `session.toml`.
    write : callable
        Writes it to the path it is given; equal raw data give equal bytes.
    stated : bool
        Whether `session.toml` states the hash of what it is made from: then it is made again only if that changes.
    """

    name: str
    write: Callable[[Path], None]
    stated: bool = False


@dataclass(frozen=True)
class Proposal:
    """One recording.

    Attributes
    ----------
    session_id, subject_id : str
        Plain names.
    sections : mapping
        `session.toml` as nested values, ids included; a `Path` is a file of the raw data, a text in its place the name
        of something in `made`.
    home : Path or None
        The folder in the raw data that holds this recording and no other, if there is one.
    made : tuple of Made
        What is written beside `session.toml`.
    person : mapping
        Columns of `participants.tsv`.
    notes : tuple of str
        What a person should know of this recording, each in one line.
    """

    session_id: str
    subject_id: str
    sections: Mapping[str, Any]
    home: Path | None = None
    made: tuple[Made, ...] = ()
    person: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """Something that looks like a recording, or a part of one, and could not be used.

    Attributes
    ----------
    path : Path
        Where it is.
    why : str
        What was found and what was expected, in one line.
    """

    path: Path
    why: str


Finding = Proposal | LeftOut


class Adapter(Protocol):
    """How a layout is read: one module of this package."""

    def __call__(self, source: Path, options: Options) -> Iterator[Finding]:
        """Yield every recording below `source`, in a fixed order; nothing is written.

        Raises
        ------
        ConfigError
            If the options cannot be carried out, or `source` is nothing like the layout.
        """
        ...
