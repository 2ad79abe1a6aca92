"""A keypoint file before its format is known: what kind of file it is, and its JSON read once."""

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

Kind = Literal["folder", "npz", "json", "csv", "npy", "pickle", "other"]

LARGEST_GAP = 100_000  # frames; more is no video but a broken number
LARGEST_IMAGE = 1_000_000  # pixels on a side; more is no image but a broken number


@dataclass
class Source:
    """A file or folder.

    Attributes:
        path: where it is.
        head: the first bytes; empty for a folder.
    """

    path: Path
    head: bytes

    @classmethod
    def open(cls, path: Path, expected: str) -> Source:
        """Look at the first bytes.

        Raises:
            PoseMambaError: not there, not readable or empty; `expected` says what would be read.
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
        """By the content, not the name."""
        if not self.head:
            return "folder"
        if self.head.startswith(b"PK"):
            return "npz"
        if self.head.startswith(b"\x93NUMPY"):
            return "npy"
        if self.head.startswith(b"\x80"):
            return "pickle"
        text = self.head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if text[:1] in (b"[", b"{"):
            return "json"
        line = text.splitlines()[0] if text else b""
        if text.startswith(b"scorer"):  # DeepLabCut's, however few columns
            return "csv"
        if b"\0" not in self.head and any(line.count(mark) >= 3 for mark in (b",", b";", b"\t")):
            return "csv"
        return "other"

    @cached_property
    def names(self) -> list[str]:
        """The arrays of an npz; none if it is damaged."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                return [name.removesuffix(".npy") for name in archive.namelist()]
        except (zipfile.BadZipFile, OSError, NotImplementedError):
            return []

    @cached_property
    def json(self) -> Any:
        """The whole content.

        Raises:
            PoseMambaError: not JSON, or cut short.
        """
        return load_json(self.path)


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        PoseMambaError: not readable, not JSON, or cut short.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise PoseMambaError(f"{path}: not JSON text (not UTF-8); write it again") from None
    except json.JSONDecodeError as error:
        raise PoseMambaError(
            f"{path}: not JSON, or cut short (line {error.lineno}, column {error.colno}: {error.msg}); "
            "copy or write it again"
        ) from None
    except RecursionError:
        raise PoseMambaError(f"{path}: JSON nested too deeply for keypoints") from None
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise PoseMambaError(f"{path}: JSON with a number of thousands of digits, expected keypoints") from None


def listed(names: Iterable[str]) -> str:
    """Join a file's own names for a message of one line; those that would break it are quoted."""
    return ", ".join(name if name.isprintable() else repr(name) for name in names)


def describe(value: Any) -> str:
    """What a JSON value is, for a message."""
    if isinstance(value, dict):
        return "an object of " + (", ".join(map(repr, list(value)[:8])) or "nothing")
    return {list: "a list", str: "text", type(None): "null", bool: "true or false"}.get(type(value), "a number")


def numbers(where: str, name: str, values: Any) -> NDArray[np.float64]:
    """A list of numbers as an array; null becomes NaN.

    Raises:
        PoseMambaError: ragged, or other things than numbers.
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
    """[x, y, confidence, x, y, confidence, ...] as (J, 3), checked to be finite.

    Raises:
        PoseMambaError: not that.
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
    """Refuse infinite coordinates (J, 2): they would end the tracker.

    Raises:
        PoseMambaError: a joint is infinite.
    """
    if np.isinf(xy).any():
        joint = int(np.argwhere(np.isinf(xy))[0, 0])
        raise PoseMambaError(f"{where}: joint {joint} is infinite, {xy[joint].tolist()}; expected pixels")


def check_frames(path: Path, frames: dict[int, Any]) -> tuple[int, int]:
    """The first and last frame number.

    Raises:
        PoseMambaError: no frames, or numbers that cannot be those of a video.
    """
    if not frames:
        raise PoseMambaError(f"{path}: holds zero frames, expected at least one")
    first, last = min(frames), max(frames)
    if last - first > LARGEST_GAP + 10 * len(frames):
        raise PoseMambaError(f"{path}: {len(frames)} frames numbered {first} to {last}: the numbers are broken")
    return first, last
