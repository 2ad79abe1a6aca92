"""Writing videos as H.264 by PyAV, with the times of the frames."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.picture import ArrayPicture, Planes
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import atomic_path, writing

_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
_MOST_THREADS = 4  # each holds a frame, and other programs suffer from more
_TICKS = 90_000  # a second in the writer's time base: whole for 24, 25, 30, 50, 60 and 29.97 frames a second


class VideoWriter:
    """A writer of H.264 videos that browsers and players show; use it in a `with` block.

    The file appears when the block ends. If the block raises, nothing is written and an earlier file stays. An odd
    width or height, which the format does not allow, is made even by repeating the last column or row.

    >>> with VideoWriter("out.mp4", fps=30) as writer:
    ...     for frame in read_frames("in.mp4"):
    ...         writer.write(frame.rgb, frame.time)
    """

    def __init__(self, path: str | Path, fps: float, *, crf: int = 20) -> None:
        """Prepare the writer; the video's size will be that of the first frame.

        Args:
            path: the file to write; its suffix is .mp4, .m4v, .mov or .mkv.
            fps: frames per second.
            crf: x264's quality, 0 (best) to 51.

        Raises:
            PoseMambaError: the suffix is none of these.
        """
        self.path = Path(path)
        if self.path.suffix.lower() not in _SUFFIXES:
            raise PoseMambaError(
                f"{self.path}: cannot write a video of type '{self.path.suffix}', "
                f"expected one of {', '.join(_SUFFIXES)}"
            )
        if not (np.isfinite(fps) and fps > 0):
            raise ValueError(f"fps is {fps}, expected a positive number")
        self.fps = float(fps)
        self.frames = 0
        self._crf = crf
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, int] = (0, 0)
        self._last = -1
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> VideoWriter:
        av = require("av", "video")
        with writing(self.path):
            temporary = self._stack.enter_context(atomic_path(self.path))
        options = {} if self.path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
        try:
            self._container = av.open(f"file:{temporary}", "w", options=options)
        except BaseException:
            self._stack.close()
            temporary.unlink(missing_ok=True)
            raise
        return self

    def write(self, rgb: NDArray[np.uint8], time: float | None = None) -> None:
        """Append a frame.

        Args:
            rgb: (height, width, 3) uint8, of the first frame's size.
            time: seconds from the start at which it is shown; None: frames follow each other at `fps`.

        Raises:
            ValueError: the array has another shape or type, or the writer is not in a `with` block.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise ValueError(f"a frame is {rgb.dtype} {rgb.shape}, expected uint8 (height, width, 3)")
        height, width = rgb.shape[:2]
        even = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        self.write_planes(ArrayPicture(even).planes(width + width % 2, height + height % 2), time)

    def write_planes(self, planes: Planes, time: float | None = None) -> None:
        """Append a frame in the encoder's own format, which needs no conversion.

        Args:
            planes: see `posemamba.io.video.picture`, of the first frame's size.
            time: as of `write`.

        Raises:
            ValueError: the planes have other shapes, or the writer is not in a `with` block.
        """
        if self._container is None:
            raise ValueError("write inside of the with block")
        height, width = planes[0].shape
        if height % 2 or width % 2 or any(plane.shape != (height // 2, width // 2) for plane in planes[1:]):
            raise ValueError(f"planes of shapes {[plane.shape for plane in planes]}, expected even sides and halves")
        if self._stream is None:
            self._start(height, width)
        elif (height, width) != self._shape:
            raise ValueError(f"a frame is {(height, width)}, the first one was {self._shape}")
        packed = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, width)
        frame = require("av", "video").VideoFrame.from_ndarray(packed, format="yuv420p")
        seconds = self.frames / self.fps if time is None else time
        self._last = max(self._last + 1, round(seconds * _TICKS))
        frame.pts = self._last
        frame.time_base = Fraction(1, _TICKS)
        for packet in self._stream.encode(frame):
            self._mux(packet)
        self.frames += 1

    def _start(self, height: int, width: int) -> None:
        self._shape = (height, width)
        rate = Fraction(self.fps).limit_denominator(1001)
        stream = self._container.add_stream("libx264", rate=rate, options={"crf": str(self._crf)})
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.options = {"crf": str(self._crf), "preset": "superfast"}
        # frames side by side, so that what draws the next one goes on meanwhile; PyAV's default are slices of one frame
        context.thread_type, context.thread_count = "FRAME", min(os.cpu_count() or 1, _MOST_THREADS)
        # name BT.709 with limited range, as players would guess by the size
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        self._stream = stream

    def _mux(self, packet: Any) -> None:
        if not packet.duration:
            packet.duration = round(Fraction(_TICKS) / Fraction(self.fps))
        self._container.mux(packet)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self.frames == 0:
                    raise ValueError(f"no frame was written to {self.path}")
                for packet in self._stream.encode():
                    self._mux(packet)
                self._container.close()
        except BaseException as failed:
            self._abandon()
            self._stack.__exit__(type(failed), failed, failed.__traceback__)
            raise
        if kind is not None:
            self._abandon()
        self._stack.__exit__(kind, error, trace)

    def _abandon(self) -> None:
        """Close the unfinished file; its errors do not matter any more."""
        with contextlib.suppress(Exception):
            self._container.close()
