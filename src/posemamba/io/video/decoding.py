"""Decoding of video files by PyAV: their properties, all frames, or a part from a key frame on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.clip import Clip, Frame, VideoInfo, nothing_between
from posemamba.io.video.clock import Clock, in_decoding_order, rate_of
from posemamba.io.video.display import Matrix, display_matrix, is_mirrored, list_remarks, pixel_aspect
from posemamba.io.video.opening import TruncationCheck, decoding, no_frames, opened, stamp_of
from posemamba.io.video.picture import DecodedPicture, Picture
from posemamba.poses.ranges import FASTEST, SLOWEST
from posemamba.poses.times import usual_step
from posemamba.utils.errors import PoseMambaError

_MOST_AHEAD = 17  # packets by which a frame may come before one that is shown earlier, in any codec


def look_through(path: Path, tolerant: bool = False) -> tuple[VideoInfo, NDArray[np.float64]]:
    """Read a video's properties, and its frames' (F,) times in seconds by the container's clock, rising.

    Args:
        path: the file.
        tolerant: it may be damaged: all of it is decoded, and the times are those of the frames that can be.

    Raises:
        PoseMambaError: it cannot be read, was cut short, or the times of its frames are no order to show them in.
    """
    stamps: list[float] = []
    shown: list[float] = []
    shape: tuple[int, int] | None = None
    rotation, mirrored = 0, False
    remarks: tuple[str, ...] = ()
    by_order = tolerant and in_decoding_order(path)
    with opened(path) as (container, stream):
        check, clock = TruncationCheck(container, stream, tolerant=tolerant), Clock(container, stream, by_order)
        joint = clock.joint
        with decoding(path, check):
            for packet in check.packets():
                if packet.stream is stream:
                    clock.note(packet)
                check.note_packet(packet)
                if packet.stream is not stream:
                    continue
                for frame in _decode(packet, check, clock) if shape is None or tolerant else ():
                    if shape is None:
                        matrix = display_matrix(frame)
                        rotation, mirrored, remarks = rotation_of(frame), is_mirrored(matrix), list_remarks(path, frame)
                        picture = _as_shown(frame, stream, None, matrix)
                        shape = picture.height, picture.width
                    if tolerant and (time := clock.time_of(frame)) is not None:
                        shown.append(time)
                if packet.size and not packet.is_discard and (stamp := stamp_of(packet)) is not None:
                    stamps.append(stamp)
        if shape is None or not check.video_packets:
            raise no_frames(path)
        if not joint.at:
            check.reject(path, check.video_end)
        named, codec = float(stream.average_rate or stream.guessed_rate or 0), stream.codec_context.name
        assumed = rate_of(stream)
        lost = check.lost(len(shown), shown[-1]) if tolerant else 0
    times = np.unique(stamps) if stamps else np.arange(check.video_packets) / assumed
    if tolerant:
        times = np.array(shown)
        if lost:
            remarks += (_tell_damage(path, lost, times),)
    else:
        _check_order(path, np.array(stamps), len(times))
    step = usual_step(times)
    measured = 1 / step if step else named
    # prefer the container's rate where it fits: it is exact, while some containers round time stamps
    fps = named if named > 0 and abs(named - measured) <= 0.01 * measured else measured or assumed
    if len(times) == 1 and not SLOWEST <= fps <= FASTEST:
        fps = 25.0  # a single frame has no rate, and containers name their clock's
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
        mirrored=mirrored,
        seekable=bool(stamps) and not joint.at,
        remarks=(*_remarks(path, bool(stamps), [at - float(times[0]) for at in joint.at], fps), *remarks),
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


def _tell_damage(path: Path, lost: int, times: NDArray[np.float64]) -> str:
    """Return the line that says how much of a damaged video is left, and where its longest gap is."""
    steps = np.diff(times)
    where = ""
    if len(steps) and steps.max() > 1.5 * np.median(steps):
        at = int(steps.argmax())
        where = f"; the longest gap is from {times[at] - times[0]:.2f} to {times[at + 1] - times[0]:.2f} s"
    return f"{path.name}: damaged: {len(times)} frames decoded, at least {lost} lost{where}"


def _decode(packet: Any, check: TruncationCheck, clock: Clock) -> Iterator[Any]:
    """Decode a packet; the times of what cannot be decoded, or only in part, are not given to other frames."""
    failures = check.failures
    frames = check.frames_of(packet)
    if check.failures > failures:
        clock.forget(packet)
    for frame in frames:
        if check.tolerant and frame.is_corrupt:
            clock.time_of(frame)
        else:
            yield frame


def read_whole(path: Path, tolerant: bool = False, skip: int = 0) -> Iterator[Frame]:
    """Yield all frames of a video from number `skip` on; of a damaged one, if `tolerant`, those that can be decoded."""
    by_order = in_decoding_order(path)
    with opened(path) as (container, stream):
        # several frames decoded at a time would lose one more beside each broken one
        stream.thread_type = "SLICE" if tolerant else "AUTO"
        check, clock = TruncationCheck(container, stream, tolerant=tolerant), Clock(container, stream, by_order)
        index = 0
        first: float | None = None
        end: float | None = None
        shape: tuple[int, int] | None = None
        matrix: Matrix | None = None
        with decoding(path, check):
            for packet in check.packets():
                if packet.stream is stream:
                    clock.note(packet)
                check.note_packet(packet)
                if packet.stream is not stream:
                    continue
                for frame in _decode(packet, check, clock):
                    if (stamp := clock.time_of(frame)) is None:
                        continue
                    first = stamp if first is None else first
                    end = stamp + float((frame.duration or 0) * (frame.time_base or 0))
                    if shape is None or index >= skip:
                        matrix = matrix or display_matrix(frame)
                        picture = _as_shown(frame, stream, shape, matrix)
                        shape = picture.height, picture.width
                    if index >= skip:
                        yield Frame(index, stamp - first, picture)
                    index += 1
                    check.frames = index
        if index == 0:
            raise no_frames(path)
        if not clock.joint.at:
            check.reject(path, end)


def read_part(clip: Clip) -> Iterator[Frame]:
    """Yield the frames from `clip.start` to `clip.end`, decoding from a key frame before."""
    if clip.allow_damaged:  # seeking may land anywhere
        yield from _cut_out(clip, ((f.time, f.picture) for f in read_whole(clip.path, tolerant=True)))
        return
    info, times = look_through(clip.path)
    wanted = [t for t in times if clip.holds(t - times[0])]
    if not wanted:
        raise nothing_between(clip, info.duration)
    if not info.seekable or in_decoding_order(clip.path):  # by such times no place can be sought
        yield from _cut_out(clip, ((f.time, f.picture) for f in read_whole(clip.path)))
        return
    yield from _cut_out(clip, _decode_from(clip.path, float(times[0]), float(wanted[0])))


def _cut_out(clip: Clip, frames: Iterator[tuple[float, Picture]]) -> Iterator[Frame]:
    index, first = 0, 0.0
    for time, picture in frames:
        if clip.end is not None and time >= clip.end - 1e-6:
            break
        if clip.holds(time):
            first = first if index else time
            yield Frame(index, time - first, picture, first)
            index += 1


def _decode_from(path: Path, origin: float, wanted: float) -> Iterator[tuple[float, Picture]]:
    """Yield (seconds from `origin`, picture) from `wanted` on; both are seconds by the container's clock."""
    for seek in (True, False):
        with opened(path) as (container, stream):
            stream.thread_type = "AUTO"
            check, clock = TruncationCheck(container, stream), Clock(container, stream, by_order=False)
            shape: tuple[int, int] | None = None
            matrix: Matrix | None = None
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
                        matrix = matrix or display_matrix(frame)
                        picture = _as_shown(frame, stream, shape, matrix)
                        shape = picture.height, picture.width
                        if time < wanted - 1e-6:
                            continue
                        reached = True
                        yield time - origin, picture
                    else:
                        continue
                    break
                else:
                    if reached:  # other files seek beyond their end
                        return


def rotation_of(frame: Any) -> int:
    """Return a frame's rotation in degrees counter-clockwise, a multiple of 90."""
    return int(round((getattr(frame, "rotation", 0) or 0) / 90) * 90) % 360


def _as_shown(frame: Any, stream: Any, shape: tuple[int, int] | None, matrix: Matrix) -> DecodedPicture:
    """Return a frame's picture at a (height, width); without one, of a stream's first frame, at its own."""
    picture = DecodedPicture(frame, pixel_aspect(stream), shape, matrix)
    if shape is None:
        _ = picture.rgb  # colours that cannot be converted are an error of the file's, reported while it is read
    return picture
