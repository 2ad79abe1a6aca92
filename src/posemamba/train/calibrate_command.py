"""``posemamba calibrate``: fit a model's expected errors, and measure them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from posemamba.data.mocap import MocapOptions, MocapSource, load_motions
from posemamba.errors import PoseMambaError
from posemamba.evaluate.expected_error import ExpectedError, expected_errors, table
from posemamba.lift import choose_device
from posemamba.model import PoseMamba
from posemamba.train.errors import fit_errors
from posemamba.weights import find, is_safetensors, load_model, read_card, save_model

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
    options = dict(card.get("recipe", {}).get("data", {"kind": "mocap"}))
    if options.pop("kind", "mocap") != "mocap":
        raise PoseMambaError(f"{path}: was not trained on motion capture, to which expected errors are fitted")
    size = card.get("person_size")
    model = model.to(choose_device(device))
    if out is not None:
        parameters = MocapOptions(**{k: v for k, v in options.items() if k != "directory"})
        source = MocapSource(load_motions(directory, "train"), parameters, 20261123, next(model.parameters()).device)
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


def _plain(error: ExpectedError) -> dict[str, Any]:
    return {k: np.round(v, 3).tolist() for k, v in vars(error).items()}


def _progress(what: str) -> Any:
    def show(done: int, total: int | None) -> None:
        if sys.stderr.isatty():
            print(f"\r{what} {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
