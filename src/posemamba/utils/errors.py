"""Errors that the user can fix: one clear line, no traceback, exit code 2 on the command line."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONGEST = 2000  # characters of a message: names in a damaged file may be longer than all else


class PoseMambaError(Exception):
    """An error in the user's input, files or installation.

    The message is one line: it names the file or option, what was found, what was expected and what to do. Control
    characters of a name or text that a file holds become spaces, what is no Unicode is escaped, and the middle of an
    overlong message is left out, so that one line it stays, on every terminal.
    """

    def __init__(self, message: object) -> None:
        text = one_line(str(message))
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
        super().__init__(text)


def one_line(text: str) -> str:
    """Return a text as one line of valid Unicode: control characters become spaces, lone surrogates are escaped."""
    return _CONTROL.sub(" ", text).encode("utf-8", "backslashreplace").decode()


EXTRAS = {
    "video": (
        "av>=17.1",
        "pillow>=12.3; python_version < '3.11'",
        "pillow>=13; python_version >= '3.11'",
        "ai-edge-litert>=2.1.2",
    ),
    "rtmpose": ("rtmlib>=0.0.16", "onnxruntime>=1.17"),
    "train": ("lightning>=2.4,!=2.6.2,!=2.6.3", "tensorboard>=2.15"),
    "plot": ("matplotlib>=3.8",),
    "hdf5": ("h5py>=3.10",),
    "onnx": ("onnx>=1.15", "onnxruntime>=1.17"),
    "hub": ("huggingface_hub>=0.23",),
    "cluster": ("ray[data]>=2.40", "fsspec>=2023.10"),
    "osc": ("python-osc>=1.8",),
    "app": ("starlette>=1.0", "uvicorn>=0.34", "websockets>=14"),
}
"""The packages of each extra, as in pyproject.toml; `rtmpose` needs those of `video`, too."""

_WHEELS = {
    "ai_edge_litert": "it has wheels for Python 3.10 to 3.14 on Linux (x86-64, arm64), macOS (arm64) and Windows "
    "(x86-64); elsewhere give keypoint files of another detector",
}
"""The places where a module can be installed, for those that cannot be everywhere."""


def install_command(extra: str) -> str:
    """Return the command that installs an extra's packages where this Python looks for them.

    It names the packages themselves, so that it works whether this package came from a folder, an address or an index.
    """
    here = Path(sys.executable or "python")
    pip = shutil.which("pip")
    if pip is not None and here.is_absolute() and Path(pip).parent == here.parent:
        start = "pip"
    else:
        start = f'"{here}" -m pip' if " " in str(here) else f"{here} -m pip"
    return f"{start} install " + " ".join(f'"{p.partition(";")[0]}"' for p in EXTRAS[extra] if _applies(p))


def _applies(package: str) -> bool:
    """Tell whether a requirement is one of this Python's release."""
    found = re.search(r"python_version (<|>=) '3\.(\d+)'", package)
    return found is None or (sys.version_info < (3, int(found[2]))) == (found[1] == "<")


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: the module's name.
        extra: the extra of this package that installs it, for the error.

    Raises:
        PoseMambaError: the module is not installed, or does not load.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        where = _WHEELS.get(module.partition(".")[0])
        raise PoseMambaError(
            f"this needs the Python package '{module}', which did not import ({error}): {install_command(extra)}"
            + (f" ({where})" if where else "")
        ) from error
