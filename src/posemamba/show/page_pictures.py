"""Small pictures of a video for the viewer's page: as many as fit, evenly spread over the clip."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.progress import Progress

if TYPE_CHECKING:
    from posemamba.io.video.reading import Frame

PAGE_BYTES = 15_000_000
"""Size of a page with pictures. Poses and angles leave the rest to the pictures, which as text take a third more."""
_BYTES_OF_FRAME = 470  # of a person, with angles and expected errors, as text
_LEAST_BYTES = 2_000_000
LONG = 2_000
"""Frames from which a clip's pictures are smaller, so that more of them fit."""
_SHORT_CLIP, _LONG_CLIP = (240, 55), (160, 45)  # pixels high, JPEG's quality
_FIRST = 12  # pictures by whose size the others are planned


class PagePictures:
    """Pictures of a clip's frames as small JPEGs, within a limit of bytes, evenly spread.

    Frames are given in their order. By the size of the first pictures it is planned how many fit. If the limit is
    passed by much nevertheless, every second picture is dropped, and from then on half as many are taken. Memory stays
    flat however long the clip is.
    """

    def __init__(self, frames: int, people: int = 1, limit: int | None = None) -> None:
        require("PIL", "video")
        self.every = 1
        """Frames from one picture to the next."""
        left = int(0.73 * (PAGE_BYTES - _BYTES_OF_FRAME * frames * people))
        self.frames, self.limit = frames, max(_LEAST_BYTES, left) if limit is None else limit
        self.height, self._quality = _SHORT_CLIP if frames < LONG else _LONG_CLIP
        self._files: list[tuple[int, bytes]] = []

    def take(self, frame: Frame) -> None:
        """Take a frame of the video, as its reader gives it, if it is one of those that are kept."""
        from posemamba.io.video.picture import small_rgb

        if frame.index % self.every == 0:
            self.add(frame.index, small_rgb(frame.picture, self.height))

    def add(self, index: int, rgb: NDArray[np.uint8]) -> None:
        """Take frame `index`, (H, W, 3), if it is one of those that are kept; it is made smaller here."""
        if index % self.every:
            return
        from PIL import Image

        from posemamba.io.video.picture import ArrayPicture, small_rgb

        buffer = io.BytesIO()
        Image.fromarray(small_rgb(ArrayPicture(rgb), self.height)).save(buffer, "JPEG", quality=self._quality)
        self._files.append((index, buffer.getvalue()))
        taken = sum(len(file) for _, file in self._files)
        if index == _FIRST - 1 and self.every == 1:
            self._keep(math.ceil(1.1 * taken / _FIRST * self.frames / self.limit))
        while len(self._files) > 1 and sum(len(file) for _, file in self._files) > 1.15 * self.limit:
            self._keep(2 * self.every)

    def _keep(self, every: int) -> None:
        self.every = every
        self._files = [(index, file) for index, file in self._files if index % every == 0]

    def embedded(self) -> tuple[str, dict[str, object]]:
        """Return the JPEGs behind each other in base64, and the page's data to separate them."""
        sizes = np.array([len(file) for _, file in self._files], "<u4")
        strip = base64.b64encode(b"".join(file for _, file in self._files)).decode("ascii")
        return strip, {"every": self.every, "sizes": base64.b64encode(sizes.tobytes()).decode("ascii")}


def pictures_of(video: str | Path, poses: Poses3D, progress: Progress | None = None, people: int = 1) -> PagePictures:
    """Read a video's frames from the first one that has a pose; `people` shown in the page leave the less room.

    Raises:
        PoseMambaError: the video cannot be read, or has fewer frames than there are poses.
    """
    from posemamba.io.video.clip import beginning_at
    from posemamba.io.video.reading import read_frames

    frames, done = len(poses), 0
    pictures = PagePictures(frames, people)
    for frame in read_frames(beginning_at(video, float(poses.frame_times()[0]), poses.fps)):
        if frame.index >= frames:
            break
        done = frame.index + 1
        pictures.take(frame)
        if progress is not None:
            progress(done, frames)
    if done < frames:
        raise PoseMambaError(
            f"{video}: has {done} frames, but there are poses for {frames}; "
            "give the video that the poses were made from"
        )
    return pictures
