"""What is no video, or holds no frames, is named."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from posemamba.io.video.reading import probe, read_frames
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("av", reason="videos need the extra 'video'")


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    def make(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    sound = tmp_path / "sound.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    (tmp_path / "folder").mkdir()
    cases = {
        tmp_path / "none.mp4": "no such file",
        tmp_path / "folder": "directory without pictures",
        make("empty.mp4", b""): "empty",
        make("text.mp4", b"hello, this is text\n" * 50): "not a video",
        make("noise.mp4", np.random.default_rng(0).bytes(3000)): "not a video",
        make("text.png", b"hello"): "not a picture",
        make("cut.ppm", b"P6 9 9 255 " + bytes(12)): "cut short",
        sound: "no video stream.*audio",
    }
    for path, message in cases.items():
        for look in (probe, lambda p: list(read_frames(p))):
            with pytest.raises(PoseMambaError, match=message) as error:
                look(path)
            assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_video_without_frames(tmp_path: Path) -> None:
    import av

    path = tmp_path / "none.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises(PoseMambaError, match=r"none\.mp4: .*no frames|no video stream|not a video"):
        probe(path)
