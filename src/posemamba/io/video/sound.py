"""Adding the sound of one video to the pictures of another, without encoding the pictures again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posemamba.io.video.opening import choose_stream
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import atomic_path

# codecs that browsers play in an mp4; other sound is encoded again as AAC
_COPIED = ("aac", "mp3", "opus")


def has_sound(path: str | Path) -> bool:
    """Return True if a video file has a sound track that can be decoded."""
    av = require("av", "video")
    try:
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as source:
            return _track(source) is not None
    except av.FFmpegError:
        return False


def add_sound(pictures: str | Path, source: str | Path, out: str | Path) -> None:
    """Write a video with the pictures of one file, not encoded again, and the sound of another.

    The source's first picture is time 0 of the sound; sound before it and after the last picture is cut off.

    Args:
        pictures: a video without sound, its first frame at 0 s.
        source: a video with sound (`has_sound`).
        out: the file to write, whole or not at all.

    Raises:
        PoseMambaError: the sound cannot be copied.
    """
    av = require("av", "video")
    with atomic_path(out) as temporary:
        options = {} if temporary.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
        try:
            with (
                av.open(f"file:{pictures}") as film,
                av.open(f"file:{source}", options={"protocol_whitelist": "file"}) as heard,
                av.open(f"file:{temporary}", "w", options=options) as target,
            ):
                seen_in, heard_in = film.streams.video[0], _track(heard)
                start = _start(heard)
                end = _end(film, seen_in)
                film.seek(0)
                seen_out = target.add_stream_from_template(seen_in)
                sound = _sound_packets(heard, heard_in, target, start, end)
                waiting = next(sound, None)
                for packet in film.demux(seen_in):
                    if packet.dts is None:
                        continue
                    time = float(packet.dts * packet.time_base)
                    while waiting is not None and waiting[0] <= time:
                        target.mux(waiting[1])
                        waiting = next(sound, None)
                    packet.stream = seen_out
                    target.mux(packet)
                while waiting is not None:
                    target.mux(waiting[1])
                    waiting = next(sound, None)
        except av.FFmpegError as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise PoseMambaError(
                f"{source}: its sound cannot be copied ({reason}); repair the file, or write the video without sound"
            ) from None


def _track(container: Any) -> Any:
    """Return the first sound track whose codec is known; None without one."""
    for stream in container.streams.audio:
        if stream.codec_context is not None and stream.rate:
            return stream
    return None


def _start(container: Any) -> float:
    """Return the seconds at which a file's first picture is shown."""
    stream = choose_stream(container)
    first = min(
        (float(p.pts * p.time_base) for _, p in zip(range(64), container.demux(stream), strict=False) if _shown(p)),
        default=0.0,
    )
    container.seek(0)
    return first


def _shown(packet: Any) -> bool:
    return packet.pts is not None and not packet.is_discard


def _end(container: Any, stream: Any) -> float:
    """Return the seconds at which a file's last picture ends."""
    ends = (float((p.pts + (p.duration or 0)) * p.time_base) for p in container.demux(stream) if p.pts is not None)
    return max(ends, default=0.0)


def _sound_packets(source: Any, stream: Any, target: Any, start: float, end: float) -> Iterator[tuple[float, Any]]:
    """Yield (seconds, packet) of the sound for `target`, in order; times count from `start`."""
    if stream.codec_context.name in _COPIED:
        copy = target.add_stream_from_template(stream)
        yield from _copied(source, stream, copy, start, end)
    else:
        yield from _encoded(source, stream, target.add_stream("aac", rate=stream.rate), start, end)


def _copied(source: Any, stream: Any, copy: Any, start: float, end: float) -> Iterator[tuple[float, Any]]:
    for packet in source.demux(stream):
        if packet.pts is None or packet.is_discard:
            continue
        offset = round(start / packet.time_base)
        packet.pts -= offset
        packet.dts = packet.pts
        time = float(packet.pts * packet.time_base)
        if time >= end:
            return
        if packet.pts >= 0:
            packet.stream = copy
            yield time, packet


def _encoded(source: Any, stream: Any, encoder: Any, start: float, end: float) -> Iterator[tuple[float, Any]]:
    av = require("av", "video")
    context = encoder.codec_context
    context.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=context.layout, rate=context.sample_rate)

    def packets(frame: Any) -> Iterator[tuple[float, Any]]:
        for packet in encoder.encode(frame):
            yield float((packet.pts or 0) * packet.time_base), packet

    for frame in source.decode(stream):
        time = float(frame.time or 0) - start
        if time >= end:
            break
        if time >= 0:
            frame.pts = round(time / frame.time_base)
            for piece in resampler.resample(frame):
                yield from packets(piece)
    with contextlib.suppress(av.EOFError):
        for piece in resampler.resample(None):
            yield from packets(piece)
    yield from packets(None)
