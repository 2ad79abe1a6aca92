"""The study of live poses: its errors on made-up poses, and a folder without views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from studies.real_video import View

from studies import live_delay


def test_errors_are_those_that_were_put_in() -> None:
    random = np.random.default_rng(0)
    ref = random.normal(size=(1, 17, 3)) * 0.4 + [0, 0, 4] + np.linspace(0, 1, 20)[:, None, None]
    view = View(ref, np.ones((20, 17), bool), np.eye(3), np.zeros(4))
    frames = np.arange(20)
    same = live_delay.compare(ref, ref, view, frames)
    assert max(vars(same).values()) < 1e-6
    shaken = ref.copy()
    shaken[::2, 1:, 0] += 0.010  # to and fro by a centimetre against the pelvis
    found = live_delay.compare(shaken, ref, view, frames)
    assert found.speed == pytest.approx(10, abs=0.01) and found.offline == pytest.approx(5, abs=0.01)
    shaken[5] = np.nan  # nobody seen: that frame does not count
    assert live_delay.compare(shaken, ref, view, frames).speed == pytest.approx(10, abs=0.01)


def test_a_folder_without_views_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert live_delay.main([str(tmp_path)]) == 2
    assert "no videos" in capsys.readouterr().err
