"""Weights: those with a name, files of ours (safetensors) and checkpoints as the authors' code saves them.

A file of ours says in its header whose model it is; all of `posemamba.baselines.kinds` are read. A name is that of a
``.safetensors`` file, or of several (`posemamba.weights.shards`), in one of `folders`, the package's first.

Nothing is unpickled beyond tensors and plain containers. A file is loaded strictly: every missing or extra name, a
wrong width or number of frames is said.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from posemamba.errors import PoseMambaError
from posemamba.model import PoseMambaConfig
from posemamba.weights import shards
from posemamba.weights.shards import name_of, parts

if TYPE_CHECKING:
    from posemamba.baselines.kinds import AnyConfig, AnyModel

__all__ = [
    "FOLDER",
    "FORMAT",
    "bundled",
    "find",
    "first_line",
    "folders",
    "is_safetensors",
    "known",
    "load_model",
    "load_strictly",
    "name_of",
    "parts",
    "read_card",
    "read_checkpoint",
    "save_model",
]

FORMAT = "posemamba-weights-1"
FOLDER = "POSEMAMBA_WEIGHTS"
"""The environment variable with a folder of weights that are known by name."""


def bundled() -> dict[str, Path]:
    """Names of the weights that come with the package, and the first file of each (`parts` has all)."""
    return _named([folders()[0]])


def folders() -> list[Path]:
    """Where weights with a name are looked for: the package's folder, the one that the environment variable
    POSEMAMBA_WEIGHTS names, the user's data folder, and of a source checkout the folder ``weights``."""
    package = Path(str(resources.files("posemamba.weights")))
    places = [package]
    if os.environ.get(FOLDER):
        places.append(Path(os.environ[FOLDER]).expanduser())
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    places.append(Path(data).expanduser() / "posemamba" / "weights")
    checkout = package.parents[2]  # of src/posemamba/weights
    if package.parent.parent.name == "src" and (checkout / "pyproject.toml").is_file():
        places.append(checkout / "weights")
    return places


def known() -> dict[str, Path]:
    """Names of all weights that are found by name here, and the first file of each; of two of one name the first."""
    return _named(folders())


def _named(places: list[Path]) -> dict[str, Path]:
    return {name: path for place in reversed(places) for name, path in shards.named(place).items()}


def find(source: str | Path) -> Path:
    """The file of a name or a path; of shards the first, whichever is named, or if a single file's path is.

    Raises:
        PoseMambaError: neither a known name nor a file; shards that are not all there.
    """
    names = known()
    if str(source) in names:
        return parts(shards.only(names[str(source)].parent, str(source)) or names[str(source)])[0]
    path = Path(source)
    if path.is_file():
        return parts(path)[0]
    first = shards.only(path.parent, name_of(path)) if path.suffix == shards.SUFFIX else None
    if first is not None:  # of a single file's path its shards are meant; of a shard's path parts says what is missing
        return parts(first if name_of(path) == path.stem else path)[0]
    said = ", ".join(sorted(names)) or "none"
    raise PoseMambaError(
        f"no weights '{source}': neither a file nor a known name ({said}); looked in {', '.join(map(str, folders()))}"
    )


def save_model(
    path: str | Path, model: AnyModel, card: Mapping[str, Any], half: bool = False, shard_bytes: int | None = None
) -> list[Path]:
    """Write weights with config and card (data, licence, numbers ...) as a safetensors file, whole or not at all.

    Half precision is for parameters; the statistics of a batch norm stay as they are. With `shard_bytes` no file has
    more bytes: larger weights are several files, each with the same config and card (`posemamba.weights.shards`).

    Returns:
        The files.
    """
    from posemamba.baselines.kinds import kind_of

    parameters = {name for name, _ in model.named_parameters()}
    tensors = {
        name: (tensor.half() if half and name in parameters else _float32(tensor)).contiguous()
        for name, tensor in ((name, tensor.detach().cpu()) for name, tensor in model.state_dict().items())
    }
    metadata = {
        "format": FORMAT,
        "model": kind_of(model),
        "config": model.config.model_dump_json(),
        "skeleton": "h36m17",
        "normalisation": "x / W * 2 - 1, y / W * 2 - H / W, depth / W * 2; W, H image size in pixels",
        "card": json.dumps(dict(card)),
    }
    return shards.write(path, tensors, metadata, shard_bytes)


def read_card(source: str | Path) -> dict[str, Any]:
    """What a weights file says of itself: format, model, config, skeleton, normalisation, card."""
    metadata, _ = shards.read(find(source), tensors=False)
    return {key: json.loads(text) if key in ("config", "card") else text for key, text in metadata.items()}


def load_model(source: str | Path, **changes: object) -> AnyModel:
    """A trained model in evaluation mode and float32: a PoseMamba, or what the file's header says.

    Args:
        source: a known name, a safetensors file of ours, or a checkpoint of the authors' code (`model_pos`).
        changes: config fields that a checkpoint does not hold, e.g. scan_order for an ablation's checkpoint.

    Raises:
        PoseMambaError: no such weights, a damaged or foreign file, names or shapes that do not fit.
    """
    from posemamba.baselines.kinds import KINDS, describe

    path = find(source)
    if is_safetensors(path):
        name, config, state = _read_safetensors(path)
    else:
        name, (config, state) = "posemamba", _read_authors_checkpoint(path)
    if changes:
        config = type(config).model_validate({**config.model_dump(), **changes})
    model: AnyModel = KINDS[name].model(config)
    load_strictly(path, model, state, describe(config))
    return model.eval()


def is_safetensors(path: Path) -> bool:
    """A safetensors file starts with the length of its header (8 bytes) and a JSON object."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _float32(tensor: Tensor) -> Tensor:
    """A tensor of numbers with a point in float32; a count stays one."""
    return tensor.float() if tensor.is_floating_point() else tensor


def _read_safetensors(path: Path) -> tuple[str, AnyConfig, dict[str, Tensor]]:
    from posemamba.baselines.kinds import KINDS

    metadata, tensors = shards.read(path)
    state = {name: _float32(tensor) for name, tensor in tensors.items()}
    if metadata.get("format") != FORMAT or "config" not in metadata:
        raise PoseMambaError(f"{path}: a safetensors file, but not of PoseMamba weights (no '{FORMAT}' in its header)")
    kind = metadata.get("model", "posemamba")  # files from before there was a choice do not say it
    if kind not in KINDS:
        raise PoseMambaError(f"{path}: weights of a '{kind}', known are {', '.join(KINDS)}: is this version too old?")
    try:
        return kind, KINDS[kind].config.model_validate_json(metadata["config"]), state
    except ValidationError as error:
        first = error.errors()[0]
        raise PoseMambaError(f"{path}: config in the file: {first['loc']}: {first['msg']}") from error


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


def _read_authors_checkpoint(path: Path) -> tuple[PoseMambaConfig, dict[str, Tensor]]:
    """A checkpoint as the authors' training saves it; the config is read off the shapes."""
    state = read_checkpoint(path, "model_pos")
    try:
        config = PoseMambaConfig(
            width=state["Spatial_patch_to_embedding.weight"].shape[0],
            depth=1 + max(int(name.split(".")[1]) for name in state if name.startswith("STEblocks.")),
            frames=state["Temporal_pos_embed"].shape[1],
            joints=state["Spatial_pos_embed"].shape[1],
            confidence=state["Spatial_patch_to_embedding.weight"].shape[1] == 3,
            mlp_ratio=state["STEblocks.0.mlp.fc1.weight"].shape[0] // state["STEblocks.0.mlp.fc1.weight"].shape[1],
        )
    except (KeyError, ValueError, IndexError) as error:
        raise PoseMambaError(
            f"{path}: 'model_pos' is not a PoseMamba of {len(state)} parameters: {first_line(error)} is missing or odd"
        ) from error
    return config, state


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
