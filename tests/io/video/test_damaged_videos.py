"""Damaged videos: refused with the option that reads them, and read as far as they can be decoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up_videos import bars

from posemamba.io.video.clip import Clip, Frame
from posemamba.io.video.reading import probe, read_frames
from posemamba.utils.errors import PoseMambaError

av = pytest.importorskip("av", reason="videos need the extra 'video'")

FRAMES, RATE, SIZE = 60, 30, (96, 128)


def write(path: Path) -> Path:
    """Noise that moves, with key frames and frames coded ahead; an mp4's index comes first, so that a cut leaves it."""
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"g": "12", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for i in range(FRAMES):
            rgb = np.roll(noise, 3 * i, 1)
            rgb[:20] = bars(20, SIZE[1]) // 2 + i
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")))
        container.mux(stream.encode())
    return path


def cut(data: bytes) -> bytes:
    return data[: int(0.6 * len(data))]


def hole(data: bytes) -> bytes:
    at, length = len(data) // 2, len(data) // 8
    return data[:at] + bytes(length) + data[at + length :]


def missing(data: bytes) -> bytes:
    at, length = len(data) // 2, len(data) // 8
    return data[:at] + data[at + length :]


def shown(frames: list[Frame], whole: list[Frame]) -> list[bool]:
    """Whether each frame is what the whole video shows at its time."""
    by_time = {round(f.time * RATE): f.rgb for f in whole}
    return [float(np.abs(by_time[round(f.time * RATE)].astype(int) - f.rgb).mean()) < 3 for f in frames]


@pytest.mark.parametrize(
    ("suffix", "damage", "refused"),
    [(".mp4", cut, True), (".mp4", hole, True), (".mkv", cut, True), (".mkv", missing, False), (".ts", hole, False)],
    ids=["mp4 cut", "mp4 hole", "mkv cut", "mkv missing", "ts hole"],
)
def test_what_is_there_is_read(tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes], refused: bool) -> None:
    whole_path = write(tmp_path / f"whole{suffix}")
    whole = list(read_frames(whole_path))
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(damage(whole_path.read_bytes()))
    if refused:
        for look in (probe, lambda p: list(read_frames(p))):
            if look is probe and damage is hole:
                continue  # an index that is whole shows no damage
            with pytest.raises(PoseMambaError, match=r"cut short or damaged.*: posemamba lift --allow-damaged$"):
                look(path)
    info = probe(Clip(path, allow_damaged=True))
    frames = list(read_frames(Clip(path, allow_damaged=True)))
    times = np.array([f.time for f in frames])
    assert FRAMES / 3 < len(frames) == info.frames < FRAMES
    assert [f.index for f in frames] == list(range(len(frames))) and (np.diff(times) > 0).all()
    assert info.fps == pytest.approx(RATE)
    np.testing.assert_allclose(times * RATE, np.round(times * RATE), atol=0.05)  # the times keep their gaps
    good = shown(frames, whole)
    assert sum(good) > 0.7 * len(frames)  # up to the next key frame others lean on what is lost
    (remark,) = info.remarks
    lost = FRAMES - len(frames)
    assert remark.startswith(f"damaged{suffix}: damaged: {len(frames)} frames decoded, at least ")
    assert abs(int(remark.split("at least ")[1].split()[0]) - lost) <= 2
    assert ("the longest gap" in remark) == (damage is not cut)
    part = list(read_frames(Clip(path, 0.2, 0.6, allow_damaged=True)))
    assert [f.offset + f.time for f in part] == pytest.approx([t for t in times if 0.2 <= t < 0.6 - 1e-6])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_whole_video_is_read_as_ever(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"whole{suffix}")
    tolerant, strict = Clip(path, allow_damaged=True), Clip(path)
    assert probe(tolerant) == probe(strict) and probe(tolerant).remarks == ()
    for a, b in zip(read_frames(tolerant), read_frames(strict), strict=True):
        assert a.time == b.time
        np.testing.assert_array_equal(a.rgb, b.rgb)


def test_nothing_to_decode(tmp_path: Path) -> None:
    """Without its index, or without any frame, there is nothing to take: the option is not advised."""
    path = write(tmp_path / "whole.mp4")
    data = path.read_bytes()
    index = data.index(b"moov") - 4
    length = int.from_bytes(data[index : index + 4], "big")
    (tmp_path / "no_index.mp4").write_bytes(data[:index] + data[index + length :])
    (tmp_path / "empty.mp4").write_bytes(data[: index + length + 20])
    for name, message in (("no_index.mp4", "index at its end .moov. is missing"), ("empty.mp4", "no frames")):
        with pytest.raises(PoseMambaError, match=message) as error:
            probe(Clip(tmp_path / name, allow_damaged=True))
        assert "--allow-damaged" not in str(error.value)
