"""`au3dmm doctor`: can `label` run here, and what is missing?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from au3dmm.cli.output import aligned, print_json, say

NOT_READY = 5


@click.command(short_help="Is everything here that label needs?")
@click.option(
    "--pipeline",
    type=click.Path(path_type=Path),
    help="Pipeline file, or a shipped one by its name: is everything here that its detector needs?",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(pipeline: Path | None, as_json: bool) -> int:
    """Show versions, detectors, weights and devices; what is missing, and how to get it.

    Exit code 0: label can run with the detector of the pipeline (by default, mediapipe); 5: something it needs is
    missing.
    """
    from au3dmm.doctor import examine

    report = examine(pipeline)
    if as_json:
        print_json(report)
    else:
        say(as_text(report))
    return 0 if report["ready"] else NOT_READY


def as_text(report: Mapping[str, Any]) -> str:
    """Lay the report out for people, the verdict last."""
    detectors: list[tuple[str, ...]] = []
    for name, entry in report["detectors"].items():
        detectors.append((name, "ready" if entry["ready"] else "not ready", entry["folder"] or ""))
        detectors += [("", state, file) for file, state in entry["weights"].items() if state != "ok"]
        if entry["how"]:
            detectors.append(("", "to get it", entry["how"]))
    devices = [(d["device"], d["name"]) for d in report["devices"]["found"]]
    if "note" in report["devices"]:
        devices.append(("", report["devices"]["note"]))
    basis = report["basis"]
    shown: list[tuple[str, ...]]
    if "error" in basis:
        shown = [("error", basis["error"])]
    else:
        flame = "" if basis["is_flame_topology"] else ", not FLAME topology"
        shown = [(f"{basis['kind']}{flame}", f"{basis['k_au']} AU and {basis['k_id']} identity components")]
    threads = ", ".join(f"{name}={value}" for name, value in report["cpu"]["threads"].items() if value)
    folders = [
        (name, "writable" if f["writable"] else "not writable", f["path"]) for name, f in report["folders"].items()
    ]
    sections: list[tuple[str, Sequence[Sequence[str]]]] = [
        ("versions", [(name, version or "not installed") for name, version in report["versions"].items()]),
        ("cannot be imported", [(name, why) for name, why in report["imports"].items() if why != "ok"]),
        ("detectors", detectors),
        ("devices", devices),
        ("default basis", shown),
        ("processor", [(f"{report['cpu']['cores']} cores", threads)]),
        ("folders", folders),
    ]
    parts = [f"{title}\n{aligned(rows)}" for title, rows in sections if rows]
    verdict = f"ready: au3dmm label can run with the detector {report['detector']}"
    if not report["ready"]:
        verdict = "NOT ready"
    return "\n".join([*parts, "", verdict, *(f"- {problem}" for problem in report["problems"])])
