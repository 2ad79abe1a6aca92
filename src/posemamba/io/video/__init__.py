"""Videos and folders of pictures in, videos out: frames as RGB arrays with the times at which they are shown.

Decoding and encoding are PyAV's (the `video` extra), which brings its own FFmpeg: nothing else to install. Pictures are
read by `posemamba.io.video.image_files`; `Clip` names a part of a source, and `probe` and `read_frames` take it like a path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from posemamba.io.video.clip import Clip, Frame, Source, VideoInfo, as_clip, nothing_between
from posemamba.io.video.decoding import look_through, read_part, read_whole
from posemamba.io.video.image_files import is_pictures
from posemamba.io.video.image_sequence import probe_pictures, read_pictures
from posemamba.io.video.writer import VideoWriter

__all__ = ["Clip", "Frame", "Source", "VideoInfo", "VideoWriter", "probe", "read_frames"]


def probe(source: Source) -> VideoInfo:
    """Look through a video, a folder of pictures or a `Clip`: reads the whole video, decodes only the first frame.

    Raises:
        PoseMambaError: there is no such file, it is no video, holds no frames (in the part that was asked for), or
            was cut short.
    """
    clip = as_clip(source)
    if is_pictures(clip.path):
        return probe_pictures(clip)
    info, times = look_through(clip.path)
    if clip.is_whole:
        return info
    inside = [t for t in times - times[0] if clip.holds(t)] if len(times) else []
    if not inside:
        raise nothing_between(clip, info.duration)
    span = float(inside[-1] - inside[0])
    return replace(info, frames=len(inside), duration=span + 1 / info.fps)


def read_frames(source: Source) -> Iterator[Frame]:
    """Decode a video, a folder of pictures or a `Clip` frame by frame, in order and at the times they are shown.

    Rotation that the file asks for (phones) and pixels that are not square are applied. All frames have the
    size of the first.

    Raises:
        PoseMambaError: there is no such file, it is no video or holds no frames; also after some frames,
            where decoding fails or ends clearly before the length that the file declares, or a picture has another
            size than the first.
    """
    clip = as_clip(source)
    if is_pictures(clip.path):
        yield from read_pictures(clip)
    elif clip.is_whole:
        yield from read_whole(clip.path)
    else:
        yield from read_part(clip)
