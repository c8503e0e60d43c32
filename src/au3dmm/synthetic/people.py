"""Where the people of a synthetic dataset come from: the embedded head, or ICT-FaceKit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from au3dmm.core.basis import Bases
from au3dmm.errors import ConfigError
from au3dmm.io.assets import DEMO_BASES, DefaultHead, asset_path, read_default_head
from au3dmm.io.bases import bases_fingerprint, read_bases
from au3dmm.synthetic.cast import Look, demo_subject, draw_identity
from au3dmm.synthetic.ict_heads import IctHeads
from au3dmm.synthetic.person import Person


class HeadModel(Protocol):
    """A family of heads.

    Attributes
    ----------
    spec, name : str
        As on the command line, and without the file's name.
    fingerprint : str
        Of its files.
    licence, description : str
        In words.
    stand_ins : mapping of str to mapping of str to float
        Action units that it lacks (or overdoes), and how much of which others is shown in their place.
    """

    spec: str
    name: str
    fingerprint: str
    licence: str
    description: str
    stand_ins: Mapping[str, Mapping[str, float]]

    def person(self, seed: int, number: int, look: Look) -> Person:
        """Return subject `number` of the dataset of this seed."""


class DemoHeads:
    """The embedded procedural head and its demo basis."""

    spec = name = "demo"
    licence = "Apache-2.0"
    description = "Heads made of formulas."
    stand_ins: Mapping[str, Mapping[str, float]] = MappingProxyType({})

    def __init__(self) -> None:
        path = asset_path(DEMO_BASES)
        self.fingerprint = bases_fingerprint(path)
        self._bases: Bases = read_bases(path)
        self._head: DefaultHead = read_default_head()
        self._last: tuple[tuple[int, int], Person] | None = None

    def person(self, seed: int, number: int, look: Look) -> Person:
        """See `HeadModel`; the last one is remembered, as sessions come subject by subject."""
        if self._last is None or self._last[0] != (seed, number):
            alpha_id = draw_identity(seed, number, self._bases.k_id)
            self._last = (seed, number), demo_subject(self._bases, self._head, look, alpha_id)
        return self._last[1]


@lru_cache(maxsize=2)
def head_model(spec: str) -> HeadModel:
    """Return the family of heads that ``demo`` or ``ict:FILE`` names.

    Raises
    ------
    ConfigError
        If it is something else.
    """
    if spec == "demo":
        return DemoHeads()
    kind, _, file = spec.partition(":")
    if kind == "ict" and file:
        return IctHeads(Path(file))
    raise ConfigError(f"--head: {spec!r}; expected demo, or ict:FILE with the npz of ICT-FaceKit")
