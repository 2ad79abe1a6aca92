"""Weights files in safetensors format: tensors, and a header that says which model they belong to.

The header holds the format's name, the architecture, its config as JSON, the skeleton, the normalisation of
coordinates and a card (training data, licence, errors). Which class an architecture is, `posemamba.models.registry`
knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

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
