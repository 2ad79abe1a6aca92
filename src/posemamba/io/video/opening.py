"""Opening of video files, a check that they were not cut short, and their errors in the user's terms."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.reading import is_special

_FROM_ZERO = ("matroska", "flv")  # whose length counts from time 0, wherever the first frame is
# FFmpeg's dispositions
_DEFAULT = 0x1
_NO_VIDEO = 0x400 | 0x800 | 0x100000  # covers, thumbnails, still pictures
_STILLS = ("mjpeg", "png", "bmp", "gif", "webp")  # codecs of covers that are marked as nothing
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif")
"""Brands of still pictures in a container that FFmpeg takes for a video, of which it decodes one tile."""

_LISTS = ("hls", "concat", "dash", "sdp", "rtsp", "imf", "webvtt", "ffmetadata")
"""FFmpeg's names of formats that lead to other files."""


@dataclass
class TruncationCheck:
    """A check that a file was not cut short: the end of its packets against the length that it declares.

    Attributes:
        container: PyAV's container.
        stream: its video stream.
        start, end: seconds, over the packets of all streams.
        video_start, video_end: seconds, over the video's packets.
        video_packets: their number.
        frames: the number of decoded frames.
        last_is_corrupt: True if the last packet is incomplete.
        tolerant: damage is counted, not reported as an error.
        failures: the number of times that reading or decoding failed.
        read: the number of packets of all streams.
        stamps: seconds of the video's packets.
    """

    container: Any
    stream: Any
    start: float | None = None
    end: float = 0.0
    video_start: float | None = None
    video_end: float = 0.0
    video_packets: int = 0
    frames: int = 0
    last_is_corrupt: bool = False
    tolerant: bool = False
    failures: int = 0
    read: int = 0
    stamps: list[float] = field(default_factory=list)

    def packets(self) -> Iterator[Any]:
        """Yield the file's packets; a tolerant check goes on behind a broken one."""
        av = require("av", "video")
        before = -1
        while True:
            try:
                for packet in self.container.demux():
                    self.read += 1
                    yield packet
                return
            except av.FFmpegError:
                self.failures += 1
                if not self.tolerant:
                    raise
                if self.read == before:  # no progress since the last failure
                    return
                before = self.read

    def frames_of(self, packet: Any) -> list[Any]:
        """Decode a packet; a tolerant check takes a broken one for no frames."""
        av = require("av", "video")
        try:
            return list(packet.decode())
        except av.FFmpegError:
            self.failures += 1
            if not self.tolerant:
                raise
            return []

    def note_packet(self, packet: Any) -> None:
        """Take account of a packet."""
        if not packet.size:  # empty packets at the end flush the decoders
            return
        self.last_is_corrupt = packet.is_corrupt
        stamp = stamp_of(packet)
        is_video = packet.stream is self.stream
        self.video_packets += is_video
        if stamp is None or packet.is_discard:  # an edit list leaves packets out
            return
        if is_video:
            self.stamps.append(stamp)
        end = stamp + float((packet.duration or 0) * packet.time_base)
        self.start = stamp if self.start is None else min(self.start, stamp)
        self.end = max(self.end, end)
        if is_video:
            self.video_start = stamp if self.video_start is None else min(self.video_start, stamp)
            self.video_end = max(self.video_end, end)

    @property
    def declared(self) -> float | None:
        """The length that the file declares, in seconds; None if it does not."""
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        return self.container.duration / 1e6 if self.container.duration else None

    def lost(self, frames: int, end: float | None) -> int:
        """Return how many frames of a damaged video are lost, as far as the file shows.

        They are packets that gave no frame, packets that the times show to be absent, and what the declared length has
        beyond the last frame.

        Args:
            frames: the number of decoded frames.
            end: the end of the last one, in seconds.
        """
        stamps = np.unique(self.stamps)
        steps = np.diff(stamps)
        usual = float(np.median(steps)) if len(steps) else 0.0
        absent = beyond = 0
        if usual > 0 and np.mean(np.abs(steps - usual) < 0.1 * usual) > 0.8:
            absent = int(np.maximum(np.round(steps / usual) - 1, 0).sum())
        if usual > 0 and self.declared is not None and self.problem(end):
            beyond = round((self.declared - (float(stamps[-1]) + usual - (self.video_start or 0.0))) / usual)
        return max(len(stamps) - frames, 0) + absent + max(beyond, 0)

    def reject(self, path: Path, end: float | None) -> None:
        """Reject a video that was cut short, unless the check is tolerant.

        Raises:
            PoseMambaError: it was.
        """
        if not self.tolerant and (problem := self.problem(end)):
            raise cut_short(path, problem)

    def problem(self, video_end: float | None) -> str:
        """Return the reason why the file looks cut short, or "".

        Args:
            video_end: the end of the last frame, in seconds.
        """
        if self.last_is_corrupt:
            return "its last piece is incomplete"
        declared = self.declared
        if declared is None or video_end is None or self.video_start is None or self.start is None:
            return ""
        # without a declared length of the stream, the container's is that of its longest stream
        got = video_end - self.video_start if self.stream.duration else max(video_end, self.end) - self.start
        if not self.stream.duration and self.container.format.name.startswith(_FROM_ZERO):
            got = max(got, video_end, self.end)
        if declared - got > 0.3 + 0.01 * declared:
            return f"it has {got:.2f} s of the {declared:.2f} s that it declares"
        return ""


def stamp_of(packet: Any) -> float | None:
    """Return a packet's time in seconds, or None.

    AVI has times of decoding alone: those of showing that FFmpeg makes of them are uneven at the end.
    """
    decoding_alone = packet.pts is None or packet.stream.container.format.name == "avi"
    stamp = packet.dts if decoding_alone and packet.dts is not None else packet.pts
    return None if stamp is None else float(stamp * packet.time_base)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a video; yields PyAV's container and its video stream.

    Raises:
        PoseMambaError: the file is missing, empty, not readable or not a video.
    """
    av = require("av", "video")
    if path.is_dir():
        raise PoseMambaError(f"{path}: is a directory without pictures, expected a video file or a folder of pictures")
    if not path.exists():
        raise PoseMambaError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise PoseMambaError(f"{path}: the file is empty (0 bytes), expected a video; copy or download it again")
    if is_heif(path):
        raise PoseMambaError(
            f"{path}: a HEIC or AVIF picture, not a video; name it with the ending .heic or .avif, or convert it to jpg"
        )
    try:
        # "file:" so that FFmpeg takes no name for a pattern or an address; playlists must not reach the network
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except PermissionError:
        raise PoseMambaError(f"{path}: no permission to read this file") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        if _mp4_without_index(path):
            raise PoseMambaError(
                f"{path}: the video is cut short: the index at its end (moov) is missing, without which none of it can "
                "be decoded; copy or download it again"
            ) from None
        reason = getattr(error, "strerror", None) or str(error)
        raise PoseMambaError(
            f"{path}: not a video that FFmpeg can read ({reason}); expected for example an mp4, mov, mkv, "
            "webm or avi file"
        ) from None
    with container:
        name = container.format.name
        stream = choose_stream(container)
        if name in _LISTS:
            raise PoseMambaError(f"{path}: a list of other files, not a video; expected for example an mp4 file")
        if name == "tty":
            raise PoseMambaError(f"{path}: not a video but text; expected for example an mp4 file")
        if name == "image2" or name.endswith("_pipe"):
            raise PoseMambaError(f"{path}: a single picture, not a video; expected for example an mp4 file")
        if stream is None:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise PoseMambaError(f"{path}: has no video stream (only {kinds}); expected a video file")
        yield container, stream


@contextlib.contextmanager
def decoding(path: Path, check: TruncationCheck) -> Iterator[None]:
    """Report FFmpeg's errors within the block as those of a damaged video."""
    av = require("av", "video")
    try:
        yield
    except av.FFmpegError as error:
        declared = f" of {check.declared:.2f} s" if check.declared else ""
        reached = f"decoding failed at {check.video_end:.2f} s{declared}"
        raise cut_short(path, f"{reached}: {error.strerror}") from None


def no_frames(path: Path) -> PoseMambaError:
    """Return the error for a video without frames."""
    return PoseMambaError(f"{path}: the video holds no frames; copy or download it again")


def cut_short(path: Path, problem: str) -> PoseMambaError:
    """Return the error for a video that was cut short."""
    return PoseMambaError(
        f"{path}: the video is cut short or damaged ({problem}); copy or download it again, or take "
        "what can be decoded: posemamba lift --allow-damaged"
    )


def _mp4_without_index(path: Path) -> bool:
    """Return True for an mp4 or mov file that ends before its index."""
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


def is_heif(path: Path) -> bool:
    """Return True for a picture in HEIF's container: HEIC of phones, or AVIF."""
    if is_special(path):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF


def choose_stream(container: Any) -> Any:
    """Return the video stream that players show; None without one.

    Covers and thumbnails are none. Of several the one marked as default is taken, then the largest, then the first.
    """
    streams = [s for s in container.streams.video if not _disposition(s) & _NO_VIDEO]
    if len(streams) < 2:
        return streams[0] if streams else None

    def rank(stream: Any) -> tuple[bool, bool, int]:
        context = stream.codec_context
        still = stream.frames == 1 or (
            context.name in _STILLS and any(s.codec_context.name not in _STILLS for s in streams)
        )
        return not still, bool(_disposition(stream) & _DEFAULT), context.width * context.height

    return max(streams, key=rank)


def _disposition(stream: Any) -> int:
    disposition = stream.disposition  # an enumeration or a number, depending on PyAV's release
    return int(getattr(disposition, "value", disposition))
