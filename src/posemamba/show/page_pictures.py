"""Small pictures of a video for the viewer's page: as many as fit, evenly spread over the clip."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.progress import Progress

PICTURE_HEIGHT = 240  # pixels
MOST_BYTES = 9_500_000
"""Of all pictures together; as text in the page they take a third more. With them the page stays below 15 MB."""
_QUALITY = 55


class PagePictures:
    """Pictures of a clip's frames as small JPEGs, within a limit of bytes.

    Frames are given in their order. When the limit is passed, every second picture is dropped, and from then on half
    as many are taken: memory stays flat however long the clip is, and the pictures that remain are evenly spread.
    """

    def __init__(self, limit: int = MOST_BYTES) -> None:
        require("PIL", "video")
        self.every = 1
        """Frames from one picture to the next."""
        self.limit = limit
        self._files: list[bytes] = []

    def add(self, index: int, rgb: NDArray[np.uint8]) -> None:
        """Take frame `index`, (H, W, 3), if it is one of those that are kept; it is made smaller here."""
        if index % self.every:
            return
        from PIL import Image

        height, width = rgb.shape[:2]
        scale = min(1.0, PICTURE_HEIGHT / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        buffer = io.BytesIO()
        picture = Image.fromarray(rgb)
        if scale < 1:
            picture = picture.resize(size, Image.Resampling.BOX, reducing_gap=1.0)
        picture.save(buffer, "JPEG", quality=_QUALITY)
        self._files.append(buffer.getvalue())
        while len(self._files) > 1 and sum(map(len, self._files)) > self.limit:
            self._files = self._files[::2]
            self.every *= 2

    def embedded(self) -> tuple[str, dict[str, object]]:
        """Return the JPEGs behind each other in base64, and the page's data to separate them."""
        sizes = np.array([len(file) for file in self._files], "<u4")
        strip = base64.b64encode(b"".join(self._files)).decode("ascii")
        return strip, {"every": self.every, "sizes": base64.b64encode(sizes.tobytes()).decode("ascii")}


def pictures_of(video: str | Path, poses: Poses3D, progress: Progress | None = None) -> PagePictures:
    """Read a video's frames from the first one that has a pose.

    Raises:
        PoseMambaError: the video cannot be read, or has fewer frames than there are poses.
    """
    from posemamba.io.video.clip import beginning_at
    from posemamba.io.video.reading import read_frames

    frames, done = len(poses), 0
    pictures = PagePictures()
    for frame in read_frames(beginning_at(video, float(poses.frame_times()[0]), poses.fps)):
        if frame.index >= frames:
            break
        done = frame.index + 1
        pictures.add(frame.index, frame.rgb)
        if progress is not None:
            progress(done, frames)
    if done < frames:
        raise PoseMambaError(
            f"{video}: has {done} frames, but there are poses for {frames}; "
            "give the video that the poses were made from"
        )
    return pictures
