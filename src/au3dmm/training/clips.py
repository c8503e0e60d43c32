"""Clips of a run: so many frames of a recording from an offset on, with their labels, as a torch dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from au3dmm.errors import ConfigError
from au3dmm.io.event_frame_table import read_clip
from au3dmm.io.training_labels import TrainingLabels, TrainingSession
from au3dmm.training.augmentation import Change, draw_change, mirrored_places
from au3dmm.training.order import Draw
from au3dmm.training.pictures import Scaling, cut
from au3dmm.training_config import AugmentParams, DataParams

Part = Literal["train", "val", "test"]
Item = dict[str, Any]


@dataclass(frozen=True)
class Mirror:
    """What becomes of labels when a clip is mirrored.

    Attributes
    ----------
    alpha : (K, K) array
        ``alpha @ matrix`` is that of the mirrored face.
    classes, occurrence : int arrays
        The place of each class, and of each unit, in the mirrored clip.
    """

    alpha: NDArray[np.float32]
    classes: NDArray[np.int64]
    occurrence: NDArray[np.int64]


def make_mirror(labels: TrainingLabels, classes: Sequence[str]) -> Mirror:
    """Return how labels are mirrored.

    Raises
    ------
    ConfigError
        If the basis has no mirror, or a class or unit no partner.
    """
    if labels.mirror is None:
        raise ConfigError(
            f"augment.flip: {labels.run.labels} does not say what alpha_au of a mirrored face is (labelled by an older"
            " version, or with a basis of a head without mirror partners); set augment.flip = 0, or label again with a"
            " mirrored basis"
        )
    occurrence = mirrored_places(labels.names_occurrence, "unit")
    return Mirror(labels.mirror, mirrored_places(classes, "class"), occurrence)


def sessions_of(labels: TrainingLabels, part: Part, data: DataParams) -> list[int]:
    """Return which recordings are in a part: by split, or with ``data.fold`` by fold.

    With k folds and ``fold = i``, fold i is test, the one after it val, and the others train; with ``fold_val = false``
    val is empty, and all but fold i train.

    Raises
    ------
    ConfigError
        If the run has no splits but folds, or the other way round, or no such fold.
    """
    folds = {s.fold for s in labels.sessions if s.fold is not None}
    if data.fold is None:
        if folds and not any(s.split for s in labels.sessions):
            raise ConfigError(f"{labels.run.path}: {len(folds)} folds and no splits; say which to test on: data.fold=0")
        return _some([i for i, s in enumerate(labels.sessions) if s.split == part], data.limit)
    least = 3 if data.fold_val else 2
    if data.fold not in folds or len(folds) < least:
        there = f"folds {min(folds)} to {max(folds)}" if folds else "splits, no folds"
        raise ConfigError(
            f"{labels.run.path}: data.fold = {data.fold}, but there are {there}; expected one of {least} or more"
        )
    named = sorted(folds)
    val = {named[(named.index(data.fold) + 1) % len(named)]} if data.fold_val else set()
    wanted = {"test": {data.fold}, "val": val, "train": folds - val - {data.fold}}[part]
    return _some([i for i, s in enumerate(labels.sessions) if s.fold in wanted], data.limit)


def _some(numbers: list[int], limit: int) -> list[int]:
    if not limit or len(numbers) <= limit:
        return numbers
    return [numbers[i * len(numbers) // limit] for i in range(limit)]


def classified_by(session: TrainingSession, data: DataParams) -> str | None:
    """Return the name of the class of a recording; None if it has none."""
    name: str | None = getattr(session, data.classes)
    return name


def class_place(classes: Sequence[str], session: TrainingSession, data: DataParams) -> int:
    """Return the place of a recording's class; -1 if it has none, or another."""
    name = classified_by(session, data)  # "None" is a class of NEFER's, None is no class
    return classes.index(name) if name is not None and name in classes else -1


def cut_into_clips(n: int, data: DataParams, *, all_frames: bool = False) -> list[tuple[int, int]]:
    """Return first frame and number of frames of the clips of a recording of `n` event frames.

    The last one ends with the recording, so that all of its time is seen; a recording shorter than a clip is one clip.
    With `all_frames`, every frame is in a clip, also where clips take each ``data.every``-th: the frames 0, every,
    2 every, ... are cut, then 1, 1 + every, ...

    Examples
    --------
    >>> cut_into_clips(10, DataParams(n_frames=4)), cut_into_clips(3, DataParams(n_frames=4))
    ([(0, 4), (4, 4), (6, 4)], [(0, 3)])
    >>> cut_into_clips(10, DataParams(n_frames=4, every=2, stride=2)), cut_into_clips(4, DataParams(every=3))
    ([(0, 4), (2, 4), (3, 4)], [(0, 2)])
    >>> cut_into_clips(11, DataParams(n_frames=4, every=2), all_frames=True)
    [(0, 4), (4, 4), (1, 4), (3, 4)]
    """
    if all_frames and data.every > 1:
        one = data.model_copy(update={"every": 1, "stride": -(-data.stride // data.every)})
        return [
            (phase + data.every * first, count)
            for phase in range(min(data.every, n))
            for first, count in cut_into_clips(len(range(phase, n, data.every)), one)
        ]
    if n < data.span:
        return [(0, -(-n // data.every))] if n else []
    last = n - data.span
    return [(first, data.n_frames) for first in (*range(0, last, data.stride or data.span), last)]


class Clips(Dataset[Item]):
    """The clips of a part of a run.

    An item is asked for by epoch and number, so that what is drawn for it depends on nothing else. It is a dict (L
    frames, K coefficients, A units with occurrence):

    ``pixels`` (L, C, H, W) as stored (see `Scaling.apply`), with ``gain`` and ``bias``; or, of models of coefficients,
    ``coefficients`` (L, K) float32: alpha, gaps filled with the value before; ``alpha``, ``alpha_std`` (L, K) float32;
    ``known`` (L,) bool: the frame has a label; ``padding`` (L,) bool: there is no frame, at the beginning of clips of
    short recordings; ``label`` int64, -1 unknown; ``occurrence`` (L, A) float32, NaN unknown; ``clip``: session_id and
    first frame; ``number``: of the clip.

    Parameters
    ----------
    labels : TrainingLabels
        Of the run.
    sessions : sequence of int
        Which recordings.
    data : DataParams
        How they are cut.
    classes : sequence of str
        The classes; recordings of others have the label -1.
    sources : sequence of Path, optional
        For each recording of the run, the table of its frames; None for models of coefficients.
    scaling : Scaling, optional
        What is in these tables.
    augment : AugmentParams, optional
        Changes; None for evaluation, where frames are only resized.
    seed : int
        Of the changes.
    mirror : Mirror, optional
        Needed if clips are mirrored.
    whole : bool
        Whether clips are kept in which no frame has a label: they may have a class.
    all_frames : bool
        See `cut_into_clips`.

    Attributes
    ----------
    labels : TrainingLabels
        As given.
    places : list of (int, int, int)
        Of each clip: its recording, first frame, and number of frames.
    unlabelled : list of (str, int)
        Clips that were left out, because no frame of theirs has a label: neither coefficients nor, which is enough for
        models of frames, coded action units.
    """

    BOTH: ClassVar[bool] = False
    """Whether coefficients are given beside pixels, too."""

    def __init__(
        self,
        labels: TrainingLabels,
        sessions: Sequence[int],
        data: DataParams,
        classes: Sequence[str],
        sources: Sequence[Path] | None = None,
        scaling: Scaling | None = None,
        *,
        augment: AugmentParams | None = None,
        seed: int = 0,
        mirror: Mirror | None = None,
        whole: bool = False,
        all_frames: bool = False,
    ) -> None:
        self.labels, self._data, self._sources, self._scaling = labels, data, sources, scaling
        self._augment, self._seed, self._mirror = augment, seed, mirror
        self._class = [class_place(classes, s, data) for s in labels.sessions]
        frames = sources is not None  # who reads coefficients has nothing to read where there are none
        self.places: list[tuple[int, int, int]] = []
        self.unlabelled: list[tuple[str, int]] = []
        for i in sessions:
            session = labels.sessions[i]
            for first, count in cut_into_clips(session.n, data, all_frames=all_frames):
                rows, there = self._label_rows(session, first, count)
                if whole or (labels.valid[rows] & there).any() or (frames and self._coded(rows, there)):
                    self.places.append((i, first, count))
                else:
                    self.unlabelled.append((session.session_id, first))

    def _coded(self, rows: slice | NDArray[np.int64], there: Any) -> bool:
        """Say whether people coded an action unit in any of these rows, as there or not."""
        coded = np.isfinite(self.labels.occurrence[rows]).any(axis=1)
        return bool((coded & there).any())

    def __len__(self) -> int:
        return len(self.places)

    def label_of(self, number: int) -> int:
        """Return the class of a clip."""
        return self._class[self.places[number][0]]

    def session_of(self, number: int) -> str:
        """Return the recording of a clip."""
        return self.labels.sessions[self.places[number][0]].session_id

    def label_rows(self, number: int) -> NDArray[np.int64]:
        """Return the rows of the labels that a clip's frames have."""
        i, first, count = self.places[number]
        rows, there = self._label_rows(self.labels.sessions[i], first, count)
        numbers = np.arange(rows.start, rows.stop, rows.step) if isinstance(rows, slice) else rows
        return numbers if there is True else numbers[there]

    def __getitem__(self, draw: Draw) -> Item:
        epoch, number = draw
        i, first, count = self.places[number]
        session = self.labels.sessions[i]
        change = Change() if self._augment is None else draw_change(self._augment, self._seed, epoch, number)
        item = self._labelled(session, first, count, change.flip)
        label = self._class[i]
        if change.flip and label >= 0:
            assert self._mirror is not None, "who flips has a mirror"
            label = int(self._mirror.classes[label])
        item |= {"label": label, "clip": (session.session_id, first), "number": number}
        if self._sources is None or self.BOTH:
            item["coefficients"] = _held(item["alpha"], item["known"])
        if self._sources is None:
            return item
        assert self._scaling is not None, "frames have a scale"
        end = (count - 1) * self._data.every + 1
        stored = read_clip(self._sources[i], first, end)[:: self._data.every]
        frames = cut(stored, change, self._data.image_px, self._scaling)
        if count < self._data.n_frames:
            frames = torch.cat([frames.new_zeros((self._data.n_frames - count, *frames.shape[1:])), frames])
        return item | {"pixels": frames, "gain": change.gain, "bias": change.bias}

    def _rows(self, session: TrainingSession, first: int, count: int) -> slice:
        start = session.first + first
        return slice(start, start + (count - 1) * self._data.every + 1, self._data.every)

    def _label_rows(self, session: TrainingSession, first: int, count: int) -> tuple[slice | NDArray[np.int64], Any]:
        """Return the rows of the frames' labels, and where there are any: all, unless labels are shifted."""
        rows = self._rows(session, first, count)
        if not self._data.shift:
            return rows, True
        shifted = np.arange(rows.start, rows.stop, rows.step) + self._data.shift
        there = (shifted >= session.first) & (shifted < session.first + session.n)
        return np.clip(shifted, session.first, session.first + session.n - 1), there

    def _labelled(self, session: TrainingSession, first: int, count: int, flip: bool) -> Item:
        labels, rows, there = self.labels, *self._label_rows(session, first, count)
        alpha, std, said = labels.alpha[rows], labels.alpha_std[rows], labels.occurrence[rows]
        if flip:
            assert self._mirror is not None, "who flips has a mirror"
            alpha, std = alpha @ self._mirror.alpha, np.sqrt(std**2 @ self._mirror.alpha**2)
            said = said[:, self._mirror.occurrence]
        said = np.where(np.expand_dims(there, -1), said, np.float32(np.nan))
        return {
            "alpha": self._padded(alpha, 0.0),
            "alpha_std": self._padded(std, 0.0),
            "known": self._padded(labels.valid[rows] & there, False),
            "padding": self._padded(np.zeros(count, bool), True),
            "occurrence": self._padded(said, np.nan),
        }

    def _padded(self, values: NDArray[Any], fill: float | bool) -> Tensor:
        out = np.full((self._data.n_frames, *values.shape[1:]), fill, values.dtype)
        out[self._data.n_frames - len(values) :] = values
        return torch.from_numpy(out)


def _held(alpha: Tensor, known: Tensor) -> Tensor:
    """Fill frames without a label with the last one before, or the first one, where there is none before."""
    at = torch.where(known, torch.arange(len(known)), -1)
    at = torch.cummax(at, 0).values
    first = int(known.to(torch.uint8).argmax())
    return alpha[torch.where(at < 0, first, at)]


def collate(items: Sequence[Item]) -> Item:
    """Put items together to a batch: tensors are stacked, ``clip`` is a list.

    In a process that loads, torch's own function stacks them in the memory that is shared with the one that trains.
    """
    batch: Item = {"clip": [item["clip"] for item in items]}
    for name in items[0]:
        if name != "clip":
            values = [item[name] for item in items]
            kinds = {int: torch.int64, float: torch.float32}
            kind = kinds.get(type(values[0]))
            batch[name] = default_collate(values) if kind is None else torch.tensor(values, dtype=kind)
    return batch
