"""The contact sheet of the people in a clip, ``people.jpg``: who has which number.

Shapes: P people, F frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posemamba.io.video.clip import Frame, Source
from posemamba.io.video.reading import read_frames
from posemamba.poses import Keypoints2D
from posemamba.poses.keypoints import boxes, side_names
from posemamba.show.people import Colour, colours
from posemamba.utils.ahead import ahead
from posemamba.utils.errors import require
from posemamba.utils.files import writing
from posemamba.utils.progress import Progress

FILE = "people.jpg"
MOST_PEOPLE = 24
"""The most people on a sheet: the first by number, who are seen most."""

_CROPS = 4  # of each person
_TILE = 220  # pixels: the side of a crop, and the height of the whole picture
_WIDEST = 400  # pixels: the width of the whole picture
_WORDS = 180  # pixels: the width of the column of words
_GAP = 16  # pixels
_HEAD = 62  # pixels: above the first row
_ROW = _TILE + 26 + _GAP  # pixels: from a row to the next
_PAPER: Colour = (246, 247, 249)
_INK: Colour = (26, 29, 35)
_SOFT: Colour = (89, 96, 109)
_LINE: Colour = (206, 212, 221)


@dataclass
class _Row:
    """A person's row.

    Attributes:
        keypoints: the person.
        boxes: (F, 4) left, top, right, bottom in pixels; NaN where not seen.
        frames: the frames of the crops, in order.
        clearest: the one of them that is shown whole.
        crops: for each frame that was read its crop.
        whole: the whole picture, small.
    """

    keypoints: Keypoints2D
    boxes: NDArray[np.float32]
    frames: list[int]
    clearest: int
    crops: dict[int, Any] = field(default_factory=dict)
    whole: Any = None


def write_contact_sheet(
    path: str | Path, source: Source, people: Sequence[Keypoints2D], *, progress: Progress | None = None
) -> None:
    """Write a picture with a row for each person: number, frames, crops of the video, and where in the picture.

    Crops are taken from frames in which the person is seen clearly: with high confidence, large, apart from others,
    and spread over the time. The video is read once, up to the last frame that is needed.

    Args:
        path: the JPEG file to write.
        source: the video, pictures, or the part of them that the people come from, frame for frame.
        people: at least one, of one clip; of more than `MOST_PEOPLE` the first ones.
        progress: called as progress(frames read, frames to read).

    Raises:
        PoseMambaError: the video cannot be read, the result not written, or Pillow is not installed.
        ValueError: there is nobody.
    """
    sheet = ContactSheet(people)
    sheet.fill(source, progress)
    sheet.save(path)


def place_of_row(row: int) -> tuple[int, int, int]:
    """Return where on a sheet the pictures of a person are: left, top and height in pixels, up to the right edge.

    Args:
        row: index of the person among those on the sheet.
    """
    return 2 * _GAP + _WORDS, _HEAD + row * _ROW, _TILE


class ContactSheet:
    """A contact sheet that is filled while the clip's frames go by.

    Attributes:
        frames: so many frames, from the first on, are needed.
    """

    def __init__(self, people: Sequence[Keypoints2D]) -> None:
        """Choose the frames.

        Raises:
            PoseMambaError: Pillow is not installed.
            ValueError: there is nobody.
        """
        require("PIL", "video")
        if not people:
            raise ValueError("there is nobody to show")
        self._people, self._rows = people, _plan(people[:MOST_PEOPLE])
        self._shades = [sides[2] for sides in colours(len(people), dark=True)]
        self._wanted = {index for row in self._rows for index in row.frames}
        self.frames = max(self._wanted, default=-1) + 1
        self._next = 0

    @property
    def full(self) -> bool:
        """True if all frames that are needed went by."""
        return self._next >= self.frames

    def fill(self, source: Source, progress: Progress | None = None) -> None:
        """Read the frames of a source up to the last that is needed; the arguments are those of `write_contact_sheet`.

        Raises:
            PoseMambaError: it cannot be read.
        """

        def needed() -> Iterator[Frame]:
            if self.frames:
                yield from itertools.islice(read_frames(source), self.frames)

        with ahead(needed()) as frames:
            for frame in frames:
                self.take(frame)
                if progress is not None:
                    progress(frame.index + 1, self.frames)

    def take(self, frame: Frame) -> None:
        """Take what is needed of a frame; they come in order."""
        self._next = frame.index + 1
        if frame.index in self._wanted:
            for row, shade in zip(self._rows, self._shades, strict=False):
                if frame.index in row.frames:
                    _take(row, frame, shade)

    def save(self, path: str | Path) -> None:
        """Write the sheet.

        Raises:
            PoseMambaError: it cannot be written.
        """
        sheet = _draw(self._rows, self._people)
        with writing(path):
            sheet.save(path, format="JPEG", quality=85, optimize=True)


def _plan(people: Sequence[Keypoints2D]) -> list[_Row]:
    """Choose each person's frames."""
    around = np.stack([boxes(p) for p in people])
    return [_Row(p, around[i], *_clearest(p, around, i)) for i, p in enumerate(people)]


def _clearest(keypoints: Keypoints2D, around: NDArray[np.float32], person: int) -> tuple[list[int], int]:
    """Return the frames of a person's crops, in order, and the clearest of them; around is (P, F, 4)."""
    seen = np.flatnonzero(keypoints.seen)
    if not len(seen):
        return [], -1
    box = around[person, seen]
    size = (box[:, 2:] - box[:, :2]).max(-1)
    image = np.array(keypoints.image_size)
    inside = np.prod(np.maximum(np.minimum(box[:, 2:], image) - np.maximum(box[:, :2], 0), 0), axis=-1)
    whole = inside / np.maximum(np.prod(box[:, 2:] - box[:, :2], axis=-1), 1e-6)
    sure = keypoints.confidence[seen].mean(-1)
    others = np.delete(around[:, seen], person, axis=0)
    covered = np.zeros(len(seen))
    for other in others:
        common = np.prod(
            np.maximum(np.minimum(box[:, 2:], other[:, 2:]) - np.maximum(box[:, :2], other[:, :2]), 0), axis=-1
        )
        share = common / np.maximum(np.prod(box[:, 2:] - box[:, :2], axis=-1), 1e-6)
        covered = np.fmax(covered, share)
    large = np.minimum(size / max(float(np.median(size)), 1e-6), 1.5)
    score = sure * np.clip(whole, 0.05, 1) * (1 - 0.8 * np.clip(covered, 0, 1)) * np.sqrt(large)
    parts = np.array_split(np.arange(len(seen)), min(_CROPS, len(seen)))
    # the middle of each part counts more, so that two parts do not meet in one moment
    best = [part[int((score[part] * (1 - 0.3 * np.abs(np.linspace(-1, 1, len(part))))).argmax())] for part in parts]
    return [int(seen[i]) for i in best], int(seen[max(best, key=lambda i: float(score[i]))])


def _take(row: _Row, frame: Frame, shade: Colour) -> None:
    """Cut a person's crop out of a frame, with the box around them, and the small whole picture if it is the one."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(frame.rgb)
    scale = np.array(picture.size) / np.array(row.keypoints.image_size)
    left, top, right, bottom = (row.boxes[frame.index].reshape(2, 2) * scale).ravel().tolist()
    # a little wider than the joints, which end before head, hands and feet
    pad = 0.12 * max(right - left, bottom - top, 16.0)
    body = (left - pad, top - pad, right + pad, bottom + pad)
    side = min(max(body[2] - body[0], body[3] - body[1]) * 1.25, float(max(picture.size)))
    x, y = (
        float(np.clip((low + high - side) / 2, min(0.0, length - side), max(0.0, length - side)))
        for low, high, length in zip(body[:2], body[2:], picture.size, strict=True)
    )
    crop = Image.new("RGB", (max(1, round(side)),) * 2, _PAPER)
    crop.paste(picture, (-round(x), -round(y)))
    crop = crop.resize((2 * _TILE, 2 * _TILE), Image.Resampling.LANCZOS)
    zoom = 2 * _TILE / side
    corners = [(body[0] - x) * zoom, (body[1] - y) * zoom, (body[2] - x) * zoom, (body[3] - y) * zoom]
    _frame(ImageDraw.Draw(crop), corners, shade, 6)
    row.crops[frame.index] = crop.reduce(2)
    if frame.index == row.clearest:
        small = 2 * min(_WIDEST / picture.width, _TILE / picture.height)
        whole = picture.resize(
            (max(2, round(picture.width * small)), max(2, round(picture.height * small))), Image.Resampling.BILINEAR
        )
        draw = ImageDraw.Draw(whole)
        _frame(draw, [v * small for v in body], shade, 6)
        _badge(draw, str(row.keypoints.person), body[0] * small, body[1] * small, shade, whole.size, 40)
        row.whole = whole.resize((max(1, whole.width // 2), max(1, whole.height // 2)), Image.Resampling.BOX)


def _frame(draw: Any, corners: Sequence[float], shade: Colour, width: int) -> None:
    """Draw a box in a person's colour with a dark rim, within the picture."""
    high = draw.im.size
    box = [
        min(max(corners[0], 0), high[0] - 2), min(max(corners[1], 0), high[1] - 2),
        min(max(corners[2], 1), high[0] - 1), min(max(corners[3], 1), high[1] - 1),
    ]  # fmt: skip
    if box[2] - box[0] < 3 or box[3] - box[1] < 3:  # outside of the picture
        return
    draw.rectangle(box, outline=(0, 0, 0), width=width + 2)
    draw.rectangle([box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1], outline=shade, width=width)


def _badge(draw: Any, text: str, x: float, y: float, shade: Colour, within: tuple[int, int], size: float) -> None:
    """Draw a number on a badge whose bottom left corner is at (x, y), moved into the picture."""
    from PIL import ImageFont

    font = ImageFont.load_default(size=size)
    wide = draw.textlength(text, font) + 0.9 * size
    x = min(max(x, 0), within[0] - wide - 1)
    y = min(max(y - 1.3 * size, 0), within[1] - 1.3 * size - 1)
    draw.rounded_rectangle((x, y, x + wide, y + 1.3 * size), 0.3 * size, fill=shade, outline=(0, 0, 0), width=2)
    draw.text((x + wide / 2, y + 0.65 * size), text, _INK, font, anchor="mm")


def _draw(rows: Sequence[_Row], people: Sequence[Keypoints2D]) -> Any:
    """Put the rows under each other."""
    from PIL import Image, ImageDraw, ImageFont

    title, words, small = (ImageFont.load_default(size=size) for size in (24, 17, 14))
    shades = [sides[2] for sides in colours(len(people), dark=True)]
    columns = max((len(row.crops) for row in rows), default=0)
    picture = max((row.whole.width for row in rows if row.whole is not None), default=0)
    width = max(3 * _GAP + _WORDS + picture + columns * (_TILE + _GAP), 760)
    high, head = _ROW, _HEAD
    more = len(people) - len(rows)
    sheet = Image.new("RGB", (width, head + high * len(rows) + (34 if more else 0)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    name = people[0].source
    draw.text((_GAP, 16), f"{name}: {len(people)} people" if name else f"{len(people)} people", _INK, title)
    if draw.textlength(f"{name}: {len(people)} people", title) < width - 340:
        draw.text((width - _GAP, 22), "choose with --person NUMBER, or all", _SOFT, words, anchor="ra")
    sides = side_names(people)
    for i, (row, shade) in enumerate(zip(rows, shades, strict=False)):
        top = head + i * high
        draw.line((_GAP, top - _GAP // 2, width - _GAP, top - _GAP // 2), fill=_LINE, width=1)
        person = row.keypoints
        seen, times = np.flatnonzero(person.seen), person.frame_times()
        _badge(draw, str(person.person), _GAP, top + 1.3 * 44, shade, sheet.size, 44)
        lines = [f"{len(seen)} of {len(person)} frames"] if len(person) > 1 else []
        if len(seen) and len(person) > 1:
            lines += [f"{times[seen[0]]:.2f} s to {times[seen[-1]]:.2f} s"]
        lines += [f"--person {side}" for side in sides.get(person.person, ())]
        for number, line in enumerate(lines):
            draw.text((_GAP, top + 72 + 24 * number), line, _SOFT if number else _INK, words)
        left = 2 * _GAP + _WORDS
        if row.whole is not None:
            sheet.paste(row.whole, (left, top))
            draw.text((left, top + _TILE + 4), "the whole picture", _SOFT, small)
        left += picture + _GAP
        for index in row.frames:
            if index in row.crops:
                sheet.paste(row.crops[index], (left, top))
                draw.text((left, top + _TILE + 4), f"{times[index]:.2f} s, frame {index}", _SOFT, small)
                left += _TILE + _GAP
    if more:
        draw.text((_GAP, sheet.height - 28), f"and {more} more, seen in fewer frames", _SOFT, words)
    return sheet
