"""A labelled run of rendered people: coefficients a quarter too large, and a truth with one unit more."""

import json
from functools import cache

import numpy as np

from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import bases_fingerprint, read_bases, write_bases
from demo_basis import few_components
from training_run import METADATA, UNITS, K, alpha_of, write_training_run

COMPONENTS = ("AU1", "AU12_left", "AU12_right", "AU4")
assert len(COMPONENTS) == K


@cache
def rendered_basis():
    return read_bases(asset_path(DEMO_BASES))


def true_alpha(u, n):
    """Return (n, 34): 0.8 of the coefficients; AU17 rises in the second half of the first unit's recordings."""
    rendered = rendered_basis()
    alpha = np.zeros((n, rendered.k_au))
    alpha[:, [rendered.names_au.index(name) for name in COMPONENTS]] = 0.8 * alpha_of(u, n)
    alpha[n // 2 :, rendered.names_au.index("AU17")] = 1.5 if u == 0 else 0.0
    return alpha


def write_truth(path, u, n, **more):
    rendered = rendered_basis()
    truth = {
        "alpha_au": true_alpha(u, n).tolist(),
        "alpha_id": [0.0] * rendered.k_id,
        "names_au": list(rendered.names_au),
        "basis": {"topology_hash": rendered.topology_hash()},
        "rgb_first_pts_us": 1000,
        "rgb_last_pts_us": 1000 + 33_333 * (n - 1),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**truth, **more}))


def write_mesh_run(folder, *, people=3, n=12, truth=True, **options):
    """Write a run, its basis (`bases.npz` in it) and the truth of its recordings."""
    bases = few_components(COMPONENTS)
    write_bases(folder / "made.npz", bases)
    basis = {**METADATA["basis"], "file_hash": bases_fingerprint(folder / "made.npz"), "names_au": list(COMPONENTS)}
    run = write_training_run(folder, people=people, n=n, metadata={**METADATA, "basis": basis}, **options)
    (folder / "made.npz").rename(run.bases)
    for p in range(people if truth else 0):
        for u, au in enumerate(UNITS):
            write_truth(folder / "truth" / f"S{p}_{au}.json", u, n)
    return run
