"""Small files that unpack to long clips: reading them is bounded, and the rest is in proportion to their frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fixtures.command_line import keypoints
from posemamba.io.keypoints import read_people
from posemamba.io.video.reading import probe
from posemamba.utils.errors import PoseMambaError


def packed(path: Path, people: int, frames: int) -> int:
    """A walk over and over, of several people beside each other."""
    walk = keypoints(20).xy.round().astype(np.float16)
    xy = np.stack([np.tile(walk, (frames // 20, 1, 1)) + np.float16(100 * p) for p in range(people)])
    np.savez_compressed(path, keypoints=xy, skeleton="h36m17", fps=25, image_size=(1280, 720))
    return people * frames


def still(path: Path, frames: int = 16_000) -> int:
    """Pictures of four pixels, 12 bytes each."""
    path.write_bytes(b"YUV4MPEG2 W2 H2 F25:1 C420jpeg\n" + (b"FRAME\n" + bytes(6)) * frames)
    return frames


def moving(path: Path, frames: int = 1_000) -> int:
    image = pytest.importorskip("PIL.Image", reason="pictures need the extra 'video'")
    pictures = [image.new("RGB", (8, 8), (i % 2 * 255, 0, 0)) for i in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=20, lossless=True)
    return frames


@pytest.mark.parametrize(
    ("name", "make"),
    [("k.npz", lambda path: packed(path, 4, 12_500)), ("a.y4m", still), ("a.webp", moving), ("a.gif", moving)],
    ids=["npz", "y4m", "webp", "gif"],
)
def test_a_long_clip_in_a_small_file_is_read_in_seconds(tmp_path: Path, name: str, make: Callable[[Path], int]) -> None:
    path = tmp_path / name
    frames = make(path)
    assert path.stat().st_size < 200_000
    if name != "k.npz":
        pytest.importorskip("av", reason="videos need the extra 'video'")
    begin = time.process_time()
    found = sum(map(len, read_people(path))) if name == "k.npz" else probe(path).frames
    assert found == frames
    assert time.process_time() - begin < 5


def test_a_clip_longer_than_such_a_file_may_hold_is_refused_at_once(tmp_path: Path) -> None:
    packed(tmp_path / "k.npz", 1, 200_000)
    begin = time.process_time()
    with pytest.raises(PoseMambaError, match="declares 1 x 200000 x 17 x 2 values"):
        read_people(tmp_path / "k.npz")
    assert time.process_time() - begin < 1
