"""Pictures as players show them: flips, turns, wide pixels, several streams, phones' and animated pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_videos import COLOURS, bars
from numpy.typing import NDArray

from posemamba.io.inputs import Input, find_inputs
from posemamba.io.video.clip import Clip
from posemamba.io.video.image_files import read_picture
from posemamba.io.video.reading import probe, read_frames
from posemamba.io.video.writer import VideoWriter
from posemamba.pipeline.reading import Reading
from posemamba.utils.errors import PoseMambaError

av = pytest.importorskip("av", reason="videos need the extra 'video'")


def scene(height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    """Bars with a dark upper half: no turn and no flip leaves it as it is."""
    made = bars(height, width).copy()
    made[: height // 2] //= 2
    return made


def near(found: NDArray[np.uint8], expected: NDArray[np.uint8], limit: float = 6) -> None:
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < limit


MATRICES = {  # a b c d of the mp4's matrix: x' = a x + c y, y' = b x + d y, y down
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "flipped": ((1, 0, 0, -1), lambda p: p[::-1]),
    "upside down": ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    "clockwise": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "counter-clockwise": ((0, -1, 1, 0), lambda p: np.rot90(p)),
    "turned and mirrored": ((0, -1, -1, 0), lambda p: np.rot90(p, 2).transpose(1, 0, 2)),
}


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Put a display matrix into an mp4 of the writer's."""

    def encoded(a: int, b: int, c: int, d: int) -> bytes:
        values = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 0x40000000)
        return b"".join(value.to_bytes(4, "big", signed=True) for value in values)

    data = path.read_bytes()
    at = data.index(encoded(1, 0, 0, 1), data.index(b"tkhd"))
    path.write_bytes(data[:at] + encoded(a, b, c, d) + data[at + 36 :])
    return path


@pytest.mark.parametrize("name", MATRICES)
def test_the_whole_display_matrix_is_applied(tmp_path: Path, name: str) -> None:
    matrix, shown = MATRICES[name]
    path = tmp_path / "phone.mp4"
    with VideoWriter(path, 30) as writer:
        for _ in range(4):
            writer.write(scene())
    info = probe(with_matrix(path, *matrix))
    expected = shown(scene())
    assert (info.height, info.width) == expected.shape[:2]
    assert info.mirrored == (matrix[0] * matrix[3] - matrix[1] * matrix[2] < 0)
    frames = list(read_frames(path))
    assert len(frames) == 4
    for frame in (*frames, *read_frames(Clip(path, 0.06))):
        near(frame.rgb, expected)
        height, width = expected.shape[:2]
        near(frame.picture.scaled_rgb(width // 2, height // 2), expected[::2, ::2], 12)
        grey = expected @ [0.2126, 0.7152, 0.0722] * (219 / 255) + 16
        near(frame.picture.planes(width, height)[0], grey, 6)


def encode(path: Path, streams: Sequence[dict[str, Any]], frames: int = 4) -> Path:
    """Write a file with one stream for each description: size, codec, pixel format, `set` attributes, disposition."""
    with av.open(str(path), "w") as container:
        made = []
        for one in streams:
            stream = container.add_stream(one.get("codec", "libx264"), rate=25, options=one.get("options", {}))
            stream.width, stream.height, stream.pix_fmt = *one["size"], one.get("format", "yuv420p")
            for name, value in one.get("set", {}).items():
                setattr(stream.codec_context, name, value)
            if "disposition" in one:
                stream.disposition = one["disposition"]
            made.append((stream, one))
        for stream, one in made:
            for _ in range(one.get("frames", frames)):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(one["rgb"]), format="rgb24")
                container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        for stream, _ in made:
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    "matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, 1)], ids=["as stored", "turned", "mirrored"]
)
@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(1, 2)])
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, matrix: tuple[int, int, int, int]) -> None:
    path = tmp_path / "tape.mp4"
    encode(path, [{"size": (96, 64), "rgb": scene(), "set": {"sample_aspect_ratio": aspect}}])
    if matrix != (1, 0, 0, 1):
        with_matrix(path, *matrix)
    shown = {(0, 1, -1, 0): lambda p: np.rot90(p, -1), (-1, 0, 0, 1): lambda p: p[:, ::-1]}.get(matrix, lambda p: p)
    expected = shown(scene(64, round(96 * aspect)))
    info = probe(path)
    assert (info.height, info.width) == expected.shape[:2]
    near(next(read_frames(path)).rgb, expected, 12)


def test_the_stream_that_players_show_is_taken(tmp_path: Path) -> None:
    """The default one of several; a cover or thumbnail is none, whether it is marked or not."""
    small, large = scene(64, 96), scene(128, 160)[::-1]
    one, other = {"size": (96, 64), "rgb": small}, {"size": (160, 128), "rgb": large}
    cases = {
        "second.mkv": ([one | {"disposition": 0}, other | {"disposition": 1}], large),
        "first.mkv": ([one | {"disposition": 1}, other | {"disposition": 0}], small),
        "both.mkv": ([one | {"disposition": 1}, other | {"disposition": 1}], large),
        "thumbnail.mp4": ([other | {"codec": "mjpeg", "format": "yuvj420p", "frames": 1}, one], small),
        "cover.mp4": (
            [one, other | {"codec": "mjpeg", "format": "yuvj420p", "frames": 1, "disposition": 0x400}],
            small,
        ),
    }
    for name, (streams, expected) in cases.items():
        path = encode(tmp_path / name, streams)
        info = probe(path)
        assert (info.height, info.width) == expected.shape[:2], name
        frames = list(read_frames(path))
        assert len(frames) == 4 == info.frames, name
        near(frames[0].rgb, expected, 8)


@pytest.mark.parametrize("name", ["10 bits", "full range", "odd size", "BT.2020"])
def test_depths_ranges_and_sizes(tmp_path: Path, name: str) -> None:
    described: dict[str, Any] = {
        "10 bits": {"format": "yuv420p10le"},
        "full range": {"format": "yuvj420p"},
        "odd size": {"size": (97, 65), "rgb": bars(65, 97), "format": "yuv444p"},
        "BT.2020": {"format": "yuv420p10le", "codec": "libx264"},
    }[name]
    path = encode(tmp_path / "a.mkv", [{"size": (96, 64), "rgb": bars(64, 96)} | described])
    info = probe(path)
    assert info.remarks == ()
    width, height = described.get("size", (96, 64))
    assert (info.width, info.height) == (width, height)
    centres = (np.arange(6) * 2 + 1) * width // 12
    found = next(read_frames(path)).rgb[height // 2, centres]
    np.testing.assert_allclose(found.astype(int), COLOURS.astype(int), atol=6)


def test_interlaced_and_hdr_are_reported(tmp_path: Path) -> None:
    woven = {"size": (96, 64), "rgb": scene(), "options": {"x264-params": "interlaced=1"}}
    path = encode(tmp_path / "camcorder.mkv", [woven], frames=8)
    assert (
        len(remarks := probe(path).remarks) == 1
        and remarks[0].startswith("camcorder.mkv: interlaced: ")
        and "bwdif" in remarks[0]
    )
    for trc, word in ((16, "PQ"), (18, "HLG")):
        hdr = {"size": (96, 64), "rgb": scene(), "format": "yuv420p10le", "set": {"color_trc": trc}}
        path = encode(tmp_path / f"{word}.mp4", [hdr])
        assert len(remarks := probe(path).remarks) == 1 and f"high dynamic range ({word})" in remarks[0]


EXIF = {  # the operation that makes the stored picture upright
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("orientation", EXIF)
def test_exif_orientations(tmp_path: Path, orientation: int) -> None:
    from PIL import Image

    expected = EXIF[orientation](scene())
    for suffix, options in ((".jpg", {"quality": 95}), (".png", {}), (".webp", {"lossless": True}), (".tif", {})):
        image, exif = Image.fromarray(scene()), Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"a{suffix}"
        image.save(path, exif=exif, **options)
        near(read_picture(path), expected, 5)
        info = probe(path)
        assert (info.height, info.width) == expected.shape[:2]


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_an_animated_picture_is_a_clip(tmp_path: Path, suffix: str) -> None:
    """With its own times, unless others are given; a still one is a picture."""
    from PIL import Image

    path = tmp_path / f"walk{suffix}"
    shades = [20, 60, 100, 140, 180]
    pictures = [Image.fromarray(np.full((48, 64, 3), shade, np.uint8)) for shade in shades]
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[40, 40, 80, 40, 40], **options)
    info = probe(path)
    assert (info.frames, info.fps, info.duration) == (5, pytest.approx(5 / 0.24), pytest.approx(0.24))
    assert info.variable_rate
    frames = list(read_frames(path))
    np.testing.assert_allclose([f.time for f in frames], [0, 0.04, 0.08, 0.16, 0.2])
    assert [int(f.rgb[5, 5, 0]) for f in frames] == shades
    part = list(read_frames(Clip(path, 0.07, 0.19)))
    assert [int(f.rgb[5, 5, 0]) for f in part] == [100, 140] and part[0].offset == pytest.approx(0.08)
    assert [f.time for f in read_frames(Clip(path, fps=10))] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    (one,) = find_inputs([path], tmp_path)
    assert one.kind == "pictures" and Reading().mode_of(one) == "track"
    pictures[0].save(tmp_path / f"still{suffix}")
    assert Reading().mode_of(Input(tmp_path / f"still{suffix}", tmp_path, "pictures")) == "detect"
    assert probe(tmp_path / f"still{suffix}").frames == 1


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "renamed.jpg", "renamed.mp4"])
def test_a_heic_is_never_taken_by_its_first_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Without a decoder for it, it is refused with what to do."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / name
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(600))
    (one,) = find_inputs([path], tmp_path)
    assert one.kind == ("video" if name.endswith("mp4") else "pictures")
    for look in (probe, lambda p: list(read_frames(p))):
        with pytest.raises(PoseMambaError, match=r"a HEIC or AVIF picture.*convert it to jpg") as error:
            look(path)
        assert str(path) in str(error.value)


def test_a_heic_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    """Its decoder would make a picture of the tiles that are there."""
    path = tmp_path / "IMG_2.HEIC"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + (5000).to_bytes(4, "big") + b"mdat" + bytes(3000))
    with pytest.raises(PoseMambaError, match=r"IMG_2\.HEIC: the picture is cut short, 1992 bytes are lacking"):
        list(read_frames(path))
    pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC needs pillow-heif")
    from PIL import Image

    pillow_heif.register_heif_opener()
    Image.fromarray(scene(600, 1100)).save(path, quality=90, tile_size=512)
    near(next(read_frames(path)).rgb, scene(600, 1100))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10])
    with pytest.raises(PoseMambaError, match="cut short"):
        list(read_frames(path))
    path.write_bytes(content[:40] + bytes([255]) * 30 + content[70:])
    with pytest.raises(PoseMambaError, match=r"IMG_2\.HEIC: (not a picture that can be read|.*cut short)"):
        list(read_frames(path))


def test_avif_is_read_whole(tmp_path: Path) -> None:
    from PIL import Image, features

    if not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    Image.fromarray(scene(600, 1100)).save(tmp_path / "a.avif", quality=90)
    near(next(read_frames(tmp_path / "a.avif")).rgb, scene(600, 1100))
