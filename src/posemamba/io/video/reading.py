"""Properties and frames of a video, a folder of pictures, or a part of either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.clip import Frame, Source, VideoInfo, as_clip, nothing_between
from posemamba.poses.ranges import check_fps, check_image_size
from posemamba.utils.reading import reader


@reader("a video or pictures")
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
    check_image_size(f"{clip.path}: its picture", info.width, info.height)
    check_fps(f"{clip.path}: its frame rate", info.fps)
    if clip.is_whole:
        return info
    inside = [t for t in times - times[0] if clip.holds(t)]
    if not inside:
        raise nothing_between(clip, info.duration)
    span = float(inside[-1] - inside[0])
    return replace(info, frames=len(inside), duration=span + 1 / info.fps)


def frame_times(source: Source) -> NDArray[np.float64]:
    """Return the times of all frames, (F,) seconds from the source's first frame, without decoding them.

    Raises:
        PoseMambaError: as `probe`.
    """
    from posemamba.io.pictures import is_pictures
    from posemamba.io.video.decoding import look_through
    from posemamba.io.video.image_files import picture_times

    clip = as_clip(source)
    if is_pictures(clip.path):
        times = np.array(picture_times(clip)[0])
    else:
        _, times = look_through(clip.path, clip.allow_damaged)
        times = times - times[0]
    return times[[clip.holds(t) for t in times]]


@reader("a video or pictures")
def read_frames(source: Source, skip: int = 0) -> Iterator[Frame]:
    """Decode a video, a folder of pictures or a `Clip` frame by frame, in order and at the times they are shown.

    Frames are upright (the file's rotation is applied), have square pixels, and all have the size of the first.

    Args:
        source: the video, pictures or clip.
        skip: leave out so many frames at the start. They are decoded all the same, so that the others are exactly what
            they are without.

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
        yield from read_pictures(clip, skip)
    elif clip.is_whole:
        yield from read_whole(clip.path, clip.allow_damaged, skip)
    else:
        yield from (frame for frame in read_part(clip) if frame.index >= skip)
