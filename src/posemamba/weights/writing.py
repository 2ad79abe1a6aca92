"""Writing of a model's weights: one safetensors file, or shards, or a folder in Hugging Face's layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from torch import Tensor, nn

from posemamba.utils.files import atomic_files, make_folder, writing
from posemamba.weights import layout, shards
from posemamba.weights.files import FORMAT, float32


def write_weights(
    path: str | Path,
    model: nn.Module,
    architecture: str,
    config: BaseModel,
    card: Mapping[str, Any],
    half: bool = False,
    shard_bytes: int | None = None,
) -> list[Path]:
    """Write a model's parameters with its config and a card, whole or not at all.

    Args:
        path: the safetensors file; with `shard_bytes` several files beside each other (`posemamba.weights.shards`).
        model: whose parameters are written.
        architecture: its name in the registry.
        config: what builds it again.
        card: training data, licence, errors: anything JSON can hold.
        half: store parameters in half precision; the statistics of a batch norm stay as they are.
        shard_bytes: the largest size of one file; None: one file.

    Returns:
        The files.
    """
    parameters = {name for name, _ in model.named_parameters()}

    def stored(name: str, tensor: Tensor) -> Tensor:
        return (tensor.half() if half and name in parameters else float32(tensor)).contiguous()

    tensors = {name: stored(name, tensor.detach().cpu()) for name, tensor in model.state_dict().items()}
    return shards.write(path, tensors, metadata_of(architecture, config, card), shard_bytes)


def metadata_of(architecture: str, config: BaseModel, card: Mapping[str, Any]) -> dict[str, str]:
    """Return what a weights file's header says."""
    return {
        "format": FORMAT,
        "model": architecture,
        "config": config.model_dump_json(),
        "skeleton": "h36m17",
        "normalisation": "x / W * 2 - 1, y / W * 2 - H / W, depth / W * 2; W, H image size in pixels",
        "card": json.dumps(dict(card)),
    }


def write_folder(
    folder: str | Path, model: nn.Module, architecture: str, config: BaseModel, card: Mapping[str, Any], half: bool
) -> None:
    """Write a folder in Hugging Face's layout; its files are exchanged together, and a README.md that is there stays.

    Arguments as `write_weights`'.

    Raises:
        PoseMambaError: the folder cannot be written.
    """
    folder = make_folder(folder)
    card = dict(card)
    if "precision" in card:
        card["precision"] = "float16" if half else "float32"
    metadata = metadata_of(architecture, config, card)

    def is_old(path: Path) -> bool:
        return path.suffix == shards.SUFFIX and shards.name_of(path) == layout.NAME

    with writing(folder), atomic_files(folder, obsolete=is_old) as new:
        write_weights(new / layout.WEIGHTS, model, architecture, config, card, half)
        (new / layout.CONFIG).write_text(layout.config_json(metadata), encoding="utf-8")
        if not (folder / layout.README).exists():
            (new / layout.README).write_text(layout.readme(metadata), encoding="utf-8")
