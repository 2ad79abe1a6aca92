"""Properties and frames of a video, a folder of pictures, or a part of either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from posemamba.io.video.clip import Frame, Source, VideoInfo, as_clip, nothing_between


def probe(source: Source) -> VideoInfo:
    """Read the properties of a video, a folder of pictures or a `Clip`; a video is read whole, but not decoded.

    Raises:
        PoseMambaError: there is no such file, it is no video, has no frames (in the given part), or was cut short.
    """
    from posemamba.io.pictures import is_pictures
    from posemamba.io.video.decoding import look_through
    from posemamba.io.video.image_files import probe_pictures

    clip = as_clip(source)
    if is_pictures(clip.path):
        return probe_pictures(clip)
    info, times = look_through(clip.path, clip.allow_damaged)
    if clip.is_whole:
        return info
    inside = [t for t in times - times[0] if clip.holds(t)] if len(times) else []
    if not inside:
        raise nothing_between(clip, info.duration)
    span = float(inside[-1] - inside[0])
    return replace(info, frames=len(inside), duration=span + 1 / info.fps)


def read_frames(source: Source) -> Iterator[Frame]:
    """Decode a video, a folder of pictures or a `Clip` frame by frame, in order and at the times they are shown.

    Frames are upright (the file's rotation is applied), have square pixels, and all have the size of the first.

    Raises:
        PoseMambaError: there is no such file, it is no video or has no frames; also after some frames, where
            decoding fails or ends clearly before the length that the file declares, or a picture has another size
            than the first.
    """
    from posemamba.io.pictures import is_pictures
    from posemamba.io.video.decoding import read_part, read_whole
    from posemamba.io.video.image_files import read_pictures

    clip = as_clip(source)
    if is_pictures(clip.path):
        yield from read_pictures(clip)
    elif clip.is_whole:
        yield from read_whole(clip.path, clip.allow_damaged)
    else:
        yield from read_part(clip)
