"""Averages of weights: several trainings of one model, of which one began with another, as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from posemamba.models.posemamba import PoseMamba
from posemamba.models.posemamba_config import PoseMambaConfig
from posemamba.models.registry import AnyModel, architecture_of, load_model, save_model
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import is_safetensors, read_card
from posemamba.weights.names import find

MEASURED = (
    *("steps", "training_minutes", "validation_p1_mm", "benchmark_mm", "expected_error", "angles", "angle_errors"),
    *("command", "trained"),
)
"""Fields of a card that tell of one training; an average has them of none."""
HEAD = "error_head."
"""Begins the names of the parameters that predict expected errors; they do not outlive a change of the others."""


def average_weights(
    sources: Sequence[str | Path], out: str | Path, shares: Sequence[float] | None = None, name: str | None = None
) -> dict[str, Any]:
    """Write the average of the parameters of several weights of one model.

    It is meant for weights that lie near each other: of runs that began with the same weights, or with each other's.
    Expected errors are dropped; `posemamba calibrate` fits them anew. Averaging such weights is known as a model soup
    (Wortsman et al., ICML 2022).

    Args:
        sources: known names or safetensors files.
        out: the safetensors file to write, whole or not at all; in half precision if the last source is.
        shares: of each source, in any unit; None: equal ones.
        name: goes into the card; None: the name of the last source with ``_average``.

    Returns:
        The card: that of the last source, without what was measured of it, and with `averaged`, names and shares.

    Raises:
        PoseMambaError: fewer than two weights, other models or options, or shares that do not fit.
    """
    if len(sources) < 2:
        raise PoseMambaError(f"an average needs two weights at least, got {len(sources)}")
    shares = [1.0] * len(sources) if shares is None else [float(share) for share in shares]
    if len(shares) != len(sources):
        raise PoseMambaError(f"{len(shares)} shares for {len(sources)} weights; give one for each")
    if not all(0 < share < float("inf") for share in shares):
        raise PoseMambaError("a share is not a positive number")
    paths = [find(source) for source in sources]
    for path in paths:
        if not is_safetensors(path):
            raise PoseMambaError(f"{path}: a checkpoint without a card; make a safetensors file by 'posemamba export'")
    total: dict[str, Tensor] = {}
    model: AnyModel | None = None
    for path, share in zip(paths, shares, strict=True):
        each = _without_head(load_model(path))
        if model is not None and (architecture_of(each) != architecture_of(model) or each.config != model.config):
            raise PoseMambaError(f"{path}: another model, or other options, than {paths[0]}; nothing can be averaged")
        for key, value in each.state_dict().items():
            part = share / sum(shares) * value.double()
            total[key] = total[key] + part if key in total else part
        model = each
    assert model is not None
    own = model.state_dict()
    model.load_state_dict({key: total[key].to(own[key].dtype) for key in own})
    cards = [dict(read_card(path).get("card") or {}) for path in paths]
    card = {key: value for key, value in cards[-1].items() if key not in MEASURED}
    card["name"] = name or f"{cards[-1].get('name', paths[-1].stem)}_average"
    card["averaged"] = [
        {"name": of.get("name", path.stem), "share": round(share / sum(shares), 6)}
        for of, path, share in zip(cards, paths, shares, strict=True)
    ]
    save_model(out, model, card, half=card.get("precision") == "float16")
    return card


def _without_head(model: AnyModel) -> AnyModel:
    """Return the model without its head of expected errors, if it has one."""
    if not isinstance(model, PoseMamba) or model.error_head is None:
        return model
    bare = PoseMamba(PoseMambaConfig.model_validate({**model.config.model_dump(), "error_width": 0}))
    bare.load_state_dict({key: value for key, value in model.state_dict().items() if not key.startswith(HEAD)})
    return bare
