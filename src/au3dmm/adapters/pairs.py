"""RGB and event files that belong together by their names: ``--rgb`` and ``--events`` say how."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from au3dmm.adapters.names import FIELDS, below, check_source, plain_id, template
from au3dmm.adapters.proposal import Finding, LeftOut, Options, Proposal
from au3dmm.adapters.recording_parts import rgb_part, times_beside
from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.annotation_files import canonical_label

Key = tuple[str, ...]
_PARTS = ("rgb", "events", "timestamps", "landmarks")


def find(source: Path, options: Options) -> Iterator[Finding]:
    """Yield recordings whose parts agree in what the patterns' fields stand for; see `proposal.Adapter`.

    Session ids are made of the fields: ``{session}`` alone where it names the subject too, else subject, session, au
    and run joined by ``_``.

    Raises
    ------
    ConfigError
        If there is no ``--rgb``, the patterns name different fields, or nothing matches.
    """
    check_source(source, "a folder with recordings below it")
    if options.rgb is None:
        raise ConfigError("--layout pairs needs --rgb, for example --rgb '{subject}/{session}/rgb.mp4'")
    patterns = {part: template(text, f"--{part}") for part in _PARTS if (text := getattr(options, part)) is not None}
    fields = _fields(patterns)
    matched = _match(source, patterns, fields)
    if not matched["rgb"]:
        raise ConfigError(f"{source}: nothing matches --rgb {options.rgb!r}; paths are matched whole, from there")
    for part in patterns:
        for key, paths in sorted(matched[part].items()):
            if len(paths) > 1:
                yield from (LeftOut(path, f"{len(paths)} {part} files of {_told(fields, key)}") for path in paths)
            elif key not in matched["rgb"]:
                yield LeftOut(paths[0], f"{part} without RGB: nothing matches --rgb for {_told(fields, key)}")
    for key, paths in sorted(matched["rgb"].items()):
        several = [part for part in patterns if len(matched[part].get(key, ())) > 1]
        if several:
            if "rgb" not in several:
                yield LeftOut(paths[0], f"RGB with more than one {several[0]} file for {_told(fields, key)}")
            continue
        if "events" in patterns and key not in matched["events"]:
            yield LeftOut(paths[0], f"RGB without events: nothing matches --events for {_told(fields, key)}")
            continue
        one = {part: matched[part][key][0] for part in patterns if key in matched[part]}
        try:
            yield _proposal(dict(zip(fields, key, strict=True)), one, options)
        except SessionError as err:
            yield LeftOut(paths[0], " ".join(str(err).removeprefix(f"{paths[0]}: ").split()))


def _fields(patterns: dict[str, re.Pattern[str]]) -> tuple[str, ...]:
    fields = {part: set(regex.groupindex) for part, regex in patterns.items()}
    for part, names in fields.items():
        if names != fields["rgb"]:
            said = [", ".join(f"{{{name}}}" for name in FIELDS if name in fields[p]) for p in ("rgb", part)]
            raise ConfigError(f"--rgb names {said[0]}, --{part} {said[1]}; expected the same in both")
    return tuple(name for name in FIELDS if name in fields["rgb"])


def _told(fields: tuple[str, ...], key: Key) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in zip(fields, key, strict=True))


def _match(
    source: Path, patterns: dict[str, re.Pattern[str]], fields: tuple[str, ...]
) -> dict[str, dict[Key, list[Path]]]:
    found: dict[str, dict[Key, list[Path]]] = {part: defaultdict(list) for part in _PARTS}
    for relative, path, is_folder in below(source):
        for part, regex in patterns.items():
            match = regex.fullmatch(relative)
            if match is not None and (not is_folder or part == "rgb"):
                found[part][tuple(match[name] or "" for name in fields)].append(path)
    return found


def _proposal(values: dict[str, str], paths: dict[str, Path], options: Options) -> Proposal:
    subject, session = values.get("subject"), values.get("session")
    named = session is not None and (subject is None or subject in session)
    words = [values.get("subject", "")] if not named else []
    session_id = plain_id("_".join(word for word in (*words, *(values.get(f, "") for f in FIELDS[1:])) if word))
    subject_id = plain_id(subject) if subject else session_id
    rgb = rgb_part(paths["rgb"], paths.get("timestamps") or times_beside(paths["rgb"]), options.fps)
    about: dict[str, Any] = {"session_id": session_id, "subject_id": subject_id}
    if au := values.get("au"):
        about["au"] = canonical_label(au, "au")
    if run := re.search(r"\d+", values.get("run", "")):
        about["run"] = int(run[0])
    sections: dict[str, Any] = {"session": about, "rgb": rgb.section}
    if "events" in paths:
        sections["events"] = {"file": paths["events"]}
    if "landmarks" in paths:
        sections["landmarks"] = {"file": paths["landmarks"]}
    sections["source"] = {"layout": "pairs", "times": rgb.said_by}
    homes = {path.parent for path in paths.values()}
    notes = () if subject else ("no {subject} in the pattern: taken for a person of its own",)
    home = homes.pop() if len(homes) == 1 else None
    return Proposal(session_id, subject_id, sections, home, rgb.made, notes=notes)
