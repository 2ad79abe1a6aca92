"""Finding people in squares of a picture, with a network that says what it was told."""

from __future__ import annotations

import numpy as np
import pytest

from posemamba.detect.blazepose import finder
from posemamba.detect.blazepose.finder import PersonFinder, overlap, small_tiles, whole_and_tiles

pytest.importorskip("PIL", reason="pictures need the extra 'video'")

SIDE, ANCHORS = 224, 2254


class Told:
    """A network that finds people at places of the picture, wherever it looks."""

    side = SIDE

    def __init__(self, people: list[tuple[float, float, float, float]]) -> None:
        self.people = people  # x and y of the hips, height of the circle's point above them, logit
        self.square = (0.0, 0.0, 1.0)

    def __call__(self, picture: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
        assert picture.shape == (SIDE, SIDE, 3) and picture.dtype == np.float32 and abs(picture).max() <= 1
        values, logits = np.zeros((ANCHORS, 12), np.float32), np.full((ANCHORS, 1), -20.0, np.float32)
        left, top, length = self.square
        for i, (x, y, up, logit) in enumerate(self.people):
            place = (np.array([x, y]) - [left, top]) / length
            if ((place < 0) | (place >= 1)).any():
                continue
            column, row = (place * 28).astype(int)  # the first two of every cell of 8 pixels
            anchor = (row * 28 + column) * 2 + i % 2
            centre = (np.array([column, row]) + 0.5) / 28
            values[anchor, 4:6] = (place - centre) * SIDE
            values[anchor, 6:8] = (place - [0, up / length] - centre) * SIDE
            logits[anchor] = logit
        return {values.shape: values, logits.shape: logits}


def find(
    told: Told, monkeypatch: pytest.MonkeyPatch, rgb: np.ndarray, squares: list, small: tuple = ()
) -> list[finder.Found]:
    monkeypatch.setattr(finder, "Network", lambda *_: told)

    def cut(rgb: np.ndarray, left: float, top: float, length: float, side: int) -> np.ndarray:
        told.square = (left, top, length)
        return np.zeros((side, side, 3), np.uint8)

    monkeypatch.setattr(finder, "cut_square", cut)
    return PersonFinder()(rgb, squares, small)


def test_people_are_found_once_at_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people, seen in overlapping squares: each once, with the region that stands on the hips."""
    rgb = np.zeros((400, 1000, 3), np.uint8)
    told = Told([(300, 250, 90, 3.0), (720, 180, 60, 1.0), (60, 60, 50, -1.0)])
    people = find(told, monkeypatch, rgb, whole_and_tiles(1000, 400))
    assert [round(p.score, 3) for p in people] == [0.953, 0.731]  # the third one is unlikely
    np.testing.assert_allclose(people[0].region.centre, [300, 250], atol=0.01)
    np.testing.assert_allclose(people[0].box, [210, 160, 390, 340], atol=0.01)
    assert people[0].region.side == pytest.approx(2.5 * 90, rel=1e-4) and abs(people[0].region.angle) < 1e-6
    np.testing.assert_allclose(people[1].region.centre, [720, 180], atol=0.01)


def test_candidates_of_one_person_are_averaged_by_score(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told([(300, 200, 100, 2.0), (310, 200, 100, 0.5), (300, 230, 100, 8.0)])
    (person,) = find(told, monkeypatch, np.zeros((400, 400, 3), np.uint8), [(0.0, 0.0, 400.0)])
    weights = 1 / (1 + np.exp(-np.array([2.0, 0.5, 8.0])))
    x, y = weights @ np.array([[300, 200], [310, 200], [300, 230]]) / weights.sum()
    np.testing.assert_allclose(person.region.centre, [x, y], atol=0.01)
    assert person.score == pytest.approx(weights.max(), abs=1e-4)
    assert find(Told([]), monkeypatch, np.zeros((400, 400, 3), np.uint8), [(0.0, 0.0, 400.0)]) == []


def test_parts_of_people_in_small_squares_do_not_move_their_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small square sees a near person's part, off their hips, and somebody far away."""

    class Partly(Told):
        def __call__(self, picture: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
            near, part, far = (300, 200, 150, 3.0), (325, 220, 120, 5.0), (700, 120, 30, 2.0)
            self.people = [part, far] if self.square[2] < 400 else [near]
            return super().__call__(picture)

    rgb = np.zeros((400, 1000, 3), np.uint8)
    found = find(Partly([]), monkeypatch, rgb, whole_and_tiles(1000, 400), tuple(small_tiles(1000, 400)))
    assert [person.region.centre.round().tolist() for person in found] == [[300, 200], [325, 220], [700, 120]]
    assert found[0].region.side == pytest.approx(2.5 * 150, rel=1e-4)


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (720, 1280), (500, 500), (90, 31)])
def test_squares_cover_the_picture(width: int, height: int) -> None:
    """Every place lies in a small square, a quarter of its side away from the edge or as near as the picture ends."""
    long = max(width, height)
    whole, *tiles = whole_and_tiles(width, height)
    assert whole == ((width - long) / 2, (height - long) / 2, long)
    assert len(tiles) == (3 if long > 1.2 * min(width, height) else 0)
    for squares, margin in ((tiles, 0.0), (small_tiles(width, height), 0.24)):
        for x in np.linspace(0, width, 41) if squares else ():
            for y in np.linspace(0, height, 41):
                deep = max(
                    min(
                        (x - left) / side if left > 0 else 1,
                        (left + side - x) / side if left + side < width else 1,
                        (y - top) / side if top > 0 else 1,
                        (top + side - y) / side if top + side < height else 1,
                    )
                    for left, top, side in squares
                    if left <= x <= left + side and top <= y <= top + side
                )
                assert deep >= margin


def test_overlap_is_the_share_of_the_union() -> None:
    box = np.array([0.0, 0, 2, 2])
    others = np.array([[1.0, 1, 3, 3], [0, 0, 2, 2], [5, 5, 6, 6], [0, 0, 1, 2]])
    np.testing.assert_allclose(overlap(box, others), [1 / 7, 1, 0, 0.5])
