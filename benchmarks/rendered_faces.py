"""How much of rendered people's motion labels show, with a real detector in the loop (docs/accuracy.md).

    au3dmm synth dataset --out DIR --subjects 8 --aus units
    python benchmarks/rendered_faces.py DIR [--subjects S004,S005] [--refine both] [--set fit.sigma_px=1.0]

Detects landmarks on the rendered videos with MediaPipe, fits them as `au3dmm run` does (one neutral face per person,
the demo basis, which the heads were made with), and compares with the coefficients that moved the faces. Over the
facial action units:

- disp: distance between fitted and true displacement of the face in apex frames, as a share of the true one; no motion
  scores 1;
- corr: correlation over time of the displacement along the true one; size: share of it that is recovered at the apex;
- neutral: rms displacement fitted where nothing is shown, mm.
"""

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import DetectParams, FitParams, IdentityParams
from au3dmm.core.threads import single_threaded_blas
from au3dmm.errors import Au3dmmError
from au3dmm.io.assets import DEMO_BASES, asset_path, read_default_head
from au3dmm.io.bases import read_bases
from au3dmm.io.tables import read_table, vectors
from au3dmm.stages import detect, fit, identity

HEAD_TURNS = ("AU51", "AU52", "AU53", "AU54", "AU55", "AU56")
Row = tuple[float, float, float, float, float]  # error, size (sums over apex frames), corr, recovered, neutral mm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--subjects", default="", help="names between commas; default: all")
    parser.add_argument(
        "--refine", choices=("yes", "no", "both"), default="yes", help="the mesh with attention, or plain"
    )
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=NUMBER", help="identity or fit")
    parser.add_argument("--cache", type=Path, help="folder in which landmarks are kept")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    changes: dict[str, dict[str, float]] = {"identity": {}, "fit": {}}
    for text in options.set:
        name, value = text.split("=")
        section, key = name.split(".")
        changes[section][key] = float(value)
    chosen = set(options.subjects.split(",")) if options.subjects else None
    people: dict[str, list[Path]] = {}
    for path in sorted((options.dataset / "rawdata").glob("*/*/session.toml")):
        subject = path.parent.name.split("_")[0]
        if chosen is None or subject in chosen:
            people.setdefault(subject, []).append(path)
    print(f"{sum(map(len, people.values()))} recordings of {len(people)} people")
    print(f"{'':34}{'disp':>6} {'corr':>6} {'size':>6} {'neutral, mm':>11}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.cache or Path(temporary)
        for refine in {"yes": [True], "no": [False], "both": [False, True]}[options.refine]:
            params = DetectParams(mediapipe_refine=refine)
            found = {subject: landmarks(paths, folder, params) for subject, paths in people.items()}
            mesh = "mesh with attention" if refine else "plain mesh"
            for preset in ("paper", "robust"):
                values: dict[str, Any] = changes if preset == "robust" else {"identity": {}, "fit": {}}
                rows = score(found, options.dataset, preset, values, Path(temporary))
                say(f"{mesh}, {preset}", rows)
    for unit in sorted(rows, key=lambda unit: int(unit[2:])):
        say(f"  {unit}", {unit: rows[unit]}, everything=True)


def landmarks(paths: list[Path], folder: Path, params: DetectParams) -> dict[Path, Path]:
    """Detect what is not in the folder; a recording that cannot be read is named and left out."""
    found = {}
    for path in paths:
        table = folder / f"{path.parent.name}.{'fine' if params.mediapipe_refine else 'plain'}.parquet"
        try:
            if not table.exists():
                detect.run(session=path, landmarks=table, params=params)
            found[path] = table
        except Au3dmmError as err:
            print(f"left out: {err}")
    return found


def score(
    people: dict[str, dict[Path, Path]], dataset: Path, preset: str, values: dict[str, dict[str, float]], folder: Path
) -> dict[str, list[Row]]:
    """Return a row for each recording, by action unit."""
    bases = asset_path(DEMO_BASES)
    face = read_bases(bases).components_au[:, read_default_head().regions["face"][::4]]
    neutral, coefficients = folder / "identity.parquet", folder / "coefficients.parquet"
    ip = IdentityParams(preset=preset, **values["identity"])
    fp = FitParams(preset=preset, **values["fit"])
    rows: dict[str, list[Row]] = {}
    for found in people.values():
        pools = [list(found)] if ip.pool == "subject" else [[path] for path in found]
        for pool in pools:
            tables = [found[path] for path in pool]
            identity.run(sessions=pool, landmarks=tables, bases=bases, identity=neutral, params=ip)
            for path, table in zip(pool, tables, strict=True):
                fit.run(
                    session=path, landmarks=table, identity=neutral, bases=bases, coefficients=coefficients, params=fp
                )
                alpha, ok = vectors(read_table(coefficients, "coefficients"), "alpha_au")
                name = path.parent.name
                truth = np.array(json.loads((dataset / "truth" / f"{name}.json").read_text("utf-8"))["alpha_au"])
                rows.setdefault(name.split("_")[1], []).append(compare(alpha[ok].astype(float), truth[ok], face))
    return rows


def compare(alpha: NDArray[np.float64], truth: NDArray[np.float64], face: NDArray[np.float64]) -> Row:
    moved, true = (np.einsum("tk,kva->tva", a, face) for a in (alpha, truth))
    size, error = np.linalg.norm(true, axis=2).mean(1), np.linalg.norm(moved - true, axis=2).mean(1)
    still = size <= 1e-9
    neutral = 1e3 * float(np.sqrt((moved[still] ** 2).sum(2).mean())) if still.any() else np.nan
    if size.max() < 1e-6:
        return 0.0, 0.0, np.nan, np.nan, neutral
    apex = size >= 0.9 * size.max()
    way = true[size.argmax()]
    along, wanted = (np.einsum("tva,va->t", x, way) / (way**2).sum() for x in (moved, true))
    corr = float(np.corrcoef(along, wanted)[0, 1]) if along.std() > 1e-9 else 0.0
    return float(error[apex].sum()), float(size[apex].sum()), corr, float(along[apex].mean()), neutral


def say(name: str, rows: dict[str, list[Row]], everything: bool = False) -> None:
    chosen = np.array([row for unit, some in rows.items() if everything or unit not in HEAD_TURNS for row in some])
    disp = chosen[:, 0].sum() / max(chosen[:, 1].sum(), 1e-12)
    corr, recovered, neutral = np.nanmean(chosen[:, 2:], axis=0)
    print(f"{name:34}{disp:6.3f} {corr:6.3f} {recovered:6.3f} {neutral:11.3f}", flush=True)


if __name__ == "__main__":
    with single_threaded_blas():
        main()
