"""Counted parameters and operations against the paper's numbers and its formula."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from posemamba.models.counting import count, count_matrix_products, count_preset
from posemamba.models.posemamba import PoseMamba

# variant: paper's parameters, paper's MACs at 243 frames, all parameters
PAPER = {
    "s": (859_651, 3_587_426_496, 1_470_211),
    "b": (3_357_699, 13_943_083_392, 4_742_659),
    "l": (6_713_859, 27_881_407_872, 9_450_499),
    "x": (26_534_915, 109_908_658_944, 33_318_915),
}


@pytest.mark.parametrize("size", PAPER)
def test_the_papers_counts_to_the_digit(size: str) -> None:
    counts = count_preset(size)
    assert (counts.paper_parameters, counts.paper_macs, counts.parameters) == PAPER[size]


@pytest.mark.parametrize(("size", "E", "N"), [("s", 64, 20), ("b", 128, 20), ("l", 128, 40), ("x", 256, 40)])
@pytest.mark.parametrize("frames", [1, *(pytest.param(f, marks=pytest.mark.slow) for f in (27, 243))])
def test_formulas(size: str, E: int, N: int, frames: int) -> None:
    counts = count_preset(size, frames)
    L, D, R, K, states = frames * 17, 2 * E, E // 16, 4, 16
    linear = E * 2 * D + 9 * D + D * E + 4 * E * E
    norms = 4 * (2 * E + D + E)
    assert counts.paper_macs == L * (N * (linear + norms) + 2 * E + 3 * E + 4 * E)
    assert counts.macs == L * (N * (linear + K * (R + 2 * states) * D + K * R * D) + 2 * E + 3 * E)
    assert counts.scan_flops == L * N * 9 * K * D * states
    assert counts.frames == frames


def test_a_forward_pass_runs_the_modules_as_often_as_counted() -> None:
    model = PoseMamba.preset("s", width=16, depth=2, frames=9).eval()
    elements: Counter[nn.Module] = Counter()

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        elements[module] += inputs[0].numel()

    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.register_forward_hook(note)
    with torch.inference_mode():
        model(torch.randn(1, 5, 17, 2))
    linear = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d))
    assert count(model, 5).paper_macs == 4 * sum(elements.values()) + 5 * 17 * linear


def test_pytorchs_counter_sees_what_is_counted_here() -> None:
    """Two operations for a multiply-accumulate, and those of the scan; its gradient is two of it."""
    model, frames = PoseMamba.preset("s", depth=2, frames=27, drop_path=0.0), 9
    counts, x = count(model, frames), torch.randn(2, frames, 17, 2)
    wanted = 2 * (2 * counts.macs + counts.scan_flops)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(x)
    assert counter.get_total_flops() == wanted
    scans = counter.get_flop_counts()["Global"][torch.ops.posemamba.selective_scan]
    assert counts.scan_flops * 2 < scans < wanted / 2
    with FlopCounterMode(display=False) as counter:
        model.train()(x).square().sum().backward()
    assert counter.get_flop_counts()["Global"][torch.ops.posemamba.selective_scan_backward] == 2 * scans
    assert count_matrix_products(model, frames)[1] == counts.macs
