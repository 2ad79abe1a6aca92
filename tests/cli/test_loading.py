"""A lifter that is made in threads: the same as a plain one, with its errors where it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.command_line import keypoints
from posemamba.cli.loading import LifterAhead
from posemamba.lifting.lifter import Lifter
from posemamba.ops.runtime import compiling_now
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.progress import Stages


def test_the_lifter_is_a_plain_one(weights: Path) -> None:
    ahead, stages = LifterAhead(str(weights), "cpu", False), Stages()
    with stages("lifting"):
        lifter = ahead.get(stages)
    assert lifter is ahead.loaded() and not lifter.flip
    clip = keypoints(20)
    assert (lifter(clip).xyz == Lifter.from_pretrained(weights, device="cpu", flip=False)(clip).xyz).all()
    assert not compiling_now.compiling() and list(stages.seconds) == ["lifting"]


def test_errors_come_where_the_lifter_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"damaged")
    ahead = LifterAhead(str(tmp_path / "w.safetensors"), "cpu", True)
    for ask in (ahead.loaded, ahead.check, lambda: ahead.get(Stages())):
        with pytest.raises(PoseMambaError, match=r"w\.safetensors"):
            ask()
