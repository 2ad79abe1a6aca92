"""The run-time compiler's wrapper as far as it goes without a GPU: arguments, and what is kept on disk."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
import torch

from posemamba.ops.runtime import nvrtc


def test_arguments_are_addresses_of_values_of_their_c_types() -> None:
    tensor = torch.arange(3.0)
    packed = nvrtc.pack_arguments((tensor, None, 7, ctypes.c_longlong(1 << 40)))
    read = [
        ctypes.cast(packed[i], ctypes.POINTER(kind)).contents.value
        for i, kind in enumerate((ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong))
    ]
    assert read == [tensor.data_ptr(), None, 7, 1 << 40]


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A compiler that only says what it was asked for."""
    asked: list[str] = []

    def compile_source(source: str, macros: dict[str, int], architecture: str, library: object) -> bytes:
        asked.append(source)
        return f"{source} {macros} {architecture}".encode()

    class Library:
        def nvrtcVersion(self, major: object, minor: object) -> int:  # noqa: N802
            return 0

    monkeypatch.setattr(nvrtc, "_nvrtc", Library)
    monkeypatch.setattr(nvrtc, "compile_source", compile_source)
    return asked


def test_a_kernel_is_compiled_once_for_each_source_macros_and_gpu(
    compiler: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEMAMBA_CACHE", str(tmp_path / "cache"))
    first = nvrtc._compiled("a", {"R": 4}, "sm_90")
    assert nvrtc._compiled("a", {"R": 4}, "sm_90") == first and len(compiler) == 1
    others = {nvrtc._compiled("b", {"R": 4}, "sm_90"), nvrtc._compiled("a", {"R": 8}, "sm_90")}
    others.add(nvrtc._compiled("a", {"R": 4}, "sm_80"))
    assert len(others | {first}) == 4 and len(compiler) == 4
    assert len(list((tmp_path / "cache" / "kernels").glob("*.cubin"))) == 4


def test_damaged_code_is_compiled_again(compiler: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEMAMBA_CACHE", str(tmp_path))
    first = nvrtc._compiled("a", {}, "sm_90")
    (file,) = (tmp_path / "kernels").iterdir()
    for damaged in (b"", file.read_bytes()[:-1], file.read_bytes() + b"x"):
        file.write_bytes(damaged)
        assert nvrtc._compiled("a", {}, "sm_90") == first
    assert len(compiler) == 4


def test_a_folder_that_cannot_be_written_to_is_no_error(
    compiler: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("POSEMAMBA_CACHE", str(tmp_path / "file"))
    assert nvrtc._compiled("a", {}, "sm_90") == nvrtc._compiled("a", {}, "sm_90")
    assert len(compiler) == 2
