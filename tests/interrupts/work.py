"""What is interrupted: a lift with a slow detector that follows people, and a training of a tiny model."""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fixtures.motions import make_motions
from posemamba import cli
from posemamba.demo.walker import walk
from posemamba.detect import unfinished
from posemamba.io.video.writer import VideoWriter
from posemamba.models.posemamba import PoseMamba
from posemamba.models.registry import save_model
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import COCO17, H36M17, Skeleton
from posemamba.train import run as training

FRAMES, STEPS = 40, 36
FRAME_SECONDS = STEP_SECONDS = 0.02
RECORD_SECONDS = 0.1
SAVE_EVERY = 3
RECIPE = f"""
data: {{lengths: {{27: 0.7, 9: 0.3}}}}
batch: 2
epochs: 2
steps_per_epoch: {STEPS // 2}
schedule: cosine
ema: 0.9
loss_unit: body
person_size: 0.25
validate_every: 10
save_every: {SAVE_EVERY}
log_every: 2
"""
_ORDER = [0, *(H36M17.joints.index(name) if name in H36M17.joints else 10 for name in COCO17.joints[1:])]


def note(path: Path, number: int) -> None:
    """Write down that a frame was searched, or a step done, and when."""
    with path.open("a") as file:
        file.write(f"{number} {time.time()}\n")


class Slow:
    """A detector whose joints depend on the picture and on all pictures before it, as a following one's do."""

    skeleton: Skeleton = COCO17
    doubtful = frozenset[int]()

    def __init__(self, notes: Path) -> None:
        self._notes, self._frame, self._drift = notes, 0, 0.0
        self._walk = (walk(FRAMES, 25.0, radius=0.8)[..., [0, 2]] * np.float32([40, -40]))[:, _ORDER]

    def begin(self, fps: float) -> None:
        self._frame, self._drift = 0, 0.0

    @property
    def state(self) -> dict[str, Any]:
        return {"frame": self._frame, "drift": self._drift}

    def resume(self, fps: float, state: Mapping[str, Any]) -> None:
        self._frame, self._drift = state["frame"], state["drift"]

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        note(self._notes, self._frame)
        self._frame += 1  # in the middle of a frame the state is none to go on from
        time.sleep(FRAME_SECONDS)
        self._drift = 0.9 * self._drift + float(rgb.mean()) / 300
        found = [self._walk[self._frame - 1] + np.float32([x + self._drift, 100]) for x in (50, 110)]
        return [Detection(xy, np.full(17, 0.9, np.float32), number) for number, xy in enumerate(found)]

    def close(self) -> None:
        pass


class Tiny(nn.Module):
    """A model that takes its time, and random numbers, in training."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(34, 16), nn.Linear(16, 51)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.a(x.flatten(2)))
        if self.training:
            time.sleep(STEP_SECONDS)
            hidden = hidden * (torch.rand(len(x), 1, 1) < 0.8)
        return self.b(hidden).unflatten(-1, (17, 3))


IMPORTED = (
    *("posemamba.cli.lift.run", "posemamba.cli.training", "posemamba.detect.blazepose", "posemamba.lifting.lifter"),
    *("posemamba.show.overlay", "posemamba.show.viewer", "posemamba.show.contact_sheet", "posemamba.quality.verdict"),
    *("posemamba.train.callbacks", "posemamba.train.sources", "posemamba.train.dry_run", "posemamba.pipeline.lift"),
)
"""What takes seconds to import: once, before processes are forked."""


def prepare(folder: Path) -> None:
    """Write what is lifted, by what, and what is trained."""
    for name in IMPORTED:
        importlib.import_module(name)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    save_model(folder / "tiny.safetensors", PoseMamba.preset("s", width=16, depth=1, frames=27), {"person_size": 0.25})
    with VideoWriter(folder / "video.mp4", 25) as writer:
        for i in range(FRAMES):
            writer.write(np.full((120, 160, 3), 40 + 4 * i, np.uint8))
    (folder / "recipe.yaml").write_text(RECIPE)


def lift(folder: Path, out: Path, notes: Path) -> int:
    """Run ``posemamba lift``; a line of `notes` for each frame that is searched."""
    import posemamba.detect.blazepose as blazepose

    unfinished.EVERY = RECORD_SECONDS
    blazepose.BlazePoseDetector = lambda *_, **__: Slow(notes)  # type: ignore[assignment,misc]
    weights = str(folder / "tiny.safetensors")
    return cli.main(["lift", str(folder / "video.mp4"), "-o", str(out), "--weights", weights, "--person", "all"])


def train(folder: Path, out: Path, notes: Path) -> int:
    """Run ``posemamba train``; a line of `notes` for each step."""
    from posemamba.train.module import LiftingModule

    motions = make_motions("walker", (160, 90))
    torch.manual_seed(0)
    training.train = functools.partial(training.train, model=Tiny(), motions=(motions, motions))
    stepped = LiftingModule.training_step

    def step(self: LiftingModule, *rest: Any) -> Tensor:
        note(notes, self.global_step)
        return stepped(self, *rest)

    LiftingModule.training_step = step  # type: ignore[method-assign]
    return cli.main(["train", str(folder / "recipe.yaml"), "-o", str(out), "--device", "cpu"])
