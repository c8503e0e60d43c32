"""The group of commands, and how errors become exit codes."""

from __future__ import annotations

import click

from au3dmm import __version__
from au3dmm.cli.assets import assets
from au3dmm.cli.doctor import doctor
from au3dmm.cli.evaluate import evaluate
from au3dmm.cli.events import events
from au3dmm.cli.experiment import experiment
from au3dmm.cli.export import export
from au3dmm.cli.fit_bases import fit_bases
from au3dmm.cli.forget import forget
from au3dmm.cli.init import init
from au3dmm.cli.inspect import inspect
from au3dmm.cli.label import label
from au3dmm.cli.output import one_line, print_error
from au3dmm.cli.plot import plot
from au3dmm.cli.predict import predict
from au3dmm.cli.refine import refine
from au3dmm.cli.render import render
from au3dmm.cli.report import report
from au3dmm.cli.run import run as run_dataset
from au3dmm.cli.schema import schema
from au3dmm.cli.synth import synth
from au3dmm.cli.train import train
from au3dmm.cli.validate import validate
from au3dmm.cli.view import view
from au3dmm.cli.weights import weights
from au3dmm.errors import Au3dmmError

INTERRUPTED = 130


class _InOrder(click.Group):
    """Lists commands in the order of use, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with: au3dmm doctor; then au3dmm init DIR and au3dmm label --session DIR.",
)
@click.version_option(__version__, prog_name="au3dmm")
def cli() -> None:
    """Action unit labels for event-camera face recordings, fitted on RGB and carried over in time."""


for _command in (
    label,
    run_dataset,
    report,
    plot,
    render,
    view,
    init,
    validate,
    export,
    forget,
    train,
    evaluate,
    predict,
    refine,
    experiment,
    inspect,
    events,
    fit_bases,
    assets,
    doctor,
    weights,
    schema,
    synth,
):
    cli.add_command(_command)


def run(argv: list[str]) -> int:
    """Run a command line and return its exit code; what is not an `Au3dmmError` is a bug and propagates.

    Parameters
    ----------
    argv : list of str
        The arguments after `au3dmm`.
    """
    try:
        return int(cli.main(args=argv, prog_name="au3dmm", standalone_mode=False) or 0)
    except Au3dmmError as err:
        print_error(argv, type(err).__name__, str(err), err.exit_code)
        return err.exit_code
    except click.exceptions.NoArgsIsHelpError as err:
        err.show()
        return err.exit_code
    except click.ClickException as err:
        where = f" (see '{err.ctx.command_path} --help')" if isinstance(err, click.UsageError) and err.ctx else ""
        print_error(argv, "UsageError", one_line(err.format_message()).rstrip(".") + where, err.exit_code)
        return err.exit_code
    except click.Abort:
        print_error(argv, "Interrupted", "interrupted; the same command continues where it stopped", INTERRUPTED)
        return INTERRUPTED
    except Exception as err:
        if "--json" in argv:
            print_error(argv, type(err).__name__, str(err), 1, stderr=False)
        raise
