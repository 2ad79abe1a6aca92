"""Weight initialisation: the model of a recipe, with random weights or those of another model."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ValidationError

from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.models.registry import ARCHITECTURES, AnyConfig, AnyModel, architecture_of, describe, load_model
from posemamba.train.grow import grow
from posemamba.train.recipe import Recipe
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.reading import reading
from posemamba.weights.files import is_safetensors, load_strictly
from posemamba.weights.names import find


def config_of(recipe: Recipe) -> AnyConfig:
    """Return the config of a recipe's model.

    Raises:
        PoseMambaError: an option that the model does not know or that is out of range, by name.
    """
    try:
        with reading(f"recipe {recipe.name}", "the model's options"):
            config: AnyConfig = ARCHITECTURES[recipe.model.kind].config.preset(
                recipe.model.size, **recipe.model.options
            )
            return config
    except PoseMambaError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        found = error.__cause__.errors()[:8]
        problems = "; ".join(": ".join([*(".".join(map(str, p["loc"])),), p["msg"]]).removeprefix(": ") for p in found)
        raise PoseMambaError(f"recipe {recipe.name}: model.options: {problems}") from error


def build_model(recipe: Recipe) -> AnyModel:
    """Build a recipe's model with random weights (by the recipe's seed), or those of `start_from`.

    Raises:
        PoseMambaError: an option that the model does not know, by name, or weights of another model.
    """
    config = config_of(recipe)
    torch.manual_seed(recipe.seed)
    model: AnyModel = ARCHITECTURES[recipe.model.kind].model(config)
    if recipe.start_from is not None:
        _initialise_from(model, recipe.start_from)
    return model


def _initialise_from(model: AnyModel, source: str) -> None:
    """Load weights of a model like this one, of as many frames or more, with or without confidence.

    A confidence that the weights do not know begins without influence: the result is the same. Of more frames the
    positional embeddings of the first ones are taken. Weights of a narrower or shallower PoseMamba are grown
    (`posemamba.train.grow`). A printed line reports all this, and what the recipe's model does otherwise with the same
    weights, such as another scan order.

    Raises:
        PoseMambaError: no such weights, or those of another model.
    """
    path, architecture, config = find(source), ARCHITECTURES[architecture_of(model)], model.config
    if isinstance(model, PoseMamba) or is_safetensors(path) or not hasattr(architecture.model, "from_pretrained"):
        given = load_model(path)
    else:  # a checkpoint of its authors' code, which does not hold the number of heads
        given = architecture.model.from_pretrained(path, heads=getattr(model.config, "heads", 8))
    if type(given) is not type(model):
        raise PoseMambaError(f"{path}: weights of {describe(given.config)}, the recipe's model is {describe(config)}")
    state, notes = given.state_dict(), []
    if architecture.positional_embedding is not None and given.config.frames > config.frames:
        state[architecture.positional_embedding] = state[architecture.positional_embedding][:, : config.frames]
        notes.append(f"positional embeddings of the first {config.frames} of {given.config.frames} frames")
    ours = isinstance(model, PoseMamba)
    # what tells expected errors was fitted to the given model as it is
    state = {name: value for name, value in state.items() if not name.startswith("error_head.")}
    if ours and given.config.confidence and not config.confidence:
        raise PoseMambaError(
            f"{path}: takes each joint's confidence, the recipe's model does not: set model.options.confidence: true"
        )
    if ours and config.confidence and not given.config.confidence:
        embedding = "Spatial_patch_to_embedding.weight"
        state[embedding] = F.pad(state[embedding], (0, 1))
        notes.append("confidence begins without influence")
    grows = False
    if isinstance(config, PoseMambaConfig) and isinstance(given.config, PoseMambaConfig):
        grows = given.config.width < config.width or given.config.depth < config.depth
        if grows:
            try:
                state = grow(state, given.config, config)
            except PoseMambaError as error:
                raise PoseMambaError(f"{path}: {error}") from None
            notes.append(f"grown from width {given.config.width} and {given.config.depth} pairs of blocks")
    load_strictly(path, model, state, describe(config))
    if is_safetensors(path):  # other checkpoints do not say what they were
        was, now = given.config.model_dump(), config.model_dump()
        expected = ["frames", "drop_path", "published_gradient", *(["confidence", "error_width"] if ours else [])]
        expected += ["width", "depth"] if grows else []
        meant = [k for k in now if k not in expected]
        notes += [f"{k} {now[k]}, which was {was[k]}" for k in meant if now[k] != was[k]]
    if notes:
        print(f"start from {source}: {', '.join(notes)}")
