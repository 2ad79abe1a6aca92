"""Cutting regions out of pictures."""

from __future__ import annotations

import numpy as np
import pytest

from posemamba.detect.blazepose.regions import Region, cut_square

pytest.importorskip("PIL", reason="pictures need the extra 'video'")


def picture(width: int, height: int) -> np.ndarray:
    """Make a smooth picture whose colours tell the place: red is x, green is y, blue is 200."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x, y, np.full_like(x, 200)], axis=-1).round().astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, 0.6, np.pi, -2.0])
def test_a_turned_region_holds_the_colours_of_its_places(angle: float) -> None:
    rgb = picture(240, 180)
    region = Region(np.array([110.3, 80.6]), 70.0, angle)
    cut = region.cut(rgb, 32)
    matrix, shift = region.to_picture(32)
    places = np.stack(np.meshgrid(np.arange(32) + 0.5, np.arange(32) + 0.5), axis=-1) @ matrix.T + shift
    np.testing.assert_allclose(cut[..., :2], places, atol=1.1)
    np.testing.assert_array_equal(cut[..., 2], 200)


def test_the_trunk_stands_upright_in_its_region() -> None:
    hips, circle = np.array([50.0, 60.0]), np.array([80.0, 100.0])  # the head is below, to the right
    region = Region.around(hips, circle)
    assert region.side == pytest.approx(2.5 * 50)
    matrix, shift = region.to_picture(100)
    np.testing.assert_allclose(matrix @ [50, 50] + shift, hips)
    np.testing.assert_allclose(matrix @ [50, 10] + shift, circle, atol=1e-9)  # 0.4 of the side above the middle


def test_beyond_the_picture_it_is_black() -> None:
    rgb = np.full((40, 60, 3), 255, np.uint8)
    cut = Region(np.array([0.0, 20.0]), 40.0, 0.0).cut(rgb, 20)
    assert (cut[:, 11:] == 255).all() and (cut[:, :9] == 0).all()
    assert not Region(np.array([500.0, 20.0]), 40.0, 0.3).cut(rgb, 20).any()
    square = cut_square(rgb, 40, -20, 40, 20)
    assert (square[10:, :10] == 255).all() and not square[:10].any() and not square[:, 10:].any()
    assert not cut_square(rgb, 70, 0, 10, 8).any()


def test_a_square_keeps_places_when_it_is_made_smaller() -> None:
    square = cut_square(picture(200, 100), 30, 10, 64, 16)
    expected = np.stack(np.meshgrid(np.arange(16) + 0.5, np.arange(16) + 0.5), axis=-1) * 4 + [30, 10]
    np.testing.assert_allclose(square[1:-1, 1:-1, :2], expected[1:-1, 1:-1], atol=1.1)
