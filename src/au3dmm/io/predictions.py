"""`predictions.parquet`: what a trained model says of a recording, row by row as it says it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.io.table_schemas import WORD, predictions_schema
from au3dmm.io.tables import vector_array, word_array, write_batches

_ROWS = 4096


@dataclass(frozen=True)
class PredictionRows:
    """N rows of the table.

    Attributes
    ----------
    index : (N,) int array
        Of the event frame that the clip ends with.
    start_us, end_us : (N,) int64 arrays
        Its window.
    n_events : (N,) int64 array
        Events in its window.
    n_frames : (N,) int array
        Frames of the clip that are within the recording.
    seen : (N,) bool array
        False where the clip shows no event: what the model says is null.
    classes, alpha, occurrence : (N, ...) float32 arrays or None
        Probabilities, coefficients, probabilities.
    """

    index: NDArray[np.int64]
    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    n_events: NDArray[np.int64]
    n_frames: NDArray[np.int32]
    seen: NDArray[np.bool_]
    classes: NDArray[np.float32] | None
    alpha: NDArray[np.float32] | None
    occurrence: NDArray[np.float32] | None


def write_predictions(
    path: Path,
    blocks: Iterable[PredictionRows],
    classes: Sequence[str],
    n_alpha: int,
    n_occurrence: int,
    metadata: Mapping[str, Any],
) -> None:
    """Write rows as they come, holding one row group at a time.

    Parameters
    ----------
    path : Path
        The file to write.
    blocks : iterable of PredictionRows
        In order.
    classes : sequence of str
        What the model tells apart, at most 127; empty if it was not taught classes.
    n_alpha, n_occurrence : int
        Coefficients and units; 0 if it was not taught them.
    metadata : mapping
        What made the file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    schema = predictions_schema(len(classes), n_alpha, n_occurrence)

    def batches() -> Iterator[pa.Table]:
        parts: list[pa.Table] = []
        for block in blocks:
            parts.append(_table(block, classes, schema))
            if sum(map(len, parts)) >= _ROWS:
                yield pa.concat_tables(parts).unify_dictionaries().combine_chunks()
                parts = []
        if parts:
            yield pa.concat_tables(parts).unify_dictionaries().combine_chunks()

    write_batches(path, "predictions", schema, batches(), metadata, 2 * _ROWS)


def _table(block: PredictionRows, classes: Sequence[str], schema: pa.Schema) -> pa.Table:
    columns = [
        pa.array(block.index, pa.int32()),
        pa.array(block.start_us, pa.int64()),
        pa.array(block.end_us, pa.int64()),
        pa.array(block.n_events, pa.int64()),
        pa.array(block.n_frames, pa.int32()),
        word_array(["ok" if ok else "no_events" for ok in block.seen]),
    ]
    if block.classes is not None:
        best = pa.array(block.classes.argmax(1).astype(np.int8), mask=~block.seen)
        words = pa.DictionaryArray.from_arrays(best, pa.array(list(classes), pa.string()))
        columns += [words.cast(WORD), vector_array(block.classes, block.seen)]
    for values in (block.alpha, block.occurrence):
        if values is not None:
            columns.append(vector_array(values, block.seen))
    return pa.Table.from_arrays(columns, schema=schema)
