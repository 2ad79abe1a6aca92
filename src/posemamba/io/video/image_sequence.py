"""Pictures, or folders of them, read like a video; the pictures themselves are `posemamba.io.video.image_files`'s."""

from __future__ import annotations

from collections.abc import Iterator

from posemamba.io.video.clip import Clip, Frame, VideoInfo, nothing_between
from posemamba.io.video.image_files import PICTURES_PER_SECOND, find_pictures, read_picture
from posemamba.utils.errors import PoseMambaError


def probe_pictures(clip: Clip) -> VideoInfo:
    files = find_pictures(clip.path)
    fps = clip.fps or PICTURES_PER_SECOND
    inside = [i for i in range(len(files)) if clip.holds(i / fps)]
    if not inside:
        raise nothing_between(clip, len(files) / fps)
    height, width = read_picture(files[inside[0]]).shape[:2]
    return VideoInfo(clip.path, width, height, fps, len(inside), len(inside) / fps, False, 0, "pictures")


def read_pictures(clip: Clip) -> Iterator[Frame]:
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
