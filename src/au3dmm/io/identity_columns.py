"""The columns of identity.parquet that say how far a neutral face can be believed (from version 3 on)."""

from __future__ import annotations

import pyarrow as pa

_NUMBER = pa.float32()


def neutral_fields(word: pa.DataType) -> list[pa.Field]:
    """Return them, given the type of a column of words; null numbers are those of a face that was not tested."""
    return [
        pa.field("neutral_trust", word, nullable=False),
        pa.field("neutral_confidence", _NUMBER),
        pa.field("neutral_doubts", pa.list_(pa.string()), nullable=False),
        pa.field("neutral_looked_at", pa.int32(), nullable=False),
        pa.field("neutral_recordings", pa.int32(), nullable=False),
        pa.field("movement_mm", _NUMBER),
        pa.field("expression_sd", _NUMBER),
        pa.field("people_distance_mm", _NUMBER),
    ]
