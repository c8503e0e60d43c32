"""Write the shipped head and its demonstration bases: ``python -m au3dmm.synthetic.make_assets [--out FOLDER]``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import topology_hash
from au3dmm.io.assets import HEAD_FOLDER, REGION_PREFIX
from au3dmm.io.atomic import write_json
from au3dmm.io.bases import write_bases, write_npz
from au3dmm.synthetic.demo_bases import make_demo_bases
from au3dmm.synthetic.head import build_head

DEFAULT_OUT = Path(__file__).parents[3] / "assets" / HEAD_FOLDER


def make_assets(out: Path, seed: int = 0) -> None:
    """Write ``default_head.npz landmarks68.json topology.json demo_bases.npz`` into the folder `out`.

    Parameters
    ----------
    out : Path
        Folder, created if needed.
    seed : int
        Seed of the mesh and of the population behind the identity components.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    head = build_head(seed)
    found = topology_hash(len(head.vertices), head.faces)
    arrays: dict[str, NDArray[Any]] = {
        "vertices": head.vertices.astype(np.float32),
        "faces": head.faces,
        "mirror": head.mirror,
        "albedo": head.albedo,
        **{REGION_PREFIX + name: index for name, index in head.regions.items()},
    }
    write_npz(out / "default_head.npz", arrays)
    write_json(
        out / "landmarks68.json",
        {
            "scheme": "ibug68",
            "topology_hash": found,
            "face_index": head.embedding.face_index.tolist(),
            "barycentric": head.embedding.barycentric.tolist(),
        },
    )
    write_json(
        out / "topology.json",
        {
            "n_vertices": len(head.vertices),
            "n_faces": len(head.faces),
            "topology_hash": found,
            "is_flame_topology": False,
        },
    )
    write_bases(out / "demo_bases.npz", make_demo_bases(head, seed))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m au3dmm.synthetic.make_assets", description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    make_assets(options.out, options.seed)


if __name__ == "__main__":
    main()
