"""A single frame as a picture, by the interface of the video writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import atomic_path, writing


class PictureWriter:
    """A writer of one frame as a PNG; use it in a `with` block, as `posemamba.io.video.writer.VideoWriter`.

    The file appears when the block ends. If the block raises, nothing is written and an earlier file stays.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._frame: NDArray[np.uint8] | None = None

    def __enter__(self) -> PictureWriter:
        return self

    def write(self, rgb: NDArray[np.uint8], time: float | None = None) -> None:
        """Take the frame, (height, width, 3) uint8; its time has no place in a picture.

        Raises:
            PoseMambaError: it is the second one.
        """
        if self._frame is not None:
            raise PoseMambaError(f"{self.path}: a picture holds one frame; write several as mp4")
        self._frame = rgb

    def write_planes(self, planes: Sequence[NDArray[np.uint8]], time: float | None = None) -> None:
        """Take the frame in a video's format: Y (height, width), U and V of half its sides, BT.709, limited range."""
        width = planes[0].shape[1]
        packed = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, width)
        frame = require("av", "video").VideoFrame.from_ndarray(packed, format="yuv420p")
        self.write(frame.to_ndarray(format="rgb24", src_colorspace="ITU709", src_color_range="MPEG"), time)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or self._frame is None:
            return
        image = require("PIL.Image", "video")
        with writing(self.path), atomic_path(self.path) as temporary:
            image.fromarray(self._frame).save(temporary, format="PNG")
