"""The command line: ``posemamba lift``, ``convert``, ``quality`` and so on; ``posemamba --help`` lists them.

Each module holds one command: its options, declared once, and what it does. Only the module of the command that was
asked for is imported; for the help all are. An error that the user can fix ends in
one line on stderr and exit code 2. Heavy packages are imported inside the commands, so that help comes at once.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Annotated, Any

import typer

from posemamba.cli.explaining import explain
from posemamba.cli.options import RESEARCH, USE, command, with_plugins
from posemamba.cli.terminal import cannot_print, drop_output, ended_by_signals, open_streams
from posemamba.cli.waiting import sign_of_life
from posemamba.utils.errors import PoseMambaError

# name: (group in the help, module), in the order of the help
COMMANDS = {
    "lift": (USE, "lift"),
    "live": (USE, "live"),
    "app": (USE, "app"),
    "convert": (USE, "convert"),
    "quality": (USE, "quality"),
    "demo": (USE, "demo"),
    "doctor": (USE, "doctor"),
    "evaluate": (RESEARCH, "evaluate"),
    "bench": (RESEARCH, "bench"),
    "info": (RESEARCH, "info"),
    "train": (RESEARCH, "training"),
    "export": (RESEARCH, "training"),
    "average": (RESEARCH, "training"),
    "calibrate": (RESEARCH, "training"),
    "curves": (RESEARCH, "training"),
    "table": (RESEARCH, "evaluation"),
    "data": (RESEARCH, "data"),
    "show": (RESEARCH, "show"),
}
PLUGGED = ("lift", "evaluate", "info", "train", "export", "average", "calibrate")
"""Commands with the option ``--plugin``."""


def make_app(only: str | None = None) -> typer.Typer:
    """Make the application with all commands, or, to import less, with one.

    Args:
        only: a command's name; unknown or None: all.
    """
    app = typer.Typer(
        name="posemamba",
        help="3D human pose from video or 2D keypoints, with PoseMamba.",
        pretty_exceptions_enable=False,  # an unexpected error keeps Python's traceback
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name, (group, home) in COMMANDS.items():
        if only in COMMANDS and name != only:
            continue
        function = getattr(importlib.import_module(f"posemamba.cli.{home}"), name)
        if isinstance(function, typer.Typer):
            app.add_typer(function, name=name, rich_help_panel=group)
        elif list(inspect.signature(function).parameters) == ["options"]:
            command(app, group, plugins=name in PLUGGED)(function)
        else:
            app.command(rich_help_panel=group)(with_plugins(function) if name in PLUGGED else function)
    return app


@cache
def command_of(only: str | None) -> Callable[..., Any]:
    """Return what runs a command's line: made once in a process, as making takes as long as a short command itself."""
    return typer.main.get_command(make_app(only))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0, 2 for what is the user's to mend, 130 when interrupted.

    Ended by a signal: 128 and its number.
    """
    # PyTorch's threads spin while they wait: beside other busy programs that makes lifting up to ten times
    # slower; with a short spin it stays within two times, and loses nothing on an idle machine
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    arguments = list(sys.argv[1:] if argv is None else argv)
    open_streams()
    with ended_by_signals() as signals, warnings.catch_warnings():
        warnings.showwarning = partial(_show_warning, shown=set())
        warnings.filterwarnings("always", category=UserWarning, module=r"posemamba\.")
        if not os.environ.get("POSEMAMBA_DEBUG"):  # NumPy's, of numbers that are checked where they are used
            warnings.filterwarnings("ignore", message=".* encountered in ", category=RuntimeWarning)
        try:
            _check_folder(arguments)
            with sign_of_life():
                run = command_of(arguments[0] if arguments and arguments[0] in COMMANDS else None)
                code = run(arguments or ["--help"], prog_name="posemamba", standalone_mode=False)
                sys.stdout.flush()
        except PoseMambaError as error:
            return _complain(str(error), error)
        except (KeyboardInterrupt, typer.Abort):
            return 128 + signals[0] if signals else 130
        except Exception as error:
            if isinstance(error, OSError) and cannot_print(error):
                drop_output()
                return _complain(f"cannot print what was done ({error.strerror or error}); files are written")
            if not hasattr(error, "format_message"):  # Typer's errors of usage have it
                if (line := explain(error)) is not None:
                    return _complain(line, error)
                raise
            where = getattr(getattr(error, "ctx", None), "command_path", "posemamba")
            return _complain(f"{error.format_message().rstrip('.')} (see {where} --help)")
    if signals:  # Typer makes 130 of all interruptions
        return 128 + signals[0]
    return code if isinstance(code, int) else 0


def _check_folder(arguments: Sequence[str]) -> None:
    """Reject a working folder that is gone: names, and many packages when they are imported, start from it."""
    try:
        os.getcwd()
    except OSError as error:
        if {"-h", "--help", "--version"}.isdisjoint(arguments):
            raise PoseMambaError("the working folder is gone, or closed to this user: cd to another one") from error


def _complain(message: str, error: BaseException | None = None) -> int:
    """Print an error in one line; with POSEMAMBA_DEBUG set also where it comes from. Returns the exit code."""
    if error is not None and os.environ.get("POSEMAMBA_DEBUG"):
        traceback.print_exception(error)
    with contextlib.suppress(OSError, ValueError):  # a closed terminal
        print("error:", " ".join(message.split()), file=sys.stderr)
    return 2


def _show_warning(message: Warning | str, *unused: Any, shown: set[str] | None = None, **unused_too: Any) -> None:
    """Print a warning in a line, unless it is in `shown`, and put it there: of many inputs each is printed once."""
    text = " ".join(str(message).split()).partition(" Traceback (most recent call last)")[0]  # Numba's hold one
    shown = set() if shown is None else shown
    if text not in shown:
        shown.add(text)
        with contextlib.suppress(OSError, ValueError):
            print("warning:", text, file=sys.stderr)


def _print_version(wanted: bool) -> None:
    if wanted:
        from posemamba.utils.installation import __version__

        print(f"posemamba {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    pass
