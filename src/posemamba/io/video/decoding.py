"""Decoding of video files by PyAV: their properties, all frames, or a part from a key frame on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.clip import Clip, Frame, VideoInfo, nothing_between
from posemamba.io.video.clock import Clock, Joint, in_decoding_order, rate_of
from posemamba.io.video.opening import TruncationCheck, cut_short, decoding, no_frames, opened, stamp_of
from posemamba.poses.times import usual_step
from posemamba.utils.errors import PoseMambaError

_BT709, _UNSPECIFIED = 1, 2  # FFmpeg's numbers of colour spaces
_MOST_AHEAD = 17  # packets by which a frame may come before one that is shown earlier, in any codec


def look_through(path: Path) -> tuple[VideoInfo, NDArray[np.float64]]:
    """Read a video's properties, and its frames' (F,) times in seconds by the container's clock, rising.

    Raises:
        PoseMambaError: it cannot be read, was cut short, or the times of its frames are no order to show them in.
    """
    stamps: list[float] = []
    shape: tuple[int, int] | None = None
    rotation = 0
    with opened(path) as (container, stream):
        check, joint = TruncationCheck(container, stream), Joint(container)
        with decoding(path, check):
            for packet in container.demux():
                if packet.stream is stream:
                    joint.mend(packet)
                check.note_packet(packet)
                if packet.stream is not stream:
                    continue
                if shape is None:
                    for frame in packet.decode():
                        rotation = rotation_of(frame)
                        shape = as_shown(frame, stream, None).shape[:2]
                        break
                if packet.size and not packet.is_discard and (stamp := stamp_of(packet)) is not None:
                    stamps.append(stamp)
        if shape is None or not check.video_packets:
            raise no_frames(path)
        if not joint.at and (problem := check.problem(check.video_end)):
            raise cut_short(path, problem)
        named, codec = float(stream.average_rate or stream.guessed_rate or 0), stream.codec_context.name
        assumed = rate_of(stream)
    times = np.unique(stamps) if stamps else np.arange(check.video_packets) / assumed
    _check_order(path, np.array(stamps), len(times))
    step = usual_step(times)
    measured = 1 / step if step else named
    # prefer the container's rate where it fits: it is exact, while some containers round time stamps
    fps = named if named > 0 and abs(named - measured) <= 0.01 * measured else measured or assumed
    steps = np.diff(times)
    info = VideoInfo(
        path=path,
        width=shape[1],
        height=shape[0],
        fps=fps,
        frames=len(times),
        duration=float(times[-1] - times[0]) + 1 / fps,
        variable_rate=bool(len(steps)) and bool(steps.max() > 1.5 * np.median(steps)),
        rotation=rotation,
        codec=codec,
        remarks=tuple(_remarks(path, bool(stamps), [at - float(times[0]) for at in joint.at], fps)),
    )
    return info, times


def _check_order(path: Path, stamps: NDArray[np.float64], different: int) -> None:
    """Check stamps in decoding order.

    Raises:
        PoseMambaError: most are the same, or some lie farther back than any frame is coded ahead.
    """
    if different < 0.4 * len(stamps):
        raise PoseMambaError(
            f"{path}: its {len(stamps)} frames have only {different} different times, expected one each; "
            "write the video again: ffmpeg -i FILE -r RATE new.mp4"
        )
    before = np.maximum.accumulate(stamps)[:-_MOST_AHEAD]
    if (back := np.flatnonzero(stamps[_MOST_AHEAD:] < before)).size:
        first = int(back[0])
        raise PoseMambaError(
            f"{path}: the times of its frames go back from {before[first]:.3f} to {stamps[first + _MOST_AHEAD]:.3f} s, "
            "expected rising times; write the video again: ffmpeg -i FILE -r RATE new.mp4"
        )


def _remarks(path: Path, timed: bool, joints: list[float], fps: float) -> Iterator[str]:
    if not timed:
        yield f"{path.name}: holds no times; its frames are taken for {fps:.4g} a second"
    if joints:
        places = ", ".join(f"{at:.2f}" for at in joints[:3]) + (" ..." if len(joints) > 3 else "")
        yield f"{path.name}: its times start anew at {places} s: what follows there is joined to what comes before"


def read_whole(path: Path) -> Iterator[Frame]:
    """Yield all frames of a video."""
    by_order = in_decoding_order(path)
    with opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        check, clock = TruncationCheck(container, stream), Clock(container, stream, by_order)
        index = 0
        first: float | None = None
        end: float | None = None
        shape: tuple[int, int] | None = None
        with decoding(path, check):
            for packet in container.demux():
                if packet.stream is stream:
                    clock.note(packet)
                check.note_packet(packet)
                if packet.stream is not stream:
                    continue
                for frame in packet.decode():
                    if (stamp := clock.time_of(frame)) is None:
                        continue
                    first = stamp if first is None else first
                    end = stamp + float((frame.duration or 0) * (frame.time_base or 0))
                    rgb = as_shown(frame, stream, shape)
                    shape = rgb.shape[:2]
                    yield Frame(index, stamp - first, rgb)
                    index += 1
                    check.frames = index
        if index == 0:
            raise no_frames(path)
        if not clock.joint.at and (problem := check.problem(end)):
            raise cut_short(path, problem)


def read_part(clip: Clip) -> Iterator[Frame]:
    """Yield the frames from `clip.start` to `clip.end`, decoding from a key frame before."""
    info, times = look_through(clip.path)
    wanted = [t for t in times if clip.holds(t - times[0])]
    if not wanted:
        raise nothing_between(clip, info.duration)
    if info.remarks or in_decoding_order(clip.path):  # by such times no place can be sought
        yield from _cut_out(clip, ((f.time, f.rgb) for f in read_whole(clip.path)))
        return
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
            check, clock = TruncationCheck(container, stream), Clock(container, stream, by_order=False)
            shape: tuple[int, int] | None = None
            reached = False
            with decoding(path, check):
                if seek and wanted > origin:
                    container.seek(int(wanted / stream.time_base), stream=stream, backward=True)
                for packet in container.demux(stream):
                    clock.note(packet)
                    check.note_packet(packet)
                    for frame in packet.decode():
                        if (time := clock.time_of(frame)) is None:
                            continue
                        if shape is None and seek and time > wanted + 1e-6:
                            break  # some files seek too far: start again from the beginning
                        rgb = as_shown(frame, stream, shape) if time >= wanted - 1e-6 else None
                        if rgb is None:
                            shape = shape or as_shown(frame, stream, None).shape[:2]
                            continue
                        shape = rgb.shape[:2]
                        reached = True
                        yield time - origin, rgb
                    else:
                        continue
                    break
                else:
                    if reached:  # other files seek beyond their end
                        return


def rotation_of(frame: Any) -> int:
    """Return a frame's rotation in degrees counter-clockwise, a multiple of 90."""
    return int(round((getattr(frame, "rotation", 0) or 0) / 90) * 90) % 360


def as_shown(frame: Any, stream: Any, shape: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return a frame as players show it: RGB, upright, with square pixels.

    Args:
        frame: PyAV's frame.
        stream: its stream.
        shape: (height, width) to scale to; None: by the frame's own size.
    """
    turns = rotation_of(frame) // 90
    if shape is None:
        aspect = float(stream.sample_aspect_ratio or 1)
        stored = frame.height, (round(frame.width * aspect) if aspect > 0 else frame.width)
    else:
        stored = shape if turns % 2 == 0 else (shape[1], shape[0])
    options: dict[str, Any] = {}
    space = int(frame.colorspace)
    # Players decode high definition without a named colour space as BT.709, FFmpeg as BT.601. PyAV before 17 does so
    # even where BT.709 is named, unless the target's colour space differs, which has no effect on RGB.
    if space == _BT709 or (space == _UNSPECIFIED and frame.height >= 720):
        options = {"src_colorspace": "ITU709", "dst_colorspace": "ITU601"}
    rgb = frame.reformat(width=stored[1], height=stored[0], format="rgb24", **options).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, turns))
