"""The installed version of the package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("posemamba")
except PackageNotFoundError:  # run from its sources, not installed
    __version__ = "0.0.0"
