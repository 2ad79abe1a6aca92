"""Videos written here, read back, turned, trimmed and broken."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.errors import PoseMambaError
from posemamba.pictures import find_pictures, read_picture
from posemamba.video import Clip, VideoWriter, probe, read_frames

pytest.importorskip("av")

COLOURS = np.array(
    [[200, 30, 40], [20, 180, 60], [40, 50, 220], [250, 250, 250], [10, 10, 10], [128, 90, 200]], np.uint8
)


def bars(height: int, width: int) -> NDArray[np.uint8]:
    """Vertical bars of the six colours."""
    return np.tile(COLOURS[np.arange(width) * len(COLOURS) // width], (height, 1, 1))


def write_noise(path: Path, frames: int = 45, size: tuple[int, int] = (120, 160)) -> Path:
    """A video whose bytes are spread over its length (noise does not compress away)."""
    rng = np.random.default_rng(0)
    with VideoWriter(path, 30) as writer:
        for _ in range(frames):
            writer.write(rng.integers(0, 255, (*size, 3), dtype=np.uint8))
    return path


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
    assert path.read_bytes() == b"earlier" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(PoseMambaError, match=r"'\.gif'.*\.mp4"):
        VideoWriter(tmp_path / "out.gif", 30)


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


def test_trimmed_video_is_whole(tmp_path: Path) -> None:
    """An edit list hides the last frames: fewer than the index holds, yet nothing is missing."""
    path = write_noise(tmp_path / "trimmed.mp4")
    data = path.read_bytes()
    at = data.index(b"elst") + 12
    assert int.from_bytes(data[at : at + 4], "big") == 1500  # milliseconds
    path.write_bytes(data[:at] + (1000).to_bytes(4, "big") + data[at + 4 :])
    info = probe(path)
    frames = list(read_frames(path))
    assert len(frames) == info.frames == 30
    assert frames[-1].time == pytest.approx(29 / 30)


def cut(share: float) -> Callable[[Path], Path]:
    def cut_file(path: Path) -> Path:
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        return path

    return cut_file


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


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
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
    for look in (probe, lambda p: list(read_frames(p))):
        with pytest.raises(PoseMambaError, match=r"no frame between 99 s and its end, it lasts \d+\.\d\d s"):
            look(Clip(path, 99.0))


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
