"""Files written whole or not at all, and errors of writing reported in one line."""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import is_special

_JOURNAL = ".journal"
_UNFINISHED = ".unfinished."


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Report an `OSError` of the block as a `PoseMambaError` that names `path`.

    Raises:
        PoseMambaError: the block could not write.
    """
    try:
        yield
    except OSError as error:
        path = Path(path)
        if path.parent.name.startswith(_UNFINISHED):  # not there any more when the user reads this
            path = path.parent.parent / path.name
        raise PoseMambaError(f"{path}: cannot write there ({error.strerror or error}): name another place") from error


def make_folder(path: str | Path) -> Path:
    """Make a folder to write to if it is not there; call this before work whose result goes there.

    Raises:
        PoseMambaError: the folder cannot be made, or cannot be written to.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot be a folder ({error.strerror or error}): name another one") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise PoseMambaError(f"{path}: cannot write there (no permission): name another folder")
    return path


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix); rename it to `path` if the block does not raise.

    If the block raises, the temporary file is removed and an earlier file at `path` stays as it was. What a killed run
    left there is removed. An OSError that does not say of which file it tells, as on a full disk, gets `path` for its
    name.

    Raises:
        PoseMambaError: `path` is a pipe, socket or device.
    """
    path = Path(path)
    if is_special(path):
        raise PoseMambaError(f"{path}: is a pipe or device, which a file would replace: name a file")
    missing = [d for d in path.parents if not os.path.lexists(d)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path) as temporary:
            yield temporary
    except BaseException as error:
        _remove_empty(missing)
        if isinstance(error, OSError) and (error.filename is None or _UNFINISHED in str(error.filename)):
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error
        raise


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    suffix = path.suffix if len(os.fsencode(path.suffix)) < 40 else ""  # no format's
    prefix = f".{os.fsencode(path.stem)[:100].decode(sys.getfilesystemencoding(), 'ignore')}{_UNFINISHED}"
    for left in path.parent.glob(f"{glob.escape(prefix)}*{glob.escape(suffix)}"):
        with nobody_uses(left) as free:
            if free:
                left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=suffix)
    temporary = Path(name)
    if not _lock(handle):
        os.close(handle)
        handle = -1
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; results are ordinary files
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        if handle >= 0:
            os.close(handle)


@contextlib.contextmanager
def atomic_files(directory: str | Path, obsolete: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Yield an empty temporary folder inside `directory`; move its files to `directory` if the block does not raise.

    All files are exchanged together: a journal is written first, and a run that is killed between two of the moves is
    completed by the next (`finish_exchange`). If the block raises, earlier files in `directory` stay as they were, and
    folders made for it are removed again.

    Args:
        directory: gets the files; made if it is not there.
        obsolete: tells of an earlier file, of which there is no new one, whether it goes with the exchange.
    """
    directory = Path(directory)
    missing = [d for d in (directory, *directory.parents) if not os.path.lexists(d)]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        finish_exchange(directory)
        folder = Path(tempfile.mkdtemp(dir=directory, prefix=_UNFINISHED))
        with _held(folder):
            committed = False
            try:
                yield folder
                names = sorted(file.name for file in folder.iterdir())
                if taken := [name for name in names if (directory / name).is_dir()]:
                    raise PoseMambaError(
                        f"{directory / taken[0]}: is a folder, and a file of that name is to be written"
                    )
                going = []
                if obsolete is not None:
                    going = [f.name for f in directory.iterdir() if f.is_file() and f.name not in names and obsolete(f)]
                _write_journal(folder, names, going)
                committed = True
                _exchange(directory, folder)
            finally:
                if not committed or not (folder / _JOURNAL).exists():
                    shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        _remove_empty(missing)
        raise


def _remove_empty(folders: list[Path]) -> None:
    for made in folders:
        with contextlib.suppress(OSError):  # not made yet, or no longer empty
            made.rmdir()


def finish_exchange(directory: Path) -> None:
    """Complete the exchange of files that a killed run had begun in a folder, and remove what else it left there."""
    if not directory.is_dir():
        return
    for folder in directory.glob(f"{_UNFINISHED}*"):
        with nobody_uses(folder) as free:
            if not free or not folder.is_dir():
                continue
            if (folder / _JOURNAL).is_file():
                _exchange(directory, folder)
            shutil.rmtree(folder, ignore_errors=True)


def _write_journal(folder: Path, names: list[str], going: list[str]) -> None:
    with (folder / f"{_JOURNAL}.new").open("w", encoding="utf-8") as file:
        file.write(json.dumps({"moved": names, "removed": going}))
        file.flush()
        os.fsync(file.fileno())
    (folder / f"{_JOURNAL}.new").replace(folder / _JOURNAL)


def _exchange(directory: Path, folder: Path) -> None:
    """Move and remove the files that a folder's journal names; those that are moved already are not there."""
    try:
        journal = json.loads((folder / _JOURNAL).read_text(encoding="utf-8"))
        moved, removed = (list(map(str, journal[key])) for key in ("moved", "removed"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # not written by this program: nothing is to be completed
    if not all(_is_name(name) for name in (*moved, *removed)):
        return
    for name in moved:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).replace(directory / name)
    for name in removed:
        (directory / name).unlink(missing_ok=True)
    (folder / _JOURNAL).unlink(missing_ok=True)


def _is_name(name: str) -> bool:
    """Tell whether a text is the name of a file in a folder, and no path."""
    return name.isprintable() and Path(name).name == name and name not in ("", ".", "..") and len(name.encode()) < 256


def lock(handle: int) -> bool:
    """Lock an open file for this process, until it is closed; False: another one has it.

    Where the system has no such locks (Windows), True.
    """
    return os.name == "nt" or _lock(handle)


def _lock(handle: int) -> bool:
    """Lock an open file or folder for this process; False: another one has it, or there are no locks here."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder within the block, so that no other process takes it for a killed one's."""
    if os.name == "nt":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def nobody_uses(path: Path) -> Iterator[bool]:
    """Yield whether the process that made a temporary file or folder is gone."""
    if os.name == "nt":  # no locks: after a day
        with contextlib.suppress(OSError):
            yield time.time() - path.stat().st_mtime > 86_400
            return
        yield False
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        yield _lock(handle)
    finally:
        os.close(handle)
