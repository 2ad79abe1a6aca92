"""Weights files in safetensors format: tensors, and a header that says which model they belong to.

The header holds the format's name, the architecture, its config as JSON, the skeleton, the normalisation of
coordinates and a card (training data, licence, errors). Which class an architecture is, `posemamba.models.registry`
knows.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from posemamba.utils.archives import room_of
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reader, reading
from posemamba.utils.yaml_files import is_small
from posemamba.weights import layout, shards
from posemamba.weights.names import find

if TYPE_CHECKING:
    from torch import Tensor

Config = TypeVar("Config", bound=BaseModel)

FORMAT = "posemamba-weights-1"
_LARGEST = 2**26
_KEYS = ("model_pos", "model", "state_dict", "model_state_dict")
"""The keys under which training codes save a model's parameters."""
_WRAPPERS = ("module.", "model.", "model_pos.", "net.", "_orig_mod.")
"""The prefixes of names by DataParallel, by Lightning and other classes around a model, and by torch.compile."""


@reader("a weights file")
def is_safetensors(path: Path) -> bool:
    """Tell whether a file starts as safetensors do: the length of a header (8 bytes) and a JSON object."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def read_card(source: str | Path) -> dict[str, Any]:
    """Read a weights file's header: format, model, config, skeleton, normalisation, card.

    Raises:
        PoseMambaError: a damaged file, or a config or card that is no JSON object.
    """
    path = find(source)
    metadata, _ = shards.read(path, tensors=False)
    metadata = layout.completed(path, metadata)
    read: dict[str, Any] = dict(metadata)
    with reading(path, "a weights file"):
        for key in {"config", "card"} & metadata.keys():
            read[key] = json.loads(metadata[key])
            if not is_small(read[key]):
                raise PoseMambaError(f"{path}: the {key} in its header has too many values or levels: export it again")
            if not isinstance(read[key], dict):
                raise PoseMambaError(
                    f"{path}: the {key} in its header is a {type(read[key]).__name__}, expected fields and values: "
                    "damaged; export it again"
                )
        size = read.get("card", {}).get("person_size")
        if size is not None and (isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < 1e6):
            raise PoseMambaError(f"{path}: person_size in its card is {size!r}, expected a positive number")
    return read


def read_weights(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read a weights file: its header and its tensors by name, floating point ones in float32.

    Raises:
        PoseMambaError: a damaged file, or safetensors that are not weights of this package.
    """
    metadata, tensors = shards.read(path)
    metadata = layout.completed(path, metadata)
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
        where = ".".join(map(str, first["loc"]))
        raise PoseMambaError(f"{path}: config in the file: {where}: {first['msg']}") from error


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
    """Read the float32 parameters that `torch.save` wrote, by their names in the model.

    They are looked for under `key`, then under the keys that are common elsewhere, then as the whole file. Prefixes of
    wrappers, such as 'module.', are removed where all names have them.

    Raises:
        PoseMambaError: the file is damaged, truncated or of another kind, or would run code when loaded.
    """
    _warn_of_old_pytorch(path)
    try:
        checkpoint = load_safely(path)
    except PoseMambaError:
        raise
    except Exception as error:  # bytes that are no pickle make the reader raise any kind of error
        raise PoseMambaError(
            f"{path}: not a checkpoint or other weights file, or truncated (safetensors or torch.save)"
        ) from error
    if isinstance(checkpoint, dict) and {"state_dict", "recipe", "step"} <= checkpoint.keys():
        raise PoseMambaError(
            f"{path}: a training checkpoint of posemamba train, expected weights; make a weights file of it first: "
            f"posemamba export {Path(path).parent} -o weights.safetensors"
        )
    state = _parameters(checkpoint, key)
    if state is None:
        found = type(checkpoint).__name__
        if isinstance(checkpoint, dict):
            found = ", ".join(name for name in checkpoint if isinstance(name, str)) or "no names"
        raise PoseMambaError(
            f"{path}: expected a checkpoint with parameters under the key '{key}' (or {_listed_keys(key)}), or of "
            f"parameters alone, found: {found[:200]}"
        )
    for name, tensor in state.items():
        if not _is_plain(tensor):
            raise PoseMambaError(f"{path}: '{name}' is no plain tensor, or larger than its numbers in the file")
    return {name: tensor.float() for name, tensor in _without_wrappers(state).items()}


def _parameters(checkpoint: object, key: str) -> dict[str, Tensor] | None:
    """Return the parameters of a checkpoint: under `key`, under another common key, or the checkpoint itself."""
    if not isinstance(checkpoint, dict):
        return None
    for state in (checkpoint.get(key), *(checkpoint.get(other) for other in _KEYS if other != key), checkpoint):
        if (
            isinstance(state, dict)
            and state
            and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items())
        ):
            return state
    return None


def _listed_keys(key: str) -> str:
    return ", ".join(f"'{other}'" for other in _KEYS if other != key)


def _without_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes that all names have in common from the modules around a model."""
    while prefix := next((p for p in _WRAPPERS if all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _warn_of_old_pytorch(path: Path) -> None:
    """Warn that a file of `torch.save` can write beyond its memory in a PyTorch before 2.10 (CVE-2026-24747)."""
    release = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if release < (2, 10):
        warnings.warn(
            f"{path.name}: PyTorch {torch.__version__} has a fault by which such a file, if made for it, runs code "
            "(CVE-2026-24747): read it only if you trust it, or update PyTorch to 2.10 or later",
            stacklevel=4,
        )


def load_safely(path: str | Path, *, mmap: bool = False) -> Any:
    """Read what `torch.save` wrote: tensors, plain containers, numbers and text; no code runs.

    Raises:
        PoseMambaError: it would run code when loaded, or is packed more than such files are.
        pickle.UnpicklingError: it is no such file. Other exceptions come as PyTorch raises them.
    """
    path = Path(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > room_of(path, ratio=4):  # PyTorch does not pack at all
            raise PoseMambaError(
                f"{path}: unpacks to {size:,} bytes, more than a checkpoint of its size holds: damaged, or made to "
                "fill the memory"
            )
    try:
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:  # whose text advises to load the file unsafely
        if "Weights only load failed" in str(error) and "GLOBAL" in str(error):
            raise PoseMambaError(
                f"{path}: refused: the file would run code when loaded, as it holds more than tensors"
            ) from error
        raise pickle.UnpicklingError("not what torch.save writes, or damaged") from error


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether a tensor is dense, and has its own numbers in the file: no view that shows few of them often."""
    if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized or tensor.is_complex():
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def check_extent(width: int, depth: int, frames: int, ratio: int) -> None:
    """Reject a model's config of which each field is in its range, and all together are not.

    Raises:
        ValueError: it has more than 10^9 parameters, or an embedding of as many numbers.
    """
    if depth * width**2 * ratio > _LARGEST or frames * width > _LARGEST:
        raise ValueError(f"width {width}, depth {depth} and {frames} frames make a model larger than any")


def build(path: Path, make: Callable[[], Any], depth: int, state: dict[str, Tensor], what: str) -> Any:
    """Make a model and load parameters into it, after a check that it is of the size of the parameters.

    Args:
        path: the file of the parameters, for the error.
        make: makes the model by the file's config, which may be damaged.
        depth: layers of the config; each has eight parameters at the least.
        state: parameters by name.
        what: the model's name, for the error.

    Raises:
        PoseMambaError: names or shapes do not match, or there is NaN or infinity.
    """
    if 8 * depth > len(state):
        raise PoseMambaError(f"{path}: does not fit {what}: it holds {len(state)} tensors, too few for so many layers")
    with reading(path, f"weights of {what}"):
        # on the meta device first, which has no memory; it draws no random numbers there
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            wanted = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
        _check_fit(path, wanted, state, what)
        model = make()
    load_strictly(path, model, state, what)
    return model


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
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    _check_fit(path, wanted, state, what)
    bad = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise PoseMambaError(f"{path}: NaN or infinity in '{bad[0]}' ({len(bad)} tensors): the file is damaged")
    model.load_state_dict(state)


def _check_fit(path: Path, wanted: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor], what: str) -> None:
    problems = [f"missing '{name}'" for name in wanted if name not in state]
    problems += [f"extra '{name}'" for name in state if name not in wanted]
    problems += [
        f"'{name}' is {tuple(state[name].shape)}, expected {shape}"
        for name, shape in wanted.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise PoseMambaError(f"{path}: does not fit {what}: {'; '.join(problems[:3])}{more}")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, for a one-line error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
