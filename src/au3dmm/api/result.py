"""What was made for a session, in numbers, and what a user should know before trusting it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from au3dmm.api.result_html import html_table
from au3dmm.core.basis import Bases
from au3dmm.io.clock import read_clock
from au3dmm.io.session import Session
from au3dmm.io.tables import read_table
from au3dmm.pipeline import SessionRun

if TYPE_CHECKING:
    from au3dmm.report.plots_style import Figure


@dataclass(frozen=True)
class LabelResult:
    """What `label_session` made.

    Attributes
    ----------
    session_id, subject_id : str
        Whose labels.
    outputs : dict
        Path of each file by name: ``landmarks``, ``identity``, ``coefficients``, ``clock``, ``event_frames``,
        ``labels``, and ``overlay``, ``calibration_picture``, ``clock_picture`` and ``report`` if asked for.
    frames_rgb, frames_face, frames_event, frames_labelled : int
        RGB frames; those fitted (status ok); event frames, one row of labels each; those with values (status ok). Of a
        recording without events, rows of labels are its RGB frames.
    status : dict
        Rows of labels by status.
    rmse_px_median, rmse_iod_median : float or None
        Reprojection error over fitted frames, px and as a share of the outer eye distance.
    clock : dict or None
        ``method, offset_us, drift_ppm, drift_measured, residual_us, uncertainty_us``; ``offset_us`` on the unshifted
        event clock.
    basis : dict
        ``path``, ``kind`` (``demo`` for trying out only, ``learned`` by `fit_bases`, or the user's own: ``user``).
    stages : dict
        ``"ran"`` or ``"up to date"`` per stage.
    warnings : tuple of str
        What a user should know before trusting the labels.
    seconds : float
        Wall-clock time.
    """

    session_id: str
    subject_id: str
    outputs: dict[str, Path]
    frames_rgb: int
    frames_face: int
    frames_event: int
    frames_labelled: int
    status: dict[str, int]
    rmse_px_median: float | None
    rmse_iod_median: float | None
    clock: dict[str, Any] | None
    basis: dict[str, Any]
    stages: dict[str, str]
    warnings: tuple[str, ...]
    seconds: float
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def labels(self) -> Path:
        """The labels table."""
        return self.outputs["labels"]

    @property
    def landmarks(self) -> dict[str, Any]:
        """How good the landmarks are: ``jitter_px, jitter_iod, flags``, and ``check`` where a second detector looked.

        The jitter is that from frame to frame, while the face keeps still; None where too few frames say so.
        """
        said = self.summaries.get("detect", {})
        return {name: said[name] for name in ("jitter_px", "jitter_iod", "flags", "check") if name in said}

    def plot(self, n: int = 6, *, only: Sequence[str] = (), intensities: bool = False, width: str = "double") -> Figure:
        """Draw the coefficients that vary most over time, each with its uncertainty.

        Parameters
        ----------
        n : int
            How many.
        only : sequence of str
            These instead: components (``"c10"``) or action units (``"AU12"``).
        intensities : bool
            FACS-like intensities instead of coefficients; the basis must have them.
        width : str
            ``"single"`` (85 mm), ``"double"`` (175 mm), or a number of mm.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it; ``.savefig("smile.pdf")`` writes it. `au3dmm plot` draws more kinds.

        Raises
        ------
        ConfigError
            If there is no component or unit of a name, or no such width.
        SchemaError
            If the tables are gone, or have no intensities.

        Examples
        --------
        >>> result = au3dmm.label_session("session")   # doctest: +SKIP
        >>> result.plot(only=["AU12", "AU4"])          # doctest: +SKIP
        """
        from au3dmm.report.plots_coefficients import coefficients_figure, read_curves
        from au3dmm.report.plots_style import print_style, width_inches

        wide = width_inches(width)
        source = self.outputs["labels" if "labels" in self.outputs else "coefficients"]
        curves = read_curves(source, intensities=intensities)
        with print_style():
            return coefficients_figure(curves, curves.named(only) if only else curves.strongest(n), wide)

    def _repr_html_(self) -> str:
        """Return a table for notebooks: numbers, warnings and files; nothing that shows the person."""
        share = f" ({100 * self.frames_face / self.frames_rgb:.1f} %)" if self.frames_rgb else ""
        rows = [("RGB frames", f"{self.frames_rgb}, a face fitted in {self.frames_face}{share}")]
        if "labels" in self.outputs:
            rest = "".join(f", {n} {word}" for word, n in self.status.items() if word != "ok")
            rows.append(("event frames", f"{self.frames_event}, {self.frames_labelled} with values{rest}"))
        if self.rmse_px_median is not None and self.rmse_iod_median is not None:
            told = f"{self.rmse_px_median:.2f} px median, {100 * self.rmse_iod_median:.2f} % of the outer eye distance"
            rows.append(("fit error", told))
        if self.clock is not None:
            doubt = self.clock["uncertainty_us"]
            known = "uncertainty unknown" if doubt is None else f"uncertainty {doubt:.3g} us"
            rows.append(("clock", f"{self.clock['method']}: offset {self.clock['offset_us']:.1f} us, {known}"))
        rows.append(("basis", f"{self.basis['path']} ({self.basis['kind']})"))
        rows += [("warning", text) for text in self.warnings]
        rows.append(("files", str(next(iter(self.outputs.values())).parent) if self.outputs else "none"))
        return html_table(f"session {self.session_id} (subject {self.subject_id})", rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, with the keys that ``label --json`` prints."""
        return {
            "session_id": self.session_id,
            "subject_id": self.subject_id,
            "outputs": {name: str(path) for name, path in self.outputs.items()},
            "frames_rgb": self.frames_rgb,
            "frames_face": self.frames_face,
            "frames_event": self.frames_event,
            "frames_labelled": self.frames_labelled,
            "status": self.status,
            "rmse_px_median": self.rmse_px_median,
            "rmse_iod_median": self.rmse_iod_median,
            "landmarks": self.landmarks,
            "clock": self.clock,
            "basis": self.basis,
            "stages": self.stages,
            "warnings": list(self.warnings),
            "seconds": round(self.seconds, 3),
        }


def result_of(
    session: Session, run: SessionRun, outputs: dict[str, Path], basis: Path, model: Bases, seconds: float
) -> LabelResult:
    """Sum up what a run has written.

    Raises
    ------
    SchemaError
        If a table is not what it should be.
    """
    fitted = read_table(run.files["coefficients"], "coefficients", ["status", "flags", "rmse_px", "rmse_iod"])
    ok = np.array([word == "ok" for word in fitted["status"].to_pylist()], dtype=bool)
    status = read_table(outputs["labels"], "labels", ["status"])["status"].to_pylist()
    counts = dict(sorted(Counter(status).items()))
    clock = None
    if "clock" in outputs:
        found = read_clock(outputs["clock"])
        names = ("method", "offset_us", "drift_ppm", "drift_measured", "residual_us", "uncertainty_us")
        clock = {name: getattr(found, name) for name in names}
    return LabelResult(
        session_id=session.session_id,
        subject_id=session.subject_id,
        outputs=outputs,
        frames_rgb=len(ok),
        frames_face=int(ok.sum()),
        frames_event=len(status),
        frames_labelled=counts.get("ok", 0),
        status=counts,
        rmse_px_median=_median(fitted, "rmse_px"),
        rmse_iod_median=_median(fitted, "rmse_iod"),
        clock=clock,
        basis={"path": str(basis), "kind": model.kind},
        stages=dict(run.states),
        warnings=tuple(_warnings(session, run, ok, counts, model.is_demo)),
        seconds=seconds,
        summaries=run.summaries,
    )


def _median(table: pa.Table, column: str) -> float | None:
    values = table[column].drop_null().to_numpy()
    return round(float(np.median(values)), 5) if len(values) else None


def _warnings(
    session: Session, run: SessionRun, ok: np.ndarray[Any, Any], labels: dict[str, int], is_demo: bool
) -> list[str]:
    found = []
    if is_demo:
        found.append("labels were made with the DEMO basis: for trying out only, not for science; give --bases FILE")
    if session.manifest.events is None:
        found.append(
            "session.toml names no [events]: labels are of RGB frames, and models of events cannot learn from them"
        )
    clock = run.summaries.get("sync", {})
    if clock.get("method") == "start":
        found.append(
            "the clock is a guess (start): nothing was measured, and labels may be hundreds of ms off"
            + (
                f"; the event file has {clock['triggers']} trigger edges: try --sync trigger"
                if clock["triggers"]
                else "; try --sync motion"
            )
        )
    found += [f"clock: {text}" for text in clock.get("warnings", [])]
    # a gap may be a scene in which nothing moved
    if set(clock.get("damage", {})) - {"unknown_word", "time_gap"}:
        found.append(f"the event file is damaged (lost: {clock['lost']}); `au3dmm events info` says where")
    if session.manifest.rgb.frames not in (None, len(ok)):
        found.append(f"the recording has {len(ok)} RGB frames, session.toml says {session.manifest.rgb.frames}")
    n_labels = sum(labels.values())
    if n_labels and labels.get("ok", 0) < 0.8 * n_labels:
        rest = ", ".join(f"{n} {word}" for word, n in labels.items() if word != "ok")
        frames = "event frames" if session.manifest.events is not None else "RGB frames"
        found.append(
            f"only {labels.get('ok', 0)} of {n_labels} {frames} have values ({rest})"
            + ("; RGB frames farther apart than align.max_gap_us leave gaps" if "gap" in labels else "")
            + ("; do RGB and events overlap on this clock?" if "no_events" in labels else "")
        )
    if "not_neutral_start" in run.summaries.get("identity", {}).get("flags", []):
        found.append("the recording starts with a face that is not neutral (its resting frames were used instead)")
    found += run.summaries.get("identity", {}).get("warnings", [])
    if ok.mean() < 0.8:
        found.append(f"a face was fitted in only {100 * ok.mean():.0f} % of the RGB frames")
    detected = run.summaries.get("detect", {})
    check = detected.get("check") or {}
    looked, off = check.get("frames", 0) + check.get("missed", 0), check.get("disagree", 0) + check.get("missed", 0)
    if off > 0.1 * looked:
        found.append(
            f"a second detector sees another face, or none, in {off} of the {looked} frames that it looked at;"
            " --overlay shows which one is right"
        )
    expected, decoded = detected.get("frames_expected"), detected.get("frames_decoded", len(ok))
    if expected is not None and decoded < expected:
        found.append(f"only {decoded} of {expected} RGB frames could be decoded: the video is damaged or cut short")
    return found
