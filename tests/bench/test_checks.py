"""The gate: what is right passes, and each way to be wrong is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from posemamba.bench.bench import run_checks
from posemamba.bench.plan import plan
from posemamba.bench.report import Check
from posemamba.bench.specs import MODELS, ModelSpec, parse_spec
from posemamba.models import posemamba_block as block_module
from posemamba.models.posemamba import PoseMamba
from posemamba.ops.scan import selftest as checks
from posemamba.utils.errors import PoseMambaError

CPU = torch.device("cpu")
Scan = Callable[..., Tensor]


def gate(*names: str) -> list[Check]:
    return list(run_checks(plan([parse_spec(name) for name in names], ["forward"], [1], [5]), CPU))


def test_the_gate_lets_through_what_is_right(tiny: dict[str, ModelSpec]) -> None:
    passed = {check.what: check for check in gate("s", "s:bf16", "s:compile", "motionbert:bf16", "scan-s")}
    assert set(passed) == {
        "scan",
        "scan's gradients",
        "scan of 5 frames, width 32",
        "scan of 5 frames, width 128",
        "s in float32",
        "s in bf16",
    }
    assert all(0 < check.error < check.bound for check in passed.values())
    assert passed["s in float32"].bound == 1e-4 < 1e-3 < passed["s in bf16"].error, "bf16 really rounds"


@pytest.mark.slow
def test_a_forced_scan_is_what_is_checked(tiny: dict[str, ModelSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    forced = []
    for name in ("reference", "numba"):
        monkeypatch.setenv("POSEMAMBA_SCAN", name)
        forced.append({check.what: check.error for check in gate("s")})
    assert forced[0]["scan"] != forced[1]["scan"] and max(forced[1].values()) < 1e-5


def broken_output(scan: Scan) -> Scan:
    return lambda *args, **options: scan(*args, **options) * (1 if "backend" in options else 1.001)


def broken_gradient(scan: Scan) -> Scan:
    def wrong(**options: object) -> Tensor:
        y, u = scan(**options), options["u"]
        assert isinstance(u, Tensor)
        return y if "backend" in options else y + 0.1 * (u - u.detach())

    return wrong


def broken_at_a_width(scan: Scan) -> Scan:
    """Right at the width that is checked first, wrong at that of the model."""
    of_the_model = lambda given: "backend" not in given and given["u"].shape[-1] == 32  # noqa: E731
    return lambda **options: scan(**options) * (1.001 if of_the_model(options) else 1)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (broken_output, "scan:"),
        (broken_gradient, "scan's gradients"),
        pytest.param(broken_at_a_width, "scan of 5 frames, width 32", marks=pytest.mark.slow),
    ],
)
def test_a_broken_scan_is_seen(
    damage: Callable[[Scan], Scan], what: str, tiny: dict[str, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "selective_scan", damage(checks.selective_scan))
    with pytest.raises(PoseMambaError, match=f"{what}.*differs from float64.*no timings"):
        gate("s")


@pytest.mark.slow
def test_a_scan_that_is_broken_inside_the_model_is_seen(
    tiny: dict[str, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = block_module.scan

    def wrong(u: Tensor, *args: Tensor, **options: object) -> Tensor:
        y = right(u, *args, **options)  # type: ignore[arg-type]
        return y if u.dtype == torch.float64 else y + 0.01 * u  # not a factor, which the norm after it takes out

    monkeypatch.setattr(block_module, "scan", wrong)
    with pytest.raises(PoseMambaError, match="s in float32: differs from float64"):
        gate("s")


class Shortcut(PoseMamba):
    """Something that only inference does, and wrongly: it forgets a bias, which fresh weights have at zero."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if torch.is_grad_enabled() else y - self.head[0].bias.mean()


@pytest.mark.slow
def test_a_wrong_shortcut_of_inference_is_seen(tiny: dict[str, ModelSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    def build(frames: int) -> PoseMamba:
        return Shortcut(MODELS["l"].build(frames).config)  # type: ignore[arg-type]

    monkeypatch.setitem(tiny, "s", replace(tiny["s"], build=build))
    with pytest.raises(PoseMambaError, match="s in float32"):
        gate("s")


def test_an_error_is_infinite_where_something_is_not_finite() -> None:
    good = torch.ones(3)
    assert checks.relative_error(good, good) == 0
    for bad in (float("nan"), float("inf")):
        assert checks.relative_error(torch.tensor([1, 1, bad]), good) == float("inf")
