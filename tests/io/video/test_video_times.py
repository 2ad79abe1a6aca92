"""Times of videos whose files tell them badly: AVI, joined transport streams, late beginnings, no times at all."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_videos import bars

from posemamba.detect import detect_people
from posemamba.io.video.clip import Clip
from posemamba.io.video.reading import frame_times, probe, read_frames
from posemamba.io.video.writer import VideoWriter
from posemamba.utils.errors import PoseMambaError

av: Any = pytest.importorskip("av", reason="videos need the extra 'video'")
FRAMES, RATE = 75, 25


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 with two B-frames between others, a frame brighter than the one before."""
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"bf": "2", "g": "25", "x264-params": "b-adapt=0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.max_b_frames = 2
        for i in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 20 + 3 * i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def copied(plain: Path, to: Path, kind: str | None = None, late: float = 0, raw: bool = False, ticks: int = 1) -> Path:
    """The same packets in another file, `late` seconds later; with so many ticks of its clock for a frame."""
    with av.open(str(plain)) as source, av.open(str(to), "w", format=kind) as out:
        stream = source.streams.video[0]
        target = out.add_stream_from_template(stream)
        packets = (p for p in source.demux(stream) if p.dts is not None)
        if raw:  # formats without a header of the codec
            target.time_base = Fraction(1, RATE * ticks)
            target.codec_context.framerate = RATE * ticks
            annexb = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", stream, target)
            packets = (q for p in packets for q in annexb.filter(p))
        for packet in packets:
            packet.pts += round(late / packet.time_base)
            packet.dts += round(late / packet.time_base)
            packet.stream = target
            out.mux(packet)
    return to


def check(path: Path, frames: int = FRAMES, *, tolerance: float = 1e-6) -> None:
    """Even, rising times of all frames, in the whole and in a part, the pictures in order."""
    expected = np.arange(frames) / RATE
    np.testing.assert_allclose(frame_times(path), expected, atol=tolerance)
    info = probe(path)
    assert (info.frames, info.fps, info.variable_rate) == (frames, pytest.approx(RATE), False)
    whole = list(read_frames(path))
    np.testing.assert_allclose([f.time for f in whole], expected, atol=tolerance)
    assert (np.diff([int(f.rgb[32, 48, 0]) for f in whole[:FRAMES]]) > 0).all()
    clip = Clip(path, 0.99, 2.01)  # between frames
    part = list(read_frames(clip))
    assert probe(clip).frames == len(part) == 26
    np.testing.assert_allclose([f.offset + f.time for f in part], expected[25:51], atol=tolerance)
    assert all((a.rgb == b.rgb).all() for a, b in zip(part, whole[25:51], strict=True))


def test_avi_with_b_frames(plain: Path, tmp_path: Path) -> None:
    check(copied(plain, tmp_path / "b_frames.avi", raw=True))
    # of a finer clock, FFmpeg makes the last frame's time of showing of the length of a tick
    check(copied(plain, tmp_path / "fine.avi", raw=True, ticks=20))


@pytest.mark.slow
def test_frames_that_were_read_are_freed(tmp_path: Path) -> None:
    """Also where Python collects no cycles for a while: it counts objects, and large frames are few."""
    with av.open(str(tmp_path / "still.mkv"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for _ in range(80):
            out.mux(stream.encode(av.VideoFrame(1920, 1080, "yuv420p")))
        out.mux(stream.encode())

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    if not Path("/proc/self/statm").exists():
        pytest.skip("memory is told by Linux")
    gc.collect()
    gc.disable()
    try:
        taken = [resident() for _ in read_frames(tmp_path / "still.mkv")]
    finally:
        gc.enable()
    assert len(taken) == 80 and max(taken) - taken[20] < 60e6, "a frame has 3 MB, and its picture 6"


@pytest.mark.parametrize(("suffix", "kind"), [("mkv", None), ("flv", None), ("mp4", None), ("ts", "mpegts")])
def test_containers_that_do_not_start_at_0(plain: Path, tmp_path: Path, suffix: str, kind: str | None) -> None:
    check(copied(plain, tmp_path / f"late.{suffix}", kind, late=5))


def test_late_videos_that_were_cut_short_are_still_refused(plain: Path, tmp_path: Path) -> None:
    path = copied(plain, tmp_path / "late.mkv", late=5)
    (tmp_path / "cut.mkv").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PoseMambaError, match="cut short"):
        list(read_frames(tmp_path / "cut.mkv"))


@pytest.mark.parametrize("later", [0.0, 50.0], ids=["back", "ahead"])
def test_transport_streams_are_joined_where_their_times_start_anew(plain: Path, tmp_path: Path, later: float) -> None:
    first = copied(plain, tmp_path / "a.ts", "mpegts").read_bytes()
    second = copied(plain, tmp_path / "b.ts", "mpegts", later).read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(first + second)
    check(path, 2 * FRAMES)
    assert [r.split(": ")[1] for r in probe(path).remarks] == ["its times start anew at 3.00 s"]


def test_a_stream_without_times_has_those_of_its_rate(plain: Path, tmp_path: Path) -> None:
    path = copied(plain, tmp_path / "raw.h264", "h264", raw=True)
    check(path)
    assert probe(path).remarks == ("raw.h264: holds no times; its frames are taken for 25 a second",)

    class Nobody:
        skeleton = None

        def __call__(self, rgb: np.ndarray) -> list[Any]:
            return []

    with pytest.warns(UserWarning, match="holds no times"), pytest.raises(PoseMambaError, match="nobody"):
        detect_people(path, detector=Nobody())  # type: ignore[arg-type]


def test_the_rate_is_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / "pause.mp4"
    times = np.r_[np.arange(40) / 50, 9 + np.arange(40) / 50]
    with VideoWriter(path, 50) as writer:
        for time in times:
            writer.write(bars(64, 96), time)
    info = probe(path)
    assert info.fps == pytest.approx(50) and info.variable_rate and info.frames == 80
    np.testing.assert_allclose(frame_times(path), times, atol=1e-4)


def test_a_long_pause_of_a_transport_stream_is_no_new_beginning(tmp_path: Path) -> None:
    """With B-frames, as cameras write it; a part before the pause is found by seeking."""
    path, times = tmp_path / "pause.ts", np.r_[np.arange(40) / 25, 30 + np.arange(35) / 25]
    with av.open(str(path), "w", format="mpegts") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.max_b_frames, stream.codec_context.time_base = 2, Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(bars(64, 96), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    info = probe(path)
    assert (info.fps, info.remarks) == (pytest.approx(25), ())
    np.testing.assert_allclose([f.time for f in read_frames(path)], times, atol=1e-3)
    for start, end, at in ((1.0, 2.0, slice(25, 40)), (30.99, 40, slice(65, 75))):
        part = list(read_frames(Clip(path, start, end)))
        np.testing.assert_allclose([f.offset + f.time for f in part], times[at], atol=1e-3)


def test_times_that_no_player_could_follow_are_refused(tmp_path: Path) -> None:
    from posemamba.io.video.decoding import _check_order

    _check_order(tmp_path, np.array([0.0, 0.12, 0.04, 0.08, 0.16]), 5)
    for stamps, message in ((np.r_[np.arange(30), np.arange(30)] / 25, "go back"), (np.repeat(0.0, 40), "only 1 diff")):
        with pytest.raises(PoseMambaError, match=message):
            _check_order(tmp_path / "v.mkv", stamps, len(np.unique(stamps)))
