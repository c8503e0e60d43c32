"""`au3dmm init`: write `session.toml` from what a recording's folder holds."""

from __future__ import annotations

import glob as globbing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from au3dmm.cli.init_dataset import InitCommand
from au3dmm.cli.output import say
from au3dmm.errors import Au3dmmError, ConfigError

if TYPE_CHECKING:
    from au3dmm.discovery import Found

SOME_FAILED, ALL_FAILED = 3, 4


@click.command(cls=InitCommand, short_help="Write session.toml from what a folder or dataset holds.")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--glob", "pattern", metavar="PATTERN", help="Many folders at once, for example 'data/*/'; quote it.")
@click.option("--session-id", help="Unique in a dataset; default: the folder's name.")
@click.option("--subject-id", help="Who is recorded; default: S01, sub-01 and the like in the path, else session-id.")
@click.option("--force", is_flag=True, help="Overwrite a session.toml that is there.")
@click.option("--dry-run", is_flag=True, help="Print what would be written, and write nothing.")
def init(
    folder: Path | None,
    pattern: str | None,
    session_id: str | None,
    subject_id: str | None,
    force: bool,
    dry_run: bool,
) -> int:
    """Write session.toml for a recording in DIR: a video or a folder of images, and an event file.

    Nothing else in DIR is touched. Look at what was written: which instant the timestamps name, and how the clocks
    relate, cannot be seen in the files.

    A whole dataset at once, its raw data left alone: au3dmm init --layout NAME SOURCE --out DATASET (see
    au3dmm init --layout pairs --help).
    """
    if (folder is None) == (pattern is None):
        raise click.UsageError("give either DIR or --glob PATTERN")
    if folder is not None:
        _init_one(folder, session_id, subject_id, force, dry_run)
        return 0
    if session_id is not None:
        raise click.UsageError("--session-id is for one DIR; with --glob every folder gives its own")
    return _init_many(str(pattern), subject_id, force, dry_run)


def _init_one(folder: Path, session_id: str | None, subject_id: str | None, force: bool, dry_run: bool) -> None:
    from au3dmm.discovery import ids_of

    own_session, own_subject = ids_of([folder.resolve()])[folder.resolve()]
    session = session_id or own_session
    guess = session if own_subject == own_session else own_subject
    _write(folder, session, subject_id or guess, force, dry_run)


def _init_many(pattern: str, subject_id: str | None, force: bool, dry_run: bool) -> int:
    from au3dmm.discovery import ids_of
    from au3dmm.io.session import MANIFEST

    folders = [Path(name).resolve() for name in sorted(globbing.glob(pattern)) if Path(name).is_dir()]
    if not folders:
        raise ConfigError(f"no folder matches {pattern!r}; quote the pattern, so that the shell leaves it alone")
    failed = 0
    for folder, (session, subject) in ids_of(folders).items():
        if (folder / MANIFEST).exists() and not force:
            say(f"{click.format_filename(folder / MANIFEST)}: there already, left as it is")
            continue
        try:
            _write(folder, session, subject_id or subject, force, dry_run)
        except Au3dmmError as err:
            failed += 1
            click.echo(f"error: {err}", err=True)
    if failed:
        click.echo(f"{failed} of {len(folders)} folders could not be described", err=True)
    return 0 if not failed else ALL_FAILED if failed == len(folders) else SOME_FAILED


def _write(folder: Path, session_id: str, subject_id: str, force: bool, dry_run: bool) -> None:
    import tomli

    from au3dmm.config import validate_toml
    from au3dmm.discovery import discover, manifest_text
    from au3dmm.io.atomic import write_bytes
    from au3dmm.io.session import MANIFEST, Manifest, read_session

    path = folder / MANIFEST
    if path.exists() and not force and not dry_run:
        raise ConfigError(f"{path}: there already; --force overwrites it, --dry-run shows what would be written")
    found = discover(folder)
    text = manifest_text(found, session_id, subject_id)
    validate_toml(Manifest, tomli.loads(text), path)  # a wrong --session-id is told before anything is written
    if dry_run:
        say(f"# {path}\n{text}")
        _tell(found)
        return
    write_bytes(path, text.encode())
    manifest = read_session(folder).manifest
    rgb = manifest.rgb.file or manifest.rgb.folder
    events = manifest.events.file if manifest.events else "none"
    sync = f"sync {manifest.sync.method}" if manifest.events else "so labels will be of RGB frames"
    say(f"{path}: session {session_id}, subject {subject_id}, rgb {rgb}, events {events}, {sync}")
    _tell(found)


def _tell(found: Found) -> None:
    """Say what a person should know of the event file: the rest can be read in session.toml."""
    seen = found.events
    if seen is None:
        return
    path = click.format_filename(found.folder / seen.path)
    if seen.format is None:
        click.echo(f"warning: {path}: cannot be read: {seen.unreadable}", err=True)
    elif seen.unreadable is not None:
        click.echo(f"warning: {path}: label will refuse it: {seen.unreadable}", err=True)
    elif seen.damage:
        click.echo(f"warning: {path}: damaged, lost: {seen.damage}; `au3dmm events info` says where", err=True)
    if why := seen.why_not_trigger():
        say(f"  sync motion, as {why}")
