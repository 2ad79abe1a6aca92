"""The installation: its version, and the folders for caches, weights and data."""

from __future__ import annotations

import contextlib
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from posemamba.utils.errors import PoseMambaError

try:
    __version__ = version("posemamba")
except PackageNotFoundError:  # run from its sources, not installed
    __version__ = "0.0.0"

CACHE_VARIABLE, WEIGHTS_VARIABLE = "POSEMAMBA_CACHE", "POSEMAMBA_WEIGHTS"
"""Environment variables that name the cache folder, and a folder of weights that are found by name."""


def cache_folder() -> Path:
    """Return the folder of files that can be made again: $POSEMAMBA_CACHE, else posemamba in the user's cache folder.

    The user's cache folder is $XDG_CACHE_HOME or ~/.cache.

    Raises:
        PoseMambaError: it is in a home folder that nobody knows.
    """
    named = os.environ.get(CACHE_VARIABLE)
    return expand(named, CACHE_VARIABLE) if named else _user_folder("XDG_CACHE_HOME", "~/.cache")


def known_cache_folders() -> list[Path]:
    """Return the cache folder, in a list that is empty where nothing says where the user's folders are."""
    try:
        return [cache_folder()]
    except PoseMambaError:
        return []


def data_folder() -> Path:
    """Return the folder of the user's own files: posemamba in $XDG_DATA_HOME or ~/.local/share.

    Raises:
        PoseMambaError: it is in a home folder that nobody knows.
    """
    return _user_folder("XDG_DATA_HOME", "~/.local/share")


def weights_folders() -> list[Path]:
    """Return the user's folders of weights: $POSEMAMBA_WEIGHTS, if set, and weights in the data folder, if known.

    Raises:
        PoseMambaError: $POSEMAMBA_WEIGHTS is in a home folder that nobody knows.
    """
    named = os.environ.get(WEIGHTS_VARIABLE)
    folders = [expand(named, WEIGHTS_VARIABLE)] if named else []
    with contextlib.suppress(PoseMambaError):
        folders.append(data_folder() / "weights")
    return folders


def expand(path: str, variable: str) -> Path:
    """Return a path with the home folder in place of ~.

    Args:
        path: the path.
        variable: the environment variable that names it, for the error.

    Raises:
        PoseMambaError: the home folder is not known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # a user without an entry, as containers have them
        raise PoseMambaError(f"{path}: the home folder is not known: set HOME, or {variable} to a folder") from error


def _user_folder(variable: str, default: str) -> Path:
    return expand(os.environ.get(variable) or default, variable) / "posemamba"
