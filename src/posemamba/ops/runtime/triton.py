"""A check that Triton's kernels can run on a device, made by running one.

Triton compiles a launcher with the system's C compiler, so being installed is not enough.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from functools import lru_cache

import torch

from posemamba.ops.runtime.settings import constant_for_compiler


@lru_cache(maxsize=16)
def why_not(device: torch.device) -> str:
    """Return why Triton's kernels cannot run on `device`, or "" if they can. The first call takes about a second."""
    if importlib.util.find_spec("triton") is None:
        return "the package 'triton' is missing: pip install triton"
    if device.type != "cuda":
        return "" if os.environ.get("TRITON_INTERPRET") == "1" else f"no CUDA device: '{device}'"
    if torch.version.hip is not None:
        return "written for NVIDIA GPUs"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "the GPU has no bfloat16: it is older than Ampere"
    try:
        from posemamba.ops.runtime.triton_math import probe

        probe(device)
    except Exception as error:  # e.g. a missing compiler, an incompatible driver, an old Triton
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"Triton does not work here: {lines[-1]}"
    return ""


@lru_cache(maxsize=16)
def _warn(device: torch.device, reason: str) -> None:
    warnings.warn(f"slower kernels on {device}: {reason}", stacklevel=4)


@constant_for_compiler
def runs(device: torch.device) -> bool:
    """Return True if Triton's kernels run on `device`; warn once on a GPU where they do not."""
    reason = why_not(device)
    if reason and device.type == "cuda":
        _warn(device, reason)
    return not reason
