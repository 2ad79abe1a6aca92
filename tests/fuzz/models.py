"""Targets of models: checkpoints of peers, folders in the Hub's layout, exports, weights to start from, skeletons."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.fuzz.mutate import Random
from tests.fuzz.target import Target, command

MOST_FRAMES = 243
"""Frames of the longest clip that a damaged model is given."""


def make(folder: Path) -> None:
    """Write whole files; those of `seeds.py` are there."""
    import torch

    from posemamba.models.posemamba import PoseMamba

    for name, kind in _peers().items():
        torch.manual_seed(0)
        sizes = {"frames": 9, "rep_width": 16} if name == "hgmamba" else {"frames": 9, "heads": 8}
        model = kind.preset(None, width=16, depth=1, **sizes)
        state = {f"module.{key}": tensor for key, tensor in model.state_dict().items()}
        torch.save({kind.key: state, "epoch": 3}, folder / f"{name}.bin")
    PoseMamba.from_pretrained(folder / "mamba.safetensors").save_pretrained(folder / "hub")
    skeleton = {
        "name": "snake",
        "joints": ["head", "neck", "left_fin", "right_fin", "tail"],
        "parents": [-1, 0, 1, 1, 1],
        "pairs": [[2, 3]],
    }
    (folder / "skeleton.json").write_text(json.dumps(skeleton))


def _peers() -> dict[str, Any]:
    from posemamba.models.hgmamba import HGMamba
    from posemamba.models.mixste import MixSTE
    from posemamba.models.stcformer import STCFormer

    return {"mixste": MixSTE, "stcformer": STCFormer, "hgmamba": HGMamba}


def _read_peers(file: Path, folder: Path, seeds: Path, draw: Random) -> int | None:
    """A checkpoint that is read and given a clip, or compared with poses by the command."""
    import torch

    if draw.random() < 0.25:
        given = ("--weights", f"{file.stem}:{file}", "--device", "cpu", "--frames", "3")
        return command("show", "compare", seeds / "poses.npz", "-o", folder / "out.png", *given)
    model = _peers()[file.stem].from_pretrained(file)
    config = model.config
    if config.frames <= MOST_FRAMES and config.joints <= 133:
        with torch.inference_mode():
            model(torch.zeros(1, min(config.frames, 9), config.joints, config.channels))
    return None


def _hub(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    """A model's folder of which one file is damaged."""
    whole = folder / "hub"
    shutil.copytree(seeds / "hub", whole)
    shutil.copy(file, whole / file.name)
    if draw.random() < 0.5:
        return command("info", "--weights", whole)
    quick = ("--no-overlay", "--no-viewer", "--angles")
    return command("lift", seeds / "one.npz", "-o", folder / "out", "--weights", whole, *quick)


def _formats(file: Path, folder: Path, seeds: Path, draw: Random) -> int:
    if find_spec("onnx") and draw.random() < 0.6:
        return command("export", file, "-o", folder / "out.onnx", "--format", "onnx", "--frames", "3")
    return command("export", file, "-o", folder / "out", "--format", "huggingface")


def _start_from(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    """A recipe that starts from damaged weights."""
    from posemamba.train.initialisation import build_model
    from posemamba.train.recipe import load_recipe

    changes = draw.choice(((), (), ("model.options.depth=2",)))
    build_model(load_recipe(seeds / "recipe.yaml", settings=(f"start_from={file}", *changes)))


def _skeleton(file: Path, folder: Path, seeds: Path, draw: Random) -> None:
    """A skeleton that a plugin reads from its own file and registers, and a model of it."""
    import torch

    from posemamba.models.posemamba import PoseMamba
    from posemamba.poses.skeletons import OTHERS, Skeleton, register_skeleton
    from posemamba.utils.reading import reading

    with reading(file, "a skeleton"):
        told = json.loads(file.read_bytes())
        pairs = tuple((int(left), int(right)) for left, right in told["pairs"])
        parents = tuple(int(parent) for parent in told["parents"])
        skeleton = Skeleton(str(told["name"]), tuple(map(str, told["joints"])), parents, pairs)
    before = dict(OTHERS)
    try:
        register_skeleton(skeleton)
        if len(skeleton) <= 133:
            model = PoseMamba.preset("s", width=16, depth=1, frames=9, skeleton=skeleton.name).eval()
            with torch.inference_mode():
                model(torch.zeros(1, 9, len(skeleton), 2))
    finally:
        OTHERS.clear()
        OTHERS.update(before)


TARGETS = {
    "checkpoints of peers": Target(
        dict.fromkeys(("mixste.bin", "stcformer.bin", "hgmamba.bin"), "torch"), _read_peers, 1.5
    ),
    "folder of a model": Target({"hub/config.json": "json", "hub/model.safetensors": "safetensors"}, _hub, 1.5),
    "export formats": Target(
        {"weights.pt": "torch", "mamba.bin": "torch", "mamba.safetensors": "safetensors"}, _formats, 0.7
    ),
    "start from weights": Target(
        {"mamba.safetensors": "safetensors", "weights.pt": "torch", "mamba.bin": "torch", "bert.bin": "torch"},
        _start_from,
        1,
    ),
    "skeleton": Target({"skeleton.json": "json"}, _skeleton, 0.5),
}
