"""A run's folder as `label` leaves it, small and consistent, for tests that break it."""

import json

import numpy as np
import pyarrow as pa

from au3dmm.io import table_schemas, tables
from au3dmm.io.atomic import write_json
from au3dmm.io.clock import Clock, write_clock
from au3dmm.io.hashing import sha256_file
from au3dmm.io.tables import scalar_array, vector_array, word_array, write_table

K = 3
BASIS = {"file_hash": "sha256:" + "b" * 64, "k_au": K}
OUTPUTS = {
    "detect": ("landmarks", "landmarks.parquet"),
    "identity": ("identity", "identity.parquet"),
    "fit": ("coefficients", "coefficients.parquet"),
    "sync": ("clock", "clock.json"),
    "frames": ("event_frames", "event_frames.polarity.parquet"),
    "align": ("labels", "labels.parquet"),
}
INPUTS = {
    "detect": (),
    "identity": ("landmarks",),
    "fit": ("landmarks", "identity"),
    "sync": ("landmarks",),
    "frames": ("landmarks", "clock"),
    "align": ("coefficients", "clock", "event_frames"),
}


def mark(stage):
    return f"{stage:f<64}"


def stamp(stage, **more):
    maker = {key: name for name, (key, _) in OUTPUTS.items()}
    inputs = {key: mark(maker[key]) for key in INPUTS[stage]}
    return {"stage": stage, "fingerprint": mark(stage), "inputs": inputs, "params": {}, **more}


def flags(n):
    return pa.array([[]] * n, pa.list_(pa.string()))


def pose(ok):
    n = len(ok)
    return [
        vector_array(np.zeros((n, 3)), ok),
        scalar_array(np.full(n, 900.0), ok, pa.float32()),
        vector_array(np.ones((n, 2)), ok),
        scalar_array(np.full(n, 1.5), ok, pa.float32()),
        scalar_array(np.full(n, 0.02), ok, pa.float32()),
        scalar_array(np.full(n, 2.0), ok, pa.float32()),
    ]


def apertures_and_confidence(ok):
    return [scalar_array(np.full(len(ok), value), ok, pa.float32()) for value in (0.3, 0.31, 0.0, 0.7)]


def build_tables(n=6, lost=(2,)):
    """Return {kind: arrays by column} of one session of `n` frames."""
    status = ["no_face" if i in lost else "ok" for i in range(n)]
    ok = np.array([word == "ok" for word in status])
    index, t_us = pa.array(range(n), pa.int32()), pa.array([1000 + 33_333 * i for i in range(n)], pa.int64())
    end_us = pa.array([101_000 + 33_333 * i for i in range(n)], pa.int64())
    start_us = pa.array([101_000 + 33_333 * (i - 1) for i in range(n)], pa.int64())
    alpha = vector_array(np.abs(np.random.default_rng(0).normal(size=(n, K))), ok)
    std = vector_array(np.full((n, K), 0.5), ok)
    landmarks = [
        *(index, t_us, word_array(status), flags(n), pa.array(ok.astype(np.int16))),
        *(scalar_array(np.zeros(n), ok, pa.int16()), vector_array(np.ones((n, 4)), ok)),
        *(scalar_array(np.ones(n), ok, pa.float32()), scalar_array(np.ones(n), ok, pa.float32())),
        vector_array(np.ones((n, 204)), ok),
    ]
    frame = pa.array([{"session_id": "s01", "frame_index": 0}])
    identity = [
        *(pa.array(["p01"]), pa.array([["s01"]]), word_array(["ok"]), flags(1)),
        *(vector_array(np.zeros((1, 2))), vector_array(np.ones((1, 2)))),
        *(vector_array(np.zeros((1, 204))), vector_array(np.zeros((1, 204)))),
        pa.ListArray.from_arrays([0, 1], frame).cast(table_schemas.identity_schema(2).field("neutral_frames").type),
        *(pa.array([1.0], pa.float32()), pa.array([0.01], pa.float32())),
        *(word_array(["good"]), pa.array([0.9], pa.float32()), flags(1), pa.array([6], pa.int32())),
        *(pa.array([1], pa.int32()), pa.array([2.0], pa.float32()), pa.array([0.1], pa.float32())),
        pa.array([None], pa.float32()),
    ]
    score = scalar_array(np.ones(n), ok, pa.float32())
    coefficients = [
        *(index, t_us, word_array(status), flags(n), score, alpha, std, *pose(ok)),
        *(
            vector_array(np.ones((n, 8)), ok),
            scalar_array(np.full(n, 90.0), ok, pa.float32()),
            *apertures_and_confidence(ok),
        ),
    ]
    counts = pa.array([10] * n, pa.int64())
    event_frames = [
        *(index, start_us, end_us, counts, word_array(["ok"] * n), pa.array([0] * n, pa.int32())),
        pa.array([bytes(4)] * n, pa.binary(4)),
    ]
    labels = [
        *(word_array(["s01"] * n), word_array(["p01"] * n), index, start_us, end_us, start_us, counts),
        *(index, pa.array([0] * n, pa.int64()), word_array(["linear"] * n), word_array(status), flags(n), score),
        *(alpha, std, *pose(ok), *apertures_and_confidence(ok)),
    ]
    schemas = {
        "landmarks": (table_schemas.landmarks_schema(), landmarks),
        "identity": (table_schemas.identity_schema(2), identity),
        "coefficients": (table_schemas.coefficients_schema(K), coefficients),
        "event_frames": (table_schemas.event_frames_schema(4), event_frames),
        "labels": (table_schemas.labels_schema(K), labels),
    }
    return {kind: pa.Table.from_arrays(arrays, schema=schema) for kind, (schema, arrays) in schemas.items()}


METADATA = {
    "detect": stamp("detect", image={"width": 64, "height": 48}),
    "identity": stamp("identity", basis=BASIS),
    "fit": stamp("fit", basis=BASIS, params={"codes": "nonnegative"}),
    "frames": stamp("frames", shape=[1, 2, 2], dtype="uint8"),
    "align": stamp("align", basis=BASIS, params={"method": "linear"}),
}


def write_run(run):
    """Write a run with one session, `s01`; return the session's folder."""
    folder = run / "sessions" / "s01"
    built = build_tables()
    for stage, (key, name) in OUTPUTS.items():
        if key == "clock":
            clock = Clock("trigger", 100_000.0, 0.0, 0.5, 0.1, 12, 12, 12, 0, 90_000, 400_000)
            write_clock(folder / name, clock, stamp("sync"))
        else:
            write_table(folder / name, key, built[key], METADATA[stage])
    write_ledger(folder)
    return folder


def write_ledger(folder, without=()):
    """Write `stage.json` for the files as they are now."""
    stages = {
        stage: {
            "fingerprint": mark(stage),
            "version": 1,
            "outputs": {key: {"file": name, "sha256": sha256_file(folder / name)}},
            "summary": {},
        }
        for stage, (key, name) in OUTPUTS.items()
        if stage not in without
    }
    write_json(folder / "stage.json", {"format_version": 1, "package": "au3dmm 0.1.0", "stages": stages})


def replace_column(folder, stage, column, values, **metadata):
    """Write a table of the run again with another column, as if the stage had made it so."""
    kind, name = OUTPUTS[stage]
    table = tables.read_table(folder / name, kind)
    at = table.schema.get_field_index(column)
    table = table.set_column(at, table.schema.field(at), values)
    write_table(folder / name, kind, table, {**METADATA[stage], **metadata})
    write_ledger(folder)


def edit_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
