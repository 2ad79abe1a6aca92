"""Make a weights file, with its card, of what a training run kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posemamba.data.mocap import ACKNOWLEDGEMENT, TEST_SUBJECTS, VALIDATION_SUBJECTS
from posemamba.errors import PoseMambaError
from posemamba.model import PoseMamba
from posemamba.train.run import build_model, load_weights
from posemamba.weights import save_model


def export_weights(
    kept: str | Path, out: str | Path, *, half: bool = False, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write a safetensors file that `load_model` and `Lifter.from_pretrained` read.

    Args:
        kept: ``weights.pt`` or ``best.pt`` of a training run.
        out: the file to write, whole or not at all.
        half: in half precision.
        more: what else the card should say: hours, hardware, limits.

    Returns:
        The card: name, steps, person_size, validation errors, data and its acknowledgement, the recipe.

    Raises:
        PoseMambaError: not such a file, or weights that do not fit their recipe's model.
    """
    state, recipe, details = load_weights(kept)
    model = build_model(recipe.model_copy(update={"start_from": None}))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:160]
        raise PoseMambaError(f"{kept}: does not fit the model of its recipe ({first})") from error
    assert isinstance(model, PoseMamba)
    settings = recipe.model_dump(mode="json")
    settings["data"].pop("directory", None)  # a place on somebody's disk
    validation = {
        k.removeprefix("val_p1_"): round(float(v), 2) for k, v in details.items() if k.startswith("val_p1_")
    }
    card = {
        "name": recipe.name,
        "steps": details["step"],
        "person_size": recipe.person_size,
        "validation_p1_mm": validation,
        "data": "CMU motion capture seen by virtual cameras (posemamba.data.mocap), all subjects but "
        f"{', '.join((*TEST_SUBJECTS, *VALIDATION_SUBJECTS))}",
        "acknowledgement": ACKNOWLEDGEMENT,
        "precision": "float16" if half else "float32",
        **(more or {}),
        "recipe": settings,
    }
    save_model(out, model, card, half=half)
    return card
