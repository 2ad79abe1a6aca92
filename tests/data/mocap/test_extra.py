"""What clips of further motion go through before they are written."""

from pathlib import Path

import numpy as np
import pytest

from posemamba.data.mocap.extra import Collection, bone_lengths, pieces, put_on_body, resampled
from posemamba.data.mocap.motions import Motions
from posemamba.demo.walker import walk
from posemamba.poses.skeletons import H36M17


def test_a_body_gets_the_bones_of_another() -> None:
    xyz = np.asarray(walk(60, 50.0, seed=3), np.float64)
    above = list(H36M17.parents[1:])
    lengths = np.concatenate([[0], np.linspace(0.1, 0.5, 16)])
    other = put_on_body(xyz, lengths)
    bones, before = other[:, 1:] - other[:, above], xyz[:, 1:] - xyz[:, above]
    np.testing.assert_allclose(np.linalg.norm(bones, axis=-1), np.broadcast_to(lengths[1:], (60, 16)), atol=1e-9)
    cosine = (bones * before).sum(-1) / np.linalg.norm(bones, axis=-1) / np.linalg.norm(before, axis=-1)
    assert cosine.min() > 1 - 1e-9
    taller = lengths[[2, 3, 5, 6]].sum() / np.median(np.linalg.norm(before, axis=-1)[:, [1, 2, 4, 5]].sum(1))
    np.testing.assert_allclose(np.ptp(other[:, 0], axis=0), taller * np.ptp(xyz[:, 0], axis=0), rtol=1e-6)
    np.testing.assert_allclose(put_on_body(2.5 * xyz, lengths), other, atol=1e-9)  # whatever the unit was


def test_each_subject_has_bones() -> None:
    xyz = np.asarray(walk(60, 50.0, seed=3), np.float32)
    both = Motions(np.concatenate([xyz, 2 * xyz, xyz]), np.array([60] * 3), *([("a", "b", "a")] * 3), fps=50)  # type: ignore[arg-type]
    first, second = bone_lengths(both)
    np.testing.assert_allclose(2 * first, second, rtol=1e-5)
    assert first[0] == 0 and first[2] == pytest.approx(float(np.linalg.norm(xyz[0, 2] - xyz[0, 1])), rel=1e-3)


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
