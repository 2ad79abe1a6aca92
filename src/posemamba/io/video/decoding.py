"""Video files decoded by PyAV: looked through, read whole, or a part of them from a key frame on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.clip import Clip, Frame, VideoInfo, nothing_between
from posemamba.io.video.extent import Extent, stamp_of
from posemamba.io.video.opening import cut_short, decoding, no_frames, opened
from posemamba.io.video.rotation import as_shown, rotation_of


def look_through(path: Path) -> tuple[VideoInfo, NDArray[np.float64]]:
    """What a video holds, and its frames' (F,) times by the container's clock, in order."""
    times: set[float] = set()
    shape: tuple[int, int] | None = None
    rotation = 0
    with opened(path) as (container, stream):
        extent = Extent(container, stream)
        with decoding(path, extent):
            for packet in container.demux():
                extent.note_packet(packet)
                if packet.stream is not stream:
                    continue
                if shape is None:
                    for frame in packet.decode():
                        rotation = rotation_of(frame)
                        shape = as_shown(frame, stream, None).shape[:2]
                        break
                if packet.size and not packet.is_discard and (stamp := stamp_of(packet)) is not None:
                    times.add(stamp)
        frames = len(times) or extent.video_packets
        if shape is None or frames == 0:
            raise no_frames(path)
        if problem := extent.problem(extent.video_end):
            raise cut_short(path, problem)
        named = float(stream.average_rate or stream.guessed_rate or 0)
        codec = stream.codec_context.name
    ordered = np.sort(list(times))
    steps = np.diff(ordered)
    span = float(ordered[-1] - ordered[0]) if len(ordered) else 0.0
    measured = (frames - 1) / span if span > 0 else named
    # the container's rate is exact where it is right: time stamps are rounded in some containers
    fps = named if named > 0 and abs(named - measured) <= 0.01 * measured else measured or 25.0
    info = VideoInfo(
        path=path,
        width=shape[1],
        height=shape[0],
        fps=fps,
        frames=frames,
        duration=span + 1 / fps,
        variable_rate=bool(len(steps)) and bool(steps.max() > 1.5 * np.median(steps)),
        rotation=rotation,
        codec=codec,
    )
    return info, ordered


def read_whole(path: Path) -> Iterator[Frame]:
    with opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        extent = Extent(container, stream)
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        index = 0
        first: float | None = None
        end: float | None = None
        shape: tuple[int, int] | None = None
        with decoding(path, extent):
            for packet in container.demux():
                extent.note_packet(packet)
                if packet.stream is not stream:
                    continue
                for frame in packet.decode():
                    stamp = index / rate if frame.time is None else float(frame.time)
                    first = stamp if first is None else first
                    end = stamp + float((frame.duration or 0) * (frame.time_base or 0))
                    rgb = as_shown(frame, stream, shape)
                    shape = rgb.shape[:2]
                    yield Frame(index, stamp - first, rgb)
                    index += 1
                    extent.frames = index
        if index == 0:
            raise no_frames(path)
        if problem := extent.problem(end):
            raise cut_short(path, problem)


def read_part(clip: Clip) -> Iterator[Frame]:
    """Frames from `clip.start` to `clip.end`, without decoding all that comes before."""
    info, times = look_through(clip.path)
    if not len(times):  # a stream without time stamps: nothing to seek by
        yield from _cut_out(clip, ((f.time, f.rgb) for f in read_whole(clip.path)))
        return
    wanted = [t for t in times if clip.holds(t - times[0])]
    if not wanted:
        raise nothing_between(clip, info.duration)
    yield from _cut_out(clip, _decode_from(clip.path, float(times[0]), float(wanted[0])))


def _cut_out(clip: Clip, frames: Iterator[tuple[float, NDArray[np.uint8]]]) -> Iterator[Frame]:
    index, first = 0, 0.0
    for time, rgb in frames:
        if clip.end is not None and time >= clip.end - 1e-6:
            break
        if clip.holds(time):
            first = first if index else time
            yield Frame(index, time - first, rgb, first)
            index += 1


def _decode_from(path: Path, origin: float, wanted: float) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """(seconds from `origin`, RGB) from a key frame before `wanted` on; both by the container's clock."""
    for seek in (True, False):
        with opened(path) as (container, stream):
            stream.thread_type = "AUTO"
            extent = Extent(container, stream)
            shape: tuple[int, int] | None = None
            with decoding(path, extent):
                if seek and wanted > origin:
                    container.seek(int(wanted / stream.time_base), stream=stream, backward=True)
                for packet in container.demux(stream):
                    extent.note_packet(packet)
                    for frame in packet.decode():
                        if frame.time is None:
                            continue
                        if shape is None and seek and frame.time > wanted + 1e-6:
                            break  # some files seek too far: from the beginning, then
                        rgb = as_shown(frame, stream, shape) if frame.time >= wanted - 1e-6 else None
                        if rgb is None:
                            shape = shape or as_shown(frame, stream, None).shape[:2]
                            continue
                        shape = rgb.shape[:2]
                        yield float(frame.time) - origin, rgb
                    else:
                        continue
                    break
                else:
                    return
