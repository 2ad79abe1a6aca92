"""Memory that runs out: fewer windows at a time, and where that does not help, one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from posemamba import cli
from posemamba.lifting import lifter as lift
from posemamba.lifting.lifter import Lifter
from posemamba.models.posemamba import PoseMamba
from posemamba.ops.runtime.device import in_parts, is_out_of_memory
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import H36M17


def test_fewer_at_a_time_until_they_fit() -> None:
    tried: list[int] = []

    def run(x: Tensor) -> Tensor:
        tried.append(len(x))
        if len(x) > 2:
            raise RuntimeError("no graph could be made") from torch.OutOfMemoryError("CUDA out of memory.")
        return 2 * x

    x = torch.arange(7.0)
    assert torch.equal(in_parts(run, x), 2 * x)
    assert tried == [7, 4, 2, 2, 3, 2, 1]


@pytest.mark.parametrize(("error", "calls"), [(ValueError("wrong"), 1), (torch.OutOfMemoryError("none left"), 4)])
def test_what_does_not_help_is_not_hidden(error: Exception, calls: int) -> None:
    tried = []

    def run(x: Tensor) -> Tensor:
        tried.append(len(x))
        raise error

    with pytest.raises(type(error)) as raised:
        in_parts(run, torch.zeros(8, 1))
    assert len(tried) == calls and is_out_of_memory(raised.value) == (calls > 1)


def test_a_lifter_takes_fewer_windows_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    xy = 300 + 40 * np.random.default_rng(0).standard_normal((1, 17, 2)) + np.arange(90)[:, None, None] / 2
    clip = Keypoints2D(xy.astype(np.float32), np.ones((90, 17), np.float32), H36M17, (640, 480), 30.0)
    torch.manual_seed(0)
    lifter = Lifter(PoseMamba.preset("s", width=16, depth=1, frames=27), device="cpu")
    want = lifter(clip).xyz
    original, tried = lift.lift_batch_with_errors, []

    def short(model: object, x: Tensor, **options: object) -> object:
        tried.append(len(x))
        if len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(model, x, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(lift, "lift_batch_with_errors", short)
    monkeypatch.setattr(lift, "batch_size", lambda device: 16)
    assert np.allclose(lifter(clip).xyz, want, atol=1e-3)
    assert max(tried) > 1 and tried.count(1) > 1


def test_the_command_line_says_it_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*given: object, **named: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore.")

    monkeypatch.setattr(cli, "command_of", lambda only: fails)
    assert cli.main(["evaluate", "posemamba-s"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "memory ran out (CUDA out of memory. Tried to allocate 2.00 GiB.)" in said
    assert "--device cpu" in said
