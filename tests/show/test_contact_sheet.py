"""The contact sheet: each person's number and box in their colour, crops of the right places, one pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from posemamba.io.video.clip import Clip, Frame
from posemamba.io.video.picture import ArrayPicture
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import COCO17
from posemamba.show import contact_sheet
from posemamba.show.contact_sheet import MOST_PEOPLE, write_contact_sheet
from posemamba.show.people import colours

FRAMES, WIDTH, HEIGHT = 40, 640, 360
PAINT = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])


def person(number: int, x: float, frames: range, confidence: float = 0.9) -> Keypoints2D:
    """A body of 40 x 100 pixels whose left edge is at x."""
    xy = np.full((FRAMES, 17, 2), np.nan)
    xy[list(frames)] = np.stack([x + np.linspace(0, 40, 17), 150 + np.linspace(0, 100, 17)], -1)
    trust = np.full((FRAMES, 17), confidence)
    return Keypoints2D(xy, trust, COCO17, (WIDTH, HEIGHT), 25.0, source="walk.mp4", person=number)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A video in which everybody's place is painted; the frames read in each pass."""
    pytest.importorskip("PIL", reason="the sheet needs the extra 'video'")
    read: list[int] = []

    def frames(source: object) -> Iterator[Frame]:
        read.append(0)
        for i in range(FRAMES):
            rgb = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            for x, paint in zip((50, 300, 500), PAINT, strict=True):
                rgb[150:250, x : x + 40] = paint
            read[-1] += 1
            yield Frame(i, i / 25, ArrayPicture(rgb))

    monkeypatch.setattr(contact_sheet, "read_frames", frames)
    return read


def count(sheet: np.ndarray, colour: object, tolerance: int = 30) -> int:
    """Pixels of a colour, as JPEG leaves it."""
    return int((np.abs(sheet.astype(int) - np.array(colour)).max(-1) < tolerance).sum())


def test_everybody_has_a_row_with_crops_of_their_own(passes: list[int], tmp_path: Path) -> None:
    from PIL import Image

    people = [person(1, 50, range(40)), person(2, 300, range(10, 30)), person(7, 500, range(3))]
    done: list[tuple[int, int | None]] = []
    write_contact_sheet(tmp_path / "people.jpg", "walk.mp4", people, progress=lambda *at: done.append(at))
    sheet = np.asarray(Image.open(tmp_path / "people.jpg"))
    height = (len(sheet) - 62) // 3
    whole = None
    for i in range(3):
        row = sheet[62 + i * height : 62 + (i + 1) * height]
        own, others = count(row, PAINT[i]), [count(row, PAINT[j]) for j in range(3) if j != i]
        # others are seen in the small whole picture alone, this one large in each crop
        assert own > 3 * max(others) and max(others) > 0, i
        shade = colours(3, dark=True)[i][2]
        assert (
            count(row, shade) > 1500 and max(count(row, colours(3, dark=True)[j][2]) for j in range(3) if j != i) < 99
        )
        whole = row if whole is None else whole
    assert len(passes) == 1 and passes[0] <= FRAMES  # one pass
    assert done[-1][0] == done[-1][1] == passes[0]
    # three frames make three crops: the fourth place stays paper
    assert count(sheet[-height:, -200:], (246, 247, 249), 6) > 0.9 * 200 * (height - 30)


def test_clear_frames_are_taken_spread_over_the_time(passes: list[int], tmp_path: Path) -> None:
    one, other = person(1, 50, range(40)), person(2, 300, range(40))
    one.confidence[:] = 0.3
    for clear in (4, 17, 23, 36):
        one.confidence[clear] = 0.9
    rows = contact_sheet._plan([one, other])
    assert rows[0].frames == [4, 17, 23, 36] and rows[0].clearest in rows[0].frames
    # frames in which another one stands before the person are avoided, and those half out of the picture
    one.confidence[:] = 0.9
    other.xy[:20] = one.xy[:20]
    one.xy[30:, :, 0] -= 70
    assert 20 <= contact_sheet._plan([one, other])[0].clearest < 30


def test_one_picture_many_people_and_parts(passes: list[int], tmp_path: Path) -> None:
    from PIL import Image

    crowd = [person(n, 50, range(1)) for n in range(1, MOST_PEOPLE + 6)]
    write_contact_sheet(tmp_path / "a.jpg", Clip(Path("a.png")), crowd)
    assert passes == [1]  # no further than needed
    write_contact_sheet(tmp_path / "b.jpg", Clip(Path("a.png")), crowd[:MOST_PEOPLE])
    a, b = (Image.open(tmp_path / f"{name}.jpg").size for name in "ab")
    assert a[0] == b[0] and 0 < a[1] - b[1] < 60  # a line for the rest
    # joints outside of the picture, on one line, or nowhere
    odd = [person(1, -2000, range(40)), person(2, 300, range(40)), person(3, 300, range(0))]
    odd[1].xy[...] = (639, 359)
    write_contact_sheet(tmp_path / "c.jpg", Clip(Path("a.png")), odd)
    with pytest.raises(ValueError, match="nobody"):
        write_contact_sheet(tmp_path / "d.jpg", Clip(Path("a.png")), [])
