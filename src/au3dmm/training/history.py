"""What is written down while a model learns: rows of numbers as CSV, and for TensorBoard if it is there."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from au3dmm.errors import OutputError, os_reason
from au3dmm.io.atomic import write_bytes

COLUMNS = (
    "step", "epoch", "part", "lr", "loss", "classes", "alpha", "occurrence", "combinations", "mesh", "landmarks",
    "smooth", "accuracy", "f1",
)  # fmt: skip


class History:
    """``log.csv``: a row per logged step and per evaluation; a run that goes on takes back what came after its
    checkpoint.

    In rows of ``train``, ``loss`` and its parts (``classes``, ``alpha``, ``occurrence``, ``combinations``) are of one
    batch, as they are minimised; in rows of ``val``, ``loss`` is the mean over clips, ``alpha`` the rms error,
    ``accuracy`` the share of recordings, and ``f1`` that of frames, averaged over action units.

    Parameters
    ----------
    path : Path
        The file.
    step : int
        What later rows say is forgotten.
    tensorboard : bool
        Whether to write for TensorBoard, too, if it is installed.

    Raises
    ------
    OutputError
        If it cannot be written.
    """

    def __init__(self, path: Path, step: int = 0, *, tensorboard: bool = True) -> None:
        self._path = path
        kept = [row for row in _read(path) if row["step"].isdigit() and int(row["step"]) <= step] if step else []
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        write_bytes(path, text.getvalue().encode())
        try:
            self._file = path.open("a", newline="")
        except OSError as err:
            raise OutputError(f"{path}: cannot be written: {os_reason(err)}") from err
        self._writer = csv.DictWriter(self._file, COLUMNS, lineterminator="\n")
        self._board = _board(path.parent / "tensorboard", step) if tensorboard else None

    def add(self, step: int, epoch: int, part: str, values: Mapping[str, float]) -> None:
        """Write a row.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        row = {"step": step, "epoch": epoch, "part": part, **{name: f"{value:.9g}" for name, value in values.items()}}
        try:
            self._writer.writerow(row)
            self._file.flush()
        except OSError as err:
            raise OutputError(
                f"{self._path}: cannot be written: {os_reason(err)}; mend that and go on by --resume"
            ) from err
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{part}/{name}", value, step)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return []
    except OSError as err:
        raise OutputError(f"{path}: cannot be read: {os_reason(err)}") from err
    # a kill may cut the last; older logs have fewer columns
    return [row for row in rows if {"step"} <= set(row) <= set(COLUMNS) and None not in row.values()]


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
