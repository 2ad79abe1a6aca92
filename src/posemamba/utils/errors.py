"""Errors that the user can fix: one clear line, no traceback, exit code 2 on the command line."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class PoseMambaError(Exception):
    """An error in the user's input, files or installation.

    The message is one line: it names the file or option, what was found, what was expected and what to do. Control
    characters of a name or text that a file holds become spaces, so that one line it stays.
    """

    def __init__(self, message: object) -> None:
        super().__init__(_CONTROL.sub(" ", str(message)))


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: the module's name.
        extra: the extra of this package that installs it, for the error.

    Raises:
        PoseMambaError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PoseMambaError(
            f"this needs the Python package '{module}', which did not import ({error}): "
            f"pip install 'posemamba[{extra}]'"
        ) from error
