"""Files written whole or not at all, and errors of writing reported in one line."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from posemamba.utils.errors import PoseMambaError


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Report an `OSError` of the block as a `PoseMambaError` that names `path`.

    Raises:
        PoseMambaError: the block could not write.
    """
    try:
        yield
    except OSError as error:
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

    If the block raises, the temporary file is removed and an earlier file at `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; results are ordinary files
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_files(directory: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder inside `directory`; move its files to `directory` if the block does not raise.

    If the block raises, earlier files in `directory` stay as they were, and folders made for it are removed again.
    """
    directory = Path(directory)
    missing = [d for d in (directory, *directory.parents) if not d.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=directory, prefix=".unfinished."))
        try:
            yield folder
            for file in sorted(folder.iterdir()):
                file.replace(directory / file.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        for made in missing:
            with contextlib.suppress(OSError):  # not made yet, or no longer empty
                made.rmdir()
        raise
