"""Keypoint files of other programs in, and our own out.

`read_keypoints` looks at a file's content, not at its name, and says in one line what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from posemamba.errors import PoseMambaError
from posemamba.formats import mmpose, npz
from posemamba.formats.npz import write_keypoints_npz
from posemamba.formats.raw import RawKeypoints, finish
from posemamba.poses import Keypoints2D
from posemamba.skeleton import get_skeleton

__all__ = ["Format", "known_formats", "read_keypoints", "write_keypoints_npz"]


@dataclass(frozen=True)
class Format:
    """A kind of keypoint file.

    Attributes:
        name: what `read_keypoints` takes as `format`.
        suffix: how the files' names usually end.
        description: one line.
    """

    name: str
    suffix: str
    description: str
    read: Callable[[Path], RawKeypoints]


_FORMATS = (
    Format(
        "npz",
        ".npz",
        "NumPy arrays: keypoints (F, J, 2) or (F, J, 3), and perhaps confidence, fps, image_size, skeleton, "
        "times",
        npz.read,
    ),
    Format("mmpose", ".json", "the predictions that MMPose's inferencer and demos save", mmpose.read),
)


def known_formats() -> tuple[Format, ...]:
    """The formats that `read_keypoints` knows."""
    return _FORMATS


def read_keypoints(
    path: str | Path,
    *,
    format: str = "auto",
    skeleton: str | None = None,
    fps: float | None = None,
    image_size: tuple[int, int] | None = None,
) -> Keypoints2D:
    """Read one person's 2D joints over time: pixels, x right and y down from the image's top left corner.

    Joints that are NaN, and joints at exactly (0, 0) with confidence 0 or without any, are missing. Where the
    file holds several people, the one followed over most frames is taken.

    Args:
        path: the file.
        format: one of `known_formats`, or ``auto``: by the file's content.
        skeleton: name of the joints' skeleton; None: what the file says, else recognised by the number of
            joints and by how they lie.
        fps: frames per second; None: what the file says, else 30 is assumed.
        image_size: (width, height) of the image in pixels; None: what the file says, else the smallest common
            video size that holds all joints is assumed.

    Warns:
        UserWarning: one of several people was taken; the frame rate or the image's size was assumed (which
            the result's `source` says too).

    Raises:
        PoseMambaError: no such file, a format or skeleton that is not known or not recognised, a broken
            file, or values that cannot be keypoints in pixels.
    """
    path = Path(path)
    names = [f.name for f in _FORMATS]
    if format not in ("auto", *names):
        raise PoseMambaError(
            f"unknown keypoint format '{format}', expected auto or one of {', '.join(names)}"
        )
    wanted = None if skeleton is None else get_skeleton(skeleton)
    if path.is_dir():
        raise PoseMambaError(f"{path}: is a directory, expected a keypoint file ({_list_formats()})")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        raise PoseMambaError(f"{path}: no such file") from None
    except OSError as error:
        raise PoseMambaError(f"{path}: cannot be read ({error.strerror})") from error
    if not head:
        raise PoseMambaError(f"{path}: the file is empty (0 bytes), expected keypoints ({_list_formats()})")
    chosen = _recognise(path, head) if format == "auto" else format
    reader = _FORMATS[names.index(chosen)]
    return finish(path, reader.read(path), skeleton=wanted, fps=fps, image_size=image_size)


def _list_formats() -> str:
    return ", ".join(f"{f.name}: {f.suffix}" for f in _FORMATS)


def _recognise(path: Path, head: bytes) -> str:
    """The format's name, by the first bytes."""
    if head.startswith(b"PK"):
        return "npz"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        return "mmpose"
    if head.startswith(b"\x93NUMPY"):
        found = "a single NumPy array (.npy); save it as npz: numpy.savez(file, keypoints=array, fps=...)"
    elif head.startswith(b"\x80"):
        found = "a Python pickle, which can run code and is not opened; save its arrays as npz"
    else:
        found = f"neither npz nor JSON (it begins with {head[:8]!r})"
    raise PoseMambaError(f"{path}: {found}; known keypoint formats: {_list_formats()}")
