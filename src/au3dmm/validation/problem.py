"""One thing that is not as it should be, in one line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be.

    Attributes
    ----------
    file : Path
        Where.
    found, expected : str
        What is there, and what should be.
    advice : str
        What to do.
    """

    file: Path
    found: str
    expected: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}: {self.found}; expected {self.expected}; {self.advice}"

    def to_dict(self) -> dict[str, str]:
        """Return the problem as plain values."""
        return {**asdict(self), "file": str(self.file)}
