"""Options that long commands share: how they tell what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


def progress_option(command: _F) -> _F:
    """Add ``--progress``: argument `progress` of the command."""
    return click.option(
        "--progress",
        type=click.Choice(["auto", "rich", "plain", "json", "none"]),
        default="auto",
        show_default=True,
        help="auto: bars on a terminal, lines in a pipe.",
    )(command)


def reporting_options(command: _F) -> _F:
    """Add ``--progress``, ``--json`` and ``-v``: arguments `progress`, `as_json` and `verbose` of the command."""
    for option in (
        click.option("-v", "--verbose", count=True, help="Also print log messages; -vv: everything."),
        click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on stdout."),
        progress_option,
    ):
        command = option(command)
    return command
