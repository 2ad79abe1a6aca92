"""Files at addresses such as ``s3://bucket/clip.mp4``, through fsspec: listed, copied here, and results copied there.

An address is kept in a `Path`, as the command line has it, whose slashes are put right when it is used.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from posemamba.io.inputs import KEYPOINT_SUFFIXES, TABLES, VIDEO_SUFFIXES, Kind
from posemamba.io.keypoints.detected import FILE as KEYPOINTS
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.reading import cause

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)  # two letters: one is a drive

_LOCAL = ("file", "local")
"""Protocols whose addresses have no host, but a path from the root on."""


def address_of(path: str | Path) -> str | None:
    """Return the address that a path stands for; None: it is a path of this machine."""
    text = str(path).replace("\\", "/")
    found = _ADDRESS.fullmatch(text)
    if found is None or os.path.lexists(path):
        return None
    return f"{found[1]}:{'///' if found[1] in _LOCAL else '//'}{found[2]}"


def join(address: str, *names: str) -> str:
    """Return the address of something in a folder."""
    return "/".join([address.rstrip("/"), *names])


def _system(address: str) -> tuple[Any, str]:
    """Return fsspec's file system of an address, and the path in it.

    Raises:
        PoseMambaError: a package is missing, or there is no such protocol.
    """
    fsspec = require("fsspec", "cluster")
    try:
        found = fsspec.core.url_to_fs(address)
    except (ValueError, ImportError) as error:
        raise PoseMambaError(
            f"{address}: cannot be opened ({cause(error)}): expected a path, or an address of fsspec's such as "
            "s3://bucket/folder with the package that it names installed"
        ) from error
    return found[0], found[1]


@contextlib.contextmanager
def _reaching(address: str, what: str) -> Iterator[None]:
    """Report whatever a file system raises as an error that names the address."""
    try:
        yield
    except PoseMambaError:
        raise
    except FileNotFoundError as error:
        raise PoseMambaError(f"{address}: no such file or folder") from error
    except Exception as error:  # those of each service's own package
        raise PoseMambaError(f"{address}: {what} ({cause(error)}): look at the address and at your rights") from error


def list_inputs(address: str) -> list[tuple[str, Kind]]:
    """List the videos and keypoint files at an address: a file, a folder of them, or a pattern with ``*``.

    Raises:
        PoseMambaError: there is nothing to lift, or it cannot be reached.
    """
    system, path = _system(address)
    with _reaching(address, "cannot be listed"):
        if any(sign in path for sign in "*?["):
            found = [name for name in system.glob(path) if not system.isdir(name)]
        elif system.isdir(path):
            found = [str(each["name"]) for each in system.ls(path, detail=True) if each["type"] == "file"]
            found = [name for name in found if _is_input(name)]
        else:
            system.info(path)
            return [(address, _kind(address))]
    if not found:
        raise PoseMambaError(f"{address}: holds no videos and no keypoint files; folders in it are not searched")
    return [(_address(system, name), _kind(name)) for name in sorted(found)]


def _address(system: Any, name: str) -> str:
    address = str(system.unstrip_protocol(name))
    return address_of(address) or address


def _is_input(name: str) -> bool:
    last = name.rsplit("/", 1)[-1]
    return last.lower().endswith((*VIDEO_SUFFIXES, *KEYPOINT_SUFFIXES)) and last not in TABLES and last[0] != "."


def _kind(name: str) -> Kind:
    return "keypoints" if name.lower().endswith(KEYPOINT_SUFFIXES) else "video"


def stand_in(address: str, folder: Path) -> Path:
    """Make a file of the name, size and time of one at an address, and of no content that takes room: for its digest.

    Raises:
        PoseMambaError: there is none, or it cannot be reached.
    """
    system, path = _system(address)
    with _reaching(address, "cannot be reached"):
        size = int(system.info(path)["size"])
        local = folder / path.rstrip("/").rsplit("/", 1)[-1]
        with local.open("wb") as file:
            file.truncate(size)
        _set_time(system, path, local)
    return local


def fetch(address: str, local: Path) -> None:
    """Copy a file here, with its time of change.

    Raises:
        PoseMambaError: it cannot be read, or the disk is full.
    """
    system, path = _system(address)
    with _reaching(address, "cannot be read"):
        local.unlink(missing_ok=True)  # a stand-in
        system.get_file(path, str(local))
        _set_time(system, path, local)


def _set_time(system: Any, path: str, local: Path) -> None:
    """Give a copy the time at which its original was changed: it is a part of the digest; where there is none, 0."""
    try:
        time = system.modified(path)
    except Exception:  # systems without times raise different things
        time = None
    seconds = 0.0
    if isinstance(time, datetime.datetime):
        seconds = (time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)).timestamp()
    nanoseconds = round(seconds * 1e6) * 1000
    os.utime(local, ns=(nanoseconds, nanoseconds))


class RemoteFolder:
    """The folder of one input's results at an address, and a folder here in which they are made.

    Args:
        address: the folder there.
        local: an empty folder here.
    """

    def __init__(self, address: str, local: Path) -> None:
        self.address, self.local = address, local
        self._there: set[str] = set()

    def look(self, kept: Iterable[str] = (KEYPOINTS, "people.jpg")) -> None:
        """Copy here what tells whether the results are there, and the joints; of other files make empty ones.

        Raises:
            PoseMambaError: the address cannot be reached.
        """
        system, path = _system(self.address)
        self.local.mkdir(parents=True, exist_ok=True)
        with _reaching(self.address, "cannot be reached"):
            try:
                self._there = {str(name).rsplit("/", 1)[-1] for name in system.ls(path, detail=False)}
            except FileNotFoundError:
                self._there = set()
            for name in self._there:
                if name in kept or re.fullmatch(r"poses(_\d+)?\.npz", name):
                    system.get_file(f"{path.rstrip('/')}/{name}", str(self.local / name))
                else:
                    (self.local / name).touch()

    def forget_results(self) -> None:
        """Remove from here what is to be made anew, so that it is not taken for a result of this run."""
        for file in self.local.iterdir():
            if file.is_file() and file.name not in (KEYPOINTS, "people.jpg"):
                file.unlink()

    def send(self, obsolete: Callable[[str], bool]) -> None:
        """Copy the results there, the poses last, so that a run that is killed leaves none that look whole.

        Args:
            obsolete: tells of a name whether that file goes where there is no new one.

        Raises:
            PoseMambaError: they cannot be written.
        """
        system, path = _system(self.address)
        names = sorted(file.name for file in self.local.iterdir() if file.is_file())
        poses = [name for name in names if re.fullmatch(r"poses(_\d+)?\.npz", name)]
        with _reaching(self.address, "cannot be written"):
            system.makedirs(path, exist_ok=True)
            going = [name for name in self._there if (name in poses or name not in names) and obsolete(name)]
            for name in sorted(going, key=lambda name: name.endswith(".npz"), reverse=True):
                system.rm_file(f"{path.rstrip('/')}/{name}")
            for name in [*(name for name in names if name not in poses), *poses]:
                system.put_file(str(self.local / name), f"{path.rstrip('/')}/{name}")
        shutil.rmtree(self.local, ignore_errors=True)


def check_writable(address: str) -> None:
    """Write a small file at an address and remove it again.

    Raises:
        PoseMambaError: nothing can be written there.
    """
    system, path = _system(address)
    with _reaching(address, "cannot be written"):
        system.makedirs(path, exist_ok=True)
        system.pipe_file(f"{path.rstrip('/')}/.posemamba", b"")
        system.rm_file(f"{path.rstrip('/')}/.posemamba")


def read_bytes(address: str) -> bytes | None:
    """Return a file's content; None: there is no such file.

    Raises:
        PoseMambaError: the address cannot be reached.
    """
    system, path = _system(address)
    with _reaching(address, "cannot be read"):
        return bytes(system.cat_file(path)) if system.exists(path) else None


def send_file(local: Path, address: str) -> None:
    """Copy a file to an address.

    Raises:
        PoseMambaError: it cannot be written.
    """
    system, path = _system(address)
    with _reaching(address, "cannot be written"):
        system.put_file(str(local), path)


def remove_file(address: str) -> None:
    """Remove a file, if it is there.

    Raises:
        PoseMambaError: it cannot be removed.
    """
    system, path = _system(address)
    with _reaching(address, "cannot be written"):
        if system.exists(path):
            system.rm_file(path)
