"""Focal lengths in metadata of pictures and videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemamba.io.inputs import Input
from posemamba.io.video.lens import focal_length_35mm
from posemamba.pipeline.lift import View
from posemamba.pipeline.reading import Reading

Image = pytest.importorskip("PIL.Image", reason="pictures need the extra 'video'")


def picture(path: Path, focal: int | None, orientation: int = 1) -> Path:
    image, exif = Image.new("RGB", (64, 48)), Image.Exif()
    exif[0x0112] = orientation
    if focal is not None:
        exif.get_ifd(0x8769)[0xA405] = focal
    image.save(path, exif=exif)
    return path


def film(path: Path, metadata: dict[str, str]) -> Path:
    av = pytest.importorskip("av", reason="videos need the extra 'video'")
    options = {"movflags": "use_metadata_tags"}
    with av.open(str(path), "w", options=options) as out:
        out.metadata.update(metadata)
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        out.mux(stream.encode())
    return path


def test_pictures_state_it_in_exif(tmp_path: Path) -> None:
    assert focal_length_35mm(picture(tmp_path / "b.jpg", 26)) == 26
    assert focal_length_35mm(picture(tmp_path / "none.jpg", None)) is None
    assert focal_length_35mm(picture(tmp_path / "zero.jpg", 0)) is None  # which means not known
    assert focal_length_35mm(tmp_path / "b.jpg") == focal_length_35mm(picture(tmp_path / "turned.jpg", 26, 6)) == 26
    folder = tmp_path / "clip"
    folder.mkdir()
    picture(folder / "1.jpg", None)
    picture(folder / "2.jpg", 50)
    assert focal_length_35mm(folder) == 50
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    assert focal_length_35mm(tmp_path / "broken.jpg") is None


def test_videos_state_it_in_quicktime_keys(tmp_path: Path) -> None:
    key = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
    assert focal_length_35mm(film(tmp_path / "phone.mov", {key: "24"})) == 24
    assert focal_length_35mm(film(tmp_path / "phone.mp4", {key: "27.5"})) == 27.5
    assert focal_length_35mm(film(tmp_path / "odd.mov", {key: "wide"})) is None
    assert focal_length_35mm(film(tmp_path / "plain.mp4", {})) is None
    (tmp_path / "no.mp4").write_bytes(b"no video")
    assert focal_length_35mm(tmp_path / "no.mp4") is None


def test_the_lens_is_as_given_or_as_the_file_says_or_a_guess(tmp_path: Path) -> None:
    path = picture(tmp_path / "b.jpg", 36)
    one, file = Input(path, tmp_path, "pictures"), Input(tmp_path / "k.npz", tmp_path, "keypoints")
    for size in ((4000, 3000), (3000, 4000)):  # along the longer side, however the camera was held
        known = View().lens(one, Reading(), size)
        assert (known.focal, known.source) == (4000, "file")
    given = View(fov=90).lens(one, Reading(), (3000, 4000))
    assert given.focal == pytest.approx(1500) and given.source == "given"
    assert View().lens(file, Reading(), (640, 480)).source == "guess"
