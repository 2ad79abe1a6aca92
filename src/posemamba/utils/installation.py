"""The installation: its version, and the folders for caches, weights and data."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    __version__ = version("posemamba")
except PackageNotFoundError:  # run from its sources, not installed
    __version__ = "0.0.0"

CACHE_VARIABLE, WEIGHTS_VARIABLE = "POSEMAMBA_CACHE", "POSEMAMBA_WEIGHTS"
"""Environment variables that name the cache folder, and a folder of weights that are found by name."""


def cache_folder() -> Path:
    """Return the folder of files that can be made again: $POSEMAMBA_CACHE, else posemamba in the user's cache folder.

    The user's cache folder is $XDG_CACHE_HOME or ~/.cache.
    """
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else _user_folder("XDG_CACHE_HOME", "~/.cache")


def data_folder() -> Path:
    """Return the folder of the user's own files: posemamba in $XDG_DATA_HOME or ~/.local/share."""
    return _user_folder("XDG_DATA_HOME", "~/.local/share")


def weights_folders() -> list[Path]:
    """Return the user's folders of weights: $POSEMAMBA_WEIGHTS, if set, and weights in the data folder."""
    named = os.environ.get(WEIGHTS_VARIABLE)
    return [*([Path(named).expanduser()] if named else []), data_folder() / "weights"]


def _user_folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser() / "posemamba"
