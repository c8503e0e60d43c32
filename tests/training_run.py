"""A labelled run as training reads it, with planted classes: the coefficients and the pictures of each are its own."""

import hashlib

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from au3dmm.core.canvases import PolarityCanvas
from au3dmm.core.event_frames import Windows
from au3dmm.core.representations import EventFrame
from au3dmm.io.annotations import annotations_schema
from au3dmm.io.atomic import write_json
from au3dmm.io.event_frame_table import write_event_frames
from au3dmm.io.label_dataset import LabelSource, write_label_parts
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import IndexRow, write_index
from au3dmm.io.table_schemas import labels_schema
from au3dmm.io.tables import vector_array, word_array, write_table
from au3dmm.models import Network, Prediction
from run_folder import apertures_and_confidence, flags, pose

K = 4
UNITS = ("AU1", "AU2", "AU51", "AU52")
SWAP = [[0, 0, 1.0], [1, 1, 1.0], [2, 3, 1.0], [3, 2, 1.0]]
EMOTION = {"kind": "video_class", "vocabulary": "emotion"}
METADATA = {
    "basis": {"file_hash": "sha256:" + "a" * 64, "k_au": K, "names_au": [f"c{i}" for i in range(K)], "mirror_au": SWAP},
    "detector": {"name": "mediapipe", "precision": "float32"},
    "landmark_scheme": "ibug68",
    "windows": "rgb",
}


def write_training_run(
    folder,
    *,
    people=3,
    n=12,
    lost=(3,),
    metadata=METADATA,
    side=16,
    folds=0,
    coded=False,
    size=None,
    val=True,
    frames_metadata=None,
    pipeline="label",
    emotions=None,
    film="a",
    parts=None,
):
    """Write a run: each person shows each unit once; the last person is val, the others train.

    The picture of unit i is bright in quarter i, its coefficient i rises; frame numbers are in both. ``emotions`` holds
    by unit and origin (instructed, reported) which one was shown. Runs of one ``film`` have the same recordings;
    ``parts`` returns the part that a person is in.
    """
    out = RunFolder(folder / "derivatives" / "au3dmm" / pipeline)
    felt = []
    sources, rows, first, said = [], [], 0, []
    for p in range(people):
        for u, au in enumerate(UNITS):
            name, count = f"S{p}_{au}", n if size is None else size(p, u)
            split = None if folds else parts(p) if parts else "val" if val and p == people - 1 else "train"
            fold = p % folds if folds else None
            write_session(out.session(name), name, f"S{p}", u, count, lost, side, metadata, frames_metadata)
            filmed = {"session:rgb": hashlib.sha256(f"{film} {name}".encode()).hexdigest()}
            write_json(out.session(name) / "stage.json", {"stages": {"detect": {"inputs": filmed}}})
            sources.append(
                LabelSource(out.session(name) / "labels.parquet", count, name, f"S{p}", au, None, split, fold)
            )
            more = {"first_row": first, "frames_event": count, "labels_sha256": name, "clock_method": "shared"}
            rows.append(IndexRow(name, f"S{p}", au, split=split, fold=fold, **more))
            first += count
            for origin, label in (emotions or {}).get(au, {}).items():
                felt.append(statement(name, f"S{p}", label, None, None) | EMOTION | {"origin": origin})
            said += [
                statement(name, f"S{p}", au, i, value) for i in range(0, count, 2) for value in [float(i % 4 == 0)]
            ]
    write_label_parts(out.labels, sources, K, metadata)
    write_index(out.index, rows, metadata)
    table = pa.Table.from_pylist([*felt, *(said if coded else [])], schema=annotations_schema())
    write_table(out.annotations, "annotations", table, metadata)
    return out


def statement(session, subject, label, frame, value):
    words = {"source": "us", "kind": "frame_occurrence", "origin": "coder", "vocabulary": "au", "label": label}
    return {"session_id": session, "subject_id": subject, **words, "frame_index": frame, "value": value}


def write_session(folder, name, subject, u, n, lost, side, metadata, frames_metadata=None):
    ok = np.array([i not in lost for i in range(n)], bool)
    status = ["ok" if good else "no_face" for good in ok]
    index = pa.array(range(n), pa.int32())
    start = np.array([100_000 + 33_333 * i for i in range(n)], np.int64)
    counts = pa.array([10] * n, pa.int64())
    columns = [
        *(word_array([name] * n), word_array([subject] * n), index, pa.array(start), pa.array(start + 33_333)),
        *(pa.array(start + 16_000), counts, index, pa.array([0] * n, pa.int64()), word_array(["linear"] * n)),
        *(word_array(status), flags(n), pa.array(np.ones(n), pa.float32())),
        *(vector_array(alpha_of(u, n), ok), vector_array(np.full((n, K), 0.5), ok)),
        *(*pose(ok), *apertures_and_confidence(ok)),
    ]
    table = pa.Table.from_arrays(columns, schema=labels_schema(K))
    write_table(folder / "labels.parquet", "labels", table, metadata)
    frames = [EventFrame(10, pixels_of(u, i, side)) for i in range(n)]
    path = folder / "event_frames.polarity.parquet"
    windows = Windows(start, start + 33_333)
    write_event_frames(
        path, windows, frames, np.ones(n, bool), (1, side, side), PolarityCanvas.encoding, frames_metadata or {}
    )


def alpha_of(u, n):
    alpha = np.tile(np.arange(n)[:, None] / 100, (1, K))
    alpha[:, u] += 1.0
    return alpha.astype(np.float32)


def pixels_of(u, i, side):
    pixels = np.full((1, side, side), 128, np.uint8)
    half = side // 2
    pixels[0, (u // 2) * half :, (u % 2) * half :][:half, :half] = 255
    pixels[0, 0, 0] = i
    return pixels


class Pooled(Network):
    """A linear layer over each frame, pooled: learns the planted classes within a few steps."""

    INPUT = "frames"

    def __init__(
        self, *, n_classes=4, n_alpha=K, n_frames=8, channels=1, image_px=16, n_occurrence=0, dropout=0.1, fault=""
    ):
        super().__init__()
        self.n_frames, self.fault = n_frames, fault
        self.features = nn.Sequential(nn.Linear(channels * image_px**2, 16), nn.ReLU(), nn.Dropout(dropout))
        self.classify, self.regress = nn.Linear(16, n_classes), nn.Linear(16, n_alpha) if n_alpha else None
        self.detect = nn.Linear(16, n_occurrence) if n_occurrence else None

    def forward(self, x, padding=None):
        if self.fault == "memory" and len(x) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        each = self.features(x.flatten(2) - 0.5)
        there = (~padding)[..., None].float()
        pooled = (each * there).sum(1) / there.sum(1).clamp(min=1)
        logits = self.classify(pooled)
        if self.fault == "nan":
            logits = torch.where(torch.arange(len(logits))[:, None] == 1, torch.nan, logits)
        return Prediction(
            logits,
            self.regress(each) if self.regress is not None else None,
            self.detect(each) if self.detect is not None else None,
        )


__all__ = ["METADATA", "UNITS", "K", "Pooled", "alpha_of", "pixels_of", "write_training_run"]
