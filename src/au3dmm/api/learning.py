"""Learn bases from corpora of registered heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from au3dmm.basis_building import BasesResult, build_bases
from au3dmm.config import PipelineParams, load_pipeline
from au3dmm.errors import ConfigError
from au3dmm.io.assets import pipeline_file
from au3dmm.pipeline import Event


def fit_bases(
    corpora: str | Sequence[str],
    out: str | Path,
    *,
    pipeline: str | Path | PipelineParams | None = None,
    head: str | None = None,
    cache: str | Path | None = None,
    workers: int | None = None,
    pictures: bool = True,
    force: bool = False,
    on_event: Event | None = None,
    **params: Any,
) -> BasesResult:
    """Learn ID-3DMM and AU-3DMM from corpora of registered heads.

    What is up to date is not computed again.

    Parameters
    ----------
    corpora : str or sequence of str
        ``vocaset:DIR``, ``d3dfacs:DIR``, ``ict:FILE``, ``meshes:DIR`` or ``synthetic``; several of one topology are
        joined.
    out : path
        The basis file; with several numbers of AU components ``<out>.k16.npz`` and so on.
    pipeline : path or PipelineParams, optional
        Where ``[bases]`` is read from; default: the defaults.
    head : str, optional
        Name of the imported head that has the landmarks; default: the one that fits.
    cache : path, optional
        Where trees of meshes are converted; default ``<out>.corpora`` beside `out`.
    workers : int, optional
        Threads; they change nothing in the files.
    pictures : bool
        Also draw the components.
    force : bool
        Learn again what is up to date.
    on_event : callable, optional
        Told of progress (`au3dmm.pipeline.Event`).
    **params
        Values of ``[bases]`` that win over the pipeline: ``k_id, k_au, method, codes, l1, seed`` ...

    Returns
    -------
    BasesResult
        Paths and numbers.

    Raises
    ------
    Au3dmmError
        What went wrong, in one line.
    """
    if isinstance(pipeline, PipelineParams):
        if params:
            raise ConfigError(f"give {', '.join(params)} inside the PipelineParams, not beside them")
        section = pipeline.bases
    else:
        section = load_pipeline(pipeline_file(pipeline), bases=params).bases
    return build_bases(
        [corpora] if isinstance(corpora, str) else list(corpora),
        Path(out),
        section,
        head=head,
        cache=None if cache is None else Path(cache),
        workers=workers,
        pictures=pictures,
        force=force,
        on_event=on_event,
    )
