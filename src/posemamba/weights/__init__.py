"""Weights: those in the package, files of ours (safetensors) and checkpoints as the authors' code saves them.

Nothing is unpickled beyond tensors and plain containers. A file is loaded strictly: every missing or extra name, a
wrong width or number of frames is said.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from posemamba.errors import PoseMambaError
from posemamba.files import atomic_path
from posemamba.model import PoseMamba, PoseMambaConfig

FORMAT = "posemamba-weights-1"


def bundled() -> dict[str, Path]:
    """Names of the weights that come with the package, and their files."""
    folder = Path(str(resources.files("posemamba.weights")))
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def find(source: str | Path) -> Path:
    """The file of a bundled name or a path.

    Raises:
        PoseMambaError: neither a bundled name nor a file.
    """
    known = bundled()
    if str(source) in known:
        return known[str(source)]
    path = Path(source)
    if path.is_file():
        return path
    names = ", ".join(known) or "none"
    raise PoseMambaError(f"no weights '{source}': neither a file nor a name that comes with the package ({names})")


def save_model(path: str | Path, model: PoseMamba, card: Mapping[str, Any], half: bool = False) -> None:
    """Write weights with config and card (data, licence, numbers ...) as one safetensors file, whole or not at all."""
    tensors = {
        name: (tensor.detach().cpu().half() if half else tensor.detach().cpu().float()).contiguous()
        for name, tensor in model.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "config": model.config.model_dump_json(),
        "skeleton": "h36m17",
        "normalisation": "x / W * 2 - 1, y / W * 2 - H / W, depth / W * 2; W, H image size in pixels",
        "card": json.dumps(dict(card)),
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)


def read_card(source: str | Path) -> dict[str, Any]:
    """What a weights file says of itself: format, config, skeleton, normalisation, card."""
    path = find(source)
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise PoseMambaError(f"{path}: not a readable safetensors file ({error})") from error
    return {key: json.loads(text) if key in ("config", "card") else text for key, text in metadata.items()}


def load_model(source: str | Path, **changes: object) -> PoseMamba:
    """A trained model in evaluation mode and float32.

    Args:
        source: a bundled name, a safetensors file of ours, or a checkpoint of the authors' code (`model_pos`).
        changes: config fields that a checkpoint does not hold, e.g. scan_order for an ablation's checkpoint.

    Raises:
        PoseMambaError: no such weights, a damaged or foreign file, names or shapes that do not fit.
    """
    path = find(source)
    if is_safetensors(path):
        config, state = _read_safetensors(path)
    else:
        config, state = _read_authors_checkpoint(path)
    if changes:
        config = PoseMambaConfig.model_validate({**config.model_dump(), **changes})
    model = PoseMamba(config)
    what = f"a PoseMamba of width {config.width}, {config.depth} pairs of blocks, {config.frames} frames"
    load_strictly(path, model, state, what)
    return model.eval()


def is_safetensors(path: Path) -> bool:
    """A safetensors file starts with the length of its header (8 bytes) and a JSON object."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _read_safetensors(path: Path) -> tuple[PoseMambaConfig, dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise PoseMambaError(f"{path}: damaged or truncated safetensors file ({error})") from error
    if metadata.get("format") != FORMAT or "config" not in metadata:
        raise PoseMambaError(f"{path}: a safetensors file, but not of PoseMamba weights (no '{FORMAT}' in its header)")
    try:
        return PoseMambaConfig.model_validate_json(metadata["config"]), state
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
