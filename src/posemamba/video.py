"""Videos and folders of pictures in, videos out: frames as RGB arrays with the times at which they are shown.

Decoding and encoding are PyAV's (the `video` extra), which brings its own FFmpeg: nothing else to install. Pictures are
read by `posemamba.pictures`; `Clip` names a part of a source, and `probe` and `read_frames` take it like a path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.errors import PoseMambaError, require
from posemamba.files import atomic_path
from posemamba.pictures import PICTURES_PER_SECOND, find_pictures, is_pictures, read_picture

_ATTACHED_PICTURE = 0x400  # FFmpeg's disposition of a cover image in a music file
_BT709, _UNSPECIFIED = 1, 2  # FFmpeg's numbers of colour spaces
_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
_TICKS = 90_000  # a second in the writer's time base: whole for 24, 25, 30, 50, 60 and 29.97 frames a second


@dataclass(frozen=True)
class Clip:
    """A part of a video, or of a folder of pictures.

    Attributes:
        path: the video, picture or folder.
        start, end: seconds from the source's first frame, [start, end); None: all of it.
        fps: of pictures, which do not say it themselves; None: 30.
    """

    path: Path
    start: float | None = None
    end: float | None = None
    fps: float | None = None

    def __str__(self) -> str:
        return str(self.path)

    def holds(self, time: float) -> bool:
        """Whether a frame at `time` is within; times are rounded in files, hence the microsecond."""
        return (self.start is None or time >= self.start - 1e-6) and (self.end is None or time < self.end - 1e-6)

    @property
    def is_whole(self) -> bool:
        return self.start is None and self.end is None


Source = str | Path | Clip


@dataclass(frozen=True)
class VideoInfo:
    """What a video, or the part of it that was asked for, holds.

    Attributes:
        path: the file.
        width, height: pixels of the frames as shown: upright, with square pixels.
        fps: frames per second, on average.
        frames: how many frames there are to decode.
        duration: seconds from the first frame's start to the last one's end.
        variable_rate: the frames are not evenly spaced, so that index / fps is not a frame's time.
        rotation: degrees, counter-clockwise, by which the stored frames are turned to be shown.
        codec: FFmpeg's name of the codec.
    """

    path: Path
    width: int
    height: int
    fps: float
    frames: int
    duration: float
    variable_rate: bool
    rotation: int
    codec: str

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        index: 0 for the first that is read.
        time: seconds from the first frame that is read.
        rgb: (height, width, 3) uint8, as shown: upright, with square pixels.
        offset: seconds from the source's first frame to the first that is read; not 0 within a `Clip`.
    """

    index: int
    time: float
    rgb: NDArray[np.uint8]
    offset: float = 0.0


def probe(source: Source) -> VideoInfo:
    """Look through a video, a folder of pictures or a `Clip`: reads the whole video, decodes only the first frame.

    Raises:
        PoseMambaError: there is no such file, it is no video, holds no frames (in the part that was asked for), or
            was cut short.
    """
    clip = _as_clip(source)
    if is_pictures(clip.path):
        return _probe_pictures(clip)
    info, times = _look_through(clip.path)
    if clip.is_whole:
        return info
    inside = [t for t in times - times[0] if clip.holds(t)] if len(times) else []
    if not inside:
        raise _nothing_between(clip, info.duration)
    span = float(inside[-1] - inside[0])
    return replace(info, frames=len(inside), duration=span + 1 / info.fps)


def _look_through(path: Path) -> tuple[VideoInfo, NDArray[np.float64]]:
    """What a video holds, and its frames' (F,) times by the container's clock, in order."""
    times: set[float] = set()
    shape: tuple[int, int] | None = None
    rotation = 0
    with _opened(path) as (container, stream):
        extent = _Extent(container, stream)
        with _decoding(path, extent):
            for packet in container.demux():
                extent.note_packet(packet)
                if packet.stream is not stream:
                    continue
                if shape is None:
                    for frame in packet.decode():
                        rotation = _rotation(frame)
                        shape = _as_shown(frame, stream, None).shape[:2]
                        break
                if packet.size and not packet.is_discard and (stamp := _stamp(packet)) is not None:
                    times.add(stamp)
        frames = len(times) or extent.video_packets
        if shape is None or frames == 0:
            raise _no_frames(path)
        if problem := extent.problem(extent.video_end):
            raise _cut_short(path, problem)
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


def read_frames(source: Source) -> Iterator[Frame]:
    """Decode a video, a folder of pictures or a `Clip` frame by frame, in order and at the times they are shown.

    Rotation that the file asks for (phones) and pixels that are not square are applied. All frames have the
    size of the first.

    Raises:
        PoseMambaError: there is no such file, it is no video or holds no frames; also after some frames,
            where decoding fails or ends clearly before the length that the file declares, or a picture has another
            size than the first.
    """
    clip = _as_clip(source)
    if is_pictures(clip.path):
        yield from _read_pictures(clip)
    elif clip.is_whole:
        yield from _read_whole(clip.path)
    else:
        yield from _read_part(clip)


def _as_clip(source: Source) -> Clip:
    return source if isinstance(source, Clip) else Clip(Path(source))


def _nothing_between(clip: Clip, duration: float) -> PoseMambaError:
    start, end = f"{clip.start or 0:g} s", "its end" if clip.end is None else f"{clip.end:g} s"
    return PoseMambaError(
        f"{clip}: has no frame between {start} and {end}, it lasts {duration:.2f} s; choose another --start or --end"
    )


def _probe_pictures(clip: Clip) -> VideoInfo:
    files = find_pictures(clip.path)
    fps = clip.fps or PICTURES_PER_SECOND
    inside = [i for i in range(len(files)) if clip.holds(i / fps)]
    if not inside:
        raise _nothing_between(clip, len(files) / fps)
    height, width = read_picture(files[inside[0]]).shape[:2]
    return VideoInfo(clip.path, width, height, fps, len(inside), len(inside) / fps, False, 0, "pictures")


def _read_pictures(clip: Clip) -> Iterator[Frame]:
    fps = clip.fps or PICTURES_PER_SECOND
    inside = [(i / fps, file) for i, file in enumerate(find_pictures(clip.path)) if clip.holds(i / fps)]
    shape: tuple[int, ...] = ()
    for index, (time, file) in enumerate(inside):
        rgb = read_picture(file)
        shape = shape or rgb.shape
        if rgb.shape != shape:
            raise PoseMambaError(
                f"{file}: is {rgb.shape[1]} x {rgb.shape[0]} pixels, {inside[0][1].name} is {shape[1]} x {shape[0]}; "
                "the pictures of a sequence must be of one size: put others into a folder of their own"
            )
        yield Frame(index, time - inside[0][0], rgb, inside[0][0])


def _read_part(clip: Clip) -> Iterator[Frame]:
    """Frames from `clip.start` to `clip.end`, without decoding all that comes before."""
    info, times = _look_through(clip.path)
    if not len(times):  # a stream without time stamps: nothing to seek by
        yield from _cut_out(clip, ((f.time, f.rgb) for f in _read_whole(clip.path)))
        return
    wanted = [t for t in times if clip.holds(t - times[0])]
    if not wanted:
        raise _nothing_between(clip, info.duration)
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
        with _opened(path) as (container, stream):
            stream.thread_type = "AUTO"
            extent = _Extent(container, stream)
            shape: tuple[int, int] | None = None
            with _decoding(path, extent):
                if seek and wanted > origin:
                    container.seek(int(wanted / stream.time_base), stream=stream, backward=True)
                for packet in container.demux(stream):
                    extent.note_packet(packet)
                    for frame in packet.decode():
                        if frame.time is None:
                            continue
                        if shape is None and seek and frame.time > wanted + 1e-6:
                            break  # some files seek too far: from the beginning, then
                        rgb = _as_shown(frame, stream, shape) if frame.time >= wanted - 1e-6 else None
                        if rgb is None:
                            shape = shape or _as_shown(frame, stream, None).shape[:2]
                            continue
                        shape = rgb.shape[:2]
                        yield float(frame.time) - origin, rgb
                    else:
                        continue
                    break
                else:
                    return


def _read_whole(path: Path) -> Iterator[Frame]:
    with _opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        extent = _Extent(container, stream)
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        index = 0
        first: float | None = None
        end: float | None = None
        shape: tuple[int, int] | None = None
        with _decoding(path, extent):
            for packet in container.demux():
                extent.note_packet(packet)
                if packet.stream is not stream:
                    continue
                for frame in packet.decode():
                    stamp = index / rate if frame.time is None else float(frame.time)
                    first = stamp if first is None else first
                    end = stamp + float((frame.duration or 0) * (frame.time_base or 0))
                    rgb = _as_shown(frame, stream, shape)
                    shape = rgb.shape[:2]
                    yield Frame(index, stamp - first, rgb)
                    index += 1
                    extent.frames = index
        if index == 0:
            raise _no_frames(path)
        if problem := extent.problem(end):
            raise _cut_short(path, problem)


@dataclass
class _Extent:
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
        stamp = _stamp(packet)
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


def _stamp(packet: Any) -> float | None:
    stamp = packet.dts if packet.pts is None else packet.pts
    return None if stamp is None else float(stamp * packet.time_base)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The open container and its video stream."""
    av = require("av", "video")
    if path.is_dir():
        raise PoseMambaError(f"{path}: is a directory without pictures, expected a video file or a folder of pictures")
    if not path.exists():
        raise PoseMambaError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise PoseMambaError(f"{path}: the file is empty (0 bytes), expected a video; copy or download it again")
    try:
        # "file:" so that no name is taken for a pattern or an address; playlists must not reach the network
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except PermissionError:
        raise PoseMambaError(f"{path}: no permission to read this file") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        if _mp4_without_index(path):
            raise _cut_short(path, "the index at its end (moov) is missing") from None
        reason = getattr(error, "strerror", None) or str(error)
        raise PoseMambaError(
            f"{path}: not a video that FFmpeg can read ({reason}); expected for example an mp4, mov, mkv, "
            "webm or avi file"
        ) from None
    with container:
        name = container.format.name
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if name == "tty":
            raise PoseMambaError(f"{path}: not a video but text; expected for example an mp4 file")
        if name == "image2" or name.endswith("_pipe"):
            raise PoseMambaError(f"{path}: a single picture, not a video; expected for example an mp4 file")
        if not streams:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise PoseMambaError(f"{path}: has no video stream (only {kinds}); expected a video file")
        yield container, streams[0]


@contextlib.contextmanager
def _decoding(path: Path, extent: _Extent) -> Iterator[None]:
    """Turn FFmpeg's errors into the user's."""
    av = require("av", "video")
    try:
        yield
    except av.FFmpegError as error:
        declared = f" of {extent.declared:.2f} s" if extent.declared else ""
        reached = f"decoding failed at {extent.video_end:.2f} s{declared}"
        raise _cut_short(path, f"{reached}: {error.strerror}") from None


def _no_frames(path: Path) -> PoseMambaError:
    return PoseMambaError(f"{path}: the video holds no frames; copy or download it again")


def _cut_short(path: Path, problem: str) -> PoseMambaError:
    return PoseMambaError(f"{path}: the video is cut short or damaged ({problem}); copy or download it again")


def _mp4_without_index(path: Path) -> bool:
    """Whether this is an mp4 or mov file that ends before its index."""
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


def _is_cover(stream: Any) -> bool:
    """Whether this is the cover picture of a music file."""
    disposition = stream.disposition  # an enumeration or a number, by PyAV's release
    return bool(getattr(disposition, "value", disposition) & _ATTACHED_PICTURE)


def _rotation(frame: Any) -> int:
    """Degrees counter-clockwise, a multiple of 90."""
    return int(round((getattr(frame, "rotation", 0) or 0) / 90) * 90) % 360


def _as_shown(frame: Any, stream: Any, shape: tuple[int, int] | None) -> NDArray[np.uint8]:
    """The frame as RGB, with square pixels, upright; with this (height, width) if one is given."""
    turns = _rotation(frame) // 90
    if shape is None:
        aspect = float(stream.sample_aspect_ratio or 1)
        stored = frame.height, (round(frame.width * aspect) if aspect > 0 else frame.width)
    else:
        stored = shape if turns % 2 == 0 else (shape[1], shape[0])
    options: dict[str, Any] = {}
    space = int(frame.colorspace)
    # Players take high definition that names no colour space for BT.709, FFmpeg for BT.601. PyAV before 17
    # does so even where BT.709 is named, unless the target differs, which means nothing for RGB.
    if space == _BT709 or (space == _UNSPECIFIED and frame.height >= 720):
        options = {"src_colorspace": "ITU709", "dst_colorspace": "ITU601"}
    rgb = frame.reformat(width=stored[1], height=stored[0], format="rgb24", **options).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, turns))


class VideoWriter:
    """Write frames as H.264 that browsers and players show; the file appears whole when the block ends well.

    A width or height that is odd, which the format does not allow, is made even by repeating the last column
    or row. If the block raises, nothing is written and an earlier file stays.

    >>> with VideoWriter("out.mp4", fps=30) as writer:
    ...     for frame in read_frames("in.mp4"):
    ...         writer.write(frame.rgb, frame.time)
    """

    def __init__(self, path: str | Path, fps: float, *, crf: int = 20) -> None:
        """Prepare; the size is that of the first frame.

        Args:
            path: the file to write; its suffix is .mp4, .m4v, .mov or .mkv.
            fps: frames per second.
            crf: x264's quality, 0 (best) to 51.

        Raises:
            PoseMambaError: the suffix is another one.
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
        try:
            temporary = self._stack.enter_context(atomic_path(self.path))
        except OSError as error:
            raise PoseMambaError(f"{self.path}: cannot write there ({error.strerror})") from error
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
            time: seconds from the start at which it is shown; without it frames follow each other at `fps`.

        Raises:
            ValueError: the array's shape or type is another one.
        """
        if self._container is None:
            raise ValueError("write inside of the with block")
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise ValueError(f"a frame is {rgb.dtype} {rgb.shape}, expected uint8 (height, width, 3)")
        if self._stream is None:
            self._start(rgb.shape[0], rgb.shape[1])
        elif rgb.shape[:2] != self._shape:
            raise ValueError(f"a frame is {rgb.shape[:2]}, the first one was {self._shape}")
        av = require("av", "video")
        height, width = self._shape
        even = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        source = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame = source.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
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
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.options = {"crf": str(self._crf), "preset": "veryfast"}
        # BT.709, limited range: named, since players guess by the size otherwise
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
        """Close the unfinished file; what is wrong with it does not matter any more."""
        with contextlib.suppress(Exception):
            self._container.close()
