"""How fast synthetic sessions are made on one core, and where the time goes.

    python benchmarks/synthetic.py [--sessions 6] [--head demo|ict:FILE]

Sessions are those of `au3dmm synth dataset`: 75 RGB frames of 640 x 480, and events on 1280 x 720 from 240 pictures
a second. Times are CPU times of this process, so that others on the machine disturb less (they still share caches and
hyperthreads). The first session, in which code is compiled, is left out.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from au3dmm.core import raster
from au3dmm.synthetic import event_simulation, film, person, session
from au3dmm.synthetic.dataset import make_take
from au3dmm.synthetic.people import head_model
from au3dmm.synthetic.takes import Take

PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "draw triangles": ((raster.MeshPainter, "draw"),),
    "deform and place heads": ((person.Person, "placed"),),
    "light": ((person.Person, "lit"),),
    "events of intervals": ((event_simulation.EventPixels, "show"),),
    "sort and pack events": ((event_simulation.EventPixels, "collect"),),
    "write EVT3": ((session, "write_evt3"),),
    "sRGB and noise": ((film, "to_srgb"),),
    "encode H.264 (with all RGB)": ((session, "write_video"),),
}


def clocked(function: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    """Return a function that counts the CPU time it takes under a name."""

    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.thread_time()
        try:
            return function(*arguments, **options)
        finally:
            spent[name] += time.thread_time() - began

    return timed


def main() -> None:
    """Make sessions of several tasks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=6, help="to measure")
    parser.add_argument("--head", default="demo", help="demo or ict:FILE")
    options = parser.parse_args()
    model = head_model(options.head)
    take = Take(0, 0, "AU12", 1, 2.5, model.spec, model.fingerprint)
    tasks = ("AU1", "AU12", "AU26", "FREE", "AU51", "SPEECH")
    with tempfile.TemporaryDirectory() as folder:
        make_take(folder, take.__dict__)
        spent: dict[str, float] = defaultdict(float)
        for name, functions in PARTS.items():
            for owner, attribute in functions:
                setattr(owner, attribute, clocked(getattr(owner, attribute), spent, name))
        n_bytes, began = 0, time.process_time()
        for i in range(options.sessions):
            one = replace(take, task=tasks[i % len(tasks)], run=2 + i // len(tasks))
            error = make_take(folder, one.__dict__)
            assert error is None, error
            raw = Path(folder) / one.place / "events.raw"
            n_bytes += raw.stat().st_size
        seconds = (time.process_time() - began) / options.sessions
    rgb = spent["encode H.264 (with all RGB)"]
    size = n_bytes / 1e6 / options.sessions
    print(f"{60 / seconds:.1f} sessions a minute and core: {seconds:.2f} s and {size:.1f} MB of events each")
    for name, value in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"  {value / options.sessions:6.2f} s  {name}")
    print(f"  (all of RGB {rgb / options.sessions:.2f} s, of events {seconds - rgb / options.sessions:.2f} s)")


if __name__ == "__main__":
    main()
