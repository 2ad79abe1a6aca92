"""Pictures of a folder read like a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_videos import bars

from posemamba.io.pictures import find_pictures
from posemamba.io.video.clip import Clip
from posemamba.io.video.image_files import read_picture
from posemamba.io.video.reading import probe, read_frames
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("av", reason="videos need the extra 'video'")


def test_pictures_of_a_folder_are_a_clip(tmp_path: Path) -> None:
    """Natural order, upright as the camera noted, 16 bits and grey as RGB; another size is named."""
    from PIL import Image

    for name, shade in (("f10.png", 100), ("f2.PNG", 20), ("f1.jpg", 10), (".hidden.png", 1)):
        Image.fromarray(np.full((30, 40, 3), shade, np.uint8)).save(tmp_path / name, quality=95)
    (tmp_path / "notes.txt").write_text("no picture")
    assert [p.name for p in find_pictures(tmp_path)] == ["f1.jpg", "f2.PNG", "f10.png"]
    info = probe(Clip(tmp_path, fps=10))
    assert (info.width, info.height, info.frames, info.fps, info.duration) == (40, 30, 3, 10, pytest.approx(0.3))
    frames = list(read_frames(Clip(tmp_path, 0.1, fps=10)))
    assert [(f.index, f.time, f.offset, int(f.rgb[0, 0, 0])) for f in frames] == [(0, 0, 0.1, 20), (1, 0.1, 0.1, 100)]

    turned = Image.fromarray(bars(60, 120))
    turned.getexif()[0x0112] = 6  # to be turned clockwise
    turned.save(tmp_path / "turned.png", exif=turned.getexif())
    np.testing.assert_array_equal(read_picture(tmp_path / "turned.png"), np.rot90(bars(60, 120), -1))
    Image.fromarray(np.full((4, 4), 0x8000, np.uint16)).save(tmp_path / "deep.png")
    assert (read_picture(tmp_path / "deep.png") == 128).all()
    with pytest.raises(PoseMambaError, match=r"f1\.jpg: is 40 x 30 pixels, deep\.png is 4 x 4.*of one size"):
        list(read_frames(tmp_path))
