"""``posemamba app``: a web page on this computer that lifts videos without a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import webbrowser
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from posemamba.cli.options import option

PORT = 8765


@dataclass(frozen=True, kw_only=True)
class AppOptions:
    """Options of ``posemamba app``."""

    folder: Annotated[
        Path | None, option("Folder of uploads and results (default: posemamba-app in your home folder).")
    ] = None
    port: Annotated[
        int | None,
        option(f"Port (default: {PORT}, or a free one where that is taken; 0: a free one).", min=0, max=65535),
    ] = None
    host: Annotated[
        str, option("Address to answer at; another than this computer's own opens the page to others.", default=True)
    ] = "127.0.0.1"
    at_once: Annotated[
        int | None, option("So many files are lifted at the same time (default: one for each 4 processors).", min=1)
    ] = None
    largest: Annotated[float, option("The largest upload in GB.", min=0.001, max=1e6, default=True)] = 20.0
    open_page: Annotated[bool, option("Open the page in the browser.", "--open/--no-open")] = True


def app(options: AppOptions) -> int:
    """Open a web page on this computer: drop a video, choose the person, look at the poses, save them.

    Nothing leaves the computer. Ctrl-C ends it; what is not done goes on at the next start. More: docs/app.md.
    """
    from posemamba.utils.errors import PoseMambaError, require

    require("starlette", "app")
    require("uvicorn", "app")
    from posemamba.app.serving import serve

    folder = options.folder
    if folder is None:
        try:
            folder = Path.home() / "posemamba-app"
        except RuntimeError as error:
            raise PoseMambaError("the home folder is not known: name a folder with --folder") from error
    with contextlib.suppress(KeyboardInterrupt):  # the usual end
        serve(
            folder.absolute(),
            command=[sys.executable, "-m", "posemamba.cli.worker"],
            check=check_arguments,
            host=options.host,
            port=PORT if options.port is None else options.port,
            any_port=options.port is None,
            at_once=options.at_once or max(1, (os.cpu_count() or 1) // 4),
            largest=round(options.largest * 1e9),
            opened=partial(_tell, options),
        )
    return 0


def _tell(options: AppOptions, address: str, already: bool) -> None:
    """Print where the page is and who can open it, and open it."""
    from posemamba.app.guard import is_loopback
    from posemamba.cli.terminal import cannot_print, drop_output

    if already:
        lines = [f"PoseMamba runs already, at {address}"]
    else:
        lines = [f"PoseMamba is at {address}"]
        if is_loopback(options.host):
            lines.append("Only this computer can open it. Ctrl-C ends it; what is not done goes on at the next start.")
        else:
            lines.append(
                f"It is open to the network at {options.host}: whoever reaches this computer and has that address, "
                "with its token, can upload, see and remove everything in it. The connection is not encrypted: use it "
                "in a network that you trust. Ctrl-C ends it; what is not done goes on at the next start."
            )
    try:
        print("\n".join(lines), flush=True)
    except OSError as error:  # the reader of the output has gone; the page can be opened all the same
        if not cannot_print(error):
            raise
        drop_output()
    if options.open_page:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def check_arguments(arguments: list[str]) -> None:
    """Check that arguments of ``posemamba lift`` fit each other and the source, as the command does before it works.

    Raises:
        PoseMambaError: they do not.
    """
    from posemamba.cli.lift.checks import check_options
    from posemamba.cli.lift.options import LiftOptions
    from posemamba.io.inputs import find_inputs
    from posemamba.utils.errors import PoseMambaError

    try:
        given = _lift_command().make_context("lift", list(arguments)).params
    except Exception as error:
        if not hasattr(error, "format_message"):  # Typer's errors of usage have it
            raise
        raise PoseMambaError(error.format_message()) from error
    options = LiftOptions(**{field.name: given[field.name] for field in fields(LiftOptions)})
    assert options.out is not None
    check_options(options, find_inputs(options.sources, options.out, keypoints=options.format is not None))


def _lift_command() -> Any:
    """Return ``posemamba lift`` as click's command."""
    from posemamba.cli import command_of

    return command_of("lift").commands["lift"]  # type: ignore[attr-defined]  # a group
