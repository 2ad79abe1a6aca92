"""Compiled kernels of Numba kept on disk, where that is possible: no state of the cache makes a kernel fail.

Numba's own cache raises where no folder can be written, where the disk is full and where a file is damaged; and changed
bytes of machine code would run. Here a file carries its checksum, a damaged one is dropped and made again, and without
a folder the kernels are compiled at each start.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile

from posemamba.ops.runtime import compiling_now
from posemamba.utils.background import unwanted

_DIGEST = 32  # bytes of SHA-256


class _Files(IndexDataCacheFile):  # type: ignore[misc]
    """Numba's files of one kernel, whose data begin with their checksum."""

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
            raise ValueError("damaged")
        return pickle.loads(content[_DIGEST:])

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(content).digest() + content)


class _Places(CompileResultCacheImpl):  # type: ignore[misc]
    """Numba's choice of a folder, without the user's where nothing says where that is: it would be made right here."""

    def __init__(self, function: Any) -> None:
        named = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~"))
        if sys.platform != "win32" and not os.path.isabs(named):
            kept = [kind for kind in self._locator_classes if "UserWide" not in kind.__name__]
            self._locator_classes = kept
        super().__init__(function)


class KernelCache(FunctionCache):  # type: ignore[misc]
    """A cache on disk that loses what it cannot read or write, with the digest of further sources in its key.

    Args:
        function: the kernel.
        digest: of all code that the kernel contains besides its own file.

    Raises:
        RuntimeError: there is no folder for it.
    """

    _impl_class = _Places

    def __init__(self, function: Any, digest: bytes) -> None:
        super().__init__(function)
        self._digest = digest
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, stamp)

    def _index_key(self, *args: Any) -> tuple[Any, ...]:
        return (*super()._index_key(*args), self._digest)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # whatever damaged bytes raise
            self._drop()
            found = None
        if found is None:
            if unwanted():
                raise SystemExit  # the process ends: it would wait for the compiler
            compiling_now.begin(self)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        compiling_now.end(self)
        try:
            super().save_overload(sig, data)
        except Exception:  # the disk is full, or the index damaged
            self._drop()

    def _drop(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._cache_file._index_path)


_told = False


def kept(compiled: Any, digest: bytes = b"") -> Any:
    """Give a function of `numba.njit` a cache on disk, or none where no folder can be written; warns of that once.

    Args:
        compiled: the function, not called yet.
        digest: of all code that it contains besides its own file.
    """
    global _told
    try:
        compiled._cache = KernelCache(compiled.py_func, digest)
    except Exception as error:
        if not _told:
            _told = True
            reason = "" if isinstance(error, RuntimeError) else f" ({type(error).__name__}: {error})"
            warnings.warn(
                f"kernels are compiled at every start, as no folder can keep them{reason}: "
                "name one that can be written by NUMBA_CACHE_DIR",
                stacklevel=2,
            )
    return compiled


def folder_of(compiled: Any) -> str | None:
    """Return the folder that keeps a function of `numba.njit`; None: it is compiled at each start."""
    return compiled._cache.cache_path  # type: ignore[no-any-return]
