"""``posemamba calibrate``: fit a model's expected errors, of joints and of angles, and measure them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from posemamba.data.mocap.clips import MocapSource
from posemamba.data.mocap.motions import Motions, load_motions
from posemamba.data.mocap.options import MocapOptions
from posemamba.evaluate.angle_table import (
    AngleSamples,
    angles_card,
    collect,
    compare,
    comparison_table,
    fit_table,
)
from posemamba.evaluate.angles import AngleMeasurements, Scores, angle_table
from posemamba.evaluate.expected_error import ExpectedError, expected_errors, table
from posemamba.evaluate.mocap.scenes import VARIANTS, Scene
from posemamba.lifting.windows import HELD
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import load_model, save_model
from posemamba.ops.runtime.device import choose_device
from posemamba.poses.angle_table import AngleErrorTable
from posemamba.train.expected_error import fit_errors
from posemamba.utils.errors import PoseMambaError
from posemamba.weights.files import first_line, is_safetensors, read_card
from posemamba.weights.names import find

SPLITS = ("validation", "test")
ANGLE_CLIPS = 60
"""Training clips, evenly spread, to which the angles' errors are fitted beside all clips of validation."""


def run(weights: str, out: Path | None, *, directory: Path | None, device: str, angles_only: bool = False) -> None:
    """Fit and save if `out` says where, then print tables of splits that nothing was fitted to, as far as there are.

    Args:
        weights: a known name or a safetensors file.
        out: the file to write; None: the errors that the weights tell are measured only.
        directory: of the motion capture files.
        device: where the model runs.
        angles_only: keep the joints' expected errors that the weights tell already.

    Raises:
        PoseMambaError: weights that cannot be fitted to motion capture, or that have no head to be measured.
    """
    path = find(weights)
    if out is not None and out.suffix != ".safetensors":
        raise PoseMambaError(f"{out}: expected a name that ends with .safetensors")
    if angles_only and out is None:
        raise PoseMambaError("--angles-only says what is fitted, and nothing is without --out NAME.safetensors")
    if not is_safetensors(path):
        raise PoseMambaError(f"{path}: a checkpoint without a card; make a safetensors file by 'posemamba export'")
    model, card = load_model(path), dict(read_card(path).get("card") or {})
    if not isinstance(model, PoseMamba):
        raise PoseMambaError(f"{path}: weights of a {type(model).__name__}; only a PoseMamba tells expected errors")
    if (out is None or angles_only) and model.error_head is None:
        remedy = "leave out --angles-only" if angles_only else "--out NAME.safetensors adds that"
        raise PoseMambaError(f"{path}: does not tell expected errors yet; {remedy}")
    size = card.get("person_size")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int | float) or not size > 0):
        raise PoseMambaError(f"{path}: person_size in its card is {size!r}, expected a positive number")
    model = model.to(choose_device(device))
    if out is not None and (out.is_dir() or not os.access(out.parent, os.W_OK)):
        raise PoseMambaError(f"{out}: cannot write there")
    options = None if out is None or angles_only else _clips(path, card, model.config.frames)
    train = None if out is None else load_motions(directory, "train")
    held = {split: load_motions(directory, split) for split in SPLITS}
    if train is None:
        angle_errors = _told_by(path, card)
    else:
        if options is not None:
            source = MocapSource(train, options, 20261123, next(model.parameters()).device)
            model = fit_errors(model, source, person_size=size, progress=_progress("fitting: batch"))
        angle_errors = _fit_angles(model, size, train, held["validation"])
    measured = _measure(model, held, size)
    told = {} if angle_errors is None else compare(measured.samples, angle_errors)
    if out is not None and angle_errors is not None:
        card["expected_error"] = {
            "of": "one camera a clip of the mocap benchmark, through a virtual camera, test-time flip "
            "(posemamba.evaluate.expected_error)",
            **{
                split: {name: _plain(e) for name, e in by_variant.items()}
                for split, by_variant in measured.joints.items()
            },
        }
        card["angles"] = angles_card(measured.angles, told)
        card["angle_errors"] = angle_errors.as_card()
        try:
            save_model(out, model, card, half=card.get("precision") == "float16")
        except OSError as error:
            raise PoseMambaError(f"{out}: cannot write there ({error.strerror or error})") from error
    print(table(measured.joints))
    print("\nJoint angles, test: mean absolute error (bias) in degrees, by the view")
    print(angle_table(measured.angles))
    if angle_errors is None:
        print(f"\n{path}: does not tell expected errors of angles; --out NAME.safetensors adds that")
    else:
        print("\nJoint angles, test, noisy: true error (told), by the view of the lifted pose")
        print(comparison_table(told))
    if out is not None:
        print(f"  {out}")


@dataclass(frozen=True)
class _Measured:
    """Errors of joints by split and variant; of the test split's angles by variant, and samples of the noisy ones."""

    joints: dict[str, dict[str, ExpectedError]]
    angles: dict[str, Scores]
    samples: AngleSamples


def _measure(model: PoseMamba, held: dict[str, Motions], size: float | None) -> _Measured:
    """Lift the clips of validation and test once, and measure joints and angles."""
    samples, angles = AngleSamples(), {variant: AngleMeasurements() for variant in VARIANTS}

    def observe(scene: Scene, variant: str, lifted: NDArray[np.float64]) -> None:
        angles[variant].observe(scene, variant, lifted[..., :3])
        if variant == "noisy":
            samples.observe(scene, variant, lifted)

    joints = {
        split: expected_errors(
            model,
            motions,
            person_size=size,
            progress=_progress(f"{split}: clip"),
            observe=observe if split == "test" else None,
        )
        for split, motions in held.items()
    }
    return _Measured(joints, {variant: one.scores() for variant, one in angles.items()}, samples)


def _told_by(path: Path, card: dict[str, Any]) -> AngleErrorTable | None:
    try:
        return AngleErrorTable.from_card(card.get("angle_errors"))
    except ValueError as error:
        raise PoseMambaError(f"{path}: {error}; make it anew: --out NAME.safetensors") from None


def _fit_angles(model: PoseMamba, size: float | None, train: Motions, validation: Motions) -> AngleErrorTable:
    """Fit the table of the angles' expected errors to validation subjects and some of the training clips."""
    samples = AngleSamples()
    count = min(ANGLE_CLIPS, len(train))
    some = train.select([i * len(train) // count for i in range(count)])
    for name, motions, cameras in (("validation", validation, 4), ("train", some, 2)):
        shown = _progress(f"angles, {name}: clip")
        collect(model, motions, cameras, person_size=size, samples=samples, progress=shown)
    return fit_table(samples)


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
