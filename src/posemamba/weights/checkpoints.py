"""Checkpoints as torch.save writes them: read without running code, loaded strictly."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from posemamba.utils.errors import PoseMambaError


class _Ignored:
    """Stands in for a NumPy number in a checkpoint: nothing of NumPy's runs, and nothing is kept."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


# The error in mm that the authors' codes save beside the weights is a NumPy float, which PyTorch's safe reader refuses.
_NUMPY_NUMBERS: list[Any] = [
    type(name, (_Ignored,), {"__module__": module})
    for module, name in (("numpy", "dtype"), ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"))
]


def read_checkpoint(path: Path, key: str) -> dict[str, Tensor]:
    """The float32 parameters that torch.save wrote under `key`, names without the prefix 'module.'.

    Raises:
        PoseMambaError: damaged, truncated or another file, or one that wants to run code.
    """
    try:
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error) and "GLOBAL" in str(error):
            raise PoseMambaError(
                f"{path}: refused: the file wants to run code when loaded, and holds more than tensors"
            ) from error
        raise PoseMambaError(f"{path}: not a checkpoint: {first_line(error)}") from error
    except Exception as error:  # on bytes that are no pickle at all its reader raises whatever comes
        raise PoseMambaError(
            f"{path}: not a checkpoint or other weights file, or truncated (safetensors or torch.save)"
        ) from error
    if isinstance(checkpoint, dict) and {"state_dict", "recipe", "step"} <= checkpoint.keys():
        raise PoseMambaError(
            f"{path}: what posemamba train keeps of a run; make a weights file of it first: "
            f"posemamba export {Path(path).parent} -o weights.safetensors"
        )
    state = checkpoint.get(key) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        found = ", ".join(map(str, checkpoint)) if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise PoseMambaError(f"{path}: expected a checkpoint with the key '{key}', found: {found[:200]}")
    return {name.removeprefix("module."): tensor.float() for name, tensor in state.items()}


def load_strictly(path: Path, model: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Load parameters that fit exactly by name and shape and are finite; `what` names the model in a refusal.

    Raises:
        PoseMambaError: names or shapes that do not fit, NaN or infinity.
    """
    wanted = model.state_dict()
    problems = [f"missing '{name}'" for name in wanted if name not in state]
    problems += [f"extra '{name}'" for name in state if name not in wanted]
    problems += [
        f"'{name}' is {tuple(state[name].shape)}, expected {tuple(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise PoseMambaError(f"{path}: does not fit {what}: {'; '.join(problems[:3])}{more}")
    bad = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise PoseMambaError(f"{path}: NaN or infinity in '{bad[0]}' ({len(bad)} tensors): the file is damaged")
    model.load_state_dict(state)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, for a refusal that is one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
