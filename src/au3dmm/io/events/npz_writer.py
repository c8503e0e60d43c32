"""Write recordings as NPZ block by block: one array per field, for programs that read nothing but numpy."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from au3dmm.io.events.writer import EventWriter

_FIELDS = {
    "t": "<i8",
    "x": "<u2",
    "y": "<u2",
    "p": "|u1",
    "trigger_t": "<i8",
    "trigger_id": "|u1",
    "trigger_p": "|u1",
}


class NpzWriter(EventWriter):
    """Writes NPZ; see `EventWriter`.

    Arrays ``t`` (us), ``x``, ``y`` (px), ``p`` (0 or 1), ``trigger_t``, ``trigger_id``, ``trigger_p`` and the numbers
    ``width``, ``height`` (px) and ``t_shift_us``. The arrays are gathered in temporary files beside it, as their
    lengths come before them in the file. Of the header nothing is kept.
    """

    format = "NPZ"
    last_input = 255

    def _begin(self, path: Path) -> None:
        """See `EventWriter`."""
        self._path = path
        self._columns: dict[str, IO[bytes]] = {}
        for name in _FIELDS:
            self._columns[name] = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 (closed in _release)

    def _write(self, events: NDArray[np.void], triggers: NDArray[np.void]) -> None:
        """See `EventWriter`."""
        for name, kind in _FIELDS.items():
            stream, field = (triggers, name[8:]) if name.startswith("trigger_") else (events, name)
            self._columns[name].write(np.ascontiguousarray(stream[field], kind).tobytes())

    def _complete(self) -> None:
        """See `EventWriter`."""
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, kind in _FIELDS.items():
                length = self.triggers if name.startswith("trigger_") else self.events
                with archive.open(_member(name), "w", force_zip64=True) as out:
                    out.write(_array_header(kind, (length,)))
                    self._columns[name].seek(0)
                    shutil.copyfileobj(self._columns[name], out, 1 << 20)
            numbers = {"width": self.width, "height": self.height, "t_shift_us": self.clock_start_us or 0}
            for name, number in numbers.items():
                with archive.open(_member(name), "w") as out:
                    out.write(_array_header("<i8", ()) + np.array(number, "<i8").tobytes())

    def _release(self) -> None:
        """See `EventWriter`."""
        while self._columns:
            self._columns.popitem()[1].close()


def _member(name: str) -> zipfile.ZipInfo:
    """Return a member without the time of day, so that equal events give equal bytes."""
    member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o600 << 16
    return member


def _array_header(kind: str, shape: tuple[int, ...]) -> bytes:
    head = BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
    return head.getvalue()
