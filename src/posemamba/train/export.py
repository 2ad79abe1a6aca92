"""Export of a training run: a weights file with its card, or a checkpoint for the authors' code."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from posemamba.data.mocap.motions import ACKNOWLEDGEMENT, TEST_SUBJECTS, VALIDATION_SUBJECTS
from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.models.registry import AnyModel, architecture_of, layers_of, load_model, save_model
from posemamba.train.checkpoints import load_weights
from posemamba.train.initialisation import build_model, config_of
from posemamba.train.recipe import Recipe
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.weights import shards
from posemamba.weights.files import build, is_safetensors, read_card
from posemamba.weights.names import find

_DATA = {
    "mocap": "CMU motion capture seen by virtual cameras (posemamba.data.mocap.motions), all subjects but "
    f"{', '.join((*TEST_SUBJECTS, *VALIDATION_SUBJECTS))}",
    "human36m": "Human3.6M, subjects 1, 5, 6, 7, 8 (posemamba.data.human36m.dataset); its licence is for academic use",
    "videopose3d": "Human3.6M, subjects 1, 5, 6, 7, 8 (posemamba.data.human36m.videopose3d); its licence is for "
    "academic use",
    "mpi_inf_3dhp": "MPI-INF-3DHP (posemamba.data.mpi_inf_3dhp.dataset); its licence is for non-commercial research",
}


def export_weights(
    kept: str | Path,
    out: str | Path,
    *,
    half: bool = False,
    more: Mapping[str, Any] | None = None,
    shard_bytes: int | None = None,
) -> dict[str, Any]:
    """Write a safetensors file that `load_model` and `Lifter.from_pretrained` read.

    Args:
        kept: ``weights.pt`` or ``best.pt`` of a training run.
        out: the file to write, whole or not at all.
        half: in half precision.
        more: further fields of the card: hours, hardware, limits.
        shard_bytes: the largest size of a file; larger weights are several (`posemamba.weights.shards`).

    Returns:
        The card: name, model, steps, minutes of training, person_size, validation errors, data and its
        acknowledgement, the recipe.

    Raises:
        PoseMambaError: not such a file, or weights that do not fit their recipe's model.
    """
    model, recipe, details = load_kept(kept)
    card = {**_card(model, recipe, details), "precision": "float16" if half else "float32", **(more or {})}
    card["recipe"] = card.pop("recipe")  # it is long, so it comes last
    save_model(out, model, card, half=half, shard_bytes=shard_bytes)
    return card


def _card(model: AnyModel, recipe: Recipe, details: Mapping[str, Any]) -> dict[str, Any]:
    """Make the card of a training run."""
    settings = recipe.model_dump(mode="json")
    settings["data"].pop("directory", None)  # a place on somebody's disk
    if "extra" in settings["data"]:
        settings["data"]["extra"] = [Path(file).name for file in settings["data"]["extra"]]
    validation = {k.removeprefix("val_p1_"): round(float(v), 2) for k, v in details.items() if k.startswith("val_p1_")}
    seconds = details.get("training_seconds")
    return {
        "name": recipe.name,
        "model": architecture_of(model),
        "steps": details["step"],
        **({} if seconds is None else {"training_minutes": round(seconds / 60, 2)}),
        "person_size": recipe.person_size,
        "validation_p1_mm": validation,
        "data": _DATA.get(recipe.data.kind) or _registered(recipe.data),
        **({"unit": "metres"} if recipe.data.kind == "videopose3d" else {}),
        **({"acknowledgement": ACKNOWLEDGEMENT} if recipe.data.kind == "mocap" else {}),
        "recipe": settings,
    }


def _registered(data: Any) -> str:
    """Return the first line of the docstring of a registered data set's class."""
    return (type(data).__doc__ or "").strip().partition("\n")[0] or str(data.kind)


def rewrite_weights(source: str | Path, out: str | Path, shard_bytes: int | None = None) -> list[Path]:
    """Write weights of a safetensors file, or of shards, again: as one file, or as files of at most so many bytes.

    Every tensor and what the file says of itself stay as they are, bit by bit.

    Args:
        source: a known name, or a safetensors file of ours.
        out: the file to write; of shards the name without the numbers. It may be the source's.
        shard_bytes: None: one file.

    Returns:
        The files.

    Raises:
        PoseMambaError: no such weights, damaged or foreign ones.
    """
    path = find(source)
    load_model(path)  # nothing is handed on that does not load
    metadata, tensors = shards.read(path)
    return shards.write(out, tensors, metadata, shard_bytes)


def load_kept(kept: str | Path) -> tuple[AnyModel, Recipe, dict[str, Any]]:
    """Load the model that a training run kept, its recipe, and the step and scores beside it.

    Raises:
        PoseMambaError: not such a file, or weights that do not fit their recipe's model.
    """
    state, recipe, details = load_weights(kept)
    plain = recipe.model_copy(update={"start_from": None})
    config = config_of(plain)
    model: AnyModel = build(Path(kept), lambda: build_model(plain), layers_of(config), state, "the model of its recipe")
    return model, recipe, details


def load_any(source: str | Path) -> PoseMamba:
    """Load a PoseMamba, with its card, of whatever holds one.

    Args:
        source: ``weights.pt`` or ``best.pt`` of a training run, or what `load_model` reads.

    Raises:
        PoseMambaError: no such weights, or those of another model.
    """
    path = find(source)
    if is_safetensors(path):
        model = load_model(path)
    else:
        try:
            model, recipe, details = load_kept(path)
        except PoseMambaError:
            model = load_model(path)  # a checkpoint; else its message is the better one
        else:
            model.card = _card(model, recipe, details)
    if not isinstance(model, PoseMamba):
        raise PoseMambaError(f"{path}: weights of a {type(model).__name__}, expected a PoseMamba for this format")
    return model.eval()


# --- the authors' format


def export_for_authors(source: str | Path, out: str | Path) -> None:
    """Write a checkpoint that the authors' code loads, and `load_model` too: the same numbers under its names.

    Its dictionary holds ``epoch``, ``lr``, ``optimizer`` (of AdamW, fresh: going on with it starts the moments anew),
    ``model_pos`` (names with the prefix ``module.``) and ``min_loss`` (the best P1 in mm; infinite if not known).

    Args:
        source: ``weights.pt`` or ``best.pt`` of a training run, or whatever `load_model` reads.
        out: the file to write, whole or not at all.

    Warns:
        UserWarning: what the format does not hold and these weights need: a scan order, the size of a person.

    Raises:
        PoseMambaError: no such weights, or those of another model.
    """
    epoch, lr, best, person_size = 0, 2e-4, float("inf"), None
    path = find(source)
    if is_safetensors(path):
        model, person_size = load_model(path), read_card(path).get("card", {}).get("person_size")
    else:
        try:
            model, recipe, details = load_kept(path)
        except PoseMambaError:
            model = load_model(path)  # a checkpoint of the authors' code; else its message is the better one
        else:
            epoch = details["step"] // recipe.steps_per_epoch
            lr = recipe.lr_at(details["step"], details.get("training_seconds", 0.0))
            best, person_size = float(details.get("p1", details.get("val_p1_test", best))), recipe.person_size
    if not isinstance(model, PoseMamba):
        raise PoseMambaError(f"{path}: weights of a {type(model).__name__}; the authors' format is PoseMamba's only")
    if model.config.merge_weight:
        raise PoseMambaError(f"{path}: a model with merge_weight, a trial; the authors' format has no place for it")
    lost = [f"scan_order {model.config.scan_order}"] if model.config.scan_order != "global_local" else []
    lost += ["limb_order"] if model.config.limb_order != PoseMambaConfig.model_fields["limb_order"].default else []
    lost += ["centred"] if model.config.centred else []
    lost += ["the expected errors"] if model.config.error_width else []
    lost += [f"person_size {person_size:g}"] if person_size else []
    if lost:
        warnings.warn(
            f"{out}: the authors' format does not hold {', '.join(lost)}, which these weights need", stacklevel=2
        )
    state = {name: model.state_dict()[name].detach().cpu().float().clone() for name in _authors_order(model)}
    parameters = [torch.nn.Parameter(torch.empty(0)) for _ in state]
    content = {
        "epoch": epoch,
        "lr": lr,
        "optimizer": torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01).state_dict(),
        "model_pos": {f"module.{name}": tensor for name, tensor in state.items()},
        "min_loss": best,
    }
    with atomic_path(out) as temporary:
        torch.save(content, temporary)


def _authors_order(model: PoseMamba) -> list[str]:
    """Names of the parameters in the order of the released checkpoints: out_norm comes before the projections."""
    names: list[str] = []
    for name in model.state_dict():
        if name.startswith("error_head."):  # which the authors' code does not know
            continue
        if ".op.out_norm." in name:
            names.insert(names.index(f"{name.split('.out_norm.')[0]}.in_proj.weight"), name)
        else:
            names.append(name)
    return names
