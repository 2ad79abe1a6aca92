"""Refining joints by heat maps, against a plain loop."""

from __future__ import annotations

import math

import numpy as np

from posemamba.detect.blazepose.landmarks import refine_by_heat_maps


def plainly(places: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Do the same one point at a time."""
    rows, columns, count = maps.shape
    refined = places.copy()
    for n in range(count):
        column, row = math.floor(places[n, 0] * columns), math.floor(places[n, 1] * rows)
        if not (0 <= column < columns and 0 <= row < rows):
            continue
        total = x = y = peak = 0.0
        for i in range(max(0, row - 3), min(rows, row + 4)):
            for j in range(max(0, column - 3), min(columns, column + 4)):
                heat = 1 / (1 + math.exp(-float(maps[i, j, n])))
                total, x, y, peak = total + heat, x + heat * j, y + heat * i, max(peak, heat)
        if peak >= 0.5:
            refined[n] = [x / total / columns, y / total / rows]
    return refined


def test_refinement_agrees_with_a_plain_loop() -> None:
    random = np.random.default_rng(3)
    maps = random.normal(-3, 2, (24, 20, 300)).astype(np.float32)
    places = random.uniform(-0.2, 1.2, (300, 2))
    places[:40] = np.round(places[:40] * 20) / 20  # on the cells' edges
    expected = plainly(places, maps)
    moved = (expected != places).any(-1)
    assert 50 < moved.sum() < 250  # some are outside, some have no peak
    np.testing.assert_allclose(refine_by_heat_maps(places, maps), expected, rtol=0, atol=1e-12)


def test_points_without_a_place_stay() -> None:
    places = np.array([[np.nan, 0.5], [0.5, np.inf], [-0.01, 0.5]])
    np.testing.assert_array_equal(refine_by_heat_maps(places, np.full((8, 8, 3), 5, np.float32)), places)
