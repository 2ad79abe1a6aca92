"""The overlay video, read back."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fixtures.feet import facing, put_on_feet
from posemamba.poses import Feet2D, Poses3D
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("PIL", reason="Pillow is not installed")

from posemamba.io.video.clip import Frame
from posemamba.io.video.picture import ArrayPicture
from posemamba.io.video.reading import probe, read_frames
from posemamba.io.video.writer import VideoWriter
from posemamba.show.overlay import _Painter, write_overlay

JOINTS = Poses3D.skeleton.joints


def film(path: Path, frames: int, size: tuple[int, int], fps: float) -> None:
    """A grey video, lighter by 4 from frame to frame."""
    with VideoWriter(path, fps) as writer:
        for i in range(frames):
            writer.write(np.full((size[1], size[0], 3), 40 + 4 * i, np.uint8))


@pytest.mark.slow
def test_an_overlay_has_the_frames_of_its_video_and_the_skeleton_where_it_belongs(
    tmp_path: Path, walker_clip: Callable[..., Poses3D]
) -> None:
    size, fps, frames = (960, 540), 25.0, 30
    poses = walker_clip(frames, fps, size, unseen=slice(10, 14))
    poses.confidence[:] = poses.keypoints.confidence[:] = poses.seen[:, None]
    film(tmp_path / "in.mp4", frames + 3, size, fps)  # longer than the poses: cut off
    calls: list[tuple[int, int | None]] = []
    write_overlay(tmp_path / "overlay.mp4", tmp_path / "in.mp4", poses, height=360, progress=lambda *c: calls.append(c))
    assert calls == [(i + 1, frames) for i in range(frames)]

    info = probe(tmp_path / "overlay.mp4")
    assert (info.frames, info.image_size) == (frames, (640 + 288, 360))
    assert info.fps == pytest.approx(fps)
    panels = []
    for frame in read_frames(tmp_path / "overlay.mp4"):
        i = frame.index
        picture, panel = frame.rgb[:, :640].astype(int), frame.rgb[:, 640:].astype(int)
        assert frame.time == pytest.approx(i / fps, abs=1e-3)
        assert np.median(picture) == pytest.approx(40 + 4 * i, abs=3)  # the frame of this pose, no other
        if poses.seen[i]:
            for name, blue in (("left_knee", True), ("right_knee", False), ("left_elbow", True)):
                j = JOINTS.index(name)
                others = np.delete(poses.keypoints.xy[i], j, axis=0)
                x, y = poses.keypoints.xy[i, j]
                if np.isnan(x) or np.nanmin(np.linalg.norm(others - (x, y), axis=-1)) < 18:
                    continue  # lost, or another joint lies over it
                red_green_blue = picture[round(y * 2 / 3), round(x * 2 / 3)]
                assert (red_green_blue[2] > red_green_blue[0] + 60) == blue, (i, name, red_green_blue)
            panels.append(panel[40:300])
        else:
            assert (picture[180, 280:360, 0] > picture[180, 280:360, 2] + 60).sum() > 20  # the red notice
    coloured = [int((np.ptp(panel, axis=-1) > 90).sum()) for panel in panels]
    assert min(coloured) > 200  # a skeleton in each panel
    assert np.abs(panels[0] - panels[-1]).max() > 100  # which moves


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["aac", pytest.param("pcm_s16le", marks=pytest.mark.slow)])
def test_sound_frame_times_and_people_come_along(
    tmp_path: Path, walker_clip: Callable[..., Poses3D], codec: str
) -> None:
    """A tone that starts at 0.5 s is heard at 0.5 s, uneven frame times stay, and two people are told apart."""
    av, fps, frames, rate = pytest.importorskip("av", reason="videos need the extra 'video'"), 25.0, 30, 32000
    times = np.arange(frames) / fps
    times[15:] += 0.2  # the camera paused
    source = tmp_path / f"in.{'mov' if codec.startswith('pcm') else 'mp4'}"
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate) * (np.arange(2 * rate) >= rate // 2)
    with av.open(str(source), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound = out.add_stream(codec, rate=rate)
        sound.codec_context.layout = "mono"
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 60, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        for start in range(0, len(tone), 1024):
            piece = (tone[None, start : start + 1024] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            frame.rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            out.mux(sound.encode(frame))
        out.mux(sound.encode())

    people = [walker_clip(frames, fps, (320, 240)) for _ in range(2)]
    people[1].keypoints.xy = people[1].keypoints.xy * 0.5
    people[1].keypoints.person = 7
    write_overlay(tmp_path / "overlay.mp4", source, people)
    shown = [(f.time, f.rgb) for f in read_frames(tmp_path / "overlay.mp4")]
    assert np.allclose([t for t, _ in shown], times, atol=2e-3)
    with av.open(str(tmp_path / "overlay.mp4")) as file:
        track = file.streams.audio[0]
        assert track.codec_context.name == "aac"
        decoded = [(f.time, f.to_ndarray()[0]) for f in file.decode(track)]
    heard = np.concatenate([a for _, a in decoded])
    first = decoded[0][0] + np.flatnonzero(np.abs(heard) > 0.1)[0] / rate
    assert first == pytest.approx(0.5, abs=0.03)
    assert decoded[-1][0] < times[-1] + 0.15  # a tone of 2 s is cut off with the pictures

    write_overlay(tmp_path / "one.mp4", source, people[0], sound=False)
    with av.open(str(tmp_path / "one.mp4")) as file:
        assert not file.streams.audio
    one = next(iter(read_frames(tmp_path / "one.mp4"))).rgb
    both = shown[0][1][:, : one.shape[1]]
    assert len({p.name for p in tmp_path.iterdir()}) == 3  # nothing half-written stays
    assert (np.abs(both[..., :320, :].astype(int) - one[..., :320, :]).max(-1) > 60).sum() > 100  # the second one

    with pytest.raises(PoseMambaError, match="frames of person 7 are 30"):
        write_overlay(tmp_path / "no.mp4", None, [walker_clip(4), people[1]])


def test_keypoints_alone_are_drawn_on_an_empty_picture(tmp_path: Path, walker_clip: Callable[..., Poses3D]) -> None:
    tall = walker_clip(4, 30, (361, 641))
    write_overlay(tmp_path / "tall.mp4", None, tall)
    info = probe(tmp_path / "tall.mp4")
    assert (info.frames, info.height) == (4, 640)
    nobody = walker_clip(3, 30, (64, 48), unseen=slice(None))
    write_overlay(tmp_path / "nobody.mp4", None, nobody)
    assert probe(tmp_path / "nobody.mp4").frames == 3


def test_a_video_that_does_not_fit_is_refused_and_leaves_no_file(
    tmp_path: Path, walker_clip: Callable[..., Poses3D]
) -> None:
    poses = walker_clip(8, 25, (320, 240))
    film(tmp_path / "short.mp4", 5, (320, 240), 25)
    film(tmp_path / "wide.mp4", 8, (480, 240), 25)
    for name, problem in (("short", "has 5 frames"), ("wide", "480 x 240"), ("none", "no such file")):
        with pytest.raises(PoseMambaError, match=problem):
            write_overlay(tmp_path / "overlay.mp4", tmp_path / f"{name}.mp4", poses)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["short.mp4", "wide.mp4"]


@pytest.mark.slow
def test_a_real_clip_keeps_its_frames_and_its_rate(tmp_path: Path, walker_clip: Callable[..., Poses3D]) -> None:
    clip = Path(os.environ.get("POSEMAMBA_SHARED", "../shared")) / "video" / "sports2d_demo.mp4"
    if not clip.exists():
        pytest.skip(f"no real clip at {clip}; set POSEMAMBA_SHARED to the folder that holds video/")
    info = probe(clip)
    poses = walker_clip(info.frames, info.fps, info.image_size, unseen=slice(100, 120))
    write_overlay(tmp_path / "overlay.mp4", clip, poses)
    written = probe(tmp_path / "overlay.mp4")
    assert (written.frames, written.height) == (info.frames, 720)
    assert written.fps == pytest.approx(info.fps)


def test_feet_are_drawn_thin_at_the_ankles(walker_clip: Callable[..., Poses3D]) -> None:
    plain = walker_clip(3, image_size=(960, 540))
    plain.keypoints.xy[:, [3, 6]] = [[300, 400], [500, 400]]  # found in all frames, and apart
    feet = put_on_feet(plain.xyz, facing(plain.xyz)).astype(np.float32)
    keypoints = plain.keypoints
    xy = keypoints.xy[:, [3, 3, 6, 6]] + [[0, 30], [60, 30], [0, 30], [60, 30]]
    feet[1, 1] = xy[1, 1] = np.nan  # a tip is lost: its bone goes
    keypoints = replace(keypoints, feet=Feet2D(xy, np.ones((3, 4))))
    whole = replace(plain, feet=feet, network=replace(plain.network, keypoints=keypoints))
    empty = ArrayPicture(np.zeros((540, 960, 3), np.uint8))
    without, drawn = (_Painter([p], 540) for p in (plain, whole))
    for i, tips in ((0, 2), (1, 1)):
        pictures = [
            painter.paint(i, Frame(i, 0.0, empty)).planes[0][:, :960].astype(int) for painter in (without, drawn)
        ]
        changed = np.abs(pictures[1] - pictures[0]) > 60
        for point in (1, 3):
            x, y = np.nan_to_num(xy[i, point]).round().astype(int)
            assert changed[y - 2 : y + 3, x - 2 : x + 3].any() == (tips == 2 or point == 3)
        assert 0 < changed.sum() < 2500  # with the outline
    again, first = (painter.paint(0, Frame(0, 0.0, empty)).planes for painter in (_Painter([plain], 540), without))
    assert all(np.array_equal(a, b) for a, b in zip(again, first, strict=True))


def test_bones_are_seen_on_white_and_on_black_and_the_figure_fills_its_panel(
    walker_clip: Callable[..., Poses3D],
) -> None:
    poses = walker_clip(20, image_size=(960, 540))
    poses.confidence[:] = poses.keypoints.confidence[:] = 1
    painter = _Painter([poses], 540)
    highest, lowest = 540, 0
    for index in (0, 10):
        xy = poses.keypoints.xy[index]
        bones = [(a, b) for a, b in poses.skeleton.bones if np.linalg.norm(xy[a] - xy[b]) > 10]
        assert len(bones) > 8
        for shade in (0, 255):
            back = ArrayPicture(np.full((540, 960, 3), shade, np.uint8))
            grey = painter.paint(index, Frame(index, 0.0, back)).planes[0].astype(int)
            empty = 16 + shade * 219 / 255
            for a, b in bones:
                x, y = ((xy[a] + xy[b]) / 2).round().astype(int)
                around = grey[y - 8 : y + 9, x - 8 : x + 9]
                # the bone itself may be as light as the background: then its rim is not
                assert np.abs(around - empty).max() > 60, (shade, a, b)
                assert np.ptp(around) > 60
            rows = np.flatnonzero((grey[24:500, 960:] < 150).sum(1) > 2) + 24
            highest, lowest = min(highest, rows[0]), max(lowest, rows[-1])
    assert lowest - highest > 0.7 * 540


def test_frames_that_are_not_to_be_trusted_have_a_bar_and_a_word(walker_clip: Callable[..., Poses3D]) -> None:
    people = [walker_clip(4, image_size=(960, 540), unseen=slice(3, 4)) for _ in range(2)]
    people[1].keypoints.person = 2
    levels = [np.array([0, 1, 0, 2]), np.array([0, 0, 2, 2])]
    grey = ArrayPicture(np.full((540, 960, 3), 128, np.uint8))

    def painted(painter: _Painter, index: int) -> tuple[int, int, int]:
        y, u, v = painter.paint(index, Frame(index, 0.0, grey)).planes
        return int(y[1, 5]), int(u[0, 2]), int(v[0, 2])

    marked, plain = _Painter(people, 540, levels), _Painter(people, 540)
    blank = painted(plain, 0)
    colours = [painted(marked, index) for index in range(4)]
    assert colours[0] == colours[3] == blank  # nothing to say; nobody was seen
    amber, red = colours[1], colours[2]
    assert amber[0] > 150 and amber[1] < 60 and red[2] > 170 and red[0] < 100
    for index, wide in ((1, 100), (2, 180)):  # "1: check", "2: not to be trusted", twice
        difference = np.abs(
            marked.paint(index, Frame(index, 0.0, grey)).planes[0].astype(int)
            - plain.paint(index, Frame(index, 0.0, grey)).planes[0]
        )
        for part in (difference[10:60, :600], difference[10:60, 1000:]):
            columns = np.flatnonzero((part > 20).any(0))
            assert wide - 45 < np.ptp(columns) < wide + 45


def test_angles_stand_at_their_joints_and_frames_are_shared(
    tmp_path: Path, walker_clip: Callable[..., Poses3D]
) -> None:
    poses = walker_clip(6, 25, (960, 540))
    grey = ArrayPicture(np.full((540, 960, 3), 128, np.uint8))
    angles = {"left_knee_flexion": np.array([10, np.nan, 30, 40, 50, 60.0])}
    painter, plain = _Painter([poses], 540, (), [angles]), _Painter([poses], 540)
    for index in (0, 1):
        with_angles, without = (one.paint(index, Frame(index, 0.0, grey)).planes[0] for one in (painter, plain))
        changed = np.argwhere(with_angles != without)
        assert (len(changed) > 50) == (index == 0)  # an angle that is not known is not written
        if len(changed):
            panel = changed[changed[:, 1] >= painter.width]
            knee = painter.panel.view.project(painter._placed(0, 0))[JOINTS.index("left_knee"), :2]
            assert np.abs(panel.mean(0)[::-1] - knee - (painter.width, 0)).max() < 40

    film(tmp_path / "in.mp4", 8, (320, 180), 25)
    seen: list[int] = []
    small = walker_clip(6, 25, (320, 180))
    marks = [np.zeros(6, int)]
    write_overlay(tmp_path / "o.mp4", tmp_path / "in.mp4", small, marks=marks, also=[lambda f: seen.append(f.index)])
    assert seen == list(range(6))
    for wrong in ({"marks": [np.zeros(5, int)]}, {"marks": marks * 2}, {"angles": {"left_knee_flexion": np.zeros(2)}}):
        with pytest.raises(ValueError, match=r"expected \(6,\)|give one for each"):
            write_overlay(tmp_path / "no.mp4", None, small, **wrong)

    def fails(frame: Frame) -> None:
        raise PoseMambaError("no place for pictures")

    with pytest.raises(PoseMambaError, match="no place for pictures"):
        write_overlay(tmp_path / "no.mp4", tmp_path / "in.mp4", small, also=[fails])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "o.mp4"]
