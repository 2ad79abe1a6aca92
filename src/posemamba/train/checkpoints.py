"""Files that training keeps in a run's folder: written, read, and checked before a recipe resumes from them."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from posemamba.train.recipe import Recipe
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path
from posemamba.utils.plugins import told_of
from posemamba.weights.files import first_line, load_safely

if TYPE_CHECKING:
    from posemamba.train.module import LiftingModule

LAST = "last.ckpt"
BEST = "best.pt"
WEIGHTS = "weights.pt"


def save_weights(path: Path, module: LiftingModule, step: int, **details: float | int) -> None:
    """Write the averaged weights of a step with the recipe and `details`; whole or not at all.

    Raises:
        PoseMambaError: they cannot be written, and earlier ones stay.
    """
    content = {
        "state_dict": {k: v.detach().cpu().clone() for k, v in module.ema.state_dict().items()},
        "recipe": module.recipe.model_dump(mode="json"),
        "step": step,
        "details": details,
    }
    with keeping(path) as temporary:
        torch.save(content, temporary)


@contextlib.contextmanager
def keeping(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` if the block does not raise, as `atomic_path` does.

    Raises:
        PoseMambaError: the block could not write; what was at `path` stays.
    """
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except (OSError, RuntimeError) as error:  # PyTorch makes a RuntimeError of a full disk
        if isinstance(error, RuntimeError) and "PytorchStreamWriter" not in str(error):
            raise
        why = getattr(error, "strerror", None) or first_line(error)
        stays = "the one before stays; " if path.exists() else ""
        raise PoseMambaError(
            f"{path}: cannot be written ({why}): {stays}make room, and the same call goes on from the last checkpoint"
        ) from error


def check_whole(path: Path) -> None:
    """Compare the checksums in a file of `torch.save` with its content, which PyTorch does not.

    Raises:
        PoseMambaError: they differ.
    """
    if not zipfile.is_zipfile(path):
        return  # its reader says what it is
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    if bad is not None:
        raise PoseMambaError(
            f"{path}: damaged (the checksum of '{bad}' in it does not fit): move it away; {_what_is_whole(path)}"
        )


def _what_is_whole(path: Path) -> str:
    """Say which other files of the run, by its damaged one, training can begin from."""
    steps: dict[Path, int] = {}
    for name, key in ((LAST, "global_step"), (BEST, "step"), (WEIGHTS, "step")):
        other = path.with_name(name)
        with contextlib.suppress(Exception):  # what is not whole, whatever its reader raises, is not named
            if other.name != path.name and zipfile.is_zipfile(other):
                with zipfile.ZipFile(other) as archive:
                    if archive.testzip() is None:
                        steps[other] = int(load_safely(other, mmap=True)[key])
    if (last := path.with_name(LAST)) in steps:
        return f"{last} of step {steps[last]} is whole, and the same call goes on from it"
    if not steps:
        return "no other file of the run is whole, and the same call starts anew"
    newest = max(steps, key=lambda one: steps[one])
    return (
        f"{newest} of step {steps[newest]} is whole: the same call with --set start_from={newest} starts from its "
        "weights"
    )


def load_weights(path: str | Path) -> tuple[dict[str, torch.Tensor], Recipe, dict[str, Any]]:
    """Read ``weights.pt`` or ``best.pt`` of a run: the state dict, the recipe, details and step.

    Raises:
        PoseMambaError: not such a file.
    """
    content: Any = None
    try:
        check_whole(Path(path))
        content = load_safely(path)
        recipe = Recipe.model_validate(content["recipe"])
        state, details = dict(content["state_dict"]), {"step": int(content["step"]), **content["details"]}
        if not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
            raise ValueError("other things than tensors among the weights")
        return state, recipe, details
    except PoseMambaError:
        raise
    except Exception as error:  # on bytes that are no pickle its reader raises whatever comes
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if plugins := _told_plugins(content):
            first = " ".join(str(error).splitlines()[2:3]).partition(" [type=")[0].strip() or first
        raise PoseMambaError(f"{path}: not weights that training kept ({first}){plugins}") from error


def _told_plugins(content: Any) -> str:
    """The words on plugins of a run's recipe that are not loaded; the run's files never load one."""
    try:
        return told_of(content["recipe"]["plugins"])
    except (KeyError, TypeError):
        return ""


def scores(module: LiftingModule) -> dict[str, float]:
    """Return the details to keep beside weights: scores of the last validation, and the training time until then."""
    return {f"val_{k}": v for k, v in module.validation.items()} | {"training_seconds": module.training_seconds}


def check_resumable(last: Path, recipe: Recipe) -> tuple[int, float]:
    """Return step and seconds of training of a checkpoint that this recipe can resume from; print what it changes.

    Raises:
        PoseMambaError: not a checkpoint, or one of another data set, model, optimiser or seed.
    """
    try:
        check_whole(last)
        content = load_safely(last, mmap=True)
        step, kept, seconds = int(content["global_step"]), content["recipe"], float(content["training_seconds"])
        kept = {**Recipe().model_dump(mode="json"), **kept}
        if not isinstance(kept["data"]["kind"], str) or not isinstance(kept["ema"], int | float):
            raise ValueError("no recipe in it")
    except PoseMambaError:
        raise
    except Exception as error:  # on bytes that are no pickle its reader raises whatever comes
        raise PoseMambaError(
            f"{last}: not a checkpoint of this program, or damaged: move it away; {_what_is_whole(last)}"
        ) from error
    now = recipe.model_dump(mode="json")
    if (was := kept["data"]["kind"]) != recipe.data.kind:
        raise PoseMambaError(f"{last} is of a run on {was}, not {recipe.data.kind}: choose another directory")
    if recipe.data.kind != "mocap":
        for field, value in recipe.data.model_dump(mode="json", exclude={"directory"}).items():
            if kept["data"].get(field) != value:
                raise PoseMambaError(
                    f"{last} was made with data.{field} = {kept['data'].get(field)!r}, the recipe says {value!r}: "
                    "choose another directory or the old recipe"
                )
    for field in _LASTING:
        if kept[field] != now[field]:
            raise PoseMambaError(
                f"{last} was made with {field} = {kept[field]!r}, the recipe says {now[field]!r}: "
                "choose another directory or the old recipe"
            )
    if bool(kept["ema"]) != bool(now["ema"]):
        raise PoseMambaError(
            f"{last} was made with ema = {kept['ema']:g}, the recipe says {now['ema']:g}: "
            "choose another directory or the old recipe"
        )
    if (changed := _differences(kept, now)) and os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"{last}: goes on from step {step} with other settings than before: {'; '.join(changed)}", flush=True)
    return step, seconds


_LASTING = (
    "model",
    "seed",
    "steps_per_epoch",
    "person_size",
    "optimizer",
    "optimizer_options",
    "muon_scans",
    "weight_decay_of",
)
"""Fields that a run keeps when it is resumed."""
_ELSEWHERE = ("name", "start_from", "directory")
"""Fields on which a run that is resumed does not depend."""


def _differences(kept: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """List the fields of a recipe that differ, with both values."""
    found = []
    for name in sorted({*kept, *now}, key=str):
        was, value = kept.get(name), now.get(name)
        if was == value or name in _ELSEWHERE:
            continue
        if isinstance(was, dict) and isinstance(value, dict):
            found += _differences(was, value, f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name} = {value!r}, was {was!r}")
    return found
