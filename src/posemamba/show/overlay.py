"""The overlay video: each frame with the 2D skeletons on it, beside the 3D skeletons from another viewpoint.

Frames are decoded and scaled in a thread of their own, drawn here, and encoded by x264's threads.

Shapes: P people, F frames, J = 17 joints, or 21 with heels and foot tips.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.clip import Clip, Frame, beginning_at
from posemamba.io.video.picture import ArrayPicture
from posemamba.io.video.reading import probe, read_frames
from posemamba.io.video.sound import add_sound, has_sound
from posemamba.io.video.still import PictureWriter
from posemamba.io.video.writer import VideoWriter
from posemamba.poses import Poses3D
from posemamba.poses.skeletons import H36M17
from posemamba.show.canvas import Canvas, Patch
from posemamba.show.panel import INK, PAPER, SHADOW, Panel
from posemamba.show.people import Colour, as_people, colours, have_feet, numbers, points_of, side_by_side
from posemamba.show.skeleton_drawing import BLACK, WHITE, Brush, Skeletons, badge_patch, text_patch
from posemamba.utils.ahead import ahead
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import make_folder, writing
from posemamba.utils.progress import Progress

WARNING: Colour = (179, 38, 30)
CAUTION: Colour = (255, 193, 7)
BLANK: Colour = (38, 41, 48)
MARKS = (("", WHITE, BLACK), ("check", INK, CAUTION), ("not to be trusted", WHITE, WARNING))
"""Word, its colour and the colour behind it, of frames of level 0, 1 and 2."""
_ANGLES = {
    f"{side}_{joint}": f"{side}_{angle}"
    for side in ("left", "right")
    for joint, angle in (
        ("shoulder", "shoulder_elevation"),
        ("elbow", "elbow_flexion"),
        ("hip", "hip_flexion"),
        ("knee", "knee_flexion"),
        ("ankle", "ankle_dorsiflexion"),
    )
}
"""The angle that is written at a joint."""
_TALL = 0.5  # height of a person in the video, as a share of the picture's, from which on there is room for angles
_QUALITY = 24  # x264's: as close to what was drawn as its preset `veryfast` at 20, in 4 ms less a frame
_FITTED = 3000  # frames by which the 3D panel's view is chosen

Angles = Mapping[str, NDArray[np.floating]]
"""Angles of one person, name to (F,) degrees, as `posemamba.joint_angles` returns them."""


def write_overlay(
    path: str | Path,
    video: str | Path | None,
    poses: Poses3D | Sequence[Poses3D],
    *,
    height: int = 720,
    sound: bool = True,
    marks: Sequence[NDArray[np.integer]] | None = None,
    angles: Angles | Sequence[Angles] | None = None,
    also: Sequence[Callable[[Frame], None]] = (),
    progress: Progress | None = None,
) -> None:
    """Write a video of `poses` beside the frames they come from, frame for frame and at the same times.

    On the left is the frame with the 2D keypoints. On the right is the 3D pose about its pelvis, in perspective undone,
    turned by 35 degrees about the image's upright axis, or the world's, at one scale over the whole clip. One person
    has blue left limbs and orange right ones. Several people have a number and a hue each, the left side in the darker
    shade. In 3D they stand side by side, ordered as in the image. Joints of low confidence are faint; frames in which
    nobody was seen are marked. The video's sound is kept.

    Args:
        path: the video to write, e.g. overlay.mp4; of a single frame also a picture, overlay.png.
        video: the video that the poses come from; the first pose is drawn on the frame at its time. None draws
            the keypoints on an empty background.
        poses: one person, or several of one clip; F frames, one for each frame of the video (a longer video is cut
            off after them).
        height: the largest height of the result in pixels; smaller videos are enlarged to 360 at most.
        sound: copy the video's sound, if it has any (encoded again only if an mp4 cannot hold it).
        marks: for each person (F,) levels of trust: 0 good, 1 to be checked, 2 not to be trusted. A bar and a badge
            with these words are on frames of level 1 and 2. None: without.
        angles: the joint angles of each person, written at shoulders, elbows, hips, knees and ankles, in degrees. None:
            without.
        also: called with each frame of the video that is drawn on, in order, in the decoding thread.
        progress: called as progress(frames done, F).

    Raises:
        PoseMambaError: the video cannot be read, has fewer frames than the poses, or another shape than the keypoints'
            image; the result cannot be written; Pillow or PyAV is not installed; or the people are not of one clip.
        ValueError: there is nobody, or no frame; or marks or angles are not of these people.
    """
    require("PIL", "video")
    people = as_people(poses)
    turned = [] if angles is None else [angles] if isinstance(angles, Mapping) else list(angles)
    levels = [] if marks is None else [np.asarray(level) for level in marks]
    _check(people, levels, turned)
    painter = _Painter(people, height, levels, turned)
    clip = None if video is None else beginning_at(video, float(people[0].frame_times()[0]), people[0].fps)
    # the sound of a part would need cutting
    if clip is not None and sound and clip.is_whole and has_sound(clip.path):
        # beside the result, as there may be no other place that holds a video
        with tempfile.TemporaryDirectory(dir=make_folder(Path(path).parent), prefix=".unfinished.") as folder:
            silent = Path(folder) / f"silent{Path(path).suffix}"
            _draw(silent, clip, people[0], painter, also, progress)
            with writing(path):
                add_sound(silent, clip.path, path)
    else:
        _draw(Path(path), clip, people[0], painter, also, progress)


def _check(people: Sequence[Poses3D], marks: Sequence[NDArray[np.integer]], angles: Sequence[Angles]) -> None:
    for name, given in (("marks", marks), ("angles", angles)):
        if given and len(given) != len(people):
            raise ValueError(f"{name} of {len(given)} people for {len(people)}; give one for each")
    for values in [*marks, *(one for own in angles for one in own.values())]:
        if np.shape(values) != (len(people[0]),):
            raise ValueError(
                f"marks or an angle of shape {np.shape(values)}, expected ({len(people[0])},), one a frame"
            )


def _draw(
    path: Path,
    video: Clip | None,
    poses: Poses3D,
    painter: _Painter,
    also: Sequence[Callable[[Frame], None]],
    progress: Progress | None,
) -> None:
    frames, done = len(poses), 0
    with contextlib.ExitStack() as stack:
        made: PictureWriter | VideoWriter
        made = PictureWriter(path) if path.suffix.lower() == ".png" else VideoWriter(path, poses.fps, crf=_QUALITY)
        stack.enter_context(made)
        for frame in stack.enter_context(ahead(_frames(video, poses, painter, also))):
            made.write_planes(painter.paint(done, frame).planes, frame.time)
            done += 1
            if progress is not None:
                progress(done, frames)
        if done < frames:
            raise PoseMambaError(
                f"{video}: has {done} frames, but there are poses for {frames}; "
                "give the video that the poses were made from"
            )


def _frames(
    video: Clip | None, poses: Poses3D, painter: _Painter, also: Sequence[Callable[[Frame], None]]
) -> Iterator[Frame]:
    """Yield the frames to draw on, as many as there are poses."""
    if video is None:
        empty = np.empty((painter.height, painter.width, 3), np.uint8)
        empty[:] = BLANK
        times = poses.keypoints.frame_times()
        picture = ArrayPicture(empty)
        yield from (Frame(i, float(times[i] - times[0]), picture) for i in range(len(poses)))
        return
    info = probe(video)
    width, height = poses.keypoints.image_size
    if abs(info.width / info.height - width / height) > 0.01 * width / height:
        raise PoseMambaError(
            f"{video}: its frames are {info.width} x {info.height}, but the keypoints belong to an image of "
            f"{width} x {height}; give the video that the poses were made from"
        )
    for frame in read_frames(video):
        for call in also:
            call(frame)
        yield frame
        if frame.index + 1 >= len(poses):
            return


class _Painter:
    """A painter of frames; parts that are the same in all frames are made once."""

    def __init__(
        self,
        people: Sequence[Poses3D],
        height: int,
        marks: Sequence[NDArray[np.integer]] = (),
        angles: Sequence[Angles] = (),
    ) -> None:
        from PIL import ImageFont

        poses = people[0]
        self.several = len(people) > 1
        self.marks, self.angles = marks, angles
        feet = have_feet(people)
        self.skeletons = Skeletons(feet)
        self.points = [points_of(p, feet) for p in people]
        self.names = [str(n) for n in numbers(people)]
        self.on_paper, self.on_video = (colours(len(people), dark=dark) for dark in (False, True))
        source_width, source_height = poses.keypoints.image_size
        self.height = _even(max(min(source_height, height), min(360, height)))
        self.width = _even(source_width * self.height / source_height)
        self.whole_width = self.width + _even((0.8 if len(people) < 3 else 1.2) * self.height)
        self.font: Any = ImageFont.load_default(size=max(13, self.height / 38))
        self.large_font: Any = ImageFont.load_default(size=max(18, self.height / 18))
        self.times = poses.keypoints.frame_times()
        self.scale = np.array([self.width / source_width, self.height / source_height])
        self.seen = [p.seen & np.isfinite(p.xyz).all((1, 2)) for p in people]
        self.places = side_by_side(people)
        some = slice(None, None, math.ceil(len(poses) / _FITTED))
        placed = [self._placed(i, some)[seen[some]].reshape(-1, 3) for i, seen in enumerate(self.seen)]
        panel_width = self.whole_width - self.width
        self.panel = Panel(panel_width, self.height, self.font, np.concatenate(placed), self.several)
        self.background = Canvas.blank(self.whole_width, self.height, BLACK)
        self.background.put(self.panel.canvas, self.width, 0)
        self.tall = self._tallness([p.xy[some] * self.scale for p in self.points])
        line = float(np.clip(self.tall / 60, 2, 0.009 * self.height))
        edge = max(1.0, 0.3 * line)
        self.flat = Brush(line, rim=(BLACK, 0.7), outline=(WHITE, 0.45), edge=edge)
        self.solid = Brush(self.panel.line_width, rim=(PAPER, 0.6))
        self.shadow = Brush(0.8 * self.panel.line_width)
        self._patches: dict[object, Patch] = {}

    def _tallness(self, xy: Sequence[NDArray[np.floating]]) -> float:
        """Return the height of the tallest person in the video, pixels."""
        found = [one[np.isfinite(one).all(-1), 1] for one in xy]
        return max((float(np.ptp(np.percentile(y, [1, 99]))) for y in found if len(y)), default=float(self.height))

    def _placed(self, person: int, frames: Any) -> NDArray[np.float64]:
        """Return the joints of these frames in the panel's space, (..., J, 3)."""
        return self.points[person].xyz[frames].astype(np.float64) + self.places[person]

    def paint(self, index: int, frame: Frame) -> Canvas:
        """Paint a frame: the picture on the left, the 3D panel on the right."""
        canvas = self.background.copy()
        canvas.put(Canvas.from_planes(frame.picture.planes(self.width, self.height)), 0, 0)
        here = [i for i, seen in enumerate(self.seen) if seen[index]]
        video, panel = (0, 0, self.width, self.height), (self.width, 0, self.whole_width, self.height)
        shift = np.array([self.width, 0, 0])
        solids = {i: self._placed(i, index) for i in here}
        for xyz in solids.values():
            shadow = self.panel.on_floor(xyz) + shift
            self.skeletons.draw(canvas, panel, shadow, np.ones(len(xyz)), (SHADOW,) * 3, self.shadow)
        arrow_x, arrow_y = self.panel.arrow_corner
        canvas.blend(self.panel.arrow, self.width + arrow_x, arrow_y)
        for i in here:
            confidence = self.points[i].confidence[index]
            solid = self.panel.view.project(solids[i]) + shift
            flat = np.zeros((len(confidence), 3))
            flat[:, :2] = self.points[i].xy[index] * self.scale
            self.skeletons.draw(canvas, panel, solid, confidence, self.on_paper[i], self.solid)
            self.skeletons.draw(canvas, video, flat, confidence, self.on_video[i], self.flat)
            if self.angles:
                self._write_angles(canvas, panel, i, index, solid, PAPER)
                if self.tall > _TALL * self.height:
                    self._write_angles(canvas, video, i, index, flat, BLACK)
            if self.several:
                self._number(canvas, video, i, flat, on_video=True)
                self._number(canvas, panel, i, solid, on_video=False)
        if here:
            self._mark(canvas, here, index)
        else:
            for box in (video, panel):
                notice = self._patch("not seen", lambda: badge_patch([("not seen", WHITE, WARNING)], self.large_font))
                middle = (box[0] + box[2] - notice.width) / 2, (self.height - notice.height) / 2
                canvas.blend(notice, *middle)
        clock = text_patch(f"{self.times[index]:.2f} s   frame {index}", self.font, INK)
        canvas.blend(
            clock,
            self.whole_width - 0.8 * self.font.size - clock.width,
            self.height - 1.235 * self.font.size - clock.height / 2,
        )
        return canvas

    def _patch(self, key: object, make: Callable[[], Patch]) -> Patch:
        """Return what was made before under a key, or make it."""
        if key not in self._patches:
            if len(self._patches) > 2000:  # words of angles
                self._patches.clear()
            self._patches[key] = make()
        return self._patches[key]

    def _number(self, canvas: Canvas, box: Any, person: int, points: NDArray[np.floating], on_video: bool) -> None:
        """Draw a person's number on a badge above the highest joint."""
        found = points[np.isfinite(points).all(-1)]
        if not len(found):
            return
        sides, ink = (self.on_video[person], INK) if on_video else (self.on_paper[person], PAPER)
        key = "number", person, on_video
        badge = self._patch(key, lambda: badge_patch([(self.names[person], ink, sides[2])], self.font))
        x, y = found[found[:, 1].argmin(), :2] - (badge.width / 2, badge.height + 0.8 * self.font.size)
        canvas.blend(
            badge,
            *(
                float(np.clip(v, low, high))
                for v, low, high in ((x, box[0], box[2] - badge.width), (y, box[1], box[3] - badge.height))
            ),
        )

    def _mark(self, canvas: Canvas, here: Sequence[int], index: int) -> None:
        """Mark a frame that is not to be trusted, or to be checked, with a bar and a word."""
        levels = {i: int(self.marks[i][index]) for i in here} if self.marks else {}
        worst = max(levels.values(), default=0)
        if not worst:
            return
        lines = []
        for level in range(worst, 0, -1):
            who = [self.names[i] for i, one in levels.items() if one == level]
            if who:
                word, ink, behind = MARKS[level]
                lines.append((f"{', '.join(who)}: {word}" if self.several else word, ink, behind))
        badge = self._patch(("mark", tuple(lines)), lambda: badge_patch(lines, self.font))
        high = 2 * max(1, round(0.005 * self.height))
        bar = self._patch(("bar", worst), lambda: _bar(self.whole_width, high, MARKS[worst][2]))
        canvas.blend(bar, 0, 0)
        away = 0.6 * self.font.size
        canvas.blend(badge, away, high + away)
        canvas.blend(badge, self.whole_width - away - badge.width, high + away)

    def _write_angles(
        self, canvas: Canvas, box: Any, person: int, index: int, points: NDArray[np.floating], rim: Colour
    ) -> None:
        """Write a person's angles beside the joints, outwards from the body's middle."""
        sides = self.on_video[person] if rim == BLACK else self.on_paper[person]
        middle = float(np.nanmean(points[:, 0])) if np.isfinite(points[:, 0]).any() else 0.0
        for joint, name in _ANGLES.items():
            values, at = self.angles[person].get(name), H36M17.joints.index(joint)
            if values is None or not np.isfinite(values[index]) or not np.isfinite(points[at]).all():
                continue
            text, colour = f"{values[index]:.0f}°", self.skeletons.colour(sides, at)
            patch = self._patch((text, colour, rim), lambda t=text, c=colour: text_patch(t, self.font, c, rim))  # type: ignore[misc]
            x, y = points[at, :2]
            x += 0.5 * self.font.size if x >= middle else -0.5 * self.font.size - patch.width
            y -= patch.height / 2
            if box[0] <= x <= box[2] - patch.width and box[1] <= y <= box[3] - patch.height:
                canvas.blend(patch, x, y)


def _bar(width: int, height: int, colour: Colour) -> Patch:
    from PIL import Image

    return Patch.from_rgba(Image.new("RGBA", (width, height), (*colour, 255)))


def _even(length: float) -> int:
    """Return the nearest even number of pixels, as video formats require."""
    return max(2, 2 * round(length / 2))
