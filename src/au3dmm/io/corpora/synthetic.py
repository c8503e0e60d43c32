"""A corpus of the embedded procedural head, so that everything runs before anyone has scans."""

from __future__ import annotations

from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import bases_fingerprint, read_bases
from au3dmm.io.corpora.base import Corpus
from au3dmm.io.corpora.sampled import FaceModel, sample_corpus

_SUBJECTS = 24
_FULL = 2.5  # standard deviations of a full contraction in the demo basis
_SPEECH = ("AU10", "AU12", "AU15", "AU16", "AU17", "AU18", "AU20", "AU22", "AU24", "AU25", "AU26", "AU27", "AU28")


def read_synthetic(seed: int = 0, n_subjects: int = _SUBJECTS) -> Corpus:
    """Draw subjects and takes from the demo basis of the procedural head.

    Parameters
    ----------
    seed : int
        Which subjects.
    n_subjects : int
        How many; they give one identity component less.

    Raises
    ------
    AssetError
        If the embedded files are missing.
    """
    path = asset_path(DEMO_BASES)
    bases = read_bases(path)
    model = FaceModel(
        name="synthetic",
        template=bases.template,
        faces=bases.faces,
        identity=bases.components_id,
        expressions=_FULL * bases.components_au,
        labels=[(name,) for name in bases.names_au],
        speech=[i for i, name in enumerate(bases.names_au) if name.partition("_")[0] in _SPEECH],
        embedding=bases.embedding,
    )
    return sample_corpus(
        model,
        n_subjects,
        seed=seed,
        licence="Apache-2.0",
        provenance="procedural heads made of formulas; no scans, for trying out only",
        demo=True,
        source={"model": bases_fingerprint(path)},
    )
