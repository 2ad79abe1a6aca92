"""Bodies on their heads and on their sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fixtures.command_line import keypoints
from posemamba.poses.mapping import to_skeleton
from posemamba.poses.posture import posture
from posemamba.poses.skeletons import SKELETONS


@pytest.mark.parametrize("name", SKELETONS)
def test_a_turned_body_is_told_in_every_skeleton(name: str) -> None:
    walker = to_skeleton(keypoints(60), SKELETONS[name])
    assert posture(walker).remark == ""
    upside_down = replace(walker, xy=walker.xy * [1, -1])
    assert posture(upside_down).head_down == 1 and "stands on its head in 100%" in posture(upside_down).remark
    exchanged = replace(walker, xy=walker.xy[..., ::-1])
    assert posture(exchanged).on_side == 1 and "lies across" in posture(exchanged).remark


def test_a_handstand_in_the_middle_is_not_told() -> None:
    walker = keypoints(60)
    walker.xy[20:40] *= [1, -1]
    assert posture(walker).head_down == pytest.approx(1 / 3) and posture(walker).remark == ""
    walker.xy[:] = np.nan
    assert posture(walker).head_down == posture(walker).on_side == 0
