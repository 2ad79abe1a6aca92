"""Video files opened for reading; what is wrong with them in the user's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posemamba.io.video.extent import Extent
from posemamba.utils.errors import PoseMambaError, require

_ATTACHED_PICTURE = 0x400  # FFmpeg's disposition of a cover image in a music file


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The open container and its video stream."""
    av = require("av", "video")
    if path.is_dir():
        raise PoseMambaError(f"{path}: is a directory without pictures, expected a video file or a folder of pictures")
    if not path.exists():
        raise PoseMambaError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise PoseMambaError(f"{path}: the file is empty (0 bytes), expected a video; copy or download it again")
    try:
        # "file:" so that no name is taken for a pattern or an address; playlists must not reach the network
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except PermissionError:
        raise PoseMambaError(f"{path}: no permission to read this file") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        if _mp4_without_index(path):
            raise cut_short(path, "the index at its end (moov) is missing") from None
        reason = getattr(error, "strerror", None) or str(error)
        raise PoseMambaError(
            f"{path}: not a video that FFmpeg can read ({reason}); expected for example an mp4, mov, mkv, "
            "webm or avi file"
        ) from None
    with container:
        name = container.format.name
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if name == "tty":
            raise PoseMambaError(f"{path}: not a video but text; expected for example an mp4 file")
        if name == "image2" or name.endswith("_pipe"):
            raise PoseMambaError(f"{path}: a single picture, not a video; expected for example an mp4 file")
        if not streams:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise PoseMambaError(f"{path}: has no video stream (only {kinds}); expected a video file")
        yield container, streams[0]


@contextlib.contextmanager
def decoding(path: Path, extent: Extent) -> Iterator[None]:
    """Turn FFmpeg's errors into the user's."""
    av = require("av", "video")
    try:
        yield
    except av.FFmpegError as error:
        declared = f" of {extent.declared:.2f} s" if extent.declared else ""
        reached = f"decoding failed at {extent.video_end:.2f} s{declared}"
        raise cut_short(path, f"{reached}: {error.strerror}") from None


def no_frames(path: Path) -> PoseMambaError:
    return PoseMambaError(f"{path}: the video holds no frames; copy or download it again")


def cut_short(path: Path, problem: str) -> PoseMambaError:
    return PoseMambaError(f"{path}: the video is cut short or damaged ({problem}); copy or download it again")


def _mp4_without_index(path: Path) -> bool:
    """Whether this is an mp4 or mov file that ends before its index."""
    size = path.stat().st_size
    position, kinds = 0, []
    with path.open("rb") as file:
        while position + 8 <= size:
            file.seek(position)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            kinds.append(kind)
            if length < 8:
                break
            position += length
    return bool(kinds) and kinds[0] in (b"ftyp", b"wide", b"mdat") and b"moov" not in kinds


def _is_cover(stream: Any) -> bool:
    """Whether this is the cover picture of a music file."""
    disposition = stream.disposition  # an enumeration or a number, by PyAV's release
    return bool(getattr(disposition, "value", disposition) & _ATTACHED_PICTURE)
