"""A keypoint file before its format is recognised: the kind of file, and its JSON, read once."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError

Kind = Literal["folder", "npz", "json", "csv", "npy", "pickle", "hdf5", "other"]

LARGEST_GAP = 100_000  # frames: a larger gap is a broken frame number
LARGEST_IMAGE = 1_000_000  # pixels on a side: a larger image is a broken number


@dataclass
class Source:
    """A keypoint file or folder.

    Attributes:
        path: its path.
        head: the first bytes; empty for a folder.
    """

    path: Path
    head: bytes

    @classmethod
    def open(cls, path: Path, expected: str) -> Source:
        """Read the first bytes of a file.

        Args:
            path: the file or folder.
            expected: the formats that can be read, for the error.

        Raises:
            PoseMambaError: the file is missing, not readable or empty.
        """
        if path.is_dir():
            return cls(path, b"")
        try:
            with path.open("rb") as file:
                head = file.read(4096)
        except FileNotFoundError:
            raise PoseMambaError(f"{path}: no such file") from None
        except OSError as error:
            raise PoseMambaError(f"{path}: cannot be read ({error.strerror})") from error
        if not head:
            raise PoseMambaError(f"{path}: the file is empty (0 bytes), expected keypoints ({expected})")
        return cls(path, head)

    @property
    def kind(self) -> Kind:
        """The kind of file, by its content and not its name."""
        if not self.head:
            return "folder"
        if self.head.startswith(b"PK"):
            return "npz"
        if self.head.startswith(b"\x93NUMPY"):
            return "npy"
        if self.head.startswith(b"\x80"):
            return "pickle"
        if self.head.startswith(b"\x89HDF\r\n\x1a\n"):
            return "hdf5"
        text = self.head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if text[:1] in (b"[", b"{"):
            return "json"
        line = text.splitlines()[0] if text else b""
        if text.startswith(b"scorer"):  # DeepLabCut's, with any number of columns
            return "csv"
        if b"\0" not in self.head and any(line.count(mark) >= 3 for mark in (b",", b";", b"\t")):
            return "csv"
        return "other"

    @cached_property
    def names(self) -> list[str]:
        """The names of an npz's arrays; none if it is damaged."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                return [name.removesuffix(".npy") for name in archive.namelist()]
        except (zipfile.BadZipFile, OSError, NotImplementedError):
            return []

    @cached_property
    def json(self) -> Any:
        """The file's content as JSON.

        Raises:
            PoseMambaError: it is not JSON, or cut short.
        """
        return load_json(self.path)


def load_json(path: Path) -> Any:
    """Read a JSON file; several JSON values, one a line, become a list.

    Raises:
        PoseMambaError: the file is not readable, not JSON, or cut short.
    """
    text = ""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return json.loads(text)
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise PoseMambaError(f"{path}: not JSON text (not UTF-8); write it again") from None
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and (lines := _lines(text)) is not None:
            return lines
        raise PoseMambaError(
            f"{path}: not JSON, or cut short (line {error.lineno}, column {error.colno}: {error.msg}); "
            "copy or write it again"
        ) from None
    except RecursionError:
        raise PoseMambaError(f"{path}: JSON nested too deeply for keypoints") from None
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise PoseMambaError(f"{path}: JSON with a number of thousands of digits, expected keypoints") from None


def _lines(text: str) -> list[Any] | None:
    """Return the JSON values of a text that has one a line; None if any line is none."""
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return None


def listed(names: Iterable[str]) -> str:
    """Join a file's own names for a message of one line; those that would break it are quoted."""
    return ", ".join(name if name.isprintable() else repr(name) for name in names)


def describe(value: Any) -> str:
    """Describe a JSON value for a message."""
    if isinstance(value, dict):
        return "an object of " + (", ".join(map(repr, list(value)[:8])) or "nothing")
    return {list: "a list", str: "text", type(None): "null", bool: "true or false"}.get(type(value), "a number")


def numbers(where: str, name: str, values: Any) -> NDArray[np.float64]:
    """Convert a list of numbers to an array; null becomes NaN.

    Args:
        where, name: the place and the name of the list, for the error.
        values: the list.

    Raises:
        PoseMambaError: the list is ragged, or holds other things than numbers.
    """
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise PoseMambaError(f"{where}: '{name}' is not a regular list of numbers") from None


def number(value: Any) -> float | None:
    """Convert a number of a file to float; None for anything else, True and False among them."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    try:
        return float(value)
    except (TypeError, OverflowError):  # a complex number, or an integer of hundreds of digits
        return None


def pixels(width: Any, height: Any) -> tuple[int, int] | None:
    """Round an image's width and height; None unless both are positive numbers of a size that images have."""
    sizes = [number(width), number(height)]
    found = [round(size) for size in sizes if size is not None and 0.5 < size < LARGEST_IMAGE]
    return (found[0], found[1]) if len(found) == 2 else None


def triples(where: str, name: str, values: Any) -> NDArray[np.float64]:
    """Convert [x, y, confidence, x, y, confidence, ...] to (J, 3), with finite x and y.

    Args:
        where, name: the place and the name of the list, for the error.
        values: the list.

    Raises:
        PoseMambaError: the list is of another form, or a coordinate is infinite.
    """
    flat = numbers(where, name, values)
    if flat.ndim != 1 or len(flat) % 3 or not len(flat):
        raise PoseMambaError(
            f"{where}: '{name}' has shape {flat.shape}, expected x, y and confidence of each joint in one list"
        )
    joints = flat.reshape(-1, 3)
    check_finite(where, joints[:, :2])
    return joints


def check_finite(where: str, xy: NDArray[np.float64]) -> None:
    """Reject infinite coordinates, (J, 2), which the tracker cannot take.

    Raises:
        PoseMambaError: a joint is infinite.
    """
    if np.isinf(xy).any():
        joint = int(np.argwhere(np.isinf(xy))[0, 0])
        raise PoseMambaError(f"{where}: joint {joint} is infinite, {xy[joint].tolist()}; expected pixels")


def check_frames(path: Path, frames: dict[int, Any]) -> tuple[int, int]:
    """Return the first and last frame number.

    Raises:
        PoseMambaError: there are no frames, or numbers that no video has.
    """
    if not frames:
        raise PoseMambaError(f"{path}: holds zero frames, expected at least one")
    first, last = min(frames), max(frames)
    if last - first > LARGEST_GAP + 10 * len(frames):
        raise PoseMambaError(
            f"{path}: {len(frames)} frames numbered {first} to {last}, expected 0, 1, 2, ...: correct them"
        )
    return first, last
