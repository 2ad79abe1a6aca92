"""Sources of live pictures, by PyAV: a camera of this computer, an address in the network, or a video file."""

from __future__ import annotations

import re
import sys
import time as clock
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posemamba.live.runner import Picture
from posemamba.utils.errors import PoseMambaError, require

__all__ = ["Source", "Taken", "find_source", "read_source"]

_SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "udp", "rtp", "tcp", "srt")
_PROTOCOLS = "rtsp,rtsps,rtp,srtp,rtmp,rtmps,udp,tcp,tls,http,https,httpproxy,crypto,srt"
"""Protocols to which an address may lead: never to files of this computer."""
_OPEN_SECONDS, _READ_SECONDS = 10.0, 5.0
_WAITS = (0.5, 1.0, 2.0, 3.0)
"""Seconds between attempts to reach a camera again."""
_PAUSE = 10.0
"""Seconds: a step of a stream's own times that is longer, or goes back, is a new beginning of its clock."""
_SYSTEMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""FFmpeg's names of the systems' cameras, by Python's name of the system."""


@dataclass(frozen=True)
class Source:
    """A source of pictures.

    Attributes:
        kind: a ``camera`` of this computer, an ``address``, or a video ``file``.
        name: as the user gave it, without a password.
        opened: what FFmpeg opens.
        format: FFmpeg's name of the camera's system; "" for others.
    """

    kind: str
    name: str
    opened: str
    format: str = ""


@dataclass(frozen=True)
class Taken:
    """A picture of a source.

    Attributes:
        picture: see `posemamba.live.runner.Picture`.
        time: seconds from the source's first picture, by its own clock, rising.
    """

    picture: Picture
    time: float


def find_source(text: str, system: str = sys.platform) -> Source:
    """Tell what a source is by its text.

    Args:
        text: a number, ``/dev/video0`` or, on Windows, ``video=NAME`` for a camera; an address; or a file's path.
        system: Python's name of the operating system.

    Raises:
        PoseMambaError: no such file, an address of another kind, or a camera where FFmpeg knows none.
    """
    scheme = re.match(r"([a-z][a-z0-9+.-]*)://", text, re.IGNORECASE)
    if scheme is not None:
        if scheme[1].lower() not in _SCHEMES:
            raise PoseMambaError(f"{text}: an address of '{scheme[1]}', expected {', '.join(_SCHEMES)}")
        return Source("address", re.sub(r"//[^/@]*@", "//", text), text)
    if text.isdecimal() or text.startswith(("/dev/video", "video=")):
        format = _SYSTEMS.get(system, "")
        if not format:
            raise PoseMambaError(f"{text}: no cameras are known on {system}; give an address or a file")
        if text.isdecimal():
            opened = {"v4l2": f"/dev/video{text}", "avfoundation": f"{text}:none"}.get(format, "")
            if not opened:
                raise PoseMambaError(f"{text}: on Windows cameras have names, expected video=NAME of the camera")
            return Source("camera", f"camera {text}", opened, format)
        return Source("camera", text, text, format)
    if not text.strip():
        raise PoseMambaError("the source is empty, expected a camera (0, 1, ...), an address (rtsp://...) or a video")
    if not Path(text).exists():
        raise PoseMambaError(f"{text}: no such file, and no camera (0, 1, ...) nor address (rtsp://...)")
    if Path(text).is_dir():
        raise PoseMambaError(f"{text}: is a folder, expected a video file, a camera (0, 1, ...) or an address")
    return Source("file", text, text)


def read_source(
    source: Source,
    *,
    paced: bool = True,
    reconnect: float = 30.0,
    tell: Callable[[str], None] = lambda line: None,
) -> Generator[Taken, None, None]:
    """Yield the pictures of a source.

    Args:
        source: from `find_source`.
        paced: give a file's pictures at its own rate; False: as quickly as they are taken.
        reconnect: seconds for which a camera or address that vanishes is tried again; 0: not at all.
        tell: called with a line where that happens.

    Raises:
        PoseMambaError: it cannot be opened, is no video, or has vanished for longer than `reconnect`.
    """
    if source.kind == "file":
        yield from _read_file(source, paced)
    else:
        yield from _read_stream(source, reconnect, tell)


def _read_file(source: Source, paced: bool) -> Iterator[Taken]:
    from posemamba.io.video.reading import read_frames
    from posemamba.utils.ahead import ahead

    began = None
    with ahead(read_frames(source.opened)) as frames:
        for frame in frames:
            if paced:
                began = clock.monotonic() - frame.time if began is None else began
                if (wait := began + frame.time - clock.monotonic()) > 0:
                    clock.sleep(wait)
            yield Taken(lambda frame=frame: frame.rgb, frame.time)  # type: ignore[misc]


def _read_stream(source: Source, reconnect: float, tell: Callable[[str], None]) -> Iterator[Taken]:
    av = require("av", "video")
    times = _Times()
    seen = False  # an address at which nothing was ever is wrong, and not tried again
    while True:
        failure = "it ended"
        try:
            container = _open(av, source)
        except PoseMambaError:
            if not seen:
                raise
            container = None
        if container is not None:
            with container:
                try:
                    for frame, picture in _decoded(container, source):
                        seen = True
                        yield Taken(picture, times.next(frame))
                    if container.duration is not None and source.kind == "address":
                        return  # a file at an address, and its end
                except (av.FFmpegError, OSError) as error:
                    failure = getattr(error, "strerror", None) or str(error)
        if not seen:
            raise PoseMambaError(f"{source.name}: gives no pictures ({failure}); is it used by another program?")
        times.begin_anew()
        if not _come_back(av, source, failure, reconnect, tell):
            raise PoseMambaError(f"{source.name}: has vanished ({failure}), and did not come back in {reconnect:g} s")


def _come_back(av: Any, source: Source, failure: str, reconnect: float, tell: Callable[[str], None]) -> bool:
    """Wait until a source that has vanished can be opened again; False: it cannot within so many seconds."""
    if reconnect <= 0:
        return False
    tell(f"{source.name}: has vanished ({failure}); trying again for {reconnect:g} s")
    until, attempt = clock.monotonic() + reconnect, 0
    while clock.monotonic() < until:
        clock.sleep(min(_WAITS[min(attempt, len(_WAITS) - 1)], max(0.0, until - clock.monotonic())))
        attempt += 1
        try:
            _open(av, source).close()
        except PoseMambaError:
            continue
        tell(f"{source.name}: is back")
        return True
    return False


def _open(av: Any, source: Source) -> Any:
    """Open a camera or an address.

    Raises:
        PoseMambaError: it cannot be opened.
    """
    if source.kind == "camera":
        options = {"framerate": "30"} if source.format == "avfoundation" else {}
    else:
        options = {"protocol_whitelist": _PROTOCOLS, "fflags": "nobuffer", "flags": "low_delay"}
        if source.opened.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
    try:
        container = av.open(
            source.opened, format=source.format or None, options=options, timeout=(_OPEN_SECONDS, _READ_SECONDS)
        )
    except PermissionError:
        raise PoseMambaError(f"{source.name}: no permission to use it (on Linux: be in the group 'video')") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        what = "no such camera, or used by another program" if source.kind == "camera" else "cannot be opened"
        raise PoseMambaError(f"{source.name}: {what} ({reason})") from None
    if not container.streams.video:
        container.close()
        raise PoseMambaError(f"{source.name}: has no video; give the address of a camera's video")
    return container


def _decoded(container: Any, source: Source) -> Iterator[tuple[Any, Picture]]:
    """Yield the frames of a stream, and their pictures as shown, which are converted where they are used."""
    from posemamba.io.video.display import display_matrix, pixel_aspect
    from posemamba.io.video.opening import choose_stream
    from posemamba.io.video.picture import DecodedPicture

    stream = choose_stream(container)
    if stream is None:
        raise PoseMambaError(f"{source.name}: has no video; give the address of a camera's video")
    stream.thread_type = "SLICE"  # frames side by side would come later
    matrix, shape = None, None
    for frame in container.decode(stream):
        if matrix is None or shape != (frame.height, frame.width):
            matrix, shape = display_matrix(frame), (frame.height, frame.width)
        picture = DecodedPicture(frame, pixel_aspect(stream), None, matrix)
        yield frame, lambda picture=picture: picture.rgb  # type: ignore[misc]


class _Times:
    """The times of a stream's pictures: by the camera's clock where it goes on, else by this computer's."""

    def __init__(self) -> None:
        self._last = -1.0
        self._shift: float | None = None
        self._began = clock.monotonic()

    def begin_anew(self) -> None:
        """Expect another clock of the camera's."""
        self._shift = None

    def next(self, frame: Any) -> float:
        """Return the time of the next frame, later than that of the one before."""
        now = clock.monotonic() - self._began
        own = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
        if own is None:
            time = now
        else:
            if self._shift is None or not 0 < own + self._shift - self._last < _PAUSE:
                self._shift = now - own
            time = own + self._shift
        self._last = max(time, self._last + 1e-3)
        return self._last
