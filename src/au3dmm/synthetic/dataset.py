"""Write a synthetic dataset: subjects who do tasks several times, and beside their recordings the truth.

    DIR/dataset.toml  DIR/participants.tsv
    DIR/rawdata/sub-S001/S001_AU12_1/{session.toml rgb.mp4 rgb_timestamps.csv events.raw occurrence.csv}
    DIR/truth/S001_AU12_1.json

Each session depends on the dataset's seed, its subject, task and repetition only: not on what else is made, nor where.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from au3dmm import errors
from au3dmm.errors import Au3dmmError, ConfigError, ExecutorError, OutputError, os_reason
from au3dmm.executors import Job, make_executor
from au3dmm.io.atomic import file_lock, remove_leftovers, write_bytes
from au3dmm.io.participants import PARTICIPANTS, read_participants
from au3dmm.io.session import MANIFEST, read_session
from au3dmm.synthetic.cast import draw_look, subject_name
from au3dmm.synthetic.film import Film
from au3dmm.synthetic.motion import with_stand_ins
from au3dmm.synthetic.people import HeadModel, head_model
from au3dmm.synthetic.session import FILES, FILMED, Identity, record, tell
from au3dmm.synthetic.session_setup import Setup
from au3dmm.synthetic.takes import RAW, VERSION, Take, plan_takes
from au3dmm.synthetic.tasks import ACTION_UNITS, EMOTIONS, TASK_NUMBERS, TASKS, plan_task

NAME = "au3dmm-synthetic"
DATASET = "dataset.toml"
_FROM = "au3dmm.synthetic.dataset"
_WAIT_S = 0.5
_BLOCK_US = 1 << 12


def write_dataset(
    out: Path,
    *,
    subjects: int = 8,
    tasks: Sequence[str] = TASKS,
    repetitions: int = 2,
    seed: int = 0,
    seconds: float = 2.5,
    head: str = "demo",
    small: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write the dataset, or what of it is missing or was made otherwise; equal arguments give equal bytes.

    Parameters
    ----------
    out : Path
        Its folder; created if needed.
    subjects, repetitions : int
        How many people, and how often each does each task.
    tasks : sequence of str
        Of `TASKS` and `EMOTION_TASKS`.
    seed : int
        Which people, and how they move.
    seconds : float
        Length of a session.
    head : str
        ``demo``, or ``ict:FILE`` with the npz of ICT-FaceKit.
    small : bool
        Pictures a quarter as large, from half as many, for trying out.
    workers : int
        Processes; what is written does not depend on it.
    progress : callable, optional
        Called with the sessions that are there, and their number.

    Returns
    -------
    dict
        ``sessions``, ``made``, ``up_to_date``, ``subjects``, ``others`` (sessions in the folder that are not of this
        dataset, by name; they are left as they are).

    Raises
    ------
    ConfigError
        If the folder holds recordings or a dataset that were not made here.
    OutputError
        If something cannot be written.
    ExecutorError
        If a worker died.
    """
    model = head_model(head)
    takes = plan_takes(subjects, tasks, repetitions, seed=seed, seconds=seconds, head=model, small=small)
    _check_ours(out)
    with file_lock(out / DATASET):
        found = _made_before(out)
        todo = [take for take in takes if not _is_done(out, take, found)]
        _write_tables(out, model, seed, subjects)
        done = len(takes) - len(todo)
        for _ in _run(out, todo, workers):
            done += 1
            if progress is not None:
                progress(done, len(takes))
    names = {take.session_id for take in takes}
    return {
        "sessions": len(takes),
        "made": len(todo),
        "up_to_date": len(takes) - len(todo),
        "subjects": subjects,
        "others": sorted(name for name in found if name not in names),
    }


def make_take(out: str, take: Mapping[str, Any]) -> tuple[str, str] | None:
    """Make a session; called in a worker with plain values.

    Returns
    -------
    (str, str) or None
        Class and message of an error that the user can mend.
    """
    try:
        _make(Path(out), Take(**take))
    except Au3dmmError as err:
        return type(err).__name__, str(err)
    return None


def _make(out: Path, take: Take) -> None:
    key = (take.seed, take.subject, TASK_NUMBERS[take.task], take.run)
    look = draw_look(take.seed, take.subject, _setup(take.small))
    rng = np.random.default_rng([*key, 4])
    setup = replace(
        look.setup,
        offset_us=int(rng.integers(40_000, 180_000)),
        drift_ppm=round(float(rng.uniform(-60, 60)), 3),
        first_pts_us=int(rng.integers(0, 80_000)),
        # the 24 bits of the clock run over in every fourth session, and nowhere near in the others
        base_us=None if rng.random() < 0.25 else int(rng.integers(1, 2400)) * _BLOCK_US,
    )
    person = head_model(take.head).person(take.seed, take.subject, look)
    planned = plan_task(take.task, take.seconds, key)
    performance = with_stand_ins(planned, head_model(take.head).stand_ins)
    film = Film(person, performance, setup, room=take.seed + take.subject)
    source: dict[str, str | int | float] = {
        "from": _FROM,
        "fingerprint": take.fingerprint(),
        "seed": take.seed,
        "seconds": take.seconds,
        "head": head_model(take.head).name,
        "licence": head_model(take.head).licence,
    }
    identity = Identity(
        take.session_id,
        take.subject_id,
        task=take.task,
        au=take.task if take.task in ACTION_UNITS else None,
        emotion=take.task.capitalize() if take.task in EMOTIONS else None,
        run=take.run,
        source=source,
    )
    folder = out / take.place
    remove_leftovers(folder)
    place = (folder, film, identity, out / take.truth)
    if _is_filmed(out, take):
        tell(*place, seconds=take.seconds, planned=planned)
    else:
        record(*place, seed=key, seconds=take.seconds, planned=planned)


def _is_filmed(out: Path, take: Take) -> bool:
    """Say whether all is there but what is said of it, as older versions left it: filming takes long."""
    manifest = out / take.place / MANIFEST
    files = [*(out / take.place / name for name in FILMED), out / take.truth]
    if not (manifest.is_file() and all(path.is_file() and path.stat().st_size > 0 for path in files)):
        return False
    return read_session(manifest).manifest.source.get("fingerprint") == take.fingerprint()


def _setup(small: bool) -> Setup:
    if small:
        return Setup(rgb_size=(320, 240), event_size=(640, 360), simulate_fps=240.0, tail_us=50_000)
    return Setup(tail_us=50_000)


def _run(out: Path, takes: Sequence[Take], workers: int) -> Iterator[str]:
    """Make sessions in any order; yield the name of each that is there."""
    if not takes:
        return
    n = min(workers, len(takes))
    executor = make_executor("processes" if n > 1 else "serial", n)
    waiting = iter(takes)
    running: set[str] = set()
    finished = False
    try:
        while True:
            while len(running) < 2 * n and (take := next(waiting, None)) is not None:
                running.add(take.session_id)
                arguments = {"out": str(out), "take": asdict(take)}
                executor.submit(Job(take.session_id, make_take, arguments))
            if not running:
                break
            for outcome in executor.wait(_WAIT_S):
                running.discard(outcome.key)
                if outcome.died is not None:
                    raise ExecutorError(
                        f"{out}: the worker that made {outcome.key} was lost: {outcome.died}; run again with fewer"
                        " --workers, what is done is kept"
                    )
                if outcome.value is not None:
                    kind, message = outcome.value
                    raise getattr(errors, kind)(message)
                yield outcome.key
        finished = True
    finally:
        executor.close(at_once=not finished)
        if not finished:
            for take in takes:
                remove_leftovers(out / take.place)


def _check_ours(out: Path) -> None:
    """Refuse a folder with a dataset of somebody else in it."""
    manifest = out / DATASET
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: a file; expected a folder, or a name for a new one")
    try:
        text = manifest.read_text("utf-8")
    except FileNotFoundError:
        others = [p.name for p in sorted(out.iterdir()) if not p.name.startswith(".")] if out.is_dir() else []
        if others:
            raise ConfigError(
                f"{out}: holds {others[0]!r} and no {DATASET} that synth wrote; choose a new folder with --out DIR"
            ) from None
        return
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{manifest}: cannot be read: {err}") from err
    if f'name = "{NAME}"' not in text:
        raise ConfigError(f"{manifest}: a dataset that synth did not make; choose another --out DIR")


def _made_before(out: Path) -> dict[str, str]:
    """Return the fingerprint of each session in the folder; none of what an older version left without annotations.

    Raises
    ------
    ConfigError
        If there is one that was not made here.
    """
    found = {}
    for manifest in sorted((out / RAW).glob(f"*/*/{MANIFEST}")):
        session = read_session(manifest)
        source = session.manifest.source
        if source.get("from") != _FROM:
            raise ConfigError(f"{manifest}: a recording that synth did not make; choose another --out DIR")
        # until the manifest tells of them, the frames' action units are not there
        told = bool(session.manifest.annotations)
        found[session.session_id] = str(source.get("fingerprint")) if told else ""
    return found


def _is_done(out: Path, take: Take, found: Mapping[str, str]) -> bool:
    if found.get(take.session_id) != take.fingerprint():
        return False
    files = [*(out / take.place / name for name in FILES), out / take.truth]
    return all(path.is_file() and path.stat().st_size > 0 for path in files)


def _write_tables(out: Path, model: HeadModel, seed: int, subjects: int) -> None:
    """Write `dataset.toml` and `participants.tsv`, if they are not there as they should be."""
    sections = {
        "name": NAME,
        "version": f"{VERSION}.{seed}",
        "licence": model.licence,
        "description": f"Rendered heads and simulated events, made by au3dmm; nobody was filmed. {model.description}",
    }
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in sections.items()]
    _write_changed(out / DATASET, "\n".join(["schema_version = 1", "", "[dataset]", *lines]) + "\n")
    people = read_participants(out / PARTICIPANTS)
    for number in range(subjects):
        look = draw_look(seed, number, Setup())
        words = {**look.words, "camera_distance_m": f"{look.setup.distance_m:.2f}", "synthetic": "yes"}
        name = subject_name(number)
        people[name] = {**people.get(name, {}), **words}
    columns = ["subject_id", *sorted({column for row in people.values() for column in row})]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    for name in sorted(people):
        writer.writerow([name, *(people[name].get(column, "") for column in columns[1:])])
    _write_changed(out / PARTICIPANTS, text.getvalue())


def _write_changed(path: Path, text: str) -> None:
    try:
        if path.read_bytes() == text.encode():
            return
    except FileNotFoundError:
        pass
    except OSError as err:
        raise OutputError(f"{path}: cannot be read: {os_reason(err)}") from err
    write_bytes(path, text.encode())
