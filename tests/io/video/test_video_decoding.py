"""Videos turned as phones ask for it, and parts of videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_videos import bars

from posemamba.io.video.clip import Clip
from posemamba.io.video.reading import probe, read_frames
from posemamba.io.video.writer import VideoWriter
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("av", reason="videos need the extra 'video'")


@pytest.mark.parametrize(
    ("matrix", "turn"),  # a b c d of the mp4's matrix: x' = a x + c y, y' = b x + d y, y down
    [((0, 1, -1, 0), -1), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2)],
    ids=["clockwise", "counter-clockwise", "upside-down"],
)
def test_rotation_of_phones_is_applied(tmp_path: Path, matrix: tuple[int, ...], turn: int) -> None:
    path = tmp_path / "phone.mp4"
    with VideoWriter(path, 30) as writer:
        for _ in range(3):
            writer.write(bars(60, 120))

    def encoded(a: int, b: int, c: int, d: int) -> bytes:
        u, w = 0, 0x40000000
        return b"".join(v.to_bytes(4, "big", signed=True) for v in (a << 16, b << 16, u, c << 16, d << 16, u, 0, 0, w))

    data = path.read_bytes()
    at = data.index(encoded(1, 0, 0, 1), data.index(b"tkhd"))
    path.write_bytes(data[:at] + encoded(*matrix) + data[at + 36 :])
    expected = np.rot90(bars(60, 120), turn)
    info = probe(path)
    assert (info.height, info.width) == expected.shape[:2]
    frame = next(read_frames(path))
    assert np.abs(frame.rgb.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("suffix", [".mp4", pytest.param(".mkv", marks=pytest.mark.slow)])
def test_a_part_of_a_video_is_what_the_whole_has_there(tmp_path: Path, suffix: str) -> None:
    """With a variable rate, B-frames and key frames before and within the part; times are the source's."""
    path, rng = tmp_path / f"long{suffix}", np.random.default_rng(1)
    steps = np.cumsum(rng.choice([1, 2, 3], 400)) / 50
    with VideoWriter(path, 25) as writer:
        for i, time in enumerate(steps - steps[0]):
            writer.write(np.full((64, 96, 3), 40 + i % 160, np.uint8) + bars(64, 96) // 8, time)
    whole = list(read_frames(path))
    for start, end in ((None, 3.0), (1.0, None), (12.34, 12.9), (whole[300].time, whole[303].time)):
        part = Clip(path, start, end)
        expected = [f for f in whole if part.holds(f.time)]
        found = list(read_frames(part))
        assert len(found) == len(expected) == probe(part).frames > 2
        for index, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert a.index == index and a.offset + a.time == pytest.approx(b.time, abs=1e-9)
            np.testing.assert_array_equal(a.rgb, b.rgb)
        assert found[0].time == 0
        for skip in (1, len(found) - 1, len(found)):
            rest = list(read_frames(part, skip=skip))
            assert [(f.index, f.time, f.offset) for f in rest] == [(f.index, f.time, f.offset) for f in found[skip:]]
            assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(rest, found[skip:], strict=True))
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(read_frames(path, skip=390), whole[390:], strict=True))
    for look in (probe, lambda p: list(read_frames(p))):
        with pytest.raises(PoseMambaError, match=r"no frame between 99 s and its end, it lasts \d+\.\d\d s"):
            look(Clip(path, 99.0))
