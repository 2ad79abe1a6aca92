"""Decoding of video files by PyAV: their properties, all frames, or a part from a key frame on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.clip import Clip, Frame, VideoInfo, nothing_between
from posemamba.io.video.display import is_mirrored, is_transposed, list_remarks, pixel_aspect, turned
from posemamba.io.video.opening import TruncationCheck, decoding, no_frames, opened, stamp_of

_BT709, _UNSPECIFIED = 1, 2  # FFmpeg's numbers of colour spaces


def look_through(path: Path, tolerant: bool = False) -> tuple[VideoInfo, NDArray[np.float64]]:
    """Read a video's properties, and its frames' (F,) times in seconds by the container's clock, in order.

    Args:
        path: the file.
        tolerant: it may be damaged: all of it is decoded, and the times are those of the frames that can be.
    """
    times: set[float] = set()
    shown: list[float] = []
    shape: tuple[int, int] | None = None
    rotation, mirrored = 0, False
    remarks: tuple[str, ...] = ()
    with opened(path) as (container, stream):
        check = TruncationCheck(container, stream, tolerant=tolerant)
        with decoding(path, check):
            for packet in check.packets():
                check.note_packet(packet)
                if packet.stream is not stream:
                    continue
                for frame in check.frames_of(packet) if shape is None or tolerant else ():
                    if shape is None:
                        rotation, mirrored, remarks = rotation_of(frame), is_mirrored(frame), list_remarks(path, frame)
                        shape = as_shown(frame, stream, None).shape[:2]
                    if frame.time is not None and (not shown or frame.time > shown[-1]):
                        shown.append(float(frame.time))
                if packet.size and not packet.is_discard and (stamp := stamp_of(packet)) is not None:
                    times.add(stamp)
        times = set(shown) if tolerant else times
        frames = len(times) or check.video_packets
        if shape is None or frames == 0:
            raise no_frames(path)
        check.reject(path, check.video_end)
        named = float(stream.average_rate or stream.guessed_rate or 0)
        codec = stream.codec_context.name
        lost = check.lost(frames, max(shown)) if tolerant and shown else 0
    ordered = np.sort(list(times))
    steps = np.diff(ordered)
    span = float(ordered[-1] - ordered[0]) if len(ordered) else 0.0
    measured = (frames - 1) / span if span > 0 else named
    if lost:
        measured = 1 / float(np.median(steps)) if len(steps) else named
        remarks += (_tell_damage(path, frames, lost, ordered),)
    # prefer the container's rate where it fits: it is exact, while some containers round time stamps
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
        mirrored=mirrored,
        remarks=remarks,
    )
    return info, ordered


def _tell_damage(path: Path, frames: int, lost: int, times: NDArray[np.float64]) -> str:
    """Return the line that says how much of a damaged video is left, and where its longest gap is."""
    steps = np.diff(times)
    where = ""
    if len(steps) and steps.max() > 1.5 * np.median(steps):
        at = int(steps.argmax())
        where = f"; the longest gap is from {times[at] - times[0]:.2f} to {times[at + 1] - times[0]:.2f} s"
    return f"{path.name}: damaged: {frames} frames decoded, at least {lost} lost{where}"


def read_whole(path: Path, tolerant: bool = False) -> Iterator[Frame]:
    """Yield all frames of a video; of a damaged one, if `tolerant`, those that can be decoded, at their times."""
    with opened(path) as (container, stream):
        # several frames decoded at a time would lose one more beside each broken one
        stream.thread_type = "SLICE" if tolerant else "AUTO"
        check = TruncationCheck(container, stream, tolerant=tolerant)
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        index = 0
        first: float | None = None
        end: float | None = None
        last = 0.0
        shape: tuple[int, int] | None = None
        with decoding(path, check):
            for packet in check.packets():
                check.note_packet(packet)
                if packet.stream is not stream:
                    continue
                for frame in check.frames_of(packet):
                    stamp = index / rate if frame.time is None else float(frame.time)
                    if tolerant and end is not None and stamp <= last:
                        continue  # a broken time
                    first = stamp if first is None else first
                    last = stamp
                    end = stamp + float((frame.duration or 0) * (frame.time_base or 0))
                    rgb = as_shown(frame, stream, shape)
                    shape = rgb.shape[:2]
                    yield Frame(index, stamp - first, rgb)
                    index += 1
                    check.frames = index
        if index == 0:
            raise no_frames(path)
        check.reject(path, end)


def read_part(clip: Clip) -> Iterator[Frame]:
    """Yield the frames from `clip.start` to `clip.end`, decoding from a key frame before."""
    if clip.allow_damaged:  # seeking may land anywhere
        yield from _cut_out(clip, ((f.time, f.rgb) for f in read_whole(clip.path, tolerant=True)))
        return
    info, times = look_through(clip.path)
    if not len(times):  # without time stamps no seeking is possible
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
    """Yield (seconds from `origin`, RGB) from `wanted` on; both are seconds by the container's clock."""
    for seek in (True, False):
        with opened(path) as (container, stream):
            stream.thread_type = "AUTO"
            check = TruncationCheck(container, stream)
            shape: tuple[int, int] | None = None
            with decoding(path, check):
                if seek and wanted > origin:
                    container.seek(int(wanted / stream.time_base), stream=stream, backward=True)
                for packet in container.demux(stream):
                    check.note_packet(packet)
                    for frame in packet.decode():
                        if frame.time is None:
                            continue
                        if shape is None and seek and frame.time > wanted + 1e-6:
                            break  # some files seek too far: start again from the beginning
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


def rotation_of(frame: Any) -> int:
    """Return a frame's rotation in degrees counter-clockwise, a multiple of 90."""
    return int(round((getattr(frame, "rotation", 0) or 0) / 90) * 90) % 360


def as_shown(frame: Any, stream: Any, shape: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return a frame as players show it: RGB, turned and flipped, with square pixels.

    Args:
        frame: PyAV's frame.
        stream: its stream.
        shape: (height, width) to scale to; None: by the frame's own size.
    """
    if shape is None:
        stored = frame.height, max(1, round(frame.width * pixel_aspect(stream)))
    else:
        stored = (shape[1], shape[0]) if is_transposed(frame) else shape
    options: dict[str, Any] = {}
    space = int(frame.colorspace)
    # Players decode high definition without a named colour space as BT.709, FFmpeg as BT.601. PyAV before 17 does so
    # even where BT.709 is named, unless the target's colour space differs, which has no effect on RGB.
    if space == _BT709 or (space == _UNSPECIFIED and frame.height >= 720):
        options = {"src_colorspace": "ITU709", "dst_colorspace": "ITU601"}
    rgb = frame.reformat(width=stored[1], height=stored[0], format="rgb24", **options).to_ndarray()
    return turned(frame, rgb)
