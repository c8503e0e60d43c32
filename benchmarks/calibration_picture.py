"""Draw how true the stated uncertainty is, from what `benchmarks/accuracy.py --conditions all --out FILE` wrote.

    python benchmarks/calibration_picture.py FILE docs/pictures/calibration.png

Left: of the codes that show something, the share found within the stated uncertainty against the share promised. Right:
the share within one and 2.5 standard deviations under each condition, and its range over components.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from au3dmm.core.coverage import LEVELS, WIDE, nominal

CURVES = {
    "base": "#0072B2",
    "AR(1) 1.5 px": "#56B4E9",
    "combined AUs": "#009E73",
    "speech": "#E69F00",
    "hard": "#D55E00",
}
SUFFIX = ": robust"
INK, FAINT = "#222222", "#767676"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    rows = json.loads(options.results.read_text("utf-8"))["results"].get("conditions", {})
    coverage = {name.removesuffix(SUFFIX): row["coverage"] for name, row in rows.items() if name.endswith(SUFFIX)}
    if not coverage:
        parser.error(f"{options.results}: no conditions of robust in it; run accuracy.py with --conditions all --out")
    matplotlib.rcParams.update({"font.size": 8.5, "axes.spines.top": False, "axes.spines.right": False})
    figure = Figure(figsize=(10, 5.2), dpi=110)
    grid = figure.add_gridspec(1, 2, width_ratios=(1, 1.15), wspace=0.62, left=0.06, right=0.98, bottom=0.1, top=0.93)
    draw_curves(figure.add_subplot(grid[0]), coverage)
    draw_conditions(figure.add_subplot(grid[1]), coverage)
    figure.savefig(options.out, metadata={"Software": None})


def draw_curves(axes: Axes, coverage: dict[str, Any]) -> None:
    promised = [nominal(level) for level in LEVELS]
    axes.plot([0, 1], [0, 1], color=FAINT, lw=0.8, ls="--", label="exact")
    for name, colour in CURVES.items():
        if name in coverage:
            axes.plot(promised, coverage[name]["curve"], "o-", color=colour, ms=3.5, lw=1.2, label=name)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("share that the stated uncertainty promises")
    axes.set_ylabel("share found, of codes that show something")
    axes.legend(frameon=False, loc="upper left")


def draw_conditions(axes: Axes, coverage: dict[str, Any]) -> None:
    at = np.arange(len(coverage))[::-1]
    for key, level, colour in (("1", 1.0, "#0072B2"), ("wide", WIDE, "#D55E00")):
        axes.axvline(nominal(level), color=FAINT, lw=0.8, ls="--")
        parts = [[x for x in row[f"component_{key}"] if x is not None] for row in coverage.values()]
        low, high = (np.array([np.quantile(shares, q) for shares in parts]) for q in (0.1, 0.9))
        axes.hlines(at, low, high, color=colour, lw=1, alpha=0.5)
        shares = [row[f"shown_{key}"] for row in coverage.values()]
        axes.plot(shares, at, "o", color=colour, ms=4.5, label=f"within {level:g} std")
    axes.set_yticks(at, list(coverage))
    axes.set_xlim(0, 1.01)
    axes.set_xlabel("share found; lines: four fifths of the components")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.legend(frameon=False, loc="lower left")


if __name__ == "__main__":
    main()
