"""The study behind docs/quality.md, on synthetic walks seen by the benchmark's cameras."""

from __future__ import annotations

import re

import numpy as np
import pytest

from posemamba.data.mocap.motions import Motions
from posemamba.demo.walker import walk
from studies import quality_thresholds, refinement_tables


@pytest.mark.slow
def test_tables_of_walks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every clip has a verdict, and the exact pose fits its 2D joints where the lifted one does not."""
    clips = [walk(frames, 50.0, seed=seed) for seed, frames in enumerate((90, 60))]
    motions = Motions(
        positions=np.concatenate(clips),
        lengths=np.array([90, 60]),
        names=("a", "b"),
        descriptions=("walk", "walk"),
        subjects=("x", "y"),
        fps=50.0,
    )
    asked: list[str] = []
    monkeypatch.setattr(refinement_tables, "load_motions", lambda directory, split: asked.append(split) or motions)
    assert quality_thresholds.main([]) == 0
    text = capsys.readouterr().out
    assert asked == ["test"] and "test, 2 clips, 150 frames, weights posemamba-s" in text
    rows = {c[0]: c[1:] for c in ([x.strip() for x in line.strip("| ").split("|")] for line in text.splitlines())}
    _, _, lifted, truth, _ = rows["reprojection, mean of body"]
    assert float(truth) < 1e-5 < float(lifted) < 0.1
    assert sum(int(rows[word][0]) for word in ("good", "use with care", "do not trust") if word in rows) == 2
    assert float(re.search(r"P1 ([\d.]+) mm", text).group(1)) < 150


def test_unknown_weights_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert quality_thresholds.main(["--weights", "no-such-weights"]) == 2
    assert "no-such-weights" in capsys.readouterr().err
