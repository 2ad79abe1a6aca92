"""Videos written and read back; a writer that fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_videos import COLOURS, bars

from posemamba.io.video.reading import probe, read_frames
from posemamba.io.video.writer import VideoWriter
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("av", reason="videos need the extra 'video'")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_colours_sizes_and_times_survive(tmp_path: Path, suffix: str) -> None:
    """An odd size is padded; colours are right, which they are not where BT.709 is taken for BT.601."""
    path = tmp_path / f"out{suffix}"
    times = [0, 0.1, 0.2, 0.25, 0.3, 0.5, 0.6]  # a variable rate
    with VideoWriter(path, 10) as writer:
        for time in times:
            writer.write(bars(91, 121), time)
    info = probe(path)
    frames = list(read_frames(path))
    assert (info.width, info.height, info.frames) == (122, 92, 7)
    assert info.variable_rate and info.fps == pytest.approx(10, abs=0.5) and info.codec == "h264"
    np.testing.assert_allclose([f.time for f in frames], times, atol=1.1e-3)  # mkv counts milliseconds
    assert [f.index for f in frames] == list(range(7))
    centres = (np.arange(6) * 2 + 1) * 121 // 12
    for frame in frames:
        assert frame.rgb.shape == (92, 122, 3) and frame.rgb.dtype == np.uint8
        np.testing.assert_allclose(frame.rgb[45, centres].astype(int), COLOURS.astype(int), atol=5)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_even_rate_is_exact_and_file_is_for_browsers(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 30000 / 1001) as writer:
        for _ in range(31):
            writer.write(bars(64, 96))
    info = probe(path)
    assert info.fps == pytest.approx(30000 / 1001, rel=1e-9) and not info.variable_rate
    assert info.duration == pytest.approx(31 * 1001 / 30000, abs=1e-4)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # playable before it is loaded whole


def test_writer_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"earlier")
    with pytest.raises(RuntimeError, match="stop"), VideoWriter(path, 30) as writer:
        writer.write(bars(64, 96))
        raise RuntimeError("stop")
    with pytest.raises(ValueError, match="no frame"), VideoWriter(path, 30):
        pass
    with pytest.raises(ValueError, match="first one was"), VideoWriter(path, 30) as writer:
        writer.write(bars(64, 96))
        writer.write(bars(64, 98))
    y, u = np.zeros((64, 96), np.uint8), np.zeros((32, 48), np.uint8)
    for planes in ((y[1:], u, u), (y, u, u[1:]), (y, y, y)):
        with pytest.raises(ValueError, match="even sides and halves"), VideoWriter(path, 30) as writer:
            writer.write_planes(planes)
    assert path.read_bytes() == b"earlier" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(PoseMambaError, match=r"'\.gif'.*\.mp4"):
        VideoWriter(tmp_path / "out.gif", 30)
