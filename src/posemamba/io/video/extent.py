"""Whether a video file is whole: how far its packets reach, and how long it says it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Extent:
    """How far the packets of a file reach, to tell a whole file from one that was cut short."""

    container: Any
    stream: Any
    start: float | None = None  # seconds, over all streams
    end: float = 0.0
    video_start: float | None = None
    video_end: float = 0.0
    video_packets: int = 0
    frames: int = 0
    last_is_corrupt: bool = False

    def note_packet(self, packet: Any) -> None:
        if not packet.size:  # the empty packets at the end, which flush the decoders
            return
        self.last_is_corrupt = packet.is_corrupt
        stamp = stamp_of(packet)
        is_video = packet.stream is self.stream
        self.video_packets += is_video
        if stamp is None or packet.is_discard:  # an edit list leaves packets out
            return
        end = stamp + float((packet.duration or 0) * packet.time_base)
        self.start = stamp if self.start is None else min(self.start, stamp)
        self.end = max(self.end, end)
        if is_video:
            self.video_start = stamp if self.video_start is None else min(self.video_start, stamp)
            self.video_end = max(self.video_end, end)

    @property
    def declared(self) -> float | None:
        """Seconds that the file says it lasts."""
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        return self.container.duration / 1e6 if self.container.duration else None

    def problem(self, video_end: float | None) -> str:
        """Why the file looks cut short, or ""; `video_end` is where its last frame ended, in seconds."""
        if self.last_is_corrupt:
            return "its last piece is incomplete"
        declared = self.declared
        if declared is None or video_end is None or self.video_start is None or self.start is None:
            return ""
        # without a length of the stream's own the container's counts, which is that of its longest stream
        got = video_end - self.video_start if self.stream.duration else max(video_end, self.end) - self.start
        if declared - got > 0.3 + 0.01 * declared:
            return f"it has {got:.2f} s of the {declared:.2f} s that it declares"
        return ""


def stamp_of(packet: Any) -> float | None:
    stamp = packet.dts if packet.pts is None else packet.pts
    return None if stamp is None else float(stamp * packet.time_base)
