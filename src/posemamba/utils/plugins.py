"""Plugins: Python packages of users that register losses, scan orders, data sets, models and so on by name.

A plugin is imported where the user names it (``--plugin``, `plugins` of a recipe), and if it is installed with an entry
point of the group ``posemamba.plugins``, as soon as a name is asked for that nothing has registered. No file is a
reason to import one: what weights say of plugins is only told.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from posemamba.utils.errors import PoseMambaError

T = TypeVar("T")

GROUP = "posemamba.plugins"
"""The group of entry points of installed plugins."""
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_loaded: dict[str, None] = {}
_looked = False


class Registry(Mapping[str, T], Generic[T]):
    """Things of one kind by name; a name that is not there is looked for in installed plugins, once.

    Args:
        kind: what a thing is called in messages.
        known: those of this package.
    """

    _all: ClassVar[list[Registry[Any]]] = []

    def __init__(self, kind: str, known: Mapping[str, T]) -> None:
        self.kind = kind
        self._things = dict(known)
        Registry._all.append(self)

    def add(self, name: str, thing: T) -> None:
        """Register a thing.

        Raises:
            PoseMambaError: the name is taken, or is none: letters, digits and underscores, a letter first.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PoseMambaError(
                f"{self.kind} {str(name)[:100]!r}: expected a name of letters, digits and underscores, a letter first"
            )
        if name in self._things:
            raise PoseMambaError(f"{self.kind} '{name}' is registered already: choose another name")
        self._things[name] = thing

    def require(self, name: str) -> T:
        """Return the thing of a name.

        Raises:
            ValueError: there is none; those that are there are listed.
        """
        if name not in self:
            raise ValueError(self.unknown([name]))
        return self._things[name]

    def unknown(self, names: Iterable[str]) -> str:
        """Return the words that say that names are not registered, and which are."""
        return f"unknown {self.kind} {', '.join(sorted(map(str, names)))}; known: {', '.join(self._things)}"

    def __contains__(self, name: object) -> bool:
        return name in self._things or (isinstance(name, str) and load_installed() and name in self._things)

    def __getitem__(self, name: str) -> T:
        if name not in self:
            raise KeyError(name)
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)


@contextlib.contextmanager
def restoring(always: bool = False) -> Iterator[None]:
    """Put all registries back as they were if the block raises: a plugin that fails leaves nothing half registered.

    Args:
        always: put them back whether it raises or not.
    """
    before = [(registry, dict(registry._things)) for registry in Registry._all]
    whole = False
    try:
        yield
        whole = True
    finally:
        if always or not whole:
            for registry, things in before:
                registry._things = things


def load(names: Iterable[str], *, here: bool = False) -> None:
    """Import plugins by the names of their modules; those that are imported already are left as they are.

    Args:
        names: such as ``my_package`` or ``my_package.losses``.
        here: look in the working folder too, after all other places.

    Raises:
        PoseMambaError: not a module's name, no such module, or one that fails when it is imported.
    """
    for name in names:
        if name not in _loaded:
            _import(check_name(name), f"--plugin {name}" if here else f"plugin '{name}'", here)
            _loaded[name] = None


def check_name(name: str) -> str:
    """Return a module's name.

    Raises:
        PoseMambaError: it is none, such as a path.
    """
    if not _MODULE.fullmatch(name):
        raise PoseMambaError(
            f"plugin '{name[:200]}': expected the name of a Python module, such as my_package; one in the working "
            "folder is found by --plugin"
        )
    return name


def _import(module: str, title: str, here: bool) -> None:
    folder = str(Path.cwd()) if here else ""
    if here and folder not in sys.path:
        sys.path.append(folder)
    try:
        with restoring():
            importlib.import_module(module)
    except PoseMambaError as error:
        raise PoseMambaError(f"{title}: {error}") from error
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise PoseMambaError(f"{title}: cannot be imported ({error}): install what it needs") from error
        places = (
            "neither installed nor in the working folder"
            if here
            else "not installed; --plugin also looks in the working folder"
        )
        raise PoseMambaError(f"{title}: no module of this name: {places}") from error
    except Exception as error:  # whatever the user's code raises
        raise PoseMambaError(
            f"{title}: fails when it is imported ({type(error).__name__}: {error}): POSEMAMBA_DEBUG=1 shows where"
        ) from error


def load_installed() -> bool:
    """Import the installed plugins, if that was not done before; True if any was imported now.

    Raises:
        PoseMambaError: one of them fails.
    """
    global _looked
    if _looked:
        return False
    _looked = True
    from importlib.metadata import entry_points  # not for commands that know all names

    before = len(_loaded)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.value):
        if (module := point.value.partition(":")[0].strip()) not in _loaded:
            _import(module, f"installed plugin '{point.name}' ({module})", here=False)
            _loaded[module] = None
    return len(_loaded) > before


def loaded() -> list[str]:
    """Return the modules of the plugins that were imported."""
    return list(_loaded)


def told_of(names: object) -> str:
    """Return the words on plugins that a file names and that are not loaded; empty: there are none."""
    listed = names if isinstance(names, list) else []
    missing = [name for name in listed if isinstance(name, str) and _MODULE.fullmatch(name) and name not in _loaded]
    if not missing:
        return ""
    options = " ".join(f"--plugin {name}" for name in missing[:5])
    return f"; it was made with {options}, which is not loaded: give it if you trust that code"
