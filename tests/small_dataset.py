"""A dataset of small recordings with landmarks of their own: a run over it takes seconds and needs no weights."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from small_recording import write_recording

RAW = ("rgb.mp4", "times.csv", "landmarks.npz", "events.raw")


def write_dataset(folder: Path, subjects: int = 2, sessions: int = 2) -> Path:
    """Write ``folder/rawdata/S<i>_<j>/`` and ``folder/bases.npz``; return the bases."""
    first = folder / "rawdata" / name(0, 0)
    first.mkdir(parents=True)
    write_recording(first)
    bases = folder / "bases.npz"
    shutil.move(first.parent / "bases.npz", bases)
    text = (first / "session.toml").read_text()
    for i in range(subjects):
        for j in range(sessions):
            add_session(folder, i, j, text)
    (folder / "dataset.toml").write_text('[dataset]\nname = "small"\n[bases]\nfile = "bases.npz"\n')
    return bases


def name(i: int, j: int) -> str:
    return f"S{i:03}_{j}"


def add_session(folder: Path, i: int, j: int, text: str | None = None) -> Path:
    """Write one more session: the same recording under another name."""
    first = folder / "rawdata" / name(0, 0)
    text = (first / "session.toml").read_text() if text is None else text
    session = folder / "rawdata" / name(i, j)
    session.mkdir(exist_ok=True)
    for file in RAW:
        if not (session / file).exists():
            os.link(first / file, session / file)
    lines = text.splitlines()
    values = {"session_id": name(i, j), "subject_id": f"S{i:03}"}
    lines = [next((f'{k} = "{v}"' for k, v in values.items() if line.startswith(k)), line) for line in lines]
    (session / "session.toml").write_text("\n".join(lines) + "\n")
    return session


def replace_file(path: Path, data: bytes) -> None:
    """Give a file bytes of its own: its other names keep the old ones."""
    path.unlink()
    path.write_bytes(data)


def contents(folder: Path) -> dict[str, bytes]:
    """Everything a run wrote, but for what only serves to run faster."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".state" not in p.parts and p.name != ".lock"
    }
