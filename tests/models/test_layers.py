"""Parts that models share: layers in full precision, the matrices that Muon takes."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from posemamba.models.layers import in_full_precision
from posemamba.models.registry import ARCHITECTURES
from posemamba.train.muon import split_parameters

SIZES = [(name, size) for name, entry in ARCHITECTURES.items() for size in entry.sizes]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_muon_s_matrices_are_those_that_names_used_to_tell(name: str, size: str) -> None:
    """In the same order, in which optimizers save their state."""
    options = {"error_width": 128} if name == "posemamba" else {}
    with torch.device("meta"):
        model = ARCHITECTURES[name].model.preset(size, confidence=True, **options)
    expected = [
        layer.weight
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and min(layer.weight.shape) > 3 and "head" not in path
    ]
    of_scans = [p for path, p in model.named_parameters() if path.endswith(("x_proj_weight", "dt_projs_weight"))]
    for scans in (False, True):
        matrices, others = split_parameters(model, scans=scans)
        assert list(map(id, matrices)) == list(map(id, expected + of_scans * scans)) and expected
        assert {*map(id, matrices), *map(id, others)} == set(map(id, model.parameters()))


def test_layers_in_full_precision_share_one_switch_among_threads() -> None:
    """Whoever ends first must not take it from the other, nor leave it on."""
    inside, go_on = threading.Barrier(2), threading.Event()
    seen = []

    def first(x: torch.Tensor) -> torch.Tensor:
        inside.wait(10)
        go_on.wait(10)
        seen.append(torch.get_float32_matmul_precision())
        return x

    def second(x: torch.Tensor) -> torch.Tensor:
        inside.wait(10)
        return x

    torch.set_float32_matmul_precision("medium")
    try:
        threads = [threading.Thread(target=in_full_precision, args=(f, torch.ones(1))) for f in (first, second)]
        for thread in threads:
            thread.start()
        threads[1].join(10)
        go_on.set()
        threads[0].join(10)
        assert seen == ["highest"] and torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
