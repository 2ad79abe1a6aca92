"""Errors of the surroundings in one line: full disks, permissions, limits, memory, names that cannot be used."""

from __future__ import annotations

import errno
import os
import sys

from posemamba.utils.errors import one_line

_ADVICE = {
    errno.ENOSPC: "make room, or name another place",
    errno.EDQUOT: "make room, or name another place",
    errno.EFBIG: "allow larger files (ulimit -f), or name another place",
    errno.EROFS: "name another place",
    errno.EACCES: "change the permission, or name another place",
    errno.EPERM: "change the permission, or name another place",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "give the file that the links should lead to",
    errno.EMFILE: "allow more open files (ulimit -n 1024)",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "close what else takes memory, or allow more (ulimit -v)",
    errno.EAGAIN: "close other programs, or allow more processes (ulimit -u) and memory (ulimit -v)",
}
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
_OF_MEMORY = ("failed to map segment", "cannot allocate memory", "bad_alloc", "memory exhausted")


def explain(error: BaseException) -> str | None:
    """Return the line that says what the surroundings lack and what to do; None: it is another kind of error."""
    if isinstance(error, OSError) and (line := _of_system(error)) is not None:
        return line
    if _out_of_memory(error):
        said, on_gpu = str(error).strip().splitlines(), "cuda" in str(error).lower()
        advice = "use --device cpu, or close" if on_gpu else "close"
        return f"memory ran out ({said[0][:120] if said else 'no more'}): {advice} what else takes it"
    text = str(error)
    if isinstance(error, RuntimeError) and "start new thread" in text:
        return f"no further thread can be started: {_ADVICE[errno.EAGAIN]}"
    if isinstance(error, RuntimeError) and "home directory" in text:
        return "the home folder is not known: set HOME"
    if isinstance(error, RuntimeError) and text.startswith("Symlink loop"):  # of Path.resolve, until Python 3.12
        return f"{one_line(text)}: {_ADVICE[errno.ELOOP]}"
    if isinstance(error, ValueError) and "embedded null" in text:
        return "a name of a file holds a NUL character, which no file's has"
    if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding() != "utf-8":
        return f"a name holds characters that are not in this locale's {error.encoding}: set PYTHONUTF8=1"
    if error.__cause__ is not None or error.__context__ is not None:  # packages put their own errors around these
        inner = error.__cause__ or error.__context__
        if isinstance(inner, OSError) and inner.errno in _LIMITS and not isinstance(error, OSError):
            return explain(inner)
    return _of_loading(text) if isinstance(error, ImportError) else None


def _of_system(error: OSError) -> str | None:
    said = error.strerror or str(error)
    if "usable temporary directory" in said:
        return "there is no folder for temporary files that can be written: set TMPDIR to one"
    advice = _ADVICE.get(error.errno or 0)
    end = f": {advice}" if advice else ""
    if error.filename is not None:
        name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
        return f"{one_line(name)}: {said}{end}"
    return f"{said}{end}" if error.errno in _LIMITS else None


def _of_loading(text: str) -> str | None:
    """Explain why native code of a package does not load."""
    low = text.lower()
    if "too many open files" in low:
        return f"too many open files: {_ADVICE[errno.EMFILE]}"
    if any(words in low for words in _OF_MEMORY):
        return f"memory ran out ({one_line(text)[:120]}): {_ADVICE[errno.ENOMEM]}"
    return None


def _out_of_memory(error: BaseException) -> bool:
    device = sys.modules.get("posemamba.ops.runtime.device")  # PyTorch takes two seconds
    if device is None or not isinstance(error, Exception):
        return isinstance(error, MemoryError)
    return bool(device.is_out_of_memory(error))
