"""Choosing people by how long, how large and where they are seen."""

from __future__ import annotations

import numpy as np
import pytest

from posemamba.poses import Keypoints2D
from posemamba.poses.keypoints import boxes, check_choice, choose_people, list_people
from posemamba.poses.skeletons import COCO17
from posemamba.utils.errors import PoseMambaError

FRAMES = 20


def person(number: int, x: float, tall: float, frames: range, step: float = 0.0) -> Keypoints2D:
    """Somebody whose hips are at (x, 300), `tall` pixels high, in the given frames."""
    shape = np.stack([np.linspace(-0.1, 0.1, 17), np.linspace(-0.5, 0.5, 17)], -1) * tall
    shape[COCO17.joints.index("left_hip")] = (-0.05 * tall, 0)
    shape[COCO17.joints.index("right_hip")] = (0.05 * tall, 0)
    shape[COCO17.joints.index("left_wrist"), 0] = 0.6 * tall  # an arm far out does not count
    xy = np.full((FRAMES, 17, 2), np.nan)
    for i in frames:
        xy[i] = shape + np.array((x + step * i, 300))
    return Keypoints2D(xy, np.isfinite(xy[..., 0]), COCO17, (1000, 600), 25.0, source="clip", person=number)


@pytest.fixture
def people() -> list[Keypoints2D]:
    return [
        person(1, 500, 200, range(20)),
        person(2, 300, 300, range(12), step=10),  # walks from 300 to 410
        person(4, 700, 100, range(5, 20)),
        person(5, 30, 400, range(6)),  # seen too short for largest, left and right
    ]


def chosen(people: list[Keypoints2D], which: str) -> int:
    (one,) = choose_people(people, which)
    return one.person


def test_by_size_side_and_number(people: list[Keypoints2D]) -> None:
    order = ("longest", "largest", "left", "right", "1", "2", "4", "5")
    assert [chosen(people, which) for which in order] == [1, 2, 2, 4, 1, 2, 4, 5]
    assert [chosen(people[::-1], which) for which in order] == [1, 2, 2, 4, 1, 2, 4, 5]
    assert choose_people(people, "all") == people
    assert chosen(people[3:], "left") == chosen(people[3:], "right") == 5
    without_hips = person(9, 900, 100, range(20))
    without_hips.xy[:, [11, 12]] = np.nan
    assert chosen([*people, without_hips], "right") == 9


def test_by_place(people: list[Keypoints2D]) -> None:
    """The box of joints, a tenth larger, that holds the place in most frames; else the nearest one."""
    assert chosen(people, "500,300") == 1  # also in the box of 2's arm, in fewer frames
    assert chosen(people, "30, 300") == 5 and chosen(people, "330.5,300") == 2
    assert chosen(people, "720,240.") == 4
    assert chosen(people, "500,195") == 1  # above the head, in the margin
    assert chosen([people[0], people[2]], "500,150") == 1  # in nobody's box
    with pytest.raises(PoseMambaError, match=r"clip: nobody comes near --person 100,50; there are 1 \(seen in 20"):
        choose_people([people[0], people[2]], "100,50")
    with pytest.raises(PoseMambaError, match="--person is 1200,300, outside of the picture of 1000x600 pixels"):
        choose_people(people, "1200,300")


def test_what_is_no_choice_is_rejected(people: list[Keypoints2D]) -> None:
    for which in ("best", "0", "-1", "1.5", "1,2,3", "a,b", "-5,20", "", "5,", "\u0663", "nan,1", "1e3,2"):
        with pytest.raises(PoseMambaError, match="expected longest, largest, left, right, all, a number"):
            check_choice(which)
    with pytest.raises(PoseMambaError, match=r"clip: --person is 3, but there are 1 .* 5 \(6 frames\); choose one"):
        choose_people(people, "3")
    with pytest.raises(PoseMambaError, match=r"but there is only 1 \(seen in 20 frames\)"):
        choose_people(people[:1], "2")


def test_people_are_listed_in_one_line(people: list[Keypoints2D]) -> None:
    everybody = "1 (seen in 20 frames), 2 (12 frames, left), 4 (15 frames, right), 5 (6 frames)"
    assert list_people(people) == list_people(people, people) == everybody
    taken = "1 (seen in 20 frames), 2 (took it; 12 frames, left), 4 (15 frames, right), 5 (6 frames)"
    assert list_people(people, people[1:2]) == taken
    crowd = [person(n, 10 * n, 100, range(1 if n == 30 else 20)) for n in range(1, 31)]
    listed = list_people(crowd, crowd[-1:])
    assert listed.count("frame") == 9 and listed.endswith("30 (took it; 1 frame) and 21 more")


def test_boxes_hold_the_joints_that_were_found(people: list[Keypoints2D]) -> None:
    one = people[3]
    one.xy[0, :9] = np.nan
    found = boxes(one)
    assert found.shape == (FRAMES, 4) and np.isnan(found[6:]).all()
    np.testing.assert_allclose(found[1], [-10, 100, 270, 500])
    np.testing.assert_allclose(found[0], [10, 300, 270, 500])
    assert found[0, 1] > found[1, 1]
