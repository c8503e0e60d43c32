"""Where the time goes when a session is labelled: seconds and frames per second of every stage, on one core.

    python benchmarks/label.py SESSION [SESSION ...]

Each session is labelled into a temporary folder twice; the first run compiles, the second is reported.
"""

import argparse
import tempfile
from pathlib import Path

import au3dmm


def measure(session: Path) -> None:
    seconds: dict[str, float] = {}

    def note(event):
        if event["event"] == "done":
            seconds[event["stage"]] = event["seconds"]

    for _ in range(2):
        with tempfile.TemporaryDirectory() as out:
            result = au3dmm.label_session(session, out=out, on_event=note)
    total = sum(seconds.values())
    print(f"{result.session_id}: {result.frames_rgb} RGB frames, {result.frames_event} event frames")
    for stage, s in seconds.items():
        print(f"  {stage:9} {s:7.2f} s {result.frames_rgb / s:9.0f} frames/s {100 * s / total:5.1f} %")
    print(f"  {'all':9} {total:7.2f} s {result.frames_rgb / total:9.0f} frames/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", nargs="+", type=Path)
    for session in parser.parse_args().sessions:
        measure(session)


if __name__ == "__main__":
    main()
