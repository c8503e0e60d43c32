"""A small dataset and the run of it, as `au3dmm run` leaves them: manifests without recordings, tables of few rows."""

import itertools
import json

import numpy as np
import pyarrow as pa

from au3dmm.config import SplitsParams
from au3dmm.io.atomic import write_json
from au3dmm.io.clock import Clock, write_clock
from au3dmm.io.dataset import find_sessions, read_dataset
from au3dmm.io.hashing import sha256_file
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.tables import vector_array, word_array, write_table
from au3dmm.stages import consolidate
from run_folder import BASIS, METADATA, OUTPUTS, build_tables, mark, stamp

DETECTOR = {"name": "precomputed", "format": "au3dmm", "file": "x.npz", "sha256": "0" * 64}
NAMES_AU = ["AU1", "AU2", "AU12"]
FAILURE = {"stage": "detect", "error": "SessionError", "message": "rgb.mp4: not a video"}


def write_dataset(folder, subjects=("S1", "S2", "S3"), aus=("AU1", "AU12"), runs=1, **more):
    """Write `dataset.toml` and a `session.toml` for each subject, action unit and repetition; return the names."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.toml").write_text('[dataset]\nname = "tiny"\nlicence = "CC-BY-4.0"\n')
    names = []
    for subject, au, run in itertools.product(subjects, aus, range(1, runs + 1)):
        name = f"{subject}_{au}_{run}"
        names.append(name)
        write_manifest(folder, name, subject, au, run, **more)
    return names


def write_manifest(folder, name, subject, au=None, run=1, events=True, text=""):
    place = folder / "rawdata" / name
    place.mkdir(parents=True, exist_ok=True)
    lines = [f'[session]\nsession_id = "{name}"\nsubject_id = "{subject}"\nrun = {run}']
    lines += [f'au = "{au}"'] if au else ['task = "free"']
    lines += ['[rgb]\nfile = "rgb.mp4"']
    lines += ['[events]\nfile = "e.raw"\n[sync]\nmethod = "trigger"'] if events else []
    (place / "session.toml").write_text("\n".join([*lines, text]) + "\n")


def write_run(folder, failed=(), seed=0, pipeline="label", identity=True):
    """Write the run of a dataset, consolidated; return its folder."""
    dataset = read_dataset(folder)
    out = RunFolder(folder / "derivatives" / "au3dmm" / pipeline)
    entries = []
    for i, found in enumerate(find_sessions(dataset)):
        if found.session is None or found.name in failed:
            entries.append(consolidate.Entry(found.session, out.session(found.name), "rgb.mp4: not a video"))
            continue
        write_session(out, found.session, seed + i)
        entries.append(consolidate.Entry(found.session, out.session(found.name)))
    if identity:
        people = {}
        for entry in entries:
            if entry.failure is None:
                people.setdefault(entry.session.subject_id, []).append(entry.session.session_id)
        for subject, sessions in people.items():
            write_identity(out, subject, sessions)
    write_failures(out, [entry for entry in entries if entry.failure is not None])
    consolidate.run(entries=entries, out=out, params=SplitsParams(), dataset=dataset)
    return out


def entries_of(folder, out, failed=()):
    return [
        consolidate.Entry(f.session, out.session(f.name), "rgb.mp4: not a video" if f.name in failed else None, f.name)
        for f in find_sessions(read_dataset(folder))
    ]


def write_failures(out, entries):
    lines = [
        {"session_id": e.session.session_id, "subject_id": e.session.subject_id, "path": "x", "fingerprint": "f"}
        | FAILURE
        for e in entries
    ]
    out.path.mkdir(parents=True, exist_ok=True)
    out.failures.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_session(out, session, seed=0, n=None):
    """Write what the stages write of one session."""
    folder = out.session(session.session_id)
    rng = np.random.default_rng(seed)
    n = n or 4 + seed % 3
    built = build_tables(n=n, lost=(1,))
    ok = np.arange(n) != 1
    for kind in ("coefficients", "labels"):
        built[kind] = put(built[kind], "alpha_au", vector_array(np.abs(rng.normal(size=(n, 3))), ok))
    points = rng.normal(size=(n, 204)) * 30 + 100
    built["landmarks"] = put(built["landmarks"], "landmarks_px", vector_array(points, ok))
    for column, value in (("session_id", session.session_id), ("subject_id", session.subject_id)):
        built["labels"] = put(built["labels"], column, word_array([value] * n))
    events = session.manifest.events is not None
    stages = [s for s in OUTPUTS if s != "identity" and (events or s in ("detect", "fit", "align"))]
    if not events:  # labels are the RGB frames themselves
        built["labels"] = of_rgb_frames(built["labels"], built["coefficients"])
    for stage in stages:
        key, name = OUTPUTS[stage]
        if key == "clock":
            clock = Clock("trigger", 100_000.0, 0.0, 0.5, 0.1, 12, 12, 12, 0, 90_000, 400_000)
            write_clock(folder / name, clock, metadata_of(stage, session.session_id, n))
        else:
            made = metadata_of(stage, session.session_id, n)
            made |= {"clock": None, "windows": "frame"} if stage == "align" and not events else {}
            write_table(folder / name, key, built[key], made)
    write_ledger(folder, n, stages)


def metadata_of(stage, session_id, n):
    made = {**METADATA.get(stage, stamp(stage)), "fingerprint": mark_of(stage, session_id)}
    inputs = {key: mark_of(by, session_id) for by, (key, _) in OUTPUTS.items() if key in made["inputs"]}
    made |= {"inputs": inputs}
    if "basis" in made:
        made["basis"] = {**BASIS, "names_au": NAMES_AU, "licence": "own"}
    if stage in ("detect", "fit", "align"):
        made |= {"detector": DETECTOR, "landmark_scheme": "ibug68"}
    if stage == "align":
        made |= {"counts": {"no_face": 1, "ok": n - 1}, "clock": {"method": "trigger", "uncertainty_us": 0.1}}
    return made


def mark_of(stage, session_id):
    return mark(stage) if stage == "identity" else f"{stage}-{session_id:0<40}"


def write_ledger(folder, n=4, stages=tuple(s for s in OUTPUTS if s != "identity")):
    summary = {"fit": {"frames": n, "ok": n - 1, "rmse_px_median": 1.5}}
    write_json(
        folder / "stage.json",
        {
            "format_version": 1,
            "package": "au3dmm 0.1.0",
            "stages": {
                stage: {
                    "fingerprint": mark_of(stage, folder.name),
                    "version": 1,
                    "outputs": {
                        OUTPUTS[stage][0]: {
                            "file": OUTPUTS[stage][1],
                            "sha256": sha256_file(folder / OUTPUTS[stage][1]),
                        }
                    },
                    "summary": summary.get(stage, {}),
                }
                for stage in stages
            },
        },
    )


def write_identity(out, subject, sessions):
    folder = out.subject(subject)
    table = build_tables()["identity"]
    table = put(table, "subject_id", pa.array([subject]))
    table = put(table, "session_ids", pa.array([list(sessions)]))
    kind = table.schema.field("neutral_frames").type
    table = put(table, "neutral_frames", pa.array([[{"session_id": sessions[0], "frame_index": 0}]], kind))
    write_table(
        folder / "identity.parquet", "identity", table, {**METADATA["identity"], "fingerprint": mark("identity")}
    )
    said = {"file": "identity.parquet", "sha256": sha256_file(folder / "identity.parquet")}
    entry = {"fingerprint": mark("identity"), "version": 2, "outputs": {"identity": said}, "summary": {}}
    write_json(folder / "stage.json", {"format_version": 1, "package": "au3dmm 0.1.0", "stages": {"identity": entry}})


def of_rgb_frames(labels, fitted):
    """Turn labels into those of a recording without events."""
    t_us = fitted["t_rgb_us"].to_numpy()
    for column, values in (("t_start_us", t_us - 9), ("t_label_us", t_us), ("t_end_us", t_us + 9)):
        labels = put(labels, column, pa.array(values, pa.int64()))
    return put(labels, "n_events", pa.array([0] * len(t_us), pa.int64()))


def put(table, column, values):
    at = table.schema.get_field_index(column)
    return table.set_column(at, table.schema.field(at), values)


def tree_bytes(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
