"""A frame written as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemamba.io.video.still import PictureWriter
from posemamba.utils.errors import PoseMambaError


@pytest.mark.parametrize("planes", [False, True])
def test_a_frame_comes_back_and_a_second_one_is_refused(tmp_path: Path, planes: bool) -> None:
    image = pytest.importorskip("PIL.Image", reason="pictures need the extra 'video'")
    av = pytest.importorskip("av", reason="pictures need the extra 'video'")
    rgb = np.empty((48, 64, 3), np.uint8)
    rgb[:, :32], rgb[:, 32:] = (200, 40, 30), (20, 90, 220)
    with PictureWriter(tmp_path / "a.png") as writer:
        if planes:
            source = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            packed = source.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG").to_ndarray()
            y, rest = packed[:48], packed[48:].reshape(2, 24, 32)
            writer.write_planes([y, *rest])
        else:
            writer.write(rgb, 0.0)
    with image.open(tmp_path / "a.png") as written:
        apart = np.abs(np.asarray(written).astype(int) - rgb)[:, [8, 56]]
    assert apart.max() <= (4 if planes else 0)
    with pytest.raises(PoseMambaError, match="holds one frame"), PictureWriter(tmp_path / "b.png") as writer:
        writer.write(rgb)
        writer.write(rgb)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
