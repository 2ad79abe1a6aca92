"""A clip of a video, the properties of a video, and a frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError

if TYPE_CHECKING:
    from posemamba.io.video.picture import Picture


@dataclass(frozen=True)
class Clip:
    """A part of a video, or of a folder of pictures.

    Attributes:
        path: the video, picture or folder.
        start, end: seconds from the source's first frame, [start, end); None: from the start, to the end.
        fps: frames per second of pictures; None: 30.
        allow_damaged: read what can be decoded of a damaged video, instead of refusing it.
    """

    path: Path
    start: float | None = None
    end: float | None = None
    fps: float | None = None
    allow_damaged: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))  # a text is taken, too

    def __str__(self) -> str:
        return str(self.path)

    def holds(self, time: float) -> bool:
        """Return True if a frame at `time` seconds is within, to a microsecond, as files round times."""
        return (self.start is None or time >= self.start - 1e-6) and (self.end is None or time < self.end - 1e-6)

    @property
    def is_whole(self) -> bool:
        """True if the clip is the whole source."""
        return self.start is None and self.end is None


Source = str | Path | Clip


@dataclass(frozen=True)
class VideoInfo:
    """The properties of a video, or of a part of it.

    Attributes:
        path: the file.
        width, height: size of the frames as shown (upright, with square pixels), in pixels.
        fps: frames per second: the usual rate, on which pauses have no influence.
        frames: number of frames.
        duration: seconds from the first frame's start to the last one's end.
        variable_rate: True if frames are not evenly spaced, so that index / fps is not a frame's time.
        rotation: degrees, counter-clockwise, by which the stored frames are turned to be shown.
        codec: FFmpeg's name of the codec.
        mirrored: True if the stored frames are flipped left to right, too, before they are turned.
        seekable: False if the frames' times do not show where to decode from.
        remarks: what its user should know about its times and its frames, one line each.
    """

    path: Path
    width: int
    height: int
    fps: float
    frames: int
    duration: float
    variable_rate: bool
    rotation: int
    codec: str
    mirrored: bool = False
    seekable: bool = True
    remarks: tuple[str, ...] = ()

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        index: 0 for the first frame that is read.
        time: seconds from the first frame that is read.
        picture: as shown: upright, with square pixels; converted to what is asked for.
        offset: seconds from the source's first frame to the first that is read; not 0 for a `Clip` with a start.
    """

    index: int
    time: float
    picture: Picture
    offset: float = 0.0

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8."""
        return self.picture.rgb


def as_clip(source: Source) -> Clip:
    """Return a clip as it is, or a clip of the whole file of a path."""
    return source if isinstance(source, Clip) else Clip(Path(source))


def beginning_at(source: Source, time: float, fps: float) -> Clip:
    """Return a source from the frame at `time` seconds on; a clip with a start of its own stays as it is.

    Args:
        source: a video, pictures or a clip.
        time: seconds from the source's first frame, as frames of a part of it are at.
        fps: frames per second; a frame is found within half of one.
    """
    clip = as_clip(source)
    if clip.start is not None or time <= 0.5 / fps:
        return clip
    return Clip(clip.path, time - 0.5 / fps, clip.end, clip.fps or fps)


def nothing_between(clip: Clip, duration: float) -> PoseMambaError:
    """Return the error for a clip without frames; `duration` of the source is in seconds."""
    start, end = f"{clip.start or 0:g} s", "its end" if clip.end is None else f"{clip.end:g} s"
    return PoseMambaError(
        f"{clip}: has no frame between {start} and {end}, it lasts {duration:.2f} s; choose another --start or --end"
    )
