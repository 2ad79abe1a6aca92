"""The times at which a video's frames are shown, as FFmpeg and players guess them where a file tells them badly."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import statistics
from collections import deque
from pathlib import Path
from typing import Any

from posemamba.io.video.opening import opened, stamp_of
from posemamba.utils.errors import require

_LOOKED_AT = 300  # packets at a file's beginning, by which its kind of times is told
_BACK, _AHEAD = 0.1, 10.0
"""Seconds by which decoding times go back, or ahead in a transport stream, where they start anew; FFmpeg's limits."""
_STEPS = 31  # between frames, of which the middle one is usual
USUAL_RATE = 25.0
"""Frames per second of a video that tells neither times nor a rate, as FFmpeg assumes."""


class Joint:
    """The place where the times of a stream start anew, as where recordings were put one behind the other.

    What follows is moved to where the part before ends, so that times rise.

    Attributes:
        at: seconds of the places found so far, by the joined clock.
    """

    def __init__(self, container: Any) -> None:
        """Prepare for one stream of PyAV's container."""
        # transport streams say of themselves that their times may be broken
        flags = int(getattr(container.format.flags, "value", container.format.flags))
        self._broken = bool(flags & 0x0200)
        self._offset = 0
        self._next: int | None = None  # expected decoding time, in ticks
        self._shown: int | None = None  # the latest time of showing, in ticks
        self.at: list[float] = []

    def mend(self, packet: Any) -> None:
        """Move a packet's times if they have started anew; packets come in the file's order."""
        if packet.dts is not None:
            if self._next is not None and self._shown is not None:
                now = packet.dts + self._offset
                back = float((self._next - now) * packet.time_base)
                # where a recording pauses, a frame after the pause is coded before the decoding times get there
                ahead = float((now - max(self._next, self._shown)) * packet.time_base)
                if back > _BACK or (self._broken and ahead > _AHEAD):
                    self._offset = self._next - packet.dts
                    shown = packet.dts if packet.pts is None else packet.pts
                    self.at.append(float((shown + self._offset) * packet.time_base))
            self._next = packet.dts + self._offset + (packet.duration or 0)
        if packet.dts is not None or packet.pts is not None:
            latest = self._offset + max(stamp for stamp in (packet.pts, packet.dts) if stamp is not None)
            self._shown = latest if self._shown is None else max(self._shown, latest)
        if self._offset:
            packet.pts = None if packet.pts is None else packet.pts + self._offset
            packet.dts = None if packet.dts is None else packet.dts + self._offset


class Clock:
    """The times of a video's frames, in seconds by the container's clock; they always rise.

    A frame has its own time stamp. Where the file has stamps in decoding order only (AVI with B-frames), or a stamp
    does not rise, it is the least of the stamps that were read and not shown yet. Without any stamps frames follow each
    other by the usual step so far, at first by the stream's rate, which files may tell badly (600 a second).

    Attributes:
        joint: where the times start anew.
    """

    def __init__(self, container: Any, stream: Any, by_order: bool) -> None:
        """Begin at a file's beginning, or at a key frame.

        Args:
            container: PyAV's container.
            stream: its video stream.
            by_order: the stamps are in decoding order (`in_decoding_order`).
        """
        self.joint = Joint(container)
        self._by_order = by_order
        self._rate = rate_of(stream)
        self._waiting: list[float] = []
        self._last: float | None = None
        self._steps: deque[float] = deque(maxlen=_STEPS)

    def note(self, packet: Any) -> None:
        """Take account of a packet of the video before it is decoded; its times are mended in place."""
        self.joint.mend(packet)
        if packet.size and not packet.is_discard and (stamp := stamp_of(packet)) is not None:
            heapq.heappush(self._waiting, stamp)

    def forget(self, packet: Any) -> None:
        """Drop the stamp of a packet that could not be decoded."""
        if (stamp := stamp_of(packet)) in self._waiting:
            self._waiting.remove(stamp)
            heapq.heapify(self._waiting)

    def time_of(self, frame: Any) -> float | None:
        """Return a decoded frame's time; None for a frame at the moment of the one before, which is not shown."""
        own, last = None if frame.time is None else float(frame.time), self._last
        if not self._by_order and own is not None and last is not None and own == last:
            return None
        if self._by_order or own is None or (last is not None and own < last):
            while self._waiting and last is not None and self._waiting[0] <= last:
                heapq.heappop(self._waiting)
            step = statistics.median(self._steps) if self._steps else 1 / self._rate
            following = 0.0 if last is None else last + step
            own = heapq.heappop(self._waiting) if self._waiting else following
        while self._waiting and self._waiting[0] <= own:
            heapq.heappop(self._waiting)
        if last is not None:
            self._steps.append(own - last)
        self._last = own
        return own


def in_decoding_order(path: Path) -> bool:
    """Return True if a video's time stamps are in the order of decoding, and its frames may be coded in another order.

    Such are the stamps of AVI files. A video in which no frame is coded ahead may be counted among them, as its stamps
    are the same in both orders.
    """
    with opened(path) as (container, stream):
        if not stream.codec_context.has_b_frames:
            return False
        stamps: list[float] = []
        with contextlib.suppress(require("av", "video").FFmpegError):  # a damaged file's reader will report it
            for packet in itertools.islice(container.demux(stream), _LOOKED_AT):
                if packet.size and not packet.is_discard and (stamp := stamp_of(packet)) is not None:
                    stamps.append(stamp)
    return all(a < b for a, b in itertools.pairwise(stamps))


def rate_of(stream: Any) -> float:
    """Return the frames per second that a stream names, or FFmpeg's assumption."""
    return float(stream.average_rate or stream.guessed_rate or USUAL_RATE)
