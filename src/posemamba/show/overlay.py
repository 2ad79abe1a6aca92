"""The overlay video: each frame with the 2D skeletons on it, beside the 3D skeletons from another viewpoint.

Shapes: P people, F frames, J = 17 joints, or 21 with heels and foot tips.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.clip import Clip, Frame, beginning_at
from posemamba.io.video.reading import probe, read_frames
from posemamba.io.video.sound import add_sound, has_sound
from posemamba.io.video.still import PictureWriter
from posemamba.io.video.writer import VideoWriter
from posemamba.poses import Poses3D
from posemamba.poses.skeletons import FEET, H36M17
from posemamba.show.people import (
    BONES,
    Colour,
    Sides,
    as_people,
    colours,
    have_feet,
    numbers,
    points_of,
    side_by_side,
)
from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.files import make_folder, writing
from posemamba.utils.progress import Progress

YAW, PITCH = math.radians(-35), math.radians(12)  # the 3D panel's viewpoint: to the camera's right, a little above
PAPER: Colour = (246, 247, 249)
GRID: Colour = (206, 212, 221)
SHADOW: Colour = (190, 197, 208)
INK: Colour = (26, 29, 35)
SOFT: Colour = (89, 96, 109)
WARNING: Colour = (179, 38, 30)
BLANK: Colour = (38, 41, 48)
THIN = 0.6
"""The width of a foot's bones and points as a share of the others'."""


def write_overlay(
    path: str | Path,
    video: str | Path | None,
    poses: Poses3D | Sequence[Poses3D],
    *,
    height: int = 720,
    sound: bool = True,
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
        progress: called as progress(frames done, F).

    Raises:
        PoseMambaError: the video cannot be read, has fewer frames than the poses, or another shape than the keypoints'
            image; the result cannot be written; Pillow or PyAV is not installed; or the people are not of one clip.
        ValueError: there is nobody, or no frame.
    """
    require("PIL", "video")
    people = as_people(poses)
    clip = None if video is None else beginning_at(video, float(people[0].frame_times()[0]), people[0].fps)
    # the sound of a part would need cutting
    if clip is not None and sound and clip.is_whole and has_sound(clip.path):
        # beside the result, as there may be no other place that holds a video
        with tempfile.TemporaryDirectory(dir=make_folder(Path(path).parent), prefix=".unfinished.") as folder:
            silent = Path(folder) / f"silent{Path(path).suffix}"
            _draw(silent, clip, people, height, progress)
            with writing(path):
                add_sound(silent, clip.path, path)
    else:
        _draw(Path(path), clip, people, height, progress)


def _draw(path: Path, video: Clip | None, people: Sequence[Poses3D], height: int, progress: Progress | None) -> None:
    painter = _Painter(people, height)
    frames, done = len(people[0]), 0
    with PictureWriter(path) if path.suffix.lower() == ".png" else VideoWriter(path, people[0].fps) as writer:
        for frame in _frames(video, people[0], painter):
            writer.write(painter.paint(done, frame), frame.time)
            done += 1
            if progress is not None:
                progress(done, frames)
            if done == frames:
                break
        if done < frames:
            raise PoseMambaError(
                f"{video}: has {done} frames, but there are poses for {frames}; "
                "give the video that the poses were made from"
            )


def _frames(video: Clip | None, poses: Poses3D, painter: _Painter) -> Iterator[Frame]:
    if video is None:
        empty = np.empty((painter.height, painter.width, 3), np.uint8)
        empty[:] = BLANK
        times = poses.keypoints.frame_times()
        yield from (Frame(i, float(times[i] - times[0]), empty) for i in range(len(poses)))
        return
    info = probe(video)
    width, height = poses.keypoints.image_size
    if abs(info.width / info.height - width / height) > 0.01 * width / height:
        raise PoseMambaError(
            f"{video}: its frames are {info.width} x {info.height}, but the keypoints belong to an image of "
            f"{width} x {height}; give the video that the poses were made from"
        )
    yield from read_frames(video)


@dataclass(frozen=True)
class _View:
    """The 3D panel's fixed view, which projects points of the pose to pixels of the panel."""

    centre: NDArray[np.float64]
    distance: float
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Project (..., 3) metres to (..., 3): x and y in the panel, and the depth."""
        x, y, z = np.moveaxis(np.asarray(points, dtype=np.float64) - self.centre, -1, 0)
        x, z = x * math.cos(YAW) - z * math.sin(YAW), x * math.sin(YAW) + z * math.cos(YAW)
        y, z = y * math.cos(PITCH) - z * math.sin(PITCH), y * math.sin(PITCH) + z * math.cos(PITCH)
        near = self.scale * self.distance / np.maximum(self.distance + z, 0.05 * self.distance)
        return np.stack([x * near + self.shift[0], y * near + self.shift[1], z], -1)


class _Painter:
    """A painter of frames; parts that are the same in all frames are made once."""

    def __init__(self, people: Sequence[Poses3D], height: int) -> None:
        from PIL import ImageFont

        self.people = people
        poses = people[0]
        feet = have_feet(people)
        self.bones, self.several = BONES if feet else H36M17.bones, len(people) > 1
        self.points = [points_of(p, feet) for p in people]
        self.names = [str(n) for n in numbers(people)]
        self.on_paper, self.on_video = (colours(len(people), dark=dark) for dark in (False, True))
        source_width, source_height = poses.keypoints.image_size
        self.height = _even(max(min(source_height, height), min(360, height)))
        self.width = _even(source_width * self.height / source_height)
        self.panel_width = _even((0.8 if len(people) < 3 else 1.2) * self.height)
        self.font: Any = ImageFont.load_default(size=max(13, self.height / 38))
        self.large_font: Any = ImageFont.load_default(size=max(18, self.height / 18))
        self.times = poses.keypoints.frame_times()
        joints = (*H36M17.joints, *(FEET if feet else ()))
        self.sides = [0 if n.startswith("left") else 1 if n.startswith("right") else 2 for n in joints]
        scale = np.array([self.width / source_width, self.height / source_height])
        self.xy = [p.xy * scale for p in self.points]
        seen_xy = np.concatenate([xy[np.isfinite(xy).all(-1)] for xy in self.xy])
        tall = np.ptp(np.percentile(seen_xy[:, 1], [1, 99])) if len(seen_xy) else self.height
        self.flat_line = float(np.clip(tall / 60, 2, 0.009 * self.height))
        self.seen = [p.seen & np.isfinite(p.xyz).all((1, 2)) for p in people]
        self.places = side_by_side(people)
        self.panel = self._empty_panel()

    def _empty_panel(self) -> Any:
        """Make the 3D panel without a person; sets the view and the height of the grid."""
        from PIL import Image, ImageDraw

        points = np.concatenate([self._placed(i, seen).reshape(-1, 3) for i, seen in enumerate(self.seen)])
        points = points[np.isfinite(points).all(-1)]
        if not len(points):
            points = np.array([[-0.9, -0.9, -0.9], [0.9, 0.9, 0.9]])
        # without the outermost thousandth, as a stray joint must not shrink everything else
        low, high = np.percentile(points, [0.1, 99.9], axis=0)
        radius = max(float(np.linalg.norm(high - low)) / 2, 1e-3)
        body = radius if not self.several else max(0.6 * float(high[1] - low[1]), 1e-3)
        self.floor = float(high[1])
        cell = _round_length(body / 2.5)
        across, along = (max(1, round(r / cell)) for r in ((0.9 if self.several else 0.65) * radius, 0.65 * body))
        xs, zs = (np.arange(-n, n + 1) * cell for n in (across, along))
        corners = np.array([[x, self.floor, z] for x in (xs[0], xs[-1]) for z in (zs[0], zs[-1])])

        view = _View((low + high) / 2, 5 * radius)
        extent = np.concatenate([view.project(np.clip(points, low, high)), view.project(corners)])[:, :2]
        (left, top), (right, bottom) = extent.min(0), extent.max(0)
        line = self.font.size * 1.3
        room_x, room_y = self.panel_width - 2 * line, self.height - 5.5 * line
        scale = min(room_x / (right - left), room_y / (bottom - top))
        middle = self.panel_width / 2, 2.6 * line + room_y / 2
        shift = middle[0] - scale * (left + right) / 2, middle[1] - scale * (top + bottom) / 2
        self.view = _View(view.centre, view.distance, scale, shift)
        self.solid_line = float(np.clip(scale * body / 45, 2.5, 0.012 * self.height))

        double = Image.new("RGB", (2 * self.panel_width, 2 * self.height), PAPER)
        draw = ImageDraw.Draw(double)
        for line_ends in [[(x, zs[0]), (x, zs[-1])] for x in xs] + [[(xs[0], z), (xs[-1], z)] for z in zs]:
            ends = self.view.project(np.array([(x, self.floor, z) for x, z in line_ends]))[:, :2]
            draw.line([tuple(2 * p) for p in ends], fill=GRID, width=2)
        panel = double.reduce(2)
        draw = ImageDraw.Draw(panel)
        caption = f"3D, turned by {-math.degrees(YAW):.0f}°, grid of {cell:g} m"
        caption += ", side by side" if self.several else ""
        draw.text((0.6 * line, 0.5 * line), caption, SOFT, self.font)
        x, y = 0.6 * line, self.height - 0.95 * line
        sides: Sides = colours(1, dark=False)[0] if not self.several else ((74, 79, 89), (170, 176, 187), SOFT)
        for name, colour in zip(("left", "right"), sides, strict=False):
            draw.line([x, y, x + line, y], fill=colour, width=max(3, round(self.solid_line)))
            draw.text((x + 1.25 * line, y), name, INK, self.font, anchor="lm")
            x += 1.25 * line + draw.textlength(name, self.font) + 0.8 * line
        self._mark_camera(zs[0], 0.05 * body)
        return panel

    def _mark_camera(self, near: float, wing: float) -> None:
        """Prepare the arrow of the camera's direction for the grid's near edge; it is drawn over the shadow."""
        from PIL import Image, ImageDraw

        tip = near + 5 * wing
        arrow = [(0, near), (0, tip), (-wing, tip - 1.6 * wing), (0, tip), (wing, tip - 1.6 * wing)]
        places = self.view.project(np.array([(x, self.floor, z) for x, z in arrow]))[:, :2]
        double = Image.new("RGBA", (2 * self.panel_width, 2 * self.height), (*SOFT, 0))
        draw = ImageDraw.Draw(double)
        draw.line([tuple(2 * p) for p in places], fill=SOFT, width=4, joint="curve")
        mark = double.reduce(2)
        text = ImageDraw.Draw(mark)
        text.text(tuple(places[0] + (0, 0.3 * self.font.size)), "camera", SOFT, self.font, anchor="ma")
        box = mark.getbbox() or (0, 0, 1, 1)
        self.mark, self.mark_corner = mark.crop(box), box[:2]

    def _placed(self, person: int, frames: Any) -> NDArray[np.float64]:
        """Return the joints of these frames in the panel's space, (..., J, 3)."""
        return self.points[person].xyz[frames].astype(np.float64) + self.places[person]

    def paint(self, index: int, frame: Frame) -> NDArray[np.uint8]:
        """Paint a frame, (height, width + panel_width, 3) uint8."""
        from PIL import Image, ImageDraw

        whole = Image.new("RGB", (self.width + self.panel_width, self.height))
        picture = Image.fromarray(frame.rgb)
        if picture.size != (self.width, self.height):
            picture = picture.resize((self.width, self.height), Image.Resampling.BILINEAR)
        panel = self.panel.copy()
        here = [i for i, seen in enumerate(self.seen) if seen[index]]
        solids = {i: self._placed(i, index) for i in here}
        for xyz in solids.values():
            shadow = self.view.project(np.stack([xyz[:, 0], np.full(len(xyz), self.floor), xyz[:, 2]], -1))
            self._skeleton(panel, shadow, np.ones(len(xyz)), (SHADOW,) * 3, 0.8 * self.solid_line, rim=None)
        panel.paste(self.mark, self.mark_corner, self.mark)
        for i in here:
            confidence, solid = self.points[i].confidence[index], self.view.project(solids[i])
            self._skeleton(panel, solid, confidence, self.on_paper[i], self.solid_line, rim=PAPER)
            flat = np.concatenate([self.xy[i][index], np.zeros((len(confidence), 1))], -1)
            self._skeleton(picture, flat, confidence, self.on_video[i], self.flat_line, rim=(0, 0, 0))
            if self.several:
                self._number(picture, self.names[i], flat, self.on_video[i], INK)
                self._number(panel, self.names[i], solid, self.on_paper[i], PAPER)
        if not here:
            for image, colour, back in ((picture, (255, 255, 255), WARNING), (panel, WARNING, None)):
                self._notice(image, "not seen", colour, back)
        whole.paste(picture, (0, 0))
        whole.paste(panel, (self.width, 0))
        clock = f"{self.times[index]:.2f} s   frame {index}"
        corner = self.width + self.panel_width - 0.8 * self.font.size, self.height - 1.235 * self.font.size
        ImageDraw.Draw(whole).text(corner, clock, INK, self.font, anchor="rm")
        return np.asarray(whole)

    def _skeleton(
        self,
        image: Any,
        points: NDArray[np.floating],
        confidence: NDArray[np.floating],
        sides: Sides,
        width: float,
        rim: Colour | None,
    ) -> None:
        """Draw bones, far ones first, onto `image`; points (J, 3): x, y, depth, NaN where not found."""
        from PIL import Image, ImageDraw

        found = np.isfinite(points).all(-1)
        if not found.any():
            return
        # Pillow's lines are not antialiased: draw the needed part twice as large, and shrink
        margin = 2 * width + 2
        low = np.floor(np.maximum(points[found, :2].min(0) - margin, 0)).astype(int)
        high = np.ceil(np.minimum(points[found, :2].max(0) + margin, image.size)).astype(int)
        if (high <= low).any():
            return
        layer = Image.new("RGBA", tuple(2 * (high - low)))
        draw = ImageDraw.Draw(layer)
        place = 2 * (points[:, :2] - low)
        trust = np.clip(np.nan_to_num(confidence), 0, 1)
        bones = [(p, j) for p, j in self.bones if found[p] and found[j]]
        for p, j in sorted(bones, key=lambda bone: -(points[bone[0], 2] + points[bone[1], 2])):
            ends = [tuple(place[p]), tuple(place[j])]
            wide = width if j < len(H36M17) else THIN * width
            if rim is not None:
                draw.line(ends, fill=(*rim, 150), width=round(2 * wide + 4))
            alpha = round(255 * (0.2 + 0.8 * min(trust[p], trust[j])))
            draw.line(ends, fill=(*sides[self.sides[j]], alpha), width=round(2 * wide))
        for joint in np.flatnonzero(found):
            alpha = round(255 * (0.3 + 0.7 * trust[joint]))
            radius = 1.6 * width * (1 if joint < len(H36M17) else THIN)
            draw.circle(tuple(place[joint]), radius, fill=(*sides[self.sides[joint]], alpha))
        layer = layer.reduce(2)
        image.paste(layer, tuple(low), layer)

    def _number(self, image: Any, text: str, points: NDArray[np.floating], sides: Sides, ink: Colour) -> None:
        """Draw a person's number on a badge above the highest joint; points as in `_skeleton`."""
        from PIL import ImageDraw

        found = points[np.isfinite(points).all(-1)]
        if not len(found):
            return
        size = self.font.size
        x, y = found[found[:, 1].argmin(), :2] - (0, 1.5 * size)
        x, y = (float(np.clip(v, 0.8 * size, n - 0.8 * size)) for v, n in zip((x, y), image.size, strict=True))
        draw = ImageDraw.Draw(image)
        wide = max(1.4 * size, draw.textlength(text, self.font) + 0.8 * size) / 2
        box = (x - wide, y - 0.7 * size, x + wide, y + 0.7 * size)
        draw.rounded_rectangle(box, 0.7 * size, fill=sides[2])
        draw.text((x, y), text, ink, self.font, anchor="mm")

    def _notice(self, image: Any, text: str, colour: Colour, back: Colour | None) -> None:
        from PIL import ImageDraw

        draw = ImageDraw.Draw(image)
        middle = image.width / 2, image.height / 2
        if back is not None:
            box = draw.textbbox(middle, text, font=self.large_font, anchor="mm")
            pad = 0.4 * self.large_font.size
            draw.rounded_rectangle((box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad), pad, fill=back)
        draw.text(middle, text, colour, self.large_font, anchor="mm")


def _even(length: float) -> int:
    """Return the nearest even number of pixels, as video formats require."""
    return max(2, 2 * round(length / 2))


def _round_length(limit: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is not above `limit`."""
    power = 10.0 ** math.floor(math.log10(limit))
    return max(m * power for m in (1, 2, 5) if m * power <= limit * (1 + 1e-9))
