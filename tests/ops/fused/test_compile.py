"""The kernels compiled for a Hopper GPU, which need not be there: no registers spilled, its matrix unit used."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from posemamba.ops.fused.gpu import tiles

triton = pytest.importorskip("triton")
TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
INTEGERS = ("M", "T", "J", "D", "tokens", "chunks", "joints", "frames", "clip_stride", "token_stride")
MULTIPLES_OF_16 = ("D", "clip_stride", "token_stride")
HALF = (
    *("x", "dy", "dsum", "y", "inner", "out"),
    *("weight_x", "weight_z", "weight_out", "weight_1", "weight_2", "next_weight"),
)
WIDTHS = (64, 128, 256)


@pytest.fixture(autouse=True)
def _compiles(monkeypatch, tmp_path) -> None:
    import os

    if os.environ.get("TRITON_INTERPRET") == "1" or not TOOL.exists():
        # kernels that are interpreted have nothing to compile; the disassembler comes with Triton's own package
        pytest.skip("needs Triton's compiler and cuobjdump, which its wheel holds, and TRITON_INTERPRET not set")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


def built_for_hopper(kernel: Any, float32: tuple[str, ...], options: dict[str, Any], **constants: Any) -> Any:
    """What Triton makes of a kernel for Hopper, 16-byte aligned tensors."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types, hints = {}, {}
    for i, name in enumerate(kernel.arg_names):
        half = name in HALF and name not in float32
        pointer = "*bf16" if half else "*fp32"
        types[name] = "constexpr" if name in constants else "i32" if name in INTEGERS else pointer
        if name not in constants and (name not in INTEGERS or name in MULTIPLES_OF_16):
            hints[(i,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, types, constants, hints)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def compiled(kernel: Any, float32: tuple[str, ...], options: dict[str, Any], **constants: Any) -> tuple[str, str, int]:
    """(PTX, resource usage, shared memory) for Hopper."""
    built = built_for_hopper(kernel, float32, options, **constants)
    file = Path(triton.knobs.cache.dir) / "kernel.cubin"
    file.write_bytes(built.asm["cubin"])
    usage = subprocess.run([TOOL, "-res-usage", file], capture_output=True, text=True, check=True).stdout
    return built.asm["ptx"], usage, built.metadata.shared


def assert_nothing_spilled(usage: str, most: int = 0) -> None:
    assert int(re.findall(r"STACK:(\d+)", usage)[0]) <= most, usage


def of_tile(tile: tiles.Tile) -> tuple[dict[str, Any], dict[str, Any]]:
    options: dict[str, Any] = {"num_warps": tile.warps}
    if tile.registers is not None:
        options["maxnreg"] = tile.registers
    return options, dict(BLOCK_M=tile.rows, CHUNK=tile.chunk, STAGES=tile.stages, PRECISION="tf32")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("slabs", [1, 4])
@pytest.mark.parametrize("table", ["_MANY_ROWS", "_FEW_ROWS"])
@pytest.mark.parametrize("width", WIDTHS)
def test_tail(width, table, slabs, place) -> None:
    from posemamba.ops.fused.gpu.kernels import tail_kernel

    options, constants = of_tile(getattr(tiles, table)[width])
    float32 = ("out", "next_weight") if place == "last" else ()
    ptx, usage, shared = compiled(
        tail_kernel, float32, options, SLABS=slabs, E=width, H=2 * width, PLACE=place, **constants
    )
    assert_nothing_spilled(usage, 128 if place == "first" else 16)  # outside of the loops; the first runs once
    assert shared <= 227 * 1024
    assert "wgmma" in ptx and "ld.global.v4" in ptx and "cp.async.cg.shared.global" in ptx


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_embedding(width) -> None:
    from posemamba.ops.fused.gpu.kernels import embed_kernel

    options, constants = of_tile(tiles._MANY_ROWS[width])
    ptx, usage, _ = compiled(embed_kernel, (), options, C=3, E=width, **constants)
    assert_nothing_spilled(usage)
    assert "wgmma" in ptx


@pytest.mark.slow
@pytest.mark.parametrize("activate", [True, False])
def test_convolution(activate) -> None:
    from posemamba.ops.conv_silu import gpu as conv

    sizes = dict(FRAMES=conv.FRAMES, BLOCK_D=conv.BLOCK_D, STAGES=conv.STAGES)
    options = {"num_warps": 1}
    assert_nothing_spilled(compiled(conv.conv_silu_kernel, (), options, ACTIVATE=activate, **sizes)[1])
    assert_nothing_spilled(compiled(conv.conv_silu_gradient_kernel, (), options, **sizes)[1])


def test_convolution_gradient_carries_its_rows() -> None:
    """What is carried from joint to joint: 10 totals, two sums a frame, two rows of frames and neighbours.

    Triton drops a value whose first replacement is the one that it had; its interpreter does not show that.
    """
    from posemamba.ops.conv_silu import gpu as conv

    sizes = dict(FRAMES=conv.FRAMES, BLOCK_D=conv.BLOCK_D, STAGES=conv.STAGES)
    code = built_for_hopper(conv.conv_silu_gradient_kernel, (), {"num_warps": 1}, **sizes).asm["ttir"]
    carried = [int(n) for n in re.findall(r":(\d+) = scf\.for", code)]
    assert carried == [10, 10 + 2 * conv.FRAMES + 2 * (conv.FRAMES + 2)]


def test_tiles_without_a_hopper_gpu_fit_into_any() -> None:
    for width in (16, *WIDTHS):
        tile = tiles.choose_tile(width, 10**5, torch.bfloat16, torch.device("cpu"))
        assert tile.rows == 32 and width % tile.chunk == 0
