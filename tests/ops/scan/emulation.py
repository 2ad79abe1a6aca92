"""The CUDA kernels of the scan, compiled by the C++ compiler and run on the CPU: see cuda_on_cpu.hpp."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch

from posemamba.ops import scan
from posemamba.ops.runtime.nvrtc import pack_arguments
from posemamba.ops.scan import gpu

DEVICE = (Path(__file__).parent / "cuda_on_cpu.hpp").read_text()


@lru_cache
def _library(source: str) -> ctypes.CDLL:
    folder = Path(tempfile.gettempdir()) / "posemamba-emulated-kernels"
    folder.mkdir(exist_ok=True)
    path = folder / f"{hashlib.sha256(source.encode()).hexdigest()[:24]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            file = Path(work) / "kernel.cpp"
            file.write_text(source)
            made = file.with_suffix(".so")
            subprocess.run(["g++", "-std=c++17", "-O1", "-w", "-shared", "-fPIC", file, "-o", made], check=True)
            made.replace(path)
    return ctypes.CDLL(str(path))


def _kernel(file: str, name: str, threads: int, macros: dict[str, int], device: torch.device) -> Any:
    headers = ("common.cuh",) if file == "sum.cu" else ("common.cuh", "inputs.cuh")
    defines = "".join(f"#define {key} {value}\n" for key, value in macros.items())
    launch = (
        f'extern "C" void launch(int x, int y, int z, int threads, void** arguments) '
        f"{{ fibers::launch({name}, x, y, z, threads, arguments); }}\n"
    )
    library = _library(defines + DEVICE + gpu._source(*headers, file) + launch)

    def run(grid: tuple[int, int, int], *arguments: Any) -> None:
        assert ctypes.c_int.in_dll(library, "shared_bytes").value <= 227 * 1024  # what an H100 gives a block
        library.launch(*grid, threads, pack_arguments(arguments))

    run.fits = True  # type: ignore[attr-defined]
    return run


@pytest.fixture
def cuda_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend 'cuda' runs on CPU tensors, emulated."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to run the CUDA kernels on the CPU")
    monkeypatch.setattr(gpu, "_kernel", _kernel)
    choose = scan.choose_backend
    monkeypatch.setattr(
        scan, "choose_backend", lambda d, t, asked=None: "cuda" if asked == "cuda" else choose(d, t, asked)
    )
