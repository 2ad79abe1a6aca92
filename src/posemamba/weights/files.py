"""Weights files in safetensors format: tensors, and a header that says which model they belong to.

The header holds the format's name, the architecture, its config as JSON, the skeleton, the normalisation of
coordinates and a card (training data, licence, errors). Which class an architecture is, `posemamba.models.registry`
knows.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from posemamba.utils.errors import PoseMambaError
from posemamba.weights import shards
from posemamba.weights.names import find

if TYPE_CHECKING:
    from torch import Tensor

Config = TypeVar("Config", bound=BaseModel)

FORMAT = "posemamba-weights-1"


def is_safetensors(path: Path) -> bool:
    """Tell whether a file starts as safetensors do: the length of a header (8 bytes) and a JSON object."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def read_card(source: str | Path) -> dict[str, Any]:
    """Read a weights file's header: format, model, config, skeleton, normalisation, card."""
    metadata, _ = shards.read(find(source), tensors=False)
    return {key: json.loads(text) if key in ("config", "card") else text for key, text in metadata.items()}


def read_weights(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read a weights file: its header and its tensors by name, floating point ones in float32.

    Raises:
        PoseMambaError: a damaged file, or safetensors that are not weights of this package.
    """
    metadata, tensors = shards.read(path)
    if metadata.get("format") != FORMAT or not {"config", "model"} <= metadata.keys():
        raise PoseMambaError(f"{path}: a safetensors file, but not of PoseMamba weights (no '{FORMAT}' in its header)")
    return metadata, {name: float32(tensor) for name, tensor in tensors.items()}


def parse_config(path: Path, config: type[Config], metadata: Mapping[str, str]) -> Config:
    """Build the config of an architecture from a weights file's header.

    Raises:
        PoseMambaError: fields that the architecture does not have or take.
    """
    try:
        return config.model_validate_json(metadata["config"])
    except ValidationError as error:
        first = error.errors()[0]
        raise PoseMambaError(f"{path}: config in the file: {first['loc']}: {first['msg']}") from error


def float32(tensor: Tensor) -> Tensor:
    """Convert a floating point tensor to float32; integers, such as a batch norm's count, stay."""
    return tensor.float() if tensor.is_floating_point() else tensor


class _Ignored:
    """A placeholder for NumPy numbers in a checkpoint: none of NumPy's code runs, and nothing is kept."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


# The authors' codes save an error in mm beside the weights, as a NumPy float, which PyTorch's safe reader refuses.
_NUMPY_NUMBERS: list[Any] = [
    type(name, (_Ignored,), {"__module__": module})
    for module, name in (("numpy", "dtype"), ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"))
]


def read_checkpoint(path: Path, key: str) -> dict[str, Tensor]:
    """Read the float32 parameters that `torch.save` wrote under `key`; names lose the prefix 'module.'.

    Raises:
        PoseMambaError: the file is damaged, truncated or of another kind, or would run code when loaded.
    """
    try:
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error) and "GLOBAL" in str(error):
            raise PoseMambaError(
                f"{path}: refused: the file would run code when loaded, as it holds more than tensors"
            ) from error
        raise PoseMambaError(f"{path}: not a checkpoint: {first_line(error)}") from error
    except Exception as error:  # bytes that are no pickle make the reader raise any kind of error
        raise PoseMambaError(
            f"{path}: not a checkpoint or other weights file, or truncated (safetensors or torch.save)"
        ) from error
    if isinstance(checkpoint, dict) and {"state_dict", "recipe", "step"} <= checkpoint.keys():
        raise PoseMambaError(
            f"{path}: a training checkpoint of posemamba train, expected weights; make a weights file of it first: "
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
    """Load parameters into a model; names and shapes must match exactly, and all values be finite.

    Args:
        path: the file of the parameters, for the error.
        model: gets them.
        state: parameters by name.
        what: the model's name, for the error.

    Raises:
        PoseMambaError: names or shapes do not match, or there is NaN or infinity.
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
    """Return the first line of an error's message, for a one-line error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
