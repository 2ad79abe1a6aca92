"""The choice of a device."""

from __future__ import annotations

import torch

from posemamba.ops import scan
from posemamba.utils.errors import PoseMambaError


def choose_device(device: torch.device | str | None = None) -> torch.device:
    """Return a device by its name; None or "auto": an NVIDIA GPU on which the scan's kernels run, else the CPU.

    Raises:
        PoseMambaError: there is no such device, or it cannot be used.
    """
    if device is None or device == "auto":
        fast = torch.cuda.is_available() and scan.why("cuda")[0] != "reference"
        return torch.device("cuda" if fast else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or ["not available"])[0].rstrip(".")[:120]
        raise PoseMambaError(f"device '{device}' cannot be used ({reason}): try cpu, cuda or auto") from error
    return chosen
