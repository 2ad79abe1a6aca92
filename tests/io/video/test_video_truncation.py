"""Videos that were cut short are told from whole ones, trimmed ones too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up_videos import write_noise

from posemamba.io.video.reading import probe, read_frames
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("av", reason="videos need the extra 'video'")


def test_trimmed_video_is_whole(tmp_path: Path) -> None:
    """An edit list hides the last frames: fewer than the index holds, yet nothing is missing."""
    path = write_noise(tmp_path / "trimmed.mp4")
    data = path.read_bytes()
    at, scale_at = data.index(b"elst") + 12, data.index(b"mvhd") + 16
    scale = int.from_bytes(data[scale_at : scale_at + 4], "big")  # ticks a second: 1000, or more since FFmpeg 8
    assert int.from_bytes(data[at : at + 4], "big") == 1.5 * scale
    path.write_bytes(data[:at] + scale.to_bytes(4, "big") + data[at + 4 :])
    info = probe(path)
    frames = list(read_frames(path))
    assert len(frames) == info.frames == 30
    assert frames[-1].time == pytest.approx(29 / 30)


def write_without_our_writer(path: Path) -> Path:
    """The same video by PyAV alone: an mp4's index goes to its end, an avi holds MPEG-4 part 2."""
    import av

    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4" if path.suffix == ".avi" else "libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(45):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("index first.mp4", write_noise),
        ("index last.mp4", write_without_our_writer),
        ("stream.mkv", write_noise),
        ("stream.avi", write_without_our_writer),
    ],
)
def test_cut_videos_are_told(tmp_path: Path, name: str, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path / name)
    data = path.read_bytes()
    assert probe(path).frames == 45 == len(list(read_frames(path)))
    for share in (0.1, 0.4, 0.7):
        path.write_bytes(data[: int(share * len(data))])
        for look in (probe, lambda p: list(read_frames(p))):
            with pytest.raises(PoseMambaError, match=r"(cut short|no frames).*copy or download it") as error:
                look(path)
            assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_cut_between_two_packets_is_told(tmp_path: Path) -> None:
    """No decoder complains there: only the declared length shows it."""
    import av

    path = write_noise(tmp_path / "video.mp4")
    with av.open(str(path)) as container:
        position = [p.pos for p in container.demux(video=0) if p.size][25]
    path.write_bytes(path.read_bytes()[:position])
    for look in (probe, lambda p: list(read_frames(p))):
        with pytest.raises(PoseMambaError, match=r"cut short"):
            look(path)
