"""Pictures at other sizes and in the encoder's colours are the same pictures."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_videos import bars
from numpy.typing import NDArray

from posemamba.io.video.picture import ArrayPicture, DecodedPicture, Picture, Planes, small_rgb

av = pytest.importorskip("av", reason="videos need the extra 'video'")

FORMATS = ("yuv420p", "yuvj420p", "yuv422p10le", "yuv444p", "nv12", "rgb24", "gray")


def shown(planes: Planes) -> NDArray[np.int64]:
    """What players show of planes: BT.709, limited range."""
    y, u, v = (plane.astype(float) for plane in planes)
    u, v = (np.kron(plane - 128, np.ones((2, 2))) for plane in (u, v))
    grey = (y - 16) * 255 / 219
    red, blue = grey + 1.5748 * v * 255 / 224, grey + 1.8556 * u * 255 / 224
    green = (grey - 0.2126 * red - 0.0722 * blue) / 0.7152
    return np.clip(np.stack([red, green, blue], -1), 0, 255).round().astype(int)


def inside(rgb: NDArray[np.integer], columns: int) -> NDArray[np.int64]:
    """The colours in the middles of the bars of the upper half."""
    width = rgb.shape[1] / columns
    return rgb[rgb.shape[0] // 4, ((np.arange(columns) + 0.5) * width).astype(int)].astype(int)


@pytest.mark.parametrize("size", [(360, 160), (720, 160)])
def test_planes_and_small_pictures_have_the_colours_of_the_whole_one(size: tuple[int, int]) -> None:
    """Of every pixel format, with a colour space of standard or high definition or without one, in both ranges."""
    source = av.VideoFrame.from_ndarray(bars(*size), format="rgb24")
    checked = 0
    for name in FORMATS:
        for space in (1, 2, 5, 9):
            for limits in (0, 1, 2):
                frame = source.reformat(format=name)
                frame.colorspace, frame.color_range = space, limits
                picture: Picture = DecodedPicture(frame)
                assert (picture.width, picture.height) == size[::-1]
                for width, height in ((size[1], size[0]), (size[1] // 4, size[0] // 4)):
                    expected = inside(picture.rgb, 6)
                    for found in (picture.scaled_rgb(width, height), shown(picture.planes(width, height))):
                        assert found.shape == (height, width, 3)
                        np.testing.assert_allclose(
                            inside(found, 6), expected, atol=7, err_msg=f"{name} {space} {limits}"
                        )
                        checked += 1
    assert checked == len(FORMATS) * 4 * 3 * 4
    array = ArrayPicture(bars(*size))
    np.testing.assert_allclose(inside(shown(array.planes(80, 180)), 6), inside(array.rgb, 6), atol=7)
    assert array.scaled_rgb(*size[::-1]) is array.rgb and array.scaled_rgb(160, 180).shape == (180, 160, 3)


def test_a_small_picture_is_a_mean_and_no_choice_of_pixels() -> None:
    board = np.zeros((480, 640, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    small = ArrayPicture(board).scaled_rgb(160, 120)
    assert small_rgb(ArrayPicture(board), 120).shape == (120, 160, 3)
    assert small_rgb(ArrayPicture(board), 1000) is board
    assert np.ptp(small.astype(int)) < 12 and abs(int(small.mean()) - 127) < 6
