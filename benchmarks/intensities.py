"""How well action unit intensities are read off simulated landmarks (docs/accuracy.md).

    python benchmarks/intensities.py ../shared/data/ict_facekit.npz [--seed 501] [--subjects 20] [--conditions NAMES]

The basis is that of `accuracy.py`; how to read intensities is learnt from tagged sequences of ten other people, without
anybody's intensities. The truth is each unit's displacement along its mean field, in the corpus' unit of 5.
Seeds as in `accuracy.py`.
"""

import argparse
from pathlib import Path

from au3dmm.config import FitParams
from au3dmm.core.intensities import STATES
from au3dmm.core.threads import single_threaded_blas
from au3dmm.simulation.conditions import CONDITIONS, VALIDATION_SEEDS
from au3dmm.simulation.estimate import estimate, make_method
from au3dmm.simulation.faces import demo_family, ict_family
from au3dmm.simulation.intensities import learn_reading, measure_intensities, summary, true_intensities
from au3dmm.simulation.recordings import simulate
from au3dmm.simulation.training import learn_basis

FIELDS = ("error", "off", "correlation", "agreement", "within_1", "within_2")
HEADER = f"{'observ.':>8}{'error':>7}{'off':>6}{'r':>7}{'ICC':>7}{'1 std':>7}{'2 std':>7}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ict", type=Path, nargs="?", help="npz of ICT-FaceKit; default: the shipped head")
    parser.add_argument("--seed", type=int, default=VALIDATION_SEEDS[0])
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--conditions", default="base,combined AUs")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/au3dmm/accuracy"))
    options = parser.parse_args()
    family = ict_family(options.ict) if options.ict else demo_family()
    basis = learn_basis(family, cache=options.cache.expanduser())
    reading = learn_reading(family, basis)
    for name in options.conditions.split(","):
        condition = CONDITIONS[name.strip()]
        seen = simulate(family, condition, seed=options.seed, subjects=options.subjects)
        found = estimate(seen, basis, make_method(**condition.params))
        truth = true_intensities(reading, seen, family, options.seed)
        defaults = FitParams()
        measures = measure_intensities(
            reading, basis, family, found, truth, jaw_weight=defaults.jaw_weight, sigma_px=defaults.sigma_px
        )
        print(f"\n{name}: {family.name} faces, seed {options.seed}, {options.subjects} people\n{'':16}{HEADER}")
        for unit, m in measures.items():
            print(f"{unit:16}{m.observability:8.2f}{m.error:7.2f}{m.off:6.2f}{m.correlation:7.2f}{m.agreement:7.2f}"
                  f"{m.within_1:7.2f}{m.within_2:7.2f}  {m.state}")  # fmt: skip
        for state in STATES:
            n = sum(m.state == state for m in measures.values())
            print(f"{n:3} {state:12}{'':8}" + "".join(f"{summary(measures, state, f):7.2f}" for f in FIELDS))


if __name__ == "__main__":
    with single_threaded_blas():
        main()
