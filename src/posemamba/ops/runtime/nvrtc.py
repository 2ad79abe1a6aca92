"""CUDA kernels compiled at run time by NVRTC, the compiler in PyTorch's CUDA builds; no other compiler is needed.

`kernel` compiles a source for the GPU at hand, or takes the compiled code from the user's cache folder, and returns a
`Kernel` to launch. Errors of the driver and of the compiler are RuntimeErrors with their text.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from posemamba.utils.files import atomic_path
from posemamba.utils.installation import known_cache_folders

SHARED_LIMIT = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
MOST_SHARED = 97  # CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN


@lru_cache(maxsize=1)
def _nvrtc() -> ctypes.CDLL:
    if torch.version.cuda is None:
        raise RuntimeError("this build of PyTorch has no CUDA")
    major = torch.version.cuda.split(".")[0]
    names = [f"nvrtc64_{major}0_0.dll"] if sys.platform == "win32" else [f"libnvrtc.so.{major}", "libnvrtc.so"]
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise RuntimeError(f"NVRTC, CUDA's run-time compiler, was not found ({' or '.join(names)}): reinstall PyTorch")


@lru_cache(maxsize=1)
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def _check(code: int) -> None:
    if code:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(code, ctypes.byref(text))
        raise RuntimeError(f"CUDA driver: {(text.value or b'unknown error').decode()}")


def compile_source(source: str, macros: Mapping[str, int], architecture: str, library: ctypes.CDLL) -> bytes:
    """Compile a CUDA source to machine code (a cubin) for one architecture, such as 'sm_90'.

    Raises:
        RuntimeError: the compiler's messages.
    """
    program = ctypes.c_void_p()
    if library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"posemamba.cu", 0, None, None):
        raise RuntimeError("NVRTC does not start")
    options = [f"--gpu-architecture={architecture}", "--std=c++17", *(f"-D{k}={v}" for k, v in macros.items())]
    array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    failed = library.nvrtcCompileProgram(program, len(options), array)
    size = ctypes.c_size_t()
    if failed:
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, log)
        raise RuntimeError(f"NVRTC, {architecture}: {log.value.decode()}")
    library.nvrtcGetCUBINSize(program, ctypes.byref(size))
    code = ctypes.create_string_buffer(size.value)
    library.nvrtcGetCUBIN(program, code)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return code.raw


def _compiled(source: str, macros: Mapping[str, int], architecture: str) -> bytes:
    """Compile as `compile_source` does, and keep the code in the cache folder if that can be written to."""
    library = _nvrtc()
    version = (ctypes.c_int * 2)()
    library.nvrtcVersion(ctypes.byref(version, 0), ctypes.byref(version, 4))
    what = repr((source, sorted(macros.items()), architecture, tuple(version)))
    name = f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.cubin"
    folders = [folder / "kernels" for folder in known_cache_folders()]
    for folder in folders:
        with contextlib.suppress(OSError):
            content = (folder / name).read_bytes()
            if hashlib.sha256(content[32:]).digest() == content[:32]:  # else damaged
                return content[32:]
    code = compile_source(source, macros, architecture, library)
    for folder in folders:
        with contextlib.suppress(OSError), atomic_path(folder / name) as temporary:
            temporary.write_bytes(hashlib.sha256(code).digest() + code)
    return code


class Kernel:
    """A compiled function on one GPU, to be called with the grid and its arguments.

    Its source declares the shared memory of a block: `extern "C" __constant__ int shared_bytes`.

    Attributes:
        shared_bytes: shared memory of a block, in bytes.
        fits: True if a block of this GPU can have that much.
    """

    def __init__(self, code: bytes, name: str, threads: int, device: torch.device) -> None:
        self.threads, self.device = threads, device
        driver = _driver()
        module, self._function = ctypes.c_void_p(), ctypes.c_void_p()
        _check(driver.cuModuleLoadData(ctypes.byref(module), code))
        _check(driver.cuModuleGetFunction(ctypes.byref(self._function), module, name.encode()))
        address, size, shared = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_int()
        _check(driver.cuModuleGetGlobal_v2(ctypes.byref(address), ctypes.byref(size), module, b"shared_bytes"))
        _check(driver.cuMemcpyDtoH_v2(ctypes.byref(shared), address, ctypes.c_size_t(4)))
        self.shared_bytes = shared.value
        this, most = ctypes.c_int(), ctypes.c_int()
        _check(driver.cuCtxGetDevice(ctypes.byref(this)))
        _check(driver.cuDeviceGetAttribute(ctypes.byref(most), MOST_SHARED, this))
        self.fits = self.shared_bytes <= most.value
        if self.fits and self.shared_bytes > 48 * 1024:
            _check(driver.cuFuncSetAttribute(self._function, SHARED_LIMIT, self.shared_bytes))

    def __call__(self, grid: tuple[int, int, int], *arguments: Any) -> None:
        """Launch on the kernel's GPU, on PyTorch's current stream there.

        Args:
            grid: blocks in x, y and z.
            arguments: tensors on the GPU (their addresses are passed), None (a null pointer), int (a C int) or a
                ctypes number.
        """
        if 0 in grid:
            return
        stream = ctypes.c_void_p(torch.cuda.current_stream(self.device).cuda_stream)
        packed = pack_arguments(arguments)
        with torch.cuda.device(self.device):
            _check(
                _driver().cuLaunchKernel(
                    self._function, *grid, self.threads, 1, 1, self.shared_bytes, stream, packed, None
                )
            )


def pack_arguments(arguments: tuple[Any, ...]) -> Any:
    """Pack arguments into the array of addresses that cuLaunchKernel takes."""
    values = [
        ctypes.c_void_p(a.data_ptr() if isinstance(a, Tensor) else None)
        if a is None or isinstance(a, Tensor)
        else (ctypes.c_int(a) if isinstance(a, int) else a)
        for a in arguments
    ]
    array: Any = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    array.kept = values  # the addresses stay valid as long as the array
    return array


@lru_cache(maxsize=256)
def kernel(source: str, macros: tuple[tuple[str, int], ...], name: str, threads: int, device: torch.device) -> Kernel:
    """Return the kernel `name` of a CUDA source with these macros, for the GPU `device`."""
    major, minor = torch.cuda.get_device_capability(device)
    code = _compiled(source, dict(macros), f"sm_{major}{minor}")
    with torch.cuda.device(device):
        torch.cuda.current_stream(device)  # PyTorch's context exists from here on
        return Kernel(code, name, threads, device)
