"""``posemamba calibrate``: fit a model's expected errors, and measure them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from posemamba.data.mocap.clips import MocapSource
from posemamba.data.mocap.motions import load_motions
from posemamba.data.mocap.options import MocapOptions
from posemamba.evaluate.expected_error import ExpectedError, expected_errors, table
from posemamba.lifting.windows import HELD
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import load_model, save_model
from posemamba.ops.runtime.device import choose_device
from posemamba.train.expected_error import fit_errors
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import first_line, is_safetensors, read_card
from posemamba.weights.names import find

SPLITS = ("validation", "test")


def run(weights: str, out: Path | None, *, directory: Path | None, device: str) -> None:
    """Fit and save if `out` says where, then print a table of both splits that no head was fitted to.

    Raises:
        PoseMambaError: weights that cannot be fitted to motion capture, or that have no head to be measured.
    """
    path = find(weights)
    if out is not None and out.suffix != ".safetensors":
        raise PoseMambaError(f"{out}: expected a name that ends with .safetensors")
    if not is_safetensors(path):
        raise PoseMambaError(f"{path}: a checkpoint without a card; make a safetensors file by 'posemamba export'")
    model, card = load_model(path), dict(read_card(path).get("card") or {})
    if not isinstance(model, PoseMamba):
        raise PoseMambaError(f"{path}: weights of a {type(model).__name__}; only a PoseMamba tells expected errors")
    if out is None and model.error_head is None:
        raise PoseMambaError(f"{path}: does not tell expected errors yet; --out NAME.safetensors adds that")
    size = card.get("person_size")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int | float) or not size > 0):
        raise PoseMambaError(f"{path}: person_size in its card is {size!r}, expected a positive number")
    model = model.to(choose_device(device))
    if out is not None:
        if out.is_dir() or not os.access(out.parent, os.W_OK):
            raise PoseMambaError(f"{out}: cannot write there")
        options = _clips(path, card, model.config.frames)
        source = MocapSource(load_motions(directory, "train"), options, 20261123, next(model.parameters()).device)
        model = fit_errors(model, source, person_size=size, progress=_progress("fitting: batch"))
    found = {
        split: expected_errors(
            model, load_motions(directory, split), person_size=size, progress=_progress(f"{split}: clip")
        )
        for split in SPLITS
    }
    if out is not None:
        card["expected_error"] = {
            "of": "one camera a clip of the mocap benchmark, mirror averaging (posemamba.evaluate.expected_error)",
            **{split: {name: _plain(error) for name, error in variants.items()} for split, variants in found.items()},
        }
        try:
            save_model(out, model, card, half=card.get("precision") == "float16")
        except OSError as error:
            raise PoseMambaError(f"{out}: cannot write there ({error.strerror or error})") from error
    print(table(found))
    if out is not None:
        print(f"  {out}")


def _clips(path: Path, card: dict[str, Any], most: int) -> MocapOptions:
    """Read from the card's recipe how training clips are made; of the lengths those that lifting shows to a model.

    Raises:
        PoseMambaError: it does not say, or says what cannot be.
    """
    recipe = card.get("recipe")
    data = recipe.get("data") if isinstance(recipe, dict) else None
    if not isinstance(data, dict):
        raise PoseMambaError(f"{path}: its card has no recipe that says how training clips are made")
    if data.get("kind", "mocap") != "mocap":
        raise PoseMambaError(f"{path}: was not trained on motion capture, to which expected errors are fitted")
    try:
        options = MocapOptions(**{k: v for k, v in data.items() if k not in ("kind", "directory", "extra")})
    except (TypeError, ValidationError) as error:
        raise PoseMambaError(
            f"{path}: the recipe in its card does not fit this version: {first_line(error)}"
        ) from error
    lengths = {frames: share for frames, share in options.lengths.items() if min(HELD, most) <= frames <= most}
    if not lengths:
        raise PoseMambaError(f"{path}: the recipe in its card has no clips of {min(HELD, most)} to {most} frames")
    return options.model_copy(update={"lengths": lengths})


def _plain(error: ExpectedError) -> dict[str, Any]:
    return {k: np.round(v, 3).tolist() for k, v in vars(error).items()}


def _progress(what: str) -> Any:
    def show(done: int, total: int | None) -> None:
        if sys.stderr.isatty():
            print(f"\r{what} {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
