"""What clips of further motion go through before they are written."""

from pathlib import Path

import numpy as np

from posemamba.data.mocap.extra import Collection, pieces, resampled


def test_pieces_have_no_glitch() -> None:
    xyz = np.zeros((300, 17, 3))
    xyz[120:, 3] = 1.0
    assert [(p.start, p.stop) for p in pieces(xyz)] == [(0, 117), (123, 300)]
    assert pieces(xyz[:49]) == []


def test_frame_rates_become_fifty() -> None:
    time = np.arange(31) / 30.0
    curve = np.broadcast_to(np.sin(2 * np.pi * time)[:, None, None], (31, 17, 3))
    wanted = np.sin(2 * np.pi * np.arange(51) / 50.0)
    straight, smooth = resampled(curve, 30.0), resampled(curve, 30.0, smooth=True)
    assert straight.shape == smooth.shape == (51, 17, 3)
    off = [np.abs(found[:, 3, 1] - wanted).max() for found in (straight, smooth)]
    assert off[0] < 6e-3 and off[1] < 2e-4
    assert resampled(curve[:2], 30.0, smooth=True).shape == (2, 17, 3)


def test_names_are_told_apart() -> None:
    found = Collection(say=lambda line: None)
    jump = np.zeros((120, 17, 3))
    jump[60:, 3] = 1.0
    for xyz in (jump, np.zeros((60, 17, 3)), np.zeros((60, 17, 3))):
        found.add(Path("walk.bvh"), "walk", "anna", xyz)
    assert [clip[0] for clip in found.clips] == ["walk#0", "walk#1", "walk-2", "walk-3"]
