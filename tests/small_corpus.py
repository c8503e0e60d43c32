"""A small corpus whose truth is known: three people with the embedded head show four action units."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases
from au3dmm.io.corpora.base import Corpus, Sequence

UNITS = ("AU12_left", "AU12_right", "AU4", "AU26")
TAKES = (("AU12_left",), ("AU12_right",), ("AU4",), ("AU26",), ("AU12_left", "AU12_right"), ("AU4", "AU26"))
FRAMES = 9


@dataclass
class SmallCorpus:
    """The corpus, and what it was made of."""

    corpus: Corpus
    neutrals: dict
    shapes: np.ndarray
    frames: np.ndarray


def make_corpus(
    *, subjects=3, posed=False, neutral_files=True, name="small", seed=0, noise_m=0.0, **changes
) -> SmallCorpus:
    """Make it.

    Parameters
    ----------
    posed : bool
        Whether frames hold head motion.
    neutral_files : bool
        Whether neutrals are given, or to be found among first frames.
    changes : dict
        Fields of `Corpus` to replace.
    """
    rng = np.random.default_rng(seed)
    demo = read_bases(asset_path(DEMO_BASES))
    shapes = np.stack([2.0 * demo.components_au[demo.names_au.index(unit)] for unit in UNITS])
    identity = demo.components_id[:5]
    neutrals, frames, sequences, first = {}, [], [], {}
    for s in range(subjects):
        subject = f"p{s + 1}"
        neutral = demo.template + np.tensordot(rng.standard_normal(5), identity, 1)
        neutrals[subject], first[subject] = neutral, []
        for t, units in enumerate(TAKES):
            track = np.zeros((FRAMES, len(UNITS)))
            for unit in units:
                track[:, UNITS.index(unit)] = rng.uniform(0.7, 1.3) * np.sin(np.linspace(0, np.pi, FRAMES))
            take = neutral + np.tensordot(track, shapes, 1) + noise_m * rng.standard_normal((FRAMES, *neutral.shape))
            if posed:
                turn = Rotation.from_rotvec(0.1 * rng.standard_normal((FRAMES, 3))).as_matrix()
                take = np.einsum("nij,nvj->nvi", turn, take) + 0.02 * rng.standard_normal((FRAMES, 1, 3))
            rows = np.arange(len(frames) * FRAMES, (len(frames) + 1) * FRAMES)
            first[subject].append(rows[0])
            sequences.append(Sequence(subject, f"take{t + 1}", rows, units))
            frames.append(take)
    array = np.concatenate(frames).astype(np.float32)
    fields = {
        "name": name,
        "frames": array,
        "faces": demo.faces,
        "sequences": tuple(sequences),
        "neutrals": neutrals if neutral_files else {},
        "neutral_rows": {} if neutral_files else {s: np.array(rows) for s, rows in first.items()},
        "posed": posed,
        "embedding": demo.embedding,
        "licence": "for tests",
        "fingerprint": f"{name}-{seed}",
    }
    return SmallCorpus(Corpus(**{**fields, **changes}), neutrals, shapes, array)
