"""A safe reader of untrusted pickles: arrays, plain containers, numbers and strings, and nothing else.

An ordinary unpickler runs any code that the file names. This one has a short list of names, by which NumPy's arrays,
types and scalars are rebuilt (of all NumPy versions and of Python 2 and 3), and refuses other names before importing
them. The names map to the functions below and not to NumPy's own: a type is made from a short description alone, so a
file cannot make NumPy take bytes for pointers. Objects of other classes, structured types and persistent ids are
refused, and so is what grows when it is read: tuples of tuples that share parts, packed pickles of a thousand times
their size.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from posemamba.utils.archives import check_size, read_header, room_of
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import cause, reading

_SMALL = 4 << 20
"""Bytes of a pickle that is read by Python's own slower reader, which knows how large tuples become."""
_ROOM, _RATIO = 2 << 20, 8
"""Bytes of a packed pickle: so many, and so many for each byte of its file; arrays of real clips take 1 to 3."""
_MOST, _SHARED = 2_000_000, 4
"""Values of all containers, written out: so many, and so many for each that is there."""


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
    if count and not kind.dtype.itemsize:
        raise ValueError(f"an array of shape {shape} and type {kind.dtype}")
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


class _Allowed:
    """The names and objects that a file may ask for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"'{module}.{name}'")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: object) -> Any:
        raise _RefusedError("an object outside of the file")


class _Unpickler(_Allowed, pickle.Unpickler):
    pass


class _Stream(io.BytesIO):
    """A pickle in memory whose end in the middle of a line is an error."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n"):
            raise EOFError("in the middle of a name")
        return line


class _SlowUnpickler(_Allowed, pickle._Unpickler):  # type: ignore[misc, name-defined]
    """An unpickler that refuses tuples of tuples whose hash, as a key of a dictionary, would take for ever."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._weights: dict[int, tuple[int, object]] = {}

    def _weighed(self) -> None:
        made = self.stack[-1]  # type: ignore[attr-defined]
        weight = 1 + sum(self._weights.get(id(part), (1, None))[0] for part in made)
        if weight > _MOST:
            raise _RefusedError("tuples of tuples that share parts, millions in all")
        self._weights[id(made)] = weight, made  # kept, so that no other object gets its number


def _after(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def then(self: Any) -> None:
        load(self)
        self._weighed()

    return then


for _code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
    _SlowUnpickler.dispatch[_code[0]] = _after(_SlowUnpickler.dispatch[_code[0]])


def _check_extent(value: Any) -> None:
    """Refuse what is small in memory, as parts are shared, and endless when it is written out.

    Raises:
        _RefusedError: it is, or contains itself.
    """
    extents: dict[int, int] = {}
    there = 0

    def extent(value: Any) -> int:
        nonlocal there
        if type(value) in _PLAIN or not isinstance(value, (tuple, list, dict, set, frozenset, _Array)):
            return 1
        if id(value) in extents:
            if extents[id(value)] < 0:
                raise _RefusedError("a list that contains itself")
            return extents[id(value)]
        extents[id(value)] = -1
        parts: Any = value
        if isinstance(value, _Array):
            parts = value.array.ravel().tolist() if value.array.dtype.hasobject else ()
        elif isinstance(value, dict):
            parts = [part for pair in value.items() for part in pair]
        total = 1 + len(parts) + sum(extent(part) for part in parts if type(part) not in _PLAIN)
        there += 1 + len(parts)
        extents[id(value)] = total
        return total

    if extent(value) > _MOST + _SHARED * there:
        raise _RefusedError("lists of lists that share parts, millions in all")


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


def _load(stream: IO[bytes], where: str, size: int) -> Any:
    """Read a pickle of `size` bytes."""
    kind = _SlowUnpickler if size <= _SMALL else _Unpickler
    if size <= _SMALL:
        stream = _Stream(stream.read())
    try:
        value = kind(stream, encoding="latin1").load()
        _check_extent(value)
        return _finished(value, set())
    except _RefusedError as error:
        raise PoseMambaError(
            f"{where}: the pickle asks for {_one_line(error)}, which is refused: only NumPy arrays, plain containers, "
            "numbers and strings are read, since anything else can run code; get the file again from its source"
        ) from None
    except (EOFError, zipfile.BadZipFile) as error:
        raise PoseMambaError(f"{where}: the file ends too early ({_one_line(error)}); copy it again") from None
    except pickle.UnpicklingError as error:
        if "truncated" in str(error) or "exhausted" in str(error):
            raise PoseMambaError(f"{where}: the file ends too early ({error}); copy it again") from None
        raise PoseMambaError(f"{where}: not a pickle, or damaged ({_one_line(error)}); copy it again") from None
    except OSError as error:
        raise PoseMambaError(f"{where}: not readable ({error.strerror or error})") from None
    except Exception as error:  # a damaged pickle raises anything
        raise PoseMambaError(f"{where}: not a pickle, or damaged ({cause(error)}); copy it again") from error


def _one_line(error: BaseException) -> str:
    return " ".join(f"{error}".split())[:120] or type(error).__name__


def load_pickle(path: str | Path) -> Any:
    """Read a pickle of arrays, plain containers, numbers and strings. NumPy's strings come as str.

    Arrays are the file's bytes as they were read, without a copy, and may be read-only.

    Raises:
        PoseMambaError: the file is missing, not a pickle, cut short, or asks for something that is refused (named).
    """
    path = Path(path)
    with reading(path, "a pickle"), path.open("rb") as stream:
        return _load(stream, str(path), path.stat().st_size)


def load_npz_object(path: str | Path, key: str) -> Any:
    """Read the entry `key` of an npz, which may hold Python objects.

    An array without dimensions that holds one object gives that object, as ``numpy.load(...)[key].item()`` does.

    Raises:
        PoseMambaError: the file is missing, not an npz, cut short, without such an entry, or asks for something that
            is refused (named).
    """
    path = Path(path)
    where = f"{path} ['{key}']"
    with reading(where, "an entry of an npz file"), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if key not in names:
            there = ", ".join(name if name.isprintable() else repr(name) for name in names)
            raise PoseMambaError(f"{path}: has no entry '{key}', only {there or 'none'}")
        entry = archive.getinfo(f"{key}.npy")
        with archive.open(entry) as stream:
            shape, dtype = read_header(stream)
            if not dtype.hasobject:
                check_size(where, shape, dtype, room_of(path))
                with archive.open(entry) as again:
                    return np.lib.format.read_array(again, allow_pickle=False)
            if entry.file_size > room_of(path, _ROOM, _RATIO):
                raise PoseMambaError(
                    f"{where}: unpacks to {entry.file_size:,} bytes, more than a file of its size holds: damaged, or "
                    "made to fill the memory; get the file again"
                )
            value = _load(stream, where, entry.file_size)
        if not isinstance(value, np.ndarray) or value.size != math.prod(shape):
            raise PoseMambaError(f"{where}: not the array that its header describes; get the file again")
        return value.item() if shape == () else value.reshape(shape)
