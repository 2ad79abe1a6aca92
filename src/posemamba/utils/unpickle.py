"""A safe reader of untrusted pickles: arrays, plain containers, numbers and strings, and nothing else.

An ordinary unpickler runs any code that the file names. This one has a short list of names, by which NumPy's arrays,
types and scalars are rebuilt (of all NumPy versions and of Python 2 and 3), and refuses other names before importing
them. The names map to the functions below and not to NumPy's own: a type is made from a short description alone, so a
file cannot make NumPy take bytes for pointers. Objects of other classes, structured types and persistent ids are
refused. A file can still ask for more memory than there is.
"""

from __future__ import annotations

import pickle
import re
import sys
import tokenize
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from posemamba.utils.errors import PoseMambaError


class _RefusedError(Exception):
    """An error for something in the file that is refused."""


class _Name:
    """The stand-in of an allowed name: the file may call it or pass it on, but not change it."""

    __slots__ = ("_does",)
    _does: Callable[..., Any]

    def __init__(self, does: Callable[..., Any]) -> None:
        object.__setattr__(self, "_does", does)

    def __setattr__(self, name: str, value: object) -> None:
        raise _RefusedError(f"to set '{name}' of a function")

    def __call__(self, *arguments: Any) -> Any:
        return self._does(*arguments)


@lru_cache(maxsize=1024)
def _numpy_type(text: str, order: str) -> np.dtype:
    if not re.fullmatch(r"[<>=|]?([?O]|[biufcSU]\d{1,9}|O[48])", text) or order not in "<>=|":
        raise _RefusedError(f"an array of type '{text}'")
    return np.dtype(text).newbyteorder(order)  # type: ignore[arg-type]


class _Type:
    """An unfinished dtype: NumPy gives its description first and its byte order afterwards."""

    __slots__ = ("dtype", "text")

    def __init__(self, text: object, *unused: object) -> None:
        self.text = text.decode("latin1") if isinstance(text, bytes) else str(text)
        self.dtype = _numpy_type(self.text, "|")

    def __setstate__(self, state: tuple) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else str(state[1])
        if any(part is not None for part in state[2:5]):
            raise _RefusedError("an array of a structured type")
        self.dtype = _numpy_type(self.text, order)


class _Array:
    """An unfinished array: its shape, type and bytes follow in the file."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: np.ndarray = np.empty(0, np.int8)

    def __setstate__(self, state: tuple) -> None:
        *_, shape, kind, fortran, data = state
        self.array = _array(data, kind, shape, "F" if fortran else "C")


def _array(data: Any, kind: object, shape: tuple, order: str) -> np.ndarray:
    """Make an array of bytes, or of a list of objects, after checking their number, as NumPy would trust the file."""
    if not isinstance(kind, _Type) or order not in ("C", "F"):
        raise _RefusedError("an array without a type or in an unknown order")
    count = 1
    for length in shape:
        if type(length) is not int or length < 0:
            raise ValueError(f"an array of shape {shape}")
        count *= length
    data = data.encode("latin1") if isinstance(data, str) else data  # Python 2's bytes
    if isinstance(data, list) != kind.dtype.hasobject:
        raise ValueError(f"an array of {kind.dtype} made of {type(data).__name__}")
    if isinstance(data, list):
        flat: np.ndarray = np.empty(len(data), object)
        for index, element in enumerate(data):
            flat[index] = element
    else:
        raw = memoryview(data).cast("B")
        if len(raw) != count * kind.dtype.itemsize:
            raise ValueError(f"an array of shape {shape} and type {kind.dtype} in {len(raw)} bytes")
        flat = np.frombuffer(raw, kind.dtype) if len(raw) else np.empty(count, kind.dtype)
        if kind.dtype.kind == "U" and len(raw):
            codes = flat.view(np.dtype("u4").newbyteorder(kind.dtype.byteorder))
            if codes.max() > 0x10FFFF:
                raise ValueError("text with invalid characters")
    return flat.reshape(shape, order=order)  # type: ignore[call-overload, no-any-return]


_NDARRAY = _Name(lambda *arguments: _refuse("numpy.ndarray as a function"))


def _refuse(what: str) -> Any:
    raise _RefusedError(what)


def _reconstruct(subtype: object, *unused: object) -> _Array:
    if subtype is not _NDARRAY:
        raise _RefusedError("an array of a class of its own")
    return _Array()


def _scalar(kind: _Type, data: Any = None) -> Any:
    if not isinstance(kind, _Type) or kind.dtype.hasobject:
        raise _RefusedError("a NumPy scalar that holds an object")
    if kind.dtype.kind == "U" and isinstance(data, bytes):  # a shortcut, as there may be millions of them
        return sys.intern(data.decode("utf-32-be" if kind.dtype.str[0] == ">" else "utf-32-le").rstrip("\0"))
    value = _array(b"" if data is None else data, kind, (), "C")[()]
    return str(value) if kind.dtype.kind == "U" else value


def _from_buffer(data: Any, kind: _Type, shape: tuple, order: str = "C", *unused: object) -> np.ndarray:
    return _array(data, kind, shape, order)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding.lower().replace("-", "") not in ("latin1", "ascii", "utf8"):
        raise _RefusedError(f"the text encoding '{encoding}'")
    return text.encode(encoding)


def _plain(kind: type) -> Callable[..., Any]:
    """Return the type, without numbers as its argument, which would allocate that many bytes."""

    def make(*arguments: Any) -> Any:
        if kind in (bytes, bytearray) and any(isinstance(a, int) for a in arguments):
            raise _RefusedError(f"'{kind.__name__}' of a length")
        return kind(*arguments)

    return make


_ALLOWED: dict[tuple[str, str], _Name] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Name(_Type),
    ("_codecs", "encode"): _Name(_encode),  # bytes, in Python 3's pickles for Python 2
    ("collections", "OrderedDict"): _Name(OrderedDict),
}
for _kind in (bytearray, bytes, complex, frozenset, list, set):
    for _core in ("builtins", "__builtin__"):  # Python 3's and 2's
        _ALLOWED[_core, _kind.__name__] = _Name(_plain(_kind))
for _core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _Name(_reconstruct)
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _Name(_scalar)
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _Name(_from_buffer)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"'{module}.{name}'")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: object) -> Any:
        raise _RefusedError("an object outside of the file")


_PLAIN = (str, bytes, int, float, bool, type(None))


def _finished(value: Any, seen: set[int]) -> Any:
    """Replace unfinished arrays and types by ordinary ones; lists and dicts are changed in place."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, _Type):
        return value.dtype
    if isinstance(value, _Name):
        raise _RefusedError("a function as a value")
    if isinstance(value, (tuple, frozenset)):
        return type(value)(_finished(v, seen) for v in value)
    if isinstance(value, _Array):
        array = value.array
        if array.dtype.hasobject and id(value) not in seen:
            seen.add(id(value))
            for index, element in np.ndenumerate(array):
                array[index] = _finished(element, seen)
        return array
    if isinstance(value, (list, dict)) and id(value) not in seen:
        seen.add(id(value))
        for key, element in list(value.items() if isinstance(value, dict) else enumerate(value)):
            if type(element) not in _PLAIN:
                value[key] = _finished(element, seen)
    return value


def _load(stream: IO[bytes], where: str) -> Any:
    try:
        return _finished(_Unpickler(stream, encoding="latin1").load(), set())
    except _RefusedError as error:
        raise PoseMambaError(
            f"{where}: the pickle asks for {_one_line(error)}, which is refused: only NumPy arrays, plain containers, "
            "numbers and strings are read, since anything else can run code; get the file again from its source"
        ) from None
    except (EOFError, zipfile.BadZipFile) as error:
        raise PoseMambaError(f"{where}: the file ends too early ({_one_line(error)}); copy it again") from None
    except pickle.UnpicklingError as error:
        if "truncated" in str(error):
            raise PoseMambaError(f"{where}: the file ends too early ({error}); copy it again") from None
        raise PoseMambaError(f"{where}: not a pickle, or damaged ({_one_line(error)}); copy it again") from None
    except OSError as error:
        raise PoseMambaError(f"{where}: not readable ({error.strerror or error})") from None
    except (
        ValueError,  # and others that a damaged pickle may raise
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        MemoryError,
        RecursionError,
        ImportError,
    ) as error:
        raise PoseMambaError(f"{where}: not a pickle, or damaged ({_one_line(error)}); copy it again") from None


def _one_line(error: BaseException) -> str:
    return " ".join(f"{error}".split())[:120] or type(error).__name__


def load_pickle(path: str | Path) -> Any:
    """Read a pickle of arrays, plain containers, numbers and strings. NumPy's strings come as str.

    Arrays are the file's bytes as they were read, without a copy, and may be read-only.

    Raises:
        PoseMambaError: the file is missing, not a pickle, cut short, or asks for something that is refused (named).
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            return _load(stream, str(path))
    except OSError as error:
        raise PoseMambaError(f"{path}: not readable ({error.strerror or error})") from None


_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    *(EOFError, ValueError, KeyError, RuntimeError, MemoryError),
)
"""The exceptions that zipfile, zlib and NumPy's reader of headers raise on a damaged npz."""


def load_npz_object(path: str | Path, key: str) -> Any:
    """Read the entry `key` of an npz, which may hold Python objects.

    An array without dimensions that holds one object gives that object, as ``numpy.load(...)[key].item()`` does.

    Raises:
        PoseMambaError: the file is missing, not an npz, cut short, without such an entry, or asks for something that
            is refused (named).
    """
    path = Path(path)
    where = f"{path} ['{key}']"
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if key not in names:
                there = ", ".join(name if name.isprintable() else repr(name) for name in names)
                raise PoseMambaError(f"{path}: has no entry '{key}', only {there or 'none'}")
            with archive.open(f"{key}.npy") as stream:
                version = np.lib.format.read_magic(stream)
                first = version == (1, 0)
                shape, _, dtype = getattr(np.lib.format, f"read_array_header_{1 if first else 2}_0")(stream)
                if not dtype.hasobject:
                    with archive.open(f"{key}.npy") as again:
                        return np.lib.format.read_array(again, allow_pickle=False)
                value = _load(stream, where)
    except OSError as error:
        raise PoseMambaError(f"{path}: not readable ({error.strerror or error})") from None
    except _DAMAGED as error:
        raise PoseMambaError(f"{where}: not an npz, or cut short ({_one_line(error)}); copy it again") from None
    if not isinstance(value, np.ndarray) or value.size != int(np.prod(shape)):
        raise PoseMambaError(f"{where}: not the array that its header describes; get the file again")
    return value.item() if shape == () else value.reshape(shape)
